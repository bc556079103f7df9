//! Facts that go out, with everything that a message to the customer needs.

use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::config::objects::{CardReward, Object};
use crate::domain::config::settings::Settings;
use crate::domain::config::unit::UnitVersion;
use crate::domain::ledger::balance::Balance;
use crate::domain::ledger::entry::Entry;
use crate::domain::membership::MemberCard;
use crate::domain::values::ids::{CustomerId, EventId, IdempotencyKey, MerchantId, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;

#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub email: bool,
    pub phone: bool,
    pub to_email: Option<String>,
    pub to_phone: Option<String>,
    pub name: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    CustomerCreated {
        changed: Vec<&'static str>,
    },
    CustomerUpdated {
        changed: Vec<&'static str>,
    },
    CustomerActivated,
    CustomerDeactivated,
    PointsEarned {
        entry: Arc<Entry>,
        balance: Balance,
        unit: Arc<UnitVersion>,
        end: Option<LotEnd>,
    },
    PointsRedeemed {
        entry: Arc<Entry>,
        balance: Balance,
        unit: Arc<UnitVersion>,
    },
    PointsExpired {
        entry: Arc<Entry>,
        balance: Balance,
        /// As it was just before they expired.
        unit: Option<Arc<UnitVersion>>,
    },
    /// The card as it is after the whole command.
    CardEnrolled {
        card: Arc<MemberCard>,
        send_card_links: bool,
    },
    StampsAdded {
        entry: Arc<Entry>,
        balance: Balance,
        card: Arc<MemberCard>,
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
        effective_from: Instant,
    },
    CommandParked {
        idempotency_key: IdempotencyKey,
        deadline: Instant,
    },
}

/// When a lot expires: the instant, from which on it can't be spent, and the last day before it where the merchant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LotEnd {
    pub at: Instant,
    pub last_day: Option<Date>,
}

/// What a merchant has configured, as it is from then on.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigObject {
    Settings(MerchantId, Arc<Settings>),
    Unit(UnitId, Arc<UnitVersion>),
    Object(String, Object),
}

impl ConfigObject {
    pub fn kind(&self) -> &'static str {
        match self {
            ConfigObject::Settings(..) => "settings",
            ConfigObject::Unit(..) => "unit",
            ConfigObject::Object(_, object) => object.kind().name(),
        }
    }

    /// The merchant's for settings, else the object's own.
    pub fn id(&self) -> &str {
        match self {
            ConfigObject::Settings(merchant, _) => merchant.as_str(),
            ConfigObject::Unit(unit, _) => unit.as_str(),
            ConfigObject::Object(id, _) => id,
        }
    }
}

/// Why a customer has another tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierReason {
    /// Somebody assigned it, or took such an assignment back.
    Manual,
}

impl TierReason {
    pub fn name(self) -> &'static str {
        match self {
            TierReason::Manual => "manual",
        }
    }
}

impl Fact {
    pub fn type_name(&self) -> &'static str {
        match self {
            Fact::CustomerCreated { .. } => "customer.created",
            Fact::CustomerUpdated { .. } => "customer.updated",
            Fact::CustomerActivated => "customer.activated",
            Fact::CustomerDeactivated => "customer.deactivated",
            Fact::PointsEarned { .. } => "points.earned",
            Fact::PointsRedeemed { .. } => "points.redeemed",
            Fact::PointsExpired { .. } => "points.expired",
            Fact::CardEnrolled { .. } => "card.enrolled",
            Fact::StampsAdded { .. } => "stamps.added",
            Fact::CardRewardReached { .. } => "card.reward_reached",
            Fact::TierChanged { .. } => "tier.changed",
            Fact::ConfigChanged { .. } => "config.changed",
            Fact::CommandParked { .. } => "command.parked",
        }
    }
}
