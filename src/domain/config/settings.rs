//! A merchant's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::domain::customer::identifiers::{IdentifierKind, PhoneFormat};
use crate::domain::customer::profile::ProfileField;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

#[derive(Debug, Clone, PartialEq)]
pub struct SettingsVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub settings: Arc<Settings>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub name: Option<String>,
    pub time_zone: Zone,
    pub match_by: Vec<IdentifierKind>,
    /// How old a command's business time may be.
    pub max_age_s: i64,
    /// How far ahead of the record it may be.
    pub max_future_s: i64,
    /// The merchant's own, for messages; as are its phone and its links by the network's name.
    pub email: Option<String>,
    pub phone: Option<String>,
    pub social: BTreeMap<String, String>,
    pub status: MerchantStatus,
    pub on_match: OnMatch,
    /// What a customer must have after every upsert, each once.
    pub required_fields: Vec<ProfileField>,
    pub phone_format: PhoneFormat,
    /// Whether a customer may be without any identifier of `match_by`.
    pub allow_no_identifier: bool,
    /// Whether an inactive customer's profile is closed.
    pub profile_change_needs_active: bool,
    pub key_form: KeyForm,
    pub unknown_customer: UnknownCustomer,
    /// How long such a command waits.
    pub park_s: i64,
    /// The tier of those who have no other; the active programme's lowest where it is not said.
    pub base_tier_id: Option<String>,
    /// Where a customer's card is had for a phone's wallet, with [`PLACEHOLDERS`].
    pub wallet_url_apple: Option<String>,
    pub wallet_url_google: Option<String>,
}

words! {
    /// The texts that a merchant may be without. What else may be empty is emptied by an empty value.
    SettingsField {
        Name = 1 "name",
        Email = 2 "email",
        Phone = 3 "phone",
        BaseTierId = 4 "base_tier_id",
        WalletUrlApple = 5 "wallet_url_apple",
        WalletUrlGoogle = 6 "wallet_url_google",
    }
}

words! {
    /// What becomes of a credit or a redeem whose reference leads to nobody.
    UnknownCustomer {
        Reject = 1 "reject",
        /// A credit makes a customer with that one identifier.
        Enrol = 2 "enrol",
        /// It waits for a customer with that identifier.
        Park = 3 "park",
    }
}

words! {
    MerchantStatus {
        Active = 1 "active",
        /// Every command but configuration is refused.
        Suspended = 2 "suspended",
    }
}

words! {
    /// What an upsert does to a customer that exists.
    OnMatch {
        Update = 1 "update",
        /// Leaves it as it is.
        Keep = 2 "keep",
        /// Sets only what it does not have.
        FillMissing = 3 "fill_missing",
        Reject = 4 "reject",
    }
}

words! {
    /// Which idempotency keys are taken.
    KeyForm {
        /// 1 to 255 characters.
        Any = 1 "any",
        /// 1 to 100 of A-Z a-z 0-9 _ -.
        Token = 2 "token",
    }
}

words! {
    /// The products whose behaviour a merchant may choose whole.
    Preset {
        None = 1 "none",
        Rewrd = 2 "rewrd",
        AddUpdate = 3 "add_update",
        Restai = 4 "restai",
        Masivo = 5 "masivo",
        StampCards = 6 "stamp_cards",
    }
}

/// What a merchant's wallet URL is made with; the first must be in it.
pub const PLACEHOLDERS: [&str; 3] = ["{code}", "{card_id}", "{customer_id}"];

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: None,
            time_zone: Zone::utc(),
            match_by: vec![IdentifierKind::ExternalId, IdentifierKind::Phone, IdentifierKind::Email],
            max_age_s: 72 * 60 * 60,
            max_future_s: 5 * 60,
            email: None,
            phone: None,
            social: BTreeMap::new(),
            status: MerchantStatus::Active,
            on_match: OnMatch::Update,
            required_fields: Vec::new(),
            phone_format: PhoneFormat::E164,
            allow_no_identifier: false,
            profile_change_needs_active: false,
            key_form: KeyForm::Any,
            unknown_customer: UnknownCustomer::Reject,
            park_s: 24 * 60 * 60,
            base_tier_id: None,
            wallet_url_apple: None,
            wallet_url_google: None,
        }
    }
}

