//! Outgoing records as their schemas have them, in Avro and in JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::domain::Instant;

/// A text that is borrowed when it is written and owned when it was read.
type Text<'a> = Cow<'a, str>;

/// A UUID as text, written without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub Uuid);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::parse_str(&text).map(Id).map_err(serde::de::Error::custom)
    }
}

/// An instant as microseconds since 1970; in JSON, which is only written, as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&Instant::from_micros(self.0))
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Result")]
pub struct ResultRecord<'a> {
    pub result_id: Id,
    pub source: Option<Text<'a>>,
    pub command: PositionRecord<'a>,
    pub merchant_id: Text<'a>,
    pub idempotency_key: Text<'a>,
    pub command_kind: Text<'a>,
    pub customer_id: Option<Id>,
    pub status: Text<'a>,
    pub duplicate: bool,
    pub original: Option<PositionRecord<'a>>,
    pub effect: Option<Text<'a>>,
    pub rejection: Option<RejectionRecord<'a>>,
    pub occurred_at: Micros,
    pub decided_at: Micros,
    pub config_version: Option<i64>,
    pub customer_version: Option<i64>,
    pub transactions: Vec<EntryRecord<'a>>,
    pub balances: Vec<BalanceRecord<'a>>,
    pub attributes: BTreeMap<Text<'a>, Text<'a>>,
    pub parked_at: Option<Micros>,
    pub tier_id: Option<Text<'a>>,
    pub cards: Vec<MemberCardRecord<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Position")]
pub struct PositionRecord<'a> {
    pub topic: Text<'a>,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Rejection")]
pub struct RejectionRecord<'a> {
    pub code: Text<'a>,
    pub message: Text<'a>,
    pub fields: Vec<FieldProblemRecord<'a>>,
    pub detail: BTreeMap<Text<'a>, Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "FieldProblem")]
pub struct FieldProblemRecord<'a> {
    pub field: Text<'a>,
    pub problem: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Entry")]
pub struct EntryRecord<'a> {
    pub transaction_id: Id,
    pub seq: i64,
    pub kind: Text<'a>,
    pub direction: Text<'a>,
    pub unit: Text<'a>,
    pub amount: i64,
    pub balance_before: i64,
    pub balance_after: i64,
    pub lots: Vec<LotShareRecord>,
    pub lots_total: i32,
    pub unit_version: Option<i64>,
    pub order_id: Option<Text<'a>>,
    pub reason: Option<Text<'a>>,
    pub title: Option<Text<'a>>,
    pub occurred_at: Micros,
    pub recorded_at: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "LotShare")]
