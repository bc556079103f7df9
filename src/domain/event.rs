//! Facts that go out, with everything that a message to the customer needs.

use std::sync::Arc;

use jiff::civil::Date;

use serde::Serialize;

use crate::domain::config::history::Version;
use crate::domain::config::merchant::ConfigObject;
use crate::domain::config::objects::CardReward;
use crate::domain::config::unit::Unit;
use crate::domain::ledger::balance::Balance;
use crate::domain::ledger::entry::Entry;
use crate::domain::ledger::event_type::EventType;
use crate::domain::membership::MemberCard;
use crate::domain::values::ids::{CustomerId, EventId, IdempotencyKey, MerchantId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    pub event_id: EventId,
    pub merchant_id: MerchantId,
    /// `None` for config.changed and command.parked.
    pub customer_id: Option<CustomerId>,
    /// The customer's version that this belongs to; of config.changed the object's; 0 of command.parked.
    pub version: i64,
    /// This event's place among those of the version, and how many there are.
    pub index: u32,
    pub count: u32,
    pub occurred_at: Instant,
    pub recorded_at: Instant,
    /// `None` when time did it.
    pub cause: Option<Position>,
    pub traceparent: Option<Arc<str>>,
    pub source: Option<String>,
    pub notify: Option<Arc<Notify>>,
    pub skip_notifications: bool,
    pub fact: Fact,
}

/// Whether and where the customer wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notify {
    pub email: bool,
    pub phone: bool,
    pub to_email: Option<String>,
    pub to_phone: Option<String>,
    pub name: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Fact {
    CustomerCreated {
        changed: Vec<&'static str>,
    },
    CustomerUpdated {
        changed: Vec<&'static str>,
    },
    CustomerActivated,
    CustomerDeactivated,
    /// An entry of the ledger: the entry's kind says which event it is.
    Posted {
        entry: Arc<Entry>,
        balance: Balance,
        counted: Counted,
        /// Of an earning: when it ends.
        end: Option<LotEnd>,
    },
    /// The card as it is after the whole command.
    CardEnrolled {
        card: Arc<MemberCard>,
        send_card_links: bool,
    },
    /// The stamps came to what one of the card's rewards takes.
    CardRewardReached {
        reward: CardReward,
        card: Arc<MemberCard>,
    },
    TierChanged {
        from: Option<String>,
        to: Option<String>,
        reason: TierReason,
    },
    ConfigChanged {
        object: ConfigObject,
    },
    CommandParked {
        idempotency_key: IdempotencyKey,
        deadline: Instant,
    },
}

/// When a lot expires: the instant, from which on it can't be spent, and the last day before it where the merchant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LotEnd {
    pub at: Instant,
    pub last_day: Option<Date>,
}

/// What an entry's amount is of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Counted {
    /// Of an expiry as it was just before; `None` where it was not known then.
    Unit(Option<Arc<Version<Unit>>>),
    Card(Arc<MemberCard>),
}

words! {
    /// Why a customer has another tier.
    TierReason {
        /// Somebody assigned it, or took such an assignment back.
        Manual "manual",
    }
}

impl Fact {
    pub fn event_type(&self) -> EventType {
        match self {
            Fact::CustomerCreated { .. } => EventType::CustomerCreated,
            Fact::CustomerUpdated { .. } => EventType::CustomerUpdated,
            Fact::CustomerActivated => EventType::CustomerActivated,
            Fact::CustomerDeactivated => EventType::CustomerDeactivated,
            Fact::Posted { entry, .. } => entry.kind.event_type(),
            Fact::CardEnrolled { .. } => EventType::CardEnrolled,
            Fact::CardRewardReached { .. } => EventType::CardRewardReached,
            Fact::TierChanged { .. } => EventType::TierChanged,
            Fact::ConfigChanged { .. } => EventType::ConfigChanged,
            Fact::CommandParked { .. } => EventType::CommandParked,
        }
    }
}
