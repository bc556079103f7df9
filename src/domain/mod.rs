//! The loyalty rules: pure functions over values. No I/O, no clock, no serialisation, no Kafka or Postgres type.

pub mod account;
pub mod book;
mod card_enrolment;
pub mod command;
pub mod config;
mod credit;
pub mod customer;
mod customer_upsert;
pub mod entry;
pub mod event;
pub mod fields;
mod ids;
pub mod judge;
pub mod membership;
mod merchant_config;
mod object_config;
pub mod objects;
pub mod outcome;
pub mod parking;
mod position;
pub mod profile;
mod redeem;
pub mod rejection;
pub mod settle;
mod text;
mod time;
mod words;

pub use account::{Account, Lot, Overflow};
pub use book::Book;
pub use customer::{Customer, CustomerChange, CustomerState};
pub use entry::{Entry, EntryKind, LotShare};
pub use event::{ConfigObject, Event, Fact, LotEnd, Notify};
pub use ids::{
    CustomerId, EventId, IdMap, IdempotencyKey, LotId, MerchantId, OrderId, ResultId, Seed, TransactionId, UnitId,
    lookup_key,
};
pub use membership::{CustomerTier, Enrolment, MemberCard, MemberTier, Membership};
pub use outcome::{Balance, Decision, EarnedOrder, Effect, KeyHash, Remembered};
pub use parking::Parked;
pub use position::{CommandTopic, Frontier, Position};
pub use profile::{Gender, Metric, ProfileField};
pub use rejection::{Rejection, RejectionCode};
pub use text::{NO_CHARACTER, compared, is_deceptive, is_deceptive_in_id, is_deceptive_in_prose, is_invisible};
pub use time::Instant;

/// The greatest amount of one command, in minor units.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// Raised whenever a change of the rules gives some command another outcome; the journal names it.
pub const RULES_VERSION: i32 = 1;

#[cfg(test)]
pub(crate) mod tests;
