//! The loyalty rules: pure functions over values. No I/O, no clock, no serialisation, no Kafka or Postgres type.

pub mod account;
pub mod command;
pub mod config;
pub mod customer;
pub mod entry;
pub mod event;
mod ids;
pub mod outcome;
mod position;
pub mod rejection;
mod time;

pub use account::{Account, Lot, Overflow};
pub use entry::{Entry, EntryKind, LotShare};
pub use event::{Event, Fact, Notify};
pub use ids::{CustomerId, EventId, IdempotencyKey, LotId, MerchantId, OrderId, ResultId, Seed, TransactionId, UnitId};
pub use outcome::{Balance, Decision, Effect, KeyHash, Remembered};
pub use position::{CommandTopic, Frontier, Position};
pub use rejection::{Rejection, RejectionCode};
pub use time::Instant;

/// The greatest amount of one command, in minor units.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// Raised whenever a change of the rules gives some command another outcome; the journal names it.
pub const RULES_VERSION: i32 = 1;
