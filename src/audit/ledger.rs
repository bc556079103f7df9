//! Reading the database: one snapshot, streamed, nothing interpreted.

use std::pin::pin;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::AuditError;
use super::facts::{
    AccountRow, ConfigVersion, CustomerFact, DecisionRow, EntryRow, IdentityRow, LaneRow, Ledger, LotFact, Name, Names,
    OrderRow, RejectionFact, Share, Sums,
};
use crate::domain::{CommandTopic, Frontier, Position};

/// The lanes as the snapshot has them.
#[derive(Debug)]
pub struct Lanes {
    /// How many there are; 0 when no worker has ever run.
    pub count: i32,
    pub rows: Vec<(i32, LaneRow)>,
    /// Lane and batch.
    pub outbox: Vec<(i32, i64)>,
}

/// Reads the lane rows and the outbox. `topic_of` knows a command topic by the name in the row.
pub async fn read_lanes(
    snapshot: &Transaction<'_>,
    topic_of: impl Fn(&str) -> Option<CommandTopic>,
) -> Result<Lanes, AuditError> {
    let mut lanes = Lanes { count: 0, rows: Vec::new(), outbox: Vec::new() };
    for row in snapshot.query(include_str!("sql/lanes.sql"), &[]).await? {
        let topics: Vec<String> = row.try_get("topics")?;
        let positions: Vec<i64> = row.try_get("positions")?;
        let mut frontier = Frontier([0; CommandTopic::COUNT]);
        for (topic, position) in topics.iter().zip(positions) {
            let known = topic_of(topic).ok_or_else(|| AuditError::UnknownTopic { topic: topic.clone() })?;
            frontier.set(known, position);
        }
        let count: i32 = row.try_get("lanes")?;
        lanes.count = lanes.count.max(count);
        let lane_row = LaneRow { batch: row.try_get("batch")?, lane_time: micros(row.try_get("lane_time")?), frontier };
        lanes.rows.push((row.try_get("lane")?, lane_row));
    }
    for row in snapshot.query(include_str!("sql/outbox.sql"), &[]).await? {
        lanes.outbox.push((row.try_get("lane")?, row.try_get("batch")?));
    }
    Ok(lanes)
}

/// Reads all other tables of the snapshot.
pub async fn read(snapshot: &Transaction<'_>) -> Result<(Ledger, Names), AuditError> {
    let mut names = Names::default();
    let names_of = &mut names;
    let ledger = Ledger {
        decisions: rows(snapshot, include_str!("sql/decisions.sql"), |row| decision(row, names_of)).await?,
        entries: rows(snapshot, include_str!("sql/entries.sql"), |row| entry(row, names_of)).await?,
        customers: rows(snapshot, include_str!("sql/customers.sql"), |row| customer(row, names_of)).await?,
        accounts: rows(snapshot, include_str!("sql/accounts.sql"), |row| account(row, names_of)).await?,
        identities: rows(snapshot, include_str!("sql/identities.sql"), identity).await?,
        orders: rows(snapshot, include_str!("sql/orders.sql"), order).await?,
        configs: rows(snapshot, include_str!("sql/configs.sql"), |row| config(row, names_of)).await?,
    };
    Ok((ledger, names))
}

async fn rows<T>(
    snapshot: &Transaction<'_>,
    sql: &str,
    mut fact: impl FnMut(&Row) -> Result<T, tokio_postgres::Error>,
) -> Result<Vec<T>, AuditError> {
    let statement = snapshot.prepare(sql).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut stream = pin!(snapshot.query_raw(&statement, none).await?);
    let mut facts = Vec::new();
    while let Some(row) = stream.try_next().await? {
        facts.push(fact(&row)?);
    }
    Ok(facts)
}

