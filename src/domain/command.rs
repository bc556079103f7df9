//! What a sender asks for, decoded and not yet judged. Nothing here has been checked beyond its form.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::config::objects::{Object, ObjectKind};
use crate::domain::config::settings::{KeyForm, MerchantStatus, OnMatch, Preset, SettingsField, UnknownCustomer};
use crate::domain::config::unit::{MoneyValue, Rounding, UnitKind};
use crate::domain::customer::identifiers::{IdentifierKind, PhoneFormat};
use crate::domain::customer::profile::{Gender, Metric, ProfileField};
use crate::domain::customer::state::Customer;
use crate::domain::ledger::earned_order::EarnedOrder;
use crate::domain::values::ids::{IdempotencyKey, MerchantId, OrderId, Seed, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

/// One inbound record, understood as far as that is possible.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub position: Position,
    /// The record's timestamp: the broker's time.
    pub timestamp: Instant,
    pub seed: Seed,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Command(Box<Command>),
    Tick,
    /// Can't be answered: it goes to the dead letters as it came.
    DeadLetter(DeadLetter),
}

/// A record that can't be answered, with why. The original bytes stay with the record itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub class: DeadLetterClass,
    /// What to mend, in a sentence without the record's content.
    pub message: String,
    /// Of the registry, where the record named one.
    pub schema_id: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadLetterClass {
    Undecodable,
    UnknownSchema,
    MissingMerchant,
    WrongKey,
    WrongPartition,
    Skipped,
}

impl DeadLetterClass {
    pub const ALL: [DeadLetterClass; 6] = [
        DeadLetterClass::Undecodable,
        DeadLetterClass::UnknownSchema,
        DeadLetterClass::MissingMerchant,
        DeadLetterClass::WrongKey,
        DeadLetterClass::WrongPartition,
        DeadLetterClass::Skipped,
    ];

    pub fn code(self) -> &'static str {
        match self {
            DeadLetterClass::Undecodable => "undecodable",
            DeadLetterClass::UnknownSchema => "unknown_schema",
            DeadLetterClass::MissingMerchant => "missing_merchant",
            DeadLetterClass::WrongKey => "wrong_key",
            DeadLetterClass::WrongPartition => "wrong_partition",
            DeadLetterClass::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub envelope: Envelope,
    pub body: Body,
    /// Equal for equal commands, whatever their encoding: see `codec::content_hash`.
    pub content_hash: ContentHash,
    /// W3C trace context, passed through to what the command causes.
    pub traceparent: Option<Arc<str>>,
    /// Of a record that was sent again: when it came first. Its business time, unless the envelope names one.
    pub original_time: Option<Instant>,
}

impl Command {
    /// The body as far as it is understood.
    pub fn understood(&self) -> &Body {
        match &self.body {
            Body::Malformed(Malformed { rest: Some(rest), .. }) => rest,
            body => body,
        }
    }

    /// What is wrong with its form.
    pub fn problems(&self) -> &[FieldProblem] {
        match &self.body {
            Body::Malformed(malformed) => &malformed.problems,
            _ => &[],
        }
    }

    /// Business time.
    pub fn occurred_at(&self, record_time: Instant) -> Instant {
        self.envelope.occurred_at.or(self.original_time).unwrap_or(record_time)
    }

