//! What people write when they do not decide in batches: the usual ways to the same end, for comparison.
//!
//! Both peers take the credits and redeems of the worker's own backlog and decide them with one Postgres transaction for each command
//! ([`ledger`]), an idempotency key that makes a second delivery harmless, and a locked account. They differ in how they are tied to Kafka:
//! [`per_command`] is at least once and pipelined, [`per_message`] has a Kafka transaction for each command. They take from the two topics
//! by turns, so half of their commands are redeems, however large the share in the backlog.
//!
//! What NEITHER does and the worker does, so that their commands are cheaper than the worker's:
//! - no events, no customer's state, no journal: a command sends one record and not several
//! - no lots and no expiry: a balance is one number
//! - no merchant's settings, no versions of units, no limits by unit, no "an order earns once"
//! - no check that a duplicate says the same as the original
//! - no order between the topics: a redeem may overtake its credit
//! - no dead letters, no resolution of schema versions: a record that can't be read ends the run
//! - customers are found by their external id only, and accounts are opened with the customer
//! - no recovery: any error ends the run

mod command;
mod input;
mod ledger;
mod meter;
mod per_command;
mod per_message;
mod progress;

use crate::load::MERCHANTS;
use crate::support::Failure;
use crate::support::database::{self, Database};
use crate::support::installation::Stack;
use crate::support::processes::check_signals;

pub use per_command::per_command;
pub use per_message::per_message;

/// What a peer did after its warm-up, in a fixed time.
pub struct PeerRun {
    pub commands: u64,
    pub seconds: f64,
}

/// Makes a database with the peers' tables and as many customers, each with an account that holds 1,000 points and its entry. A run needs
/// one of its own: it begins at the beginning of the backlog, and would find only duplicates in another's.
pub fn prepare(stack: &Stack, database: &str, customers: u64) -> Result<(), Failure> {
    database::create(&stack.postgres_url, database, "template1")?;
    let database = Database::connect(&stack.database_url(database)?)?;
    let merchants = MERCHANTS.map(|id| format!("'{id}'")).join(", ");
    let of_all = format!(
        "from (select i, ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid as id, \
         (array[{merchants}])[1 + i % {}] as merchant from generate_series(1, {customers}) i) c",
        MERCHANTS.len()
    );
    for step in [
        include_str!("tables.sql").to_owned(),
        // Before the rows and not after them: the first change of each page after a checkpoint logs the whole page. In a run of some
        // seconds nearly every change would be such a one, in hours hardly any.
        "checkpoint".to_owned(),
        format!("insert into customer (id, merchant_id, external_id) select id, merchant, 'c-' || i {of_all}"),
        format!(
            "insert into account (customer_id, unit_id, balance, lifetime_earned, lifetime_redeemed) \
             select id, 'points', 1000, 1000, 0 {of_all}"
        ),
        format!(
            "insert into entry (id, customer_id, unit_id, kind, amount, balance_after, occurred_at) \
             select id, id, 'points', 'credit', 1000, 1000, now() {of_all}"
        ),
        // Only what is full: of an empty table Postgres would take it from here that it stays so.
        "vacuum analyze customer, account, entry".to_owned(),
    ] {
        check_signals()?;
        database.execute(&step)?;
    }
    Ok(())
}
