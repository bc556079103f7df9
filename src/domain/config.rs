//! A merchant's configuration: versions for ever, judged by business time.
//!
//! In force at an instant is the greatest version that begins no later. So a change that begins before versions that wait for their time
//! would hide them; it makes each of them anew on top of itself, see [`super::merchant_config`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::customer::IdentifierKind;
use super::objects::{Card, Object, ObjectKind, ObjectVersion, Programme, Tier};
use super::words::words;
use super::{Instant, ProfileField, UnitId};

/// All versions of one merchant's settings, units and objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MerchantConfig {
    /// Ascending by version, which starts at 1 and has no gaps. Empty while only units were defined.
    pub settings: Vec<Arc<SettingsVersion>>,
    /// Ascending by version, per unit.
    pub units: BTreeMap<UnitId, Vec<Arc<UnitVersion>>>,
    /// The same, by kind and id.
    pub objects: BTreeMap<ObjectKind, BTreeMap<String, Vec<Arc<ObjectVersion>>>>,
}

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
    /// Where a customer's card is had for a phone's wallet, with [`super::membership::PLACEHOLDERS`].
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
    PhoneFormat {
        E164 = 1 "e164",
        /// 1 to 20 characters, compared as they are.
        Any = 2 "any",
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

words! {
    /// What a unit's amounts are.
    UnitKind {
        Points = 1 "points",
        Money = 2 "money",
        Discount = 3 "discount",
        Product = 4 "product",
    }
}

words! {
    /// How an amount that is computed becomes minor units.
    Rounding {
        Floor = 1 "floor",
        HalfUp = 2 "half_up",
        HalfEven = 3 "half_even",
        Ceiling = 4 "ceiling",
    }
}

/// What one minor unit is worth: numerator / denominator of the currency's minor unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyValue {
    pub numerator: i64,
    pub denominator: i64,
    /// ISO 4217.
    pub currency: String,
}

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

#[derive(Debug, Clone, PartialEq)]
pub struct UnitVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub name: String,
    /// Digits after the point; amounts are integers of the smallest.
    pub scale: u8,
    pub expiry: Expiry,
    /// The least available balance before a redemption.
    pub min_held: i64,
    /// The least amount of a redemption.
    pub min_amount: i64,
    pub description: Option<String>,
    pub kind: UnitKind,
    /// ISO 4217, for a unit that is money.
    pub currency: Option<String>,
    pub brand_id: Option<String>,
    pub value: Option<MoneyValue>,
    pub rounding: Rounding,
    /// A redemption's amount is a multiple of it.
    pub step: i64,
    /// The merchant's own labels.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// At the end of the local day so many days after the lot was issued.
    Days(u16),
}