    /// The order that it earns for.
    pub fn earned_order(&self) -> Option<EarnedOrder> {
        let Body::CreditAmount(credit) = &self.body else { return None };
        Some(EarnedOrder {
            merchant_id: self.envelope.merchant_id.clone(),
            order_id: OrderId::new(credit.order_id.as_deref()?),
            unit_id: credit.unit.clone(),
        })
    }
}

/// 128 bits of SHA-256 over what a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub merchant_id: MerchantId,
    /// As sent; its form is judged by the rejection `invalid_idempotency_key`.
    pub idempotency_key: IdempotencyKey,
    pub customer: Option<CustomerRef>,
    pub occurred_at: Option<Instant>,
    pub source: Option<String>,
    /// Sorted by key.
    pub attributes: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRef {
    pub kind: RefKind,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefKind {
    CustomerId,
    Identifier(IdentifierKind),
    /// Of one of the customer's stamp cards: see [`super::customer::enrolment`].
    CardCode,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Boxed, as what few commands are: a command's size is that of the largest, and thousands wait in memory.
    CustomerUpsert(Box<CustomerUpsert>),
    CreditAmount(CreditAmount),
    RedeemAmount(RedeemAmount),
    Settings(Box<SettingsPatch>),
    Unit(Box<UnitDefinition>),
    Object(Box<ObjectDefinition>),
    /// Its merchant is known, so it can be answered, but its fields are not of the right form (JSON only).
    Malformed(Malformed),
}

impl Body {
    /// The name that results and metrics carry.
    pub fn kind(&self) -> &'static str {
        match self {
            Body::CustomerUpsert(_) => "customer-upsert",
            Body::CreditAmount(_) => "credit.amount",
            Body::RedeemAmount(_) => "redeem.amount",
            Body::Settings(_) => "merchant-config.settings",
            Body::Unit(_) => "merchant-config.unit",
            Body::Object(definition) => match definition.object.kind() {
                ObjectKind::Tier => "merchant-config.tier",
                ObjectKind::Card => "merchant-config.card",
                ObjectKind::Programme => "merchant-config.programme",
            },
            Body::Malformed(malformed) => malformed.kind,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The topic's family, since the variant may be what is wrong.
    pub kind: &'static str,
    pub problems: Vec<FieldProblem>,
    /// What else was said, with something harmless in the place of each field that is wrong: so that everything that is wrong with a command is
    /// found at once. `None` where it is not known which command it is.
    pub rest: Option<Box<Body>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path from the record's root, for example `command.amount`.
    pub field: String,
    pub problem: String,
}

/// Values as sent: strings are trimmed and normalised only when they are judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerUpsert {
    pub mode: UpsertMode,
    /// The merchant's setting when `None`.
    pub on_match: Option<OnMatch>,
    pub external_id: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub name: Option<String>,
    pub birth_date: Option<String>,
    pub registered_on: Option<String>,
    pub gender: Option<Gender>,
    pub language: Option<String>,
    pub brand_id: Option<String>,
    pub active: Option<bool>,
    pub notify_email: Option<bool>,
    pub notify_phone: Option<bool>,
    /// Key by key; `None` removes a key.
    pub metrics: BTreeMap<String, Option<Metric>>,
    pub metadata: BTreeMap<String, Option<String>>,
    pub clear: Vec<ProfileField>,
    pub source_version: Option<i64>,
    /// A tier to assign by hand.
    pub tier_id: Option<String>,
    /// A stamp card to enrol in.
    pub card_id: Option<String>,
    /// Whether the customer is to be sent the card's links; for whoever listens to the event.
    pub send_card_links: bool,
    /// Who referred a new customer: that customer's id, or the code of one of its cards.
    pub referral_code: Option<String>,
}

impl CustomerUpsert {
    /// The fields that a new customer was given, by their names: what may be empty, then the rest.
    pub fn given(&self, customer: &Customer) -> Vec<&'static str> {
        let optional = ProfileField::ALL.iter().map(|field| (field.name(), field.is_set(customer)));
        let rest = [
            ("status", self.active.is_some()),
            ("notify_email", self.notify_email.is_some()),
            ("notify_phone", self.notify_phone.is_some()),
            ("source_version", self.source_version.is_some()),
            ("referrer_id", customer.referrer_id.is_some()),
            ("cards", !customer.cards.is_empty()),
        ];
        optional.chain(rest).filter_map(|(field, sent)| sent.then_some(field)).collect()
    }

    /// Whether it has something to say of a field.
    pub fn sets(&self, field: ProfileField) -> bool {
        match field {
            ProfileField::ExternalId => self.external_id.is_some(),
            ProfileField::Phone => self.phone.is_some(),
            ProfileField::Email => self.email.is_some(),
            ProfileField::FirstName => self.first_name.is_some(),
            ProfileField::LastName => self.last_name.is_some(),
            ProfileField::Name => self.name.is_some(),
            ProfileField::BirthDate => self.birth_date.is_some(),
            ProfileField::RegisteredOn => self.registered_on.is_some(),
            ProfileField::Gender => self.gender.is_some(),
            ProfileField::Language => self.language.is_some(),
            ProfileField::BrandId => self.brand_id.is_some(),
            ProfileField::Metrics => !self.metrics.is_empty(),
            ProfileField::Metadata => !self.metadata.is_empty(),
            ProfileField::TierId => self.tier_id.is_some(),
        }
    }
}

words! {
    /// Whether the customer may be new, and whether it may exist.
    #[derive(Default)]
    UpsertMode {
        #[default]
        Upsert = 1 "upsert",
        /// Refuses one that exists.
        Create = 2 "create",
        /// Refuses one that does not.
        Update = 3 "update",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditAmount {
    pub unit: UnitId,
    pub amount: i64,
    pub order_id: Option<String>,
    pub reason: Option<String>,
    pub title: Option<String>,
    pub expires_at: Option<Instant>,
    pub skip_notifications: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeemAmount {
    pub unit: UnitId,
    pub amount: i64,
    pub order_id: Option<String>,
    pub reason: Option<String>,
    pub skip_notifications: bool,
}

/// A change of a merchant's settings; `None` keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsPatch {
    pub effective_from: Option<Instant>,
    pub expected_version: Option<i64>,
    /// Sets a product's behaviour whole; what stands beside it still counts.
    pub preset: Option<Preset>,
    pub name: Option<String>,
    pub time_zone: Option<String>,
    pub match_by: Option<Vec<IdentifierKind>>,
    pub max_age_s: Option<i64>,
    pub max_future_s: Option<i64>,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDefinition {
    pub effective_from: Option<Instant>,
    pub expected_version: Option<i64>,
    pub unit_id: UnitId,
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

/// A tier, a card or a programme, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDefinition {
    pub effective_from: Option<Instant>,
    pub expected_version: Option<i64>,
    pub id: String,
    pub object: Object,
}