pub struct LotShareRecord {
    pub lot_id: Id,
    pub amount: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Balance")]
pub struct BalanceRecord<'a> {
    pub unit: Text<'a>,
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
    pub balance: i64,
    pub lifetime_earned: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Event")]
pub struct EventRecord<'a> {
    pub event_id: Id,
    #[serde(rename = "type")]
    pub type_name: Text<'a>,
    pub merchant_id: Text<'a>,
    pub customer_id: Option<Id>,
    pub version: i64,
    pub index: i32,
    pub count: i32,
    pub occurred_at: Micros,
    pub recorded_at: Micros,
    pub cause: Option<PositionRecord<'a>>,
    pub notify: Option<NotifyRecord<'a>>,
    pub skip_notifications: bool,
    pub changed: Vec<Text<'a>>,
    pub entry: Option<EntryRecord<'a>>,
    pub balances: Vec<BalanceRecord<'a>>,
    pub config: Option<ConfigChange<'a>>,
    pub parked: Option<ParkedRecord<'a>>,
    pub card: Option<MemberCardRecord<'a>>,
    pub send_card_links: bool,
    pub reward: Option<MemberRewardRecord<'a>>,
    pub tier: Option<TierChange<'a>>,
    pub unit: Option<EventUnit<'a>>,
    pub expires_at: Option<Micros>,
    pub last_day: Option<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventUnit<'a> {
    pub name: Text<'a>,
    pub kind: Text<'a>,
    pub scale: i32,
    pub currency: Option<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierChange<'a> {
    pub from: Option<Text<'a>>,
    pub to: Option<Text<'a>>,
    pub reason: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MemberCard")]
pub struct MemberCardRecord<'a> {
    pub card_id: Text<'a>,
    pub name: Text<'a>,
    pub code: Text<'a>,
    pub stamps: i64,
    pub stamps_required: i32,
    pub rewards: Vec<MemberRewardRecord<'a>>,
    pub enrolled_at: Micros,
    pub apple_wallet_url: Option<Text<'a>>,
    pub google_wallet_url: Option<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MemberReward")]
pub struct MemberRewardRecord<'a> {
    pub reward_id: Text<'a>,
    pub name: Text<'a>,
    pub stamps: i32,
    pub reached: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MemberTier")]
pub struct MemberTierRecord<'a> {
    pub tier_id: Text<'a>,
    pub name: Text<'a>,
    pub since: Micros,
    pub manual: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Parked")]
pub struct ParkedRecord<'a> {
    pub idempotency_key: Text<'a>,
    pub deadline: Micros,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Notify")]
pub struct NotifyRecord<'a> {
    pub email: bool,
    pub phone: bool,
    pub to_email: Option<Text<'a>>,
    pub to_phone: Option<Text<'a>>,
    pub name: Option<Text<'a>>,
    pub language: Option<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigChange<'a> {
    pub object: Text<'a>,
    pub id: Text<'a>,
    pub version: i64,
    pub effective_from: Micros,
    /// JSON.
    pub content: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerState<'a> {
    pub customer_id: Id,
    pub merchant_id: Text<'a>,
    pub external_id: Option<Text<'a>>,
    pub phone: Option<Text<'a>>,
    pub email: Option<Text<'a>>,
    pub first_name: Option<Text<'a>>,
    pub last_name: Option<Text<'a>>,
    pub birth_date: Option<Text<'a>>,
    pub notify_email: bool,
    pub notify_phone: bool,
    pub status: Text<'a>,
    pub version: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    pub accounts: Vec<AccountState<'a>>,
    pub name: Option<Text<'a>>,
    pub gender: Option<Text<'a>>,
    pub registered_on: Option<Text<'a>>,
    pub language: Option<Text<'a>>,
    pub brand_id: Option<Text<'a>>,
    pub source_version: Option<i64>,
    pub metrics: BTreeMap<Text<'a>, MetricState>,
    pub metadata: BTreeMap<Text<'a>, Text<'a>>,
    pub incomplete: bool,
    pub programme_id: Option<Text<'a>>,
    pub tier: Option<MemberTierRecord<'a>>,
    pub referrer_id: Option<Id>,
    pub cards: Vec<MemberCardRecord<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Metric")]
pub struct MetricState {
    pub value: i64,
    pub scale: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Account")]
pub struct AccountState<'a> {
    pub unit: Text<'a>,
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
    pub balance: i64,
    pub lifetime_earned: i64,
    pub lifetime_redeemed: i64,
    pub lots: Vec<LotState>,
    pub lots_total: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Lot")]
pub struct LotState {
    pub lot_id: Id,
    pub amount: i64,
    pub remaining: i64,
    pub issued_at: Micros,
    pub expires_at: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "JournalBatch")]
pub struct Journal<'a> {
    pub lane: i32,
    pub batch: i64,
    pub lane_time_before: Micros,
    pub ranges: Vec<JournalRange<'a>>,
    pub due_settled: i32,
    pub skipped: Vec<PositionRecord<'a>>,
    pub code_version: Text<'a>,
    pub rules_version: i32,
    pub settings: BTreeMap<Text<'a>, Text<'a>>,
    /// In hex.
    pub outcomes_hash: Text<'a>,
}

/// The offsets [from, to) of one topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Range")]
pub struct JournalRange<'a> {
    pub topic: Text<'a>,
    pub topic_id: Text<'a>,
    pub from: i64,
    pub to: i64,
}

/// A journal record as it is read back.
pub type JournalBatch = Journal<'static>;

/// A datum of a record of ours. The value must be of the schema that it will be labelled with.
pub fn datum<T: Serialize>(record: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    super::serializer::append(&mut out, record).expect("our own records hold only what the serializer knows");
    out
}
