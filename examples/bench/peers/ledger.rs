//! One command, one Postgres transaction, in two round trips.
//!
//! Statements are prepared once, and those that need no answer of each other are sent together: begin, claim the key and lock the
//! account; then write, store the outcome and commit. `synchronous_commit` is on.

use futures_util::future::{try_join, try_join3, try_join4};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use uuid::Uuid;

use super::command::{Command, Kind, Place};
use crate::support::Failure;

const MOST: i64 = 1_000_000_000_000;

/// What became of a command, as it is stored and published.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    customer_id: Option<Uuid>,
    /// The code of the reason why nothing was done.
    rejection: Option<String>,
    entry: Option<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: Uuid,
    unit: String,
    /// Negative when it was taken.
    amount: i64,
    balance_before: i64,
    balance_after: i64,
}

/// The answer to one delivery of a command.
#[derive(Debug)]
pub struct Answer {
    outcome: Outcome,
    /// Decided before; this is that outcome again.
    duplicate: bool,
}

impl Answer {
    /// The record for the results topic.
    pub fn to_json(&self, command: &Command) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Record<'a> {
            topic: &'static str,
            partition: i32,
            offset: i64,
            merchant_id: &'a str,
            idempotency_key: &'a str,
            duplicate: bool,
            outcome: &'a Outcome,
        }
        let Place { kind, partition, offset } = command.place;
        serde_json::to_vec(&Record {
            topic: kind.name(),
            partition,
            offset,
            merchant_id: &command.merchant_id,
            idempotency_key: &command.idempotency_key,
            duplicate: self.duplicate,
            outcome: &self.outcome,
        })
    }
}

/// An account as it was locked.
struct Account {
    customer_id: Uuid,
    balance: i64,
    lifetime_earned: i64,
    lifetime_redeemed: i64,
}

impl Account {
    fn of(row: &Row) -> Account {
        Account {
            customer_id: row.get(0),
            balance: row.get(1),
            lifetime_earned: row.get(2),
            lifetime_redeemed: row.get(3),
        }
    }

    /// The account after the command, or why it stays as it is.
    fn after(&self, command: &Command) -> Result<Account, &'static str> {
        let Account { customer_id, balance, lifetime_earned, lifetime_redeemed } = *self;
        let amount = command.amount;
        if !(1..=MOST).contains(&amount) {
            return Err("invalid_fields");
        }
        let sum = |of: i64| of.checked_add(amount).ok_or("amount_overflow");
        match command.place.kind {
            Kind::Credit => {
                let (balance, lifetime_earned) = (sum(balance)?, sum(lifetime_earned)?);
                Ok(Account { customer_id, balance, lifetime_earned, lifetime_redeemed })
            }
            Kind::Redeem if balance < amount => Err("insufficient_points"),
            Kind::Redeem => {
                let (balance, lifetime_redeemed) = (balance - amount, sum(lifetime_redeemed)?);
                Ok(Account { customer_id, balance, lifetime_earned, lifetime_redeemed })
            }
        }
    }
}

/// A connection with its prepared statements.
pub struct Ledger {
    client: Client,
    claim: Statement,
    lock: Statement,
    decided: Statement,
    update: Statement,
    append: Statement,
    store: Statement,
}

impl Ledger {
    /// Call it in the runtime that is to drive the connection.
    pub async fn connect(url: &str) -> Result<Ledger, Failure> {
        let mut config: Config = url.parse()?;
        config.options("-c synchronous_commit=on").application_name("peer");
        let (client, connection) = config.connect(NoTls).await?;
        // When it breaks, the statement that waits says so.
        tokio::spawn(connection);
        Ok(Ledger {
            claim: client
                .prepare(
                    "insert into idempotency (merchant_id, idempotency_key) values ($1, $2) on conflict do nothing",
                )
                .await?,
            lock: client
                .prepare(
                    "select a.customer_id, a.balance, a.lifetime_earned, a.lifetime_redeemed \
                     from customer c join account a on a.customer_id = c.id and a.unit_id = $3 \
                     where c.merchant_id = $1 and c.external_id = $2 for update of a",
                )
                .await?,
            decided: client
                .prepare("select outcome from idempotency where merchant_id = $1 and idempotency_key = $2")
                .await?,
            update: client
                .prepare(
                    "update account set balance = $3, lifetime_earned = $4, lifetime_redeemed = $5, updated_at = now() \
                     where customer_id = $1 and unit_id = $2",
                )
                .await?,
            append: client
                .prepare(
                    "insert into entry (id, customer_id, unit_id, kind, amount, balance_after, order_id, occurred_at) \
                     values ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .await?,
            store: client
                .prepare("update idempotency set outcome = $3 where merchant_id = $1 and idempotency_key = $2")
                .await?,
            client,
        })
    }

    /// Decides a command and commits. An error leaves the transaction to end with the connection.
    pub async fn apply(&self, command: &Command) -> Result<Answer, Failure> {
        let Command { merchant_id, idempotency_key, external_id, unit, .. } = command;
        // The futures send in the order in which they stand here, and none waits for another's answer.
        let (_, claimed, account) = try_join3(
            self.client.batch_execute("begin"),
            self.client.execute(&self.claim, &[merchant_id, idempotency_key]),
            self.client.query_opt(&self.lock, &[merchant_id, external_id, unit]),
        )
        .await?;
        if claimed == 0 {
            return self.decided_before(command).await;
        }
        let before = account.as_ref().map(Account::of);
        let customer_id = before.as_ref().map(|account| account.customer_id);
        let after =
            before.as_ref().ok_or("unknown_customer").and_then(|account| Ok((account, account.after(command)?)));
        let outcome = match after {
            Ok((before, after)) => self.write(command, before, &after).await?,
            Err(code) => {
                let outcome = Outcome { customer_id, rejection: Some(code.to_owned()), entry: None };
                try_join(
                    self.client.execute(&self.store, &[merchant_id, idempotency_key, &Json(&outcome)]),
                    self.client.batch_execute("commit"),
                )
                .await?;
                outcome
            }
        };
        Ok(Answer { outcome, duplicate: false })
    }

    async fn write(&self, command: &Command, before: &Account, after: &Account) -> Result<Outcome, Failure> {
        let Command { merchant_id, idempotency_key, unit, order_id, occurred_at, place, .. } = command;
        let Account { customer_id, balance, lifetime_earned, lifetime_redeemed } = after;
        let (entry_id, amount) = (command.entry_id(), balance - before.balance);
        let outcome = Outcome {
            customer_id: Some(*customer_id),
            rejection: None,
            entry: Some(Entry {
                id: entry_id,
                unit: unit.clone(),
                amount,
                balance_before: before.balance,
                balance_after: *balance,
            }),
        };
        // Should one of them fail, the commit behind it rolls back.
        try_join4(
            self.client.execute(&self.update, &[customer_id, unit, balance, lifetime_earned, lifetime_redeemed]),
            self.client.execute(
                &self.append,
                &[&entry_id, customer_id, unit, &place.kind.name(), &amount, balance, order_id, occurred_at],
            ),
            self.client.execute(&self.store, &[merchant_id, idempotency_key, &Json(&outcome)]),
            self.client.batch_execute("commit"),
        )
        .await?;
        Ok(outcome)
    }

    async fn decided_before(&self, command: &Command) -> Result<Answer, Failure> {
        let (stored, ()) = try_join(
            self.client.query_one(&self.decided, &[&command.merchant_id, &command.idempotency_key]),
            self.client.batch_execute("commit"),
        )
        .await?;
        let Json(outcome) = stored.try_get(0)?;
        Ok(Answer { outcome, duplicate: true })
    }
}
