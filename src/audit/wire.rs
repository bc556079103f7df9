//! The outgoing records as the audit reads them, from Avro or JSON, and what becomes a fact of each. Structs are renamed to what the
//! schemas call them, for apache-avro compares the names. Records within records are named even where nobody looks at them, for it
//! can't pass over them.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, datetime};
use serde::Deserialize;
use serde::de::Error as _;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::facts::{
    AccountFact, ConfigVersion, CustomerFact, EFFECTS, ENTRY_KINDS, EntryFact, EventFact, Further, JournalFact,
    LotFact, Name, Names, RejectionFact, ResultFact, Share, StateFact, Sums,
};
use crate::domain::{CommandTopic, Position};

/// What turning a record into a fact needs to know.
pub struct Context<'a> {
    pub names: &'a mut Names,
    /// Knows a command topic by its full name.
    pub topic_of: &'a dyn Fn(&str) -> Option<CommandTopic>,
}

/// A UUID in text.
#[derive(Clone, Copy)]
struct Id(Uuid);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::parse_str(&text).map(Id).map_err(|_| D::Error::custom("an id is not a UUID"))
    }
}

/// An instant: microseconds since 1970 in Avro, RFC 3339 in JSON.
#[derive(Clone, Copy)]
struct Micros(i64);

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Micros);
        }
        let text = String::deserialize(deserializer)?;
        let at = text.strip_suffix('Z').and_then(|at| at.parse::<DateTime>().ok());
        let at = at.ok_or_else(|| D::Error::custom("an instant is not RFC 3339 in UTC"))?;
        let micros = at.duration_since(datetime(1970, 1, 1, 0, 0, 0, 0)).as_micros();
        i64::try_from(micros).map(Micros).map_err(D::Error::custom)
    }
}

/// A text that may be personal: only its hash stays.
struct Personal(Name);

impl<'de> Deserialize<'de> for Personal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Personal(Name::of(&String::deserialize(deserializer)?)))
    }
}