fn decision(row: &Row, names: &mut Names) -> Result<DecisionRow, tokio_postgres::Error> {
    let code: Option<&str> = row.try_get(4)?;
    let message: Option<&str> = row.try_get(5)?;
    let units: Option<Vec<&str>> = row.try_get(9)?;
    let seqs: Option<Vec<i64>> = row.try_get(10)?;
    Ok(DecisionRow {
        position: position(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
        effect: row.try_get(3)?,
        rejection: code
            .map(|code| RejectionFact { code: names.keep(code), message: Name::of(message.unwrap_or_default()) }),
        customer: row.try_get(6)?,
        customer_version: row.try_get(7)?,
        config_version: row.try_get(8)?,
        entries: units
            .unwrap_or_default()
            .into_iter()
            .map(|unit| names.keep(unit))
            .zip(seqs.unwrap_or_default())
            .collect(),
        occurred_at: micros(row.try_get(11)?),
        decided_at: micros(row.try_get(12)?),
    })
}

fn entry(row: &Row, names: &mut Names) -> Result<EntryRow, tokio_postgres::Error> {
    let lot_ids: Vec<Uuid> = row.try_get(8)?;
    let lot_amounts: Vec<i64> = row.try_get(9)?;
    let cause_topic: Option<i16> = row.try_get(11)?;
    let cause_partition: Option<i32> = row.try_get(12)?;
    let cause_offset: Option<i64> = row.try_get(13)?;
    Ok(EntryRow {
        customer: row.try_get(0)?,
        unit: names.keep(row.try_get(1)?),
        seq: row.try_get(2)?,
        transaction: row.try_get(3)?,
        merchant: names.keep(row.try_get(4)?),
        kind: row.try_get(5)?,
        amount: row.try_get(6)?,
        balance_after: row.try_get(7)?,
        lots: lot_ids.into_iter().zip(lot_amounts).map(|(lot, amount)| Share { lot, amount }).collect(),
        order: row.try_get::<_, Option<&str>>(10)?.map(Name::of),
        cause: cause_topic.map(|topic| position(topic, cause_partition.unwrap_or(-1), cause_offset.unwrap_or(-1))),
        occurred_at: micros(row.try_get(14)?),
        recorded_at: micros(row.try_get(15)?),
    })
}

fn customer(row: &Row, names: &mut Names) -> Result<CustomerFact, tokio_postgres::Error> {
    let personal =
        |column: usize| Ok::<_, tokio_postgres::Error>(row.try_get::<_, Option<&str>>(column)?.map(Name::of));
    Ok(CustomerFact {
        customer: row.try_get(0)?,
        merchant: names.keep(row.try_get(1)?),
        version: row.try_get(2)?,
        status: names.keep(row.try_get(3)?),
        external_id: personal(4)?,
        phone: personal(5)?,
        email: personal(6)?,
        first_name: personal(7)?,
        last_name: personal(8)?,
        birth_date: personal(9)?,
        notify_email: row.try_get(10)?,
        notify_phone: row.try_get(11)?,
        created_at: micros(row.try_get(12)?),
        updated_at: micros(row.try_get(13)?),
    })
}

fn account(row: &Row, names: &mut Names) -> Result<AccountRow, tokio_postgres::Error> {
    let ids: Vec<Uuid> = row.try_get(11)?;
    let amounts: Vec<i64> = row.try_get(12)?;
    let remaining: Vec<i64> = row.try_get(13)?;
    let issued: Vec<Timestamp> = row.try_get(14)?;
    let expires: Vec<Option<Timestamp>> = row.try_get(15)?;
    let lots = ids
        .into_iter()
        .zip(amounts)
        .zip(remaining)
        .zip(issued)
        .zip(expires)
        .map(|((((lot, amount), remaining), issued), expires)| LotFact {
            lot,
            amount,
            remaining,
            issued_at: micros(issued),
            expires_at: expires.map(micros),
        })
        .collect();
    Ok(AccountRow {
        customer: row.try_get(0)?,
        unit: names.keep(row.try_get(1)?),
        merchant: names.keep(row.try_get(2)?),
        entries: row.try_get(3)?,
        sums: Sums {
            available: row.try_get(4)?,
            pending: row.try_get(5)?,
            held: row.try_get(6)?,
            debt: row.try_get(7)?,
            lifetime_earned: row.try_get(8)?,
            lifetime_redeemed: row.try_get(9)?,
        },
        next_due: row.try_get::<_, Option<Timestamp>>(10)?.map(micros),
        lots,
    })
}

fn identity(row: &Row) -> Result<IdentityRow, tokio_postgres::Error> {
    Ok(IdentityRow {
        merchant: Name::of(row.try_get(0)?),
        kind: row.try_get(1)?,
        value: Name::of(row.try_get(2)?),
        customer: row.try_get(3)?,
    })
}

fn order(row: &Row) -> Result<OrderRow, tokio_postgres::Error> {
    Ok(OrderRow {
        merchant: Name::of(row.try_get(0)?),
        order: Name::of(row.try_get(1)?),
        unit: Name::of(row.try_get(2)?),
        transaction: row.try_get(3)?,
    })
}

fn config(row: &Row, names: &mut Names) -> Result<ConfigVersion, tokio_postgres::Error> {
    Ok(ConfigVersion {
        merchant: names.keep(row.try_get(0)?),
        object: names.keep(row.try_get(1)?),
        id: row.try_get::<_, Option<&str>>(2)?.map(|unit| names.keep(unit)),
        version: row.try_get(3)?,
    })
}

fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A position in the database's numbers. A number that stands for no topic becomes a position that can't be: the checks then find that
/// nothing answers it.
fn position(topic: i16, partition: i32, offset: i64) -> Position {
    match CommandTopic::from_code(topic) {
        Some(topic) => Position { topic, partition, offset },
        None => Position { topic: CommandTopic::Clock, partition: -1, offset },
    }
}
