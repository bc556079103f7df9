//! Commands as the generator thinks of them, before any encoding.

use std::sync::Arc;

/// A topic that takes commands, in the rank that breaks ties of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    MerchantConfig,
    CustomerUpsert,
    Credit,
    Redeem,
}

impl Topic {
    pub const ALL: [Topic; 4] = [Topic::MerchantConfig, Topic::CustomerUpsert, Topic::Credit, Topic::Redeem];

    pub fn suffix(self) -> &'static str {
        match self {
            Topic::MerchantConfig => "merchant-config",
            Topic::CustomerUpsert => "customer-upsert",
            Topic::Credit => "credit",
            Topic::Redeem => "redeem",
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

/// A point in time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Time {
    /// From the start of the run; before it when negative.
    Run(i64),
    /// From the moment at which the first record with this ticket is sent: an expiry that is to fall into the run.
    Sent { ticket: u32, after: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub merchant: Arc<str>,
    pub key: String,
    pub customer: Option<Reference>,
    pub occurred_at: Option<Time>,
    /// Not part of what a command says: it may differ in a duplicate.
    pub source: Option<&'static str>,
    pub body: Body,
    /// A field that no schema knows, which only JSON can carry.
    pub unknown_field: bool,
}

impl Command {
    pub fn topic(&self) -> Topic {
        match self.body {
            Body::Settings { .. } | Body::Unit { .. } | Body::Card { .. } => Topic::MerchantConfig,
            Body::Upsert(_) => Topic::CustomerUpsert,
            Body::Credit { .. } => Topic::Credit,
            Body::Redeem { .. } => Topic::Redeem,
        }
    }

    /// As results name it. A command that could not be read as its variant is named after its topic.
    pub fn kind(&self) -> &'static str {
        match self.body {
            _ if self.unknown_field => self.topic().suffix(),
            Body::Settings { .. } => "merchant-config.settings",
            Body::Unit { .. } => "merchant-config.unit",
            Body::Card { .. } => "merchant-config.card",
            Body::Upsert(_) => "customer-upsert",
            Body::Credit { .. } => "credit.amount",
            Body::Redeem { .. } => "redeem.amount",
        }
    }

    /// Whether both say the same, whoever sent them.
    pub fn says_the_same_as(&self, other: &Command) -> bool {
        Command { source: None, ..self.clone() } == Command { source: None, ..other.clone() }
    }
}

/// What can name a customer, in the order of the schema's symbols without `customer_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    ExternalId,
    Phone,
    Email,
}

impl Identifier {
    pub const ALL: [Identifier; 3] = [Identifier::ExternalId, Identifier::Phone, Identifier::Email];

    pub fn name(self) -> &'static str {
        ["external_id", "phone", "email"][self as usize]
    }

    /// The form in which identifiers are compared.
    pub fn normal(self, value: &str) -> String {
        match self {
            Identifier::ExternalId => value.to_owned(),
            Identifier::Phone => value.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect(),
            Identifier::Email => value.trim().to_lowercase(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    CustomerId(String),
    By(Identifier, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Settings {
        name: Option<&'static str>,
        time_zone: Option<&'static str>,
        match_by: Option<[Identifier; 3]>,
        max_age_s: Option<i64>,
        /// None says nothing of it.
        unknown_customer: Option<UnknownCustomer>,
    },
    Unit {
        unit: &'static str,
        name: &'static str,
        scale: i32,
        effective_from: Option<Time>,
        rules: UnitRules,
    },
    /// A stamp card, and what it welcomes with.
    Card {
        card: &'static str,
        initial: i64,
    },
    Upsert(Profile),
    Credit {
        unit: &'static str,
        amount: i64,
        order: Option<String>,
        expires_at: Option<Time>,
    },
    Redeem {
        unit: &'static str,
        amount: i64,
        order: Option<String>,
    },
}

/// That fill a card.
pub const CARD_STAMPS: i64 = 10;

/// What becomes of a command for somebody whom nobody knows, where it is not rejected at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownCustomer {
    /// A credit makes the customer.
    Enrol,
    /// Credits and redeems wait for the customer.
    Park { seconds: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitRules {
    pub expiry_days: Option<i32>,
    pub min_held: i64,
    pub min_amount: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// External id, phone, email.
    pub identifiers: [Option<String>; 3],
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub birth_date: Option<String>,
    pub active: Option<bool>,
    pub notify_email: Option<bool>,
    pub notify_phone: Option<bool>,
    /// A stamp card to enrol in.
    pub card: Option<&'static str>,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Confluent's wire format.
    Avro,
    Json,
}

/// What a record holds.
#[derive(Debug, Clone)]
pub enum Content {
    Command { command: Arc<Command>, encoding: Encoding },
    Broken { topic: Topic, merchant: Arc<str>, flaw: Flaw, command: Arc<Command> },
}

/// Why a record can't be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    Garbage,
    CutAvro,
    CutJson,
    UnknownSchema,
    Tombstone,
    NoMerchant,
    /// The key of another merchant of the same lane.
    WrongKey,
    WrongPartition,
}

impl Flaw {
    pub const ALL: [Flaw; 8] = [
        Flaw::Garbage,
        Flaw::CutAvro,
        Flaw::CutJson,
        Flaw::UnknownSchema,
        Flaw::Tombstone,
        Flaw::NoMerchant,
        Flaw::WrongKey,
        Flaw::WrongPartition,
    ];

    /// The class of the dead letter.
    pub fn class(self) -> &'static str {
        match self {
            Flaw::Garbage | Flaw::CutAvro | Flaw::CutJson | Flaw::Tombstone => "undecodable",
            Flaw::UnknownSchema => "unknown_schema",
            Flaw::NoMerchant => "missing_merchant",
            Flaw::WrongKey => "wrong_key",
            Flaw::WrongPartition => "wrong_partition",
        }
    }
}

/// One record to send.
#[derive(Debug, Clone)]
pub struct Record {
    pub content: Content,
    /// W3C trace context, on some.
    pub traceparent: Option<String>,
}

impl Record {
    pub fn topic(&self) -> Topic {
        match &self.content {
            Content::Command { command, .. } => command.topic(),
            Content::Broken { topic, .. } => *topic,
        }
    }

    pub fn merchant(&self) -> &Arc<str> {
        match &self.content {
            Content::Command { command, .. } => &command.merchant,
            Content::Broken { merchant, .. } => merchant,
        }
    }
}

impl Body {
    /// Of the form only: what names something that does not exist is judged later.
    pub fn is_valid(&self) -> bool {
        let amount_is_valid = |amount: i64| (1..=1_000_000_000_000).contains(&amount);
        match self {
            Body::Settings { time_zone, max_age_s, .. } => {
                time_zone.is_none_or(|name| jiff::tz::TimeZone::get(name).is_ok())
                    && max_age_s.is_none_or(|seconds| seconds > 0)
            }
            Body::Unit { scale, rules, .. } => {
                (0..=6).contains(scale) && rules.expiry_days.is_none_or(|days| (1..=3650).contains(&days))
            }
            Body::Upsert(profile) => {
                profile.identifiers[Identifier::Email as usize].as_ref().is_none_or(|email| email.contains('@'))
                    && [&profile.first_name, &profile.last_name]
                        .iter()
                        .all(|name| name.as_ref().is_none_or(|n| n.len() <= 255))
                    && profile.birth_date.as_ref().is_none_or(|date| date.parse::<jiff::civil::Date>().is_ok())
            }
            Body::Card { .. } => true,
            Body::Credit { amount, .. } | Body::Redeem { amount, .. } => amount_is_valid(*amount),
        }
    }
}