impl Settings {
    /// Sets what a preset covers, all of it, so that nothing remains of another product's behaviour.
    pub fn apply_preset(&mut self, preset: Preset) {
        use IdentifierKind::{Email, ExternalId, Phone};
        let first = Settings::default();
        self.match_by = match preset {
            Preset::None => first.match_by,
            Preset::Rewrd | Preset::Restai => vec![Phone],
            Preset::AddUpdate | Preset::Masivo => vec![ExternalId],
            Preset::StampCards => vec![Email, Phone],
        };
        self.on_match = match preset {
            Preset::Restai => OnMatch::FillMissing,
            Preset::StampCards => OnMatch::Reject,
            Preset::None | Preset::Rewrd | Preset::AddUpdate | Preset::Masivo => OnMatch::Update,
        };
        self.required_fields = match preset {
            Preset::None | Preset::Rewrd => Vec::new(),
            Preset::AddUpdate | Preset::StampCards => vec![ProfileField::FirstName],
            Preset::Restai => vec![ProfileField::Name],
            Preset::Masivo => vec![ProfileField::Name, ProfileField::Email, ProfileField::RegisteredOn],
        };
        self.phone_format = if preset == Preset::Restai { PhoneFormat::Any } else { PhoneFormat::E164 };
        self.allow_no_identifier = preset == Preset::Restai;
        self.profile_change_needs_active = preset == Preset::Rewrd;
        self.key_form = if preset == Preset::Rewrd { KeyForm::Token } else { KeyForm::Any };
        // None of the products makes a customer of a credit, or waits for one.
        self.unknown_customer = UnknownCustomer::Reject;
    }

    /// These settings, which were made of `before`, as they are when they are made of `after`: what they changed stays changed, all else
    /// follows.
    pub fn rebased(&self, before: &Settings, after: &Settings) -> Settings {
        Settings {
            name: kept(&self.name, &before.name, &after.name),
            time_zone: kept(&self.time_zone, &before.time_zone, &after.time_zone),
            match_by: kept(&self.match_by, &before.match_by, &after.match_by),
            max_age_s: kept(&self.max_age_s, &before.max_age_s, &after.max_age_s),
            max_future_s: kept(&self.max_future_s, &before.max_future_s, &after.max_future_s),
            email: kept(&self.email, &before.email, &after.email),
            phone: kept(&self.phone, &before.phone, &after.phone),
            social: kept(&self.social, &before.social, &after.social),
            status: kept(&self.status, &before.status, &after.status),
            on_match: kept(&self.on_match, &before.on_match, &after.on_match),
            required_fields: kept(&self.required_fields, &before.required_fields, &after.required_fields),
            phone_format: kept(&self.phone_format, &before.phone_format, &after.phone_format),
            allow_no_identifier: kept(
                &self.allow_no_identifier,
                &before.allow_no_identifier,
                &after.allow_no_identifier,
            ),
            profile_change_needs_active: kept(
                &self.profile_change_needs_active,
                &before.profile_change_needs_active,
                &after.profile_change_needs_active,
            ),
            key_form: kept(&self.key_form, &before.key_form, &after.key_form),
            unknown_customer: kept(&self.unknown_customer, &before.unknown_customer, &after.unknown_customer),
            park_s: kept(&self.park_s, &before.park_s, &after.park_s),
            base_tier_id: kept(&self.base_tier_id, &before.base_tier_id, &after.base_tier_id),
            wallet_url_apple: kept(&self.wallet_url_apple, &before.wallet_url_apple, &after.wallet_url_apple),
            wallet_url_google: kept(&self.wallet_url_google, &before.wallet_url_google, &after.wallet_url_google),
        }
    }
}

fn kept<T: Clone + PartialEq>(changed: &T, before: &T, after: &T) -> T {
    if changed == before { after.clone() } else { changed.clone() }
}

/// An IANA time zone and its name. The database is compiled in, so that every worker knows the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    pub name: Arc<str>,
    pub rules: TimeZone,
}

impl Zone {
    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), rules: TimeZone::UTC }
    }

    pub fn named(name: &str) -> Option<Zone> {
        let rules = jiff::tz::TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Zone { name: name.into(), rules })
    }
}