#[derive(Deserialize)]
#[serde(rename = "Position")]
struct PositionWire {
    topic: String,
    partition: i32,
    offset: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Result")]
pub struct ResultWire {
    result_id: Id,
    command: PositionWire,
    merchant_id: String,
    idempotency_key: String,
    customer_id: Option<Id>,
    status: String,
    duplicate: bool,
    original: Option<PositionWire>,
    effect: Option<String>,
    rejection: Option<RejectionWire>,
    occurred_at: Micros,
    decided_at: Micros,
    config_version: Option<i64>,
    customer_version: Option<i64>,
    transactions: Vec<EntryWire>,
    balances: Vec<BalanceWire>,
    // Records of before this was there lack it.
    #[serde(default)]
    parked_at: Option<Micros>,
    #[serde(rename = "cards", default)]
    _cards: Vec<CardWire>,
}

#[derive(Deserialize)]
#[serde(rename = "MemberCard")]
struct CardWire {
    card_id: String,
    code: String,
    stamps: i64,
    #[serde(rename = "rewards")]
    _rewards: Vec<RewardWire>,
    enrolled_at: Micros,
}

#[derive(Deserialize)]
#[serde(rename = "MemberReward")]
struct RewardWire {}

#[derive(Deserialize)]
#[serde(rename = "MemberTier")]
struct TierWire {
    tier_id: String,
    since: Micros,
    manual: bool,
}

#[derive(Deserialize)]
#[serde(rename = "TierChange")]
struct TierChangeWire {}

#[derive(Deserialize)]
#[serde(rename = "Rejection")]
struct RejectionWire {
    code: String,
    message: Personal,
    #[serde(rename = "fields")]
    _fields: Vec<FieldProblemWire>,
}

#[derive(Deserialize)]
#[serde(rename = "FieldProblem")]
struct FieldProblemWire {}

#[derive(Deserialize)]
#[serde(rename = "Balance")]
struct BalanceWire {
    unit: String,
    balance: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Entry")]
struct EntryWire {
    transaction_id: Id,
    seq: i64,
    kind: String,
    direction: String,
    unit: String,
    amount: i64,
    balance_before: i64,
    balance_after: i64,
    lots: Vec<ShareWire>,
    lots_total: i32,
    occurred_at: Micros,
    recorded_at: Micros,
}

#[derive(Deserialize)]
#[serde(rename = "LotShare")]
struct ShareWire {
    lot_id: Id,
    amount: i64,
}

#[derive(Deserialize)]
#[serde(rename = "Event")]
pub struct EventWire {
    event_id: Id,
    #[serde(rename = "type")]
    kind: String,
    merchant_id: String,
    customer_id: Option<Id>,
    version: i64,
    index: i32,
    count: i32,
    cause: Option<PositionWire>,
    #[serde(rename = "notify")]
    _notify: Option<NotifyWire>,
    entry: Option<EntryWire>,
    config: Option<ConfigWire>,
    #[serde(rename = "balances")]
    _balances: Vec<BalanceWire>,
    #[serde(rename = "parked", default)]
    _parked: Option<ParkedWire>,
    #[serde(rename = "card", default)]
    _card: Option<CardWire>,
    #[serde(rename = "reward", default)]
    _reward: Option<RewardWire>,
    #[serde(rename = "tier", default)]
    _tier: Option<TierChangeWire>,
}

#[derive(Deserialize)]
#[serde(rename = "Parked")]
struct ParkedWire {}

#[derive(Deserialize)]
#[serde(rename = "Notify")]
struct NotifyWire {}

#[derive(Deserialize)]
#[serde(rename = "ConfigChange")]
struct ConfigWire {
    object: String,
    id: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename = "CustomerState")]
pub struct StateWire {
    customer_id: Id,
    merchant_id: String,
    external_id: Option<Personal>,
    phone: Option<Personal>,
    email: Option<Personal>,
    first_name: Option<Personal>,
    last_name: Option<Personal>,
    birth_date: Option<Personal>,
    notify_email: bool,
    notify_phone: bool,
    status: String,
    version: i64,
    created_at: Micros,
    updated_at: Micros,
    accounts: Vec<AccountWire>,
    // Records of before these were there lack them.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    gender: Option<String>,
    #[serde(default)]
    registered_on: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    brand_id: Option<String>,
    #[serde(default)]
    source_version: Option<i64>,
    #[serde(default)]
    metrics: BTreeMap<String, MetricWire>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    incomplete: bool,
    #[serde(default)]
    programme_id: Option<String>,
    #[serde(default)]
    tier: Option<TierWire>,
    #[serde(default)]
    referrer_id: Option<Id>,
    #[serde(default)]
    cards: Vec<CardWire>,
}

#[derive(Deserialize)]
#[serde(rename = "Metric")]
struct MetricWire {
    value: i64,
    scale: i32,
}

#[derive(Deserialize)]
#[serde(rename = "Account")]
struct AccountWire {
    unit: String,
    available: i64,
    pending: i64,
    held: i64,
    debt: i64,
    balance: i64,
    lifetime_earned: i64,
    lifetime_redeemed: i64,
    lots: Vec<LotWire>,
    lots_total: i32,
}

#[derive(Deserialize)]
#[serde(rename = "Lot")]
struct LotWire {
    lot_id: Id,
    amount: i64,
    remaining: i64,
    issued_at: Micros,
    expires_at: Option<Micros>,
}

#[derive(Deserialize)]
#[serde(rename = "JournalBatch")]
pub struct JournalWire {
    lane: i32,
    batch: i64,
    lane_time_before: i64,
    ranges: Vec<RangeWire>,
    #[serde(rename = "skipped")]
    _skipped: Vec<PositionWire>,
}

#[derive(Deserialize)]
#[serde(rename = "Range")]
struct RangeWire {
    topic: String,
    from: i64,
    to: i64,
}

impl Context<'_> {
    pub fn result(&mut self, offset: i64, wire: ResultWire) -> Result<ResultFact, String> {
        let accepted = match wire.status.as_str() {
            "accepted" => true,
            "rejected" => false,
            other => return Err(format!("its status is {other}")),
        };
        let effect = match wire.effect {
            None => 0,
            Some(name) => {
                EFFECTS.iter().find(|(_, known)| *known == name).ok_or_else(|| format!("its effect is {name}"))?.0
            }
        };
        Ok(ResultFact {
            offset,
            result_id: wire.result_id.0,
            key: key(&wire.merchant_id, &wire.idempotency_key),
            command: self.position(wire.command)?,
            customer: wire.customer_id.map(|id| id.0),
            accepted,
            duplicate: wire.duplicate,
            original: wire.original.map(|original| self.position(original)).transpose()?,
            effect,
            rejection: wire.rejection.map(|rejection| RejectionFact {
                code: self.names.keep(&rejection.code),
                message: rejection.message.0,
            }),
            occurred_at: wire.occurred_at.0,
            decided_at: wire.decided_at.0,
            config_version: wire.config_version,
            customer_version: wire.customer_version,
            entries: wire.transactions.into_iter().map(|entry| self.entry(entry)).collect::<Result<_, _>>()?,
            balances: wire
                .balances
                .into_iter()
                .map(|balance| (self.names.keep(&balance.unit), balance.balance))
                .collect(),
            was_parked: wire.parked_at.is_some(),
        })
    }

    pub fn event(&mut self, offset: i64, wire: EventWire) -> Result<EventFact, String> {
        let merchant = self.names.keep(&wire.merchant_id);
        let config = wire.config.map(|config| {
            Box::new(ConfigVersion {
                merchant,
                object: self.names.keep(&config.object),
                id: (config.object != "settings").then(|| self.names.keep(&config.id)),
                version: config.version,
            })
        });
        Ok(EventFact {
            offset,
            event_id: wire.event_id.0,
            kind: self.names.keep(&wire.kind),
            customer: wire.customer_id.map(|id| id.0),
            version: wire.version,
            index: wire.index,
            count: wire.count,
            cause: wire.cause.map(|cause| self.position(cause)).transpose()?,
            entry: wire.entry.map(|entry| self.entry(entry)).transpose()?.map(Box::new),
            config,
        })
    }