impl MerchantConfig {
    /// A merchant without any version does not exist.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.units.is_empty() && self.objects.is_empty()
    }

    /// The settings in force at a business time: the last version that had come into force. None while only units were defined.
    pub fn settings_at(&self, at: Instant) -> Option<&Arc<SettingsVersion>> {
        self.settings.iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn unit_at(&self, unit: &UnitId, at: Instant) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.iter().rev().find(|version| version.effective_from <= at)
    }

    /// The unit as it was configured before an instant at which lots expired. A later version does not count: whether it is there yet
    /// when the expiry is settled depends on the next command or tick.
    pub fn unit_known_before(&self, unit: &UnitId, due: Instant) -> Option<&Arc<UnitVersion>> {
        let was_known = |version: &&Arc<UnitVersion>| version.recorded_at < due && version.effective_from <= due;
        self.units.get(unit)?.iter().rev().find(was_known)
    }

    pub fn object_at(&self, kind: ObjectKind, id: &str, at: Instant) -> Option<&Arc<ObjectVersion>> {
        self.object_versions(kind, id).iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn tier_at(&self, id: &str, at: Instant) -> Option<&Tier> {
        match &self.object_at(ObjectKind::Tier, id, at)?.object {
            Object::Tier(tier) => Some(tier),
            Object::Card(_) | Object::Programme(_) => None,
        }
    }

    /// A card with its version.
    pub fn card_at(&self, id: &str, at: Instant) -> Option<(&Card, i64)> {
        let version = self.object_at(ObjectKind::Card, id, at)?;
        match &version.object {
            Object::Card(card) => Some((card, version.version)),
            Object::Tier(_) | Object::Programme(_) => None,
        }
    }

    /// The programme that new customers are enrolled in, with its id. Mostly there is one at most; where a schedule makes it more, the
    /// first by id counts.
    pub fn active_programme_at(&self, at: Instant) -> Option<(&str, &Programme)> {
        let programmes = self.objects_of(ObjectKind::Programme).map(|(id, _)| id);
        programmes.filter_map(|id| Some((id, &self.object_at(ObjectKind::Programme, id, at)?.object))).find_map(
            |(id, object)| match object {
                Object::Programme(programme) if programme.is_active => Some((id, programme)),
                Object::Programme(_) | Object::Tier(_) | Object::Card(_) => None,
            },
        )
    }

    /// The tier of those who have no other: the settings', or else the lowest of the active programme's.
    pub fn base_tier_at(&self, at: Instant) -> Option<&str> {
        let settings = self.settings_at(at);
        if let Some(base) = settings.and_then(|version| version.settings.base_tier_id.as_deref()) {
            return self.tier_at(base, at).map(|_| base);
        }
        let (_, programme) = self.active_programme_at(at)?;
        let ranked = programme.tier_ids.iter().filter_map(|id| Some((self.tier_at(id, at)?.rank, id)));
        ranked.min().map(|(_, id)| id.as_str())
    }

    /// All of a kind, by their ids.
    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = (&str, &[Arc<ObjectVersion>])> {
        self.objects.get(&kind).into_iter().flatten().map(|(id, versions)| (id.as_str(), versions.as_slice()))
    }

    pub fn object_versions(&self, kind: ObjectKind, id: &str) -> &[Arc<ObjectVersion>] {
        self.objects.get(&kind).and_then(|of_kind| of_kind.get(id)).map_or(&[], Vec::as_slice)
    }

    pub fn object_after(&self, kind: ObjectKind, id: &str, at: Instant) -> Vec<Arc<ObjectVersion>> {
        after(self.object_versions(kind, id), at, |version| version.effective_from)
    }

    pub fn push_object(&mut self, id: &str, version: Arc<ObjectVersion>) {
        let of_kind = self.objects.entry(version.object.kind()).or_default();
        of_kind.entry(id.to_owned()).or_default().push(version);
    }

    /// The settings that come into force after an instant, in that order, without those that a later version hides.
    pub fn settings_after(&self, at: Instant) -> Vec<Arc<SettingsVersion>> {
        after(&self.settings, at, |version| version.effective_from)
    }

    pub fn unit_after(&self, unit: &UnitId, at: Instant) -> Vec<Arc<UnitVersion>> {
        let versions = self.units.get(unit).map_or(&[][..], Vec::as_slice);
        after(versions, at, |version| version.effective_from)
    }

    pub fn latest_settings(&self) -> Option<&Arc<SettingsVersion>> {
        self.settings.last()
    }

    pub fn latest_unit(&self, unit: &UnitId) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.last()
    }
}

/// Every version behind the one that is in force at the instant begins after it, and all before that one are hidden by it.
fn after<T>(versions: &[Arc<T>], at: Instant, begins: impl Fn(&T) -> Instant) -> Vec<Arc<T>> {
    let mut pending: Vec<Arc<T>> = Vec::new();
    for version in versions.iter().rev().take_while(|version| begins(version) > at) {
        if pending.last().is_none_or(|next| begins(version) < begins(next)) {
            pending.push(version.clone());
        }
    }
    pending.reverse();
    pending
}
