//! The records as their schemas have them: `schemas/*.avsc`, field by field and in the same order. No rule and no check is here.
//!
//! Instants are microseconds since 1970. Commands can be written too, for senders in tests and tools. Texts of outgoing records are
//! `Cow`s: borrowed when a batch is encoded, owned when they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::config::objects;
use crate::domain::{self, command, config};

pub use super::wire_out::{
    AccountState, BalanceRecord, ConfigChange, CustomerState, EntryRecord, EventRecord, EventUnit, FieldProblemRecord,
    Id, Journal, JournalRange, LotShareRecord, LotState, MemberCardRecord, MemberRewardRecord, MemberTierRecord,
    MetricState, Micros, NotifyRecord, ParkedRecord, PositionRecord, RejectionRecord, ResultRecord, TierChange,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerUpsertCommand {
    pub envelope: Envelope,
    pub command: CustomerUpsert,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreditCommand {
    pub envelope: Envelope,
    pub command: CreditBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedeemCommand {
    pub envelope: Envelope,
    pub command: RedeemBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerchantConfigCommand {
    pub envelope: Envelope,
    pub effective_from: Option<i64>,
    pub command: ConfigBody,
    pub expected_version: Option<i64>,
}

/// What a lane's owner writes to its clock partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    pub lane: i32,
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub merchant_id: String,
    pub idempotency_key: String,
    pub customer: Option<CustomerRef>,
    pub occurred_at: Option<i64>,
    pub source: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerRef {
    pub kind: RefKind,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefKind {
    CustomerId,
    ExternalId,
    Phone,
    Email,
    CardCode,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomerUpsert {
    pub external_id: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub birth_date: Option<String>,
    pub active: Option<bool>,
    pub notify_email: Option<bool>,
    pub notify_phone: Option<bool>,
    pub mode: UpsertMode,
    pub on_match: Option<OnMatch>,
    pub name: Option<String>,
    pub registered_on: Option<String>,
    pub gender: Option<Gender>,
    pub language: Option<String>,
    pub brand_id: Option<String>,
    pub metrics: BTreeMap<String, Option<Metric>>,
    pub metadata: BTreeMap<String, Option<String>>,
    pub clear: Vec<ProfileField>,
    pub source_version: Option<i64>,
    pub tier_id: Option<String>,
    pub card_id: Option<String>,
    pub send_card_links: bool,
    pub referral_code: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub value: i64,
    pub scale: i32,
}

/// The order of the variants is the order of the union's branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CreditBody {
    CreditAmount(CreditAmount),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreditAmount {
    pub unit: String,
    pub amount: i64,
    pub order_id: Option<String>,
    pub reason: Option<String>,
    pub title: Option<String>,
    pub expires_at: Option<i64>,
    pub skip_notifications: bool,
}

/// The order of the variants is the order of the union's branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RedeemBody {
    RedeemAmount(RedeemAmount),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedeemAmount {
    pub unit: String,
    pub amount: i64,
    pub order_id: Option<String>,
    pub reason: Option<String>,
    pub skip_notifications: bool,
}

/// The order of the variants is the order of the union's branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ConfigBody {
    Settings(Settings),
    Unit(Unit),
    Tier(Tier),
    Card(Card),
    Programme(Programme),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub name: Option<String>,
    pub time_zone: Option<String>,
    pub match_by: Option<Vec<Identifier>>,
    pub max_age_s: Option<i64>,
    pub max_future_s: Option<i64>,
    pub preset: Option<Preset>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub social: Option<BTreeMap<String, String>>,
    pub status: Option<MerchantStatus>,
    pub on_match: Option<OnMatch>,
    pub required_fields: Option<Vec<ProfileField>>,
    pub phone_format: Option<PhoneFormat>,
    pub allow_no_identifier: Option<bool>,
    pub profile_change_needs_active: Option<bool>,
    pub key_form: Option<KeyForm>,
    pub unknown_customer: Option<UnknownCustomer>,
    pub park_s: Option<i64>,
    pub clear: Vec<SettingsField>,
    pub base_tier_id: Option<String>,
    pub wallet_url_apple: Option<String>,
    pub wallet_url_google: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identifier {
    ExternalId,
    Phone,
    Email,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub unit_id: String,
    pub name: String,
    pub scale: i32,
    pub expiry_days: Option<i32>,
    pub min_held: i64,
    pub min_amount: i64,
    pub description: Option<String>,
    pub kind: UnitKind,
    pub currency: Option<String>,
    pub brand_id: Option<String>,
    pub value: Option<MoneyValue>,
    pub rounding: Rounding,
    pub step: i64,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoneyValue {
    pub numerator: i64,
    pub denominator: i64,
    pub currency: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tier {
    pub tier_id: String,
    pub name: String,
    pub rank: i32,
    pub benefits: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub card_id: String,
    pub name: String,
    pub stamps_required: i32,
    pub initial_stamps: i32,
    pub rewards: Vec<CardReward>,
    pub status: CardStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardReward {
    pub reward_id: String,
    pub name: String,
    pub stamps: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Programme {
    pub programme_id: String,
    pub name: String,
    pub unit_id: String,
    pub tier_ids: Vec<String>,
    pub active: bool,
}

/// A word of the schema that the domain has too, both ways. The first is the default.
macro_rules! words {
    ($($name:ident = $domain:path { $first:ident $(, $variant:ident)* })*) => {
        $(
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub enum $name {
                #[default]
                $first,
                $($variant),*
            }

            impl From<$name> for $domain {
                fn from(word: $name) -> Self {
                    match word {
                        $name::$first => Self::$first,
                        $($name::$variant => Self::$variant),*
                    }
                }
            }

            impl From<$domain> for $name {
                fn from(word: $domain) -> Self {
                    match word {
                        <$domain>::$first => Self::$first,
                        $(<$domain>::$variant => Self::$variant),*
                    }
                }
            }
        )*
    };
}

words! {
    UpsertMode = command::UpsertMode { Upsert, Create, Update }
    OnMatch = config::OnMatch { Update, Keep, FillMissing, Reject }
    Gender = domain::Gender { Male, Female, Other, Unspecified }
    ProfileField = domain::ProfileField {
        ExternalId, Phone, Email, FirstName, LastName, Name, BirthDate, RegisteredOn, Gender, Language, BrandId, Metrics, Metadata,
        TierId
    }
    Preset = config::Preset { None, Rewrd, AddUpdate, Restai, Masivo, StampCards }
    MerchantStatus = config::MerchantStatus { Active, Suspended }
    PhoneFormat = config::PhoneFormat { E164, Any }
    KeyForm = config::KeyForm { Any, Token }
    UnknownCustomer = config::UnknownCustomer { Reject, Enrol, Park }
    SettingsField = config::SettingsField { Name, Email, Phone, BaseTierId, WalletUrlApple, WalletUrlGoogle }
    CardStatus = objects::CardStatus { Active, Archived }
    UnitKind = config::UnitKind { Points, Money, Discount, Product }
    Rounding = config::Rounding { Floor, HalfUp, HalfEven, Ceiling }
}

/// A journal record as it is read back.
pub type JournalBatch = Journal<'static>;

/// A datum of a record above. The value must be of the schema that it will be labelled with.
pub fn datum<T: Serialize>(record: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    super::serializer::append(&mut out, record).expect("our own records hold only what the serializer knows");
    out
}