    pub fn state(&mut self, offset: i64, wire: StateWire) -> StateFact {
        let personal = |text: Option<Personal>| text.map(|text| text.0);
        let stamps = wire.cards.iter().map(|card| (self.names.keep(&card.card_id), card.stamps)).collect();
        let cards = wire.cards.into_iter().map(|card| (card.card_id, card.code, card.enrolled_at.0));
        let metrics = wire.metrics.into_iter().map(|(key, metric)| (key, (metric.value, metric.scale)));
        let further = Further {
            texts: [wire.name, wire.gender, wire.registered_on, wire.language, wire.brand_id],
            source_version: wire.source_version,
            metrics: metrics.collect(),
            metadata: wire.metadata,
            incomplete: wire.incomplete,
            programme: wire.programme_id,
            tier: wire.tier.map(|tier| (tier.tier_id, tier.since.0, tier.manual)),
            referrer: wire.referrer_id.map(|id| id.0),
            cards: cards.collect(),
        };
        let profile = CustomerFact {
            customer: wire.customer_id.0,
            merchant: self.names.keep(&wire.merchant_id),
            version: wire.version,
            status: self.names.keep(&wire.status),
            external_id: personal(wire.external_id),
            phone: personal(wire.phone),
            email: personal(wire.email),
            first_name: personal(wire.first_name),
            last_name: personal(wire.last_name),
            birth_date: personal(wire.birth_date),
            further: further.name(),
            notify_email: wire.notify_email,
            notify_phone: wire.notify_phone,
            created_at: wire.created_at.0,
            updated_at: wire.updated_at.0,
        };
        StateFact {
            offset,
            profile,
            accounts: wire.accounts.into_iter().map(|account| self.account(account)).collect(),
            stamps,
        }
    }

    pub fn journal(&mut self, offset: i64, wire: JournalWire) -> Result<JournalFact, String> {
        let mut ranges = [None; CommandTopic::COUNT];
        for range in wire.ranges {
            let topic = self.topic(&range.topic)?;
            ranges[topic.index()] = Some((range.from, range.to));
        }
        Ok(JournalFact { offset, lane: wire.lane, batch: wire.batch, lane_time_before: wire.lane_time_before, ranges })
    }

    fn account(&mut self, wire: AccountWire) -> AccountFact {
        let lot = |lot: LotWire| LotFact {
            lot: lot.lot_id.0,
            amount: lot.amount,
            remaining: lot.remaining,
            issued_at: lot.issued_at.0,
            expires_at: lot.expires_at.map(|at| at.0),
        };
        AccountFact {
            unit: self.names.keep(&wire.unit),
            sums: Sums {
                available: wire.available,
                pending: wire.pending,
                held: wire.held,
                debt: wire.debt,
                lifetime_earned: wire.lifetime_earned,
                lifetime_redeemed: wire.lifetime_redeemed,
            },
            balance: wire.balance,
            lots: wire.lots.into_iter().map(lot).collect(),
            lots_total: wire.lots_total,
        }
    }

    fn entry(&mut self, wire: EntryWire) -> Result<EntryFact, String> {
        let (kind, _, credit) = ENTRY_KINDS
            .into_iter()
            .find(|(_, name, _)| *name == wire.kind)
            .ok_or_else(|| format!("it has an entry of kind {}", wire.kind))?;
        if wire.direction != if credit { "credit" } else { "debit" } {
            return Err(format!("its entry of kind {} is a {}", wire.kind, wire.direction));
        }
        Ok(EntryFact {
            transaction: wire.transaction_id.0,
            unit: self.names.keep(&wire.unit),
            seq: wire.seq,
            kind,
            credit,
            amount: wire.amount,
            balance_before: wire.balance_before,
            balance_after: wire.balance_after,
            lots: wire.lots.into_iter().map(|share| Share { lot: share.lot_id.0, amount: share.amount }).collect(),
            lots_total: wire.lots_total,
            occurred_at: wire.occurred_at.0,
            recorded_at: wire.recorded_at.0,
        })
    }

    fn position(&self, wire: PositionWire) -> Result<Position, String> {
        Ok(Position { topic: self.topic(&wire.topic)?, partition: wire.partition, offset: wire.offset })
    }

    fn topic(&self, name: &str) -> Result<CommandTopic, String> {
        (self.topic_of)(name).ok_or_else(|| format!("it names the topic {name}, which is none of the command topics"))
    }
}

/// Half a SHA-256, as `lookup_key` of the database has it; written down here a second time on purpose.
fn key(merchant: &str, idempotency_key: &str) -> Uuid {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(format!("{merchant}\0{idempotency_key}"))[..16]);
    Uuid::from_bytes(half)
}

#[cfg(test)]
mod tests;
