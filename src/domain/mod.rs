//! The loyalty rules: pure functions over values. No I/O, no clock, no serialisation, no Kafka or Postgres type.
//!
//! The modules are floors: each uses only those above it in this list, which `tests/tidy.rs` holds.

pub mod book;
pub mod case;
pub mod command;
pub mod config;
pub mod customer;
pub mod decide;
pub mod event;
pub mod field_check;
pub mod ledger;
pub mod membership;
pub mod outcome;
pub mod parking;
pub mod rejection;
pub mod rule;
pub mod rules;
pub mod settle;
pub mod values;

pub use book::Book;
pub use config::{ConfigObject, ObjectKind};
pub use customer::profile::{Gender, Metric, ProfileField};
pub use customer::{Customer, CustomerChange, CustomerState, CustomerTier, Enrolment};
pub use event::{Counted, Event, Fact, LotEnd, Notify};
pub use ledger::account::{Account, Lot, Overflow};
pub use ledger::balance::Balance;
pub use ledger::entry::{Direction, Entry, EntryKind, LotShare};
pub use ledger::event_type::EventType;
pub use ledger::memory::{Memory, MemoryKey, MemoryKind};
pub use membership::{MemberCard, MemberTier, Membership};
pub use outcome::{Decision, Effect, KeyHash, Outcome, Remembered};
pub use parking::Parked;
pub use rejection::{Rejection, RejectionCode};
pub use values::amount::MAX_AMOUNT;
pub use values::ids::{
    CustomerId, EventId, IdMap, IdempotencyKey, LotId, MerchantId, OrderId, ResultId, Seed, TransactionId, UnitId,
    lookup_key, parse_customer_id,
};
pub use values::position::{CommandTopic, Frontier, Position};
pub use values::text::{
    NO_CHARACTER, NO_SUCH_CHARACTERS, compared, is_deceptive, is_deceptive_in_id, is_deceptive_in_prose, is_invisible,
};
pub use values::time::Instant;

/// Raised whenever a change of the rules gives some command another outcome; the journal names it.
pub const RULES_VERSION: i32 = 1;

#[cfg(test)]
pub(crate) mod tests;
