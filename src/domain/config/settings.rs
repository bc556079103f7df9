//! A merchant's settings, each declared once: name, type, default, check. The settings, the patch, its merging and the rebasing of what is
//! scheduled are made of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::config::objects::MAX_ID_CHARS;
use crate::domain::customer::identifiers::{IdentifierKind, PhoneFormat};
use crate::domain::customer::profile::ProfileField;
use crate::domain::field_check::FieldCheck;
use crate::domain::values::words::words;

const ONE_DAY_S: i64 = 24 * 60 * 60;
const TEN_YEARS_S: i64 = 10 * 366 * ONE_DAY_S;
/// What waits takes room in the database.
const MAX_PARKED_S: i64 = 30 * ONE_DAY_S;
const MAX_LINKS: usize = 20;

/// `name: type = default, check;` for what always has a value, and `name: type as Field "name", check;` for what a merchant may be without.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty $(as $field:ident $word:literal)? $(= $default:expr)?, $check:expr;
    )+) => {
        /// All settings of a merchant.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: settings!(stored $type $(= $default)?),)+
        }

        /// A change of a merchant's settings; `None` keeps.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename = "Settings")]
        pub struct SettingsPatch {
            /// Sets a product's behaviour whole; what stands beside it still counts.
            pub preset: Option<Preset>,
            $($(#[doc = $doc])+ pub $name: Option<$type>,)+
            /// What to be without.
            pub clear: Vec<SettingsField>,
        }

        words! {
            /// What a merchant may be without. What else may be empty is emptied by an empty value.
            SettingsField { $($($field $word,)?)+ }
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($name: settings!(first $($default)?),)+ }
            }
        }

        impl Settings {
            /// Every setting's name and what it means, in the order of the schema.
            pub const TABLE: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+)),)+];

            /// These settings with a change.
            pub fn patched(&self, patch: &SettingsPatch, check: &mut FieldCheck) -> Settings {
                let mut settings = self.clone();
                if let Some(preset) = patch.preset {
                    settings.apply_preset(preset);
                }
                $(if let Some(value) = &patch.$name {
                    let mut value = value.clone();
                    $check(&mut *check, concat!("command.", stringify!($name)), &mut value);
                    settings.$name = value.into();
                })+
                // By the words that there are: a list may name each as often as it likes.
                $($(if patch.clear.contains(&SettingsField::$field) {
                    if patch.$name.is_some() {
                        check.bad(concat!("command.", stringify!($name)), "can't be set and cleared at once");
                    }
                    settings.$name = None;
                })?)+
                settings
            }

            /// These settings, which were made of `before`, as they are when they are made of `after`: what they changed stays changed, all
            /// else follows.
            pub fn rebased(&self, before: &Settings, after: &Settings) -> Settings {
                Settings { $($name: kept(&self.$name, &before.$name, &after.$name),)+ }
            }
        }
    };
    (stored $type:ty = $default:expr) => { $type };
    (stored $type:ty) => { Option<$type> };
    (first $default:expr) => { $default };
    (first) => { None };
}

settings! {
    /// What the merchant is called, for messages.
    name: String as Name "name", text(255);
    /// The IANA time zone in which days end.
    time_zone: Zone = Zone::default(), Zone::check;
    /// The order in which an upsert without a reference is matched.
    match_by: Vec<IdentifierKind> = IdentifierKind::ALL.to_vec(), check_match_by;
    /// How old a command's business time may be, in seconds.
    max_age_s: i64 = 3 * ONE_DAY_S, range(0, TEN_YEARS_S);
    /// How far ahead of the record it may be, in seconds.
    max_future_s: i64 = 5 * 60, range(0, ONE_DAY_S);
    /// The merchant's own phone, for messages.
    phone: String as Phone "phone", text(20);
    /// The merchant's own address, for messages.
    email: String as Email "email", check_email;
    /// The merchant's links, by the network's name.
    social: BTreeMap<String, String> = BTreeMap::new(), check_links;
    /// Whether the merchant's commands are taken.
    status: MerchantStatus = MerchantStatus::Active, any;
    /// The tier of those who have no other; the active programme's lowest where it is not said.
    base_tier_id: String as BaseTierId "base_tier_id", check_tier_id;
    /// Where a customer's card is had for Apple's wallet, with `{code}` in it.
    wallet_url_apple: String as WalletUrlApple "wallet_url_apple", wallet_url;
    /// The same for Google's.
    wallet_url_google: String as WalletUrlGoogle "wallet_url_google", wallet_url;
    /// What a customer must have after every upsert.
    required_fields: Vec<ProfileField> = Vec::new(), check_fields;
    /// What an upsert does to a customer that exists, where it does not say so itself.
    on_match: OnMatch = OnMatch::Update, any;
    /// Which phone numbers are taken.
    phone_format: PhoneFormat = PhoneFormat::E164, any;
    /// Whether a customer may be without any identifier of `match_by`.
    allow_no_identifier: bool = false, any;
    /// Whether an inactive customer's profile is closed.
    profile_change_needs_active: bool = false, any;
    /// Which idempotency keys are taken.
    key_form: KeyForm = KeyForm::Any, any;
    /// What becomes of a credit or a redeem whose reference leads to nobody.
    unknown_customer: UnknownCustomer = UnknownCustomer::Reject, any;
    /// How long such a command waits, in seconds.
    park_s: i64 = ONE_DAY_S, range(1, MAX_PARKED_S);
}

fn any<T>(_: &mut FieldCheck, _: &str, _: &mut T) {}

fn range(least: i64, most: i64) -> impl Fn(&mut FieldCheck, &str, &mut i64) {
    move |check, field, value| check.range(field, *value, least, most)
}

fn text(most: usize) -> impl Fn(&mut FieldCheck, &str, &mut String) {
    move |check, field, text| check.text(field, Some(text), most)
}

fn check_match_by(check: &mut FieldCheck, field: &str, kinds: &mut [IdentifierKind]) {
    if kinds.is_empty() || (1..kinds.len()).any(|at| kinds[..at].contains(&kinds[at])) {
        check.bad(field, "must name at least one identifier, each once");
    }
}

fn check_email(check: &mut FieldCheck, field: &str, email: &mut String) {
    if let Some(stored) = check.identifier(field, IdentifierKind::Email, Some(email), PhoneFormat::E164) {
        *email = stored;
    }
}

fn check_links(check: &mut FieldCheck, field: &str, links: &mut BTreeMap<String, String>) {
    check.labels(field, links, MAX_LINKS);
}

fn check_tier_id(check: &mut FieldCheck, field: &str, id: &mut str) {
    check.id(field, Some(id), MAX_ID_CHARS);
}

fn check_fields(check: &mut FieldCheck, field: &str, fields: &mut [ProfileField]) {
    if (1..fields.len()).any(|at| fields[..at].contains(&fields[at])) {
        check.bad(field, "must name each field once");
    }
}

fn wallet_url(check: &mut FieldCheck, field: &str, url: &mut str) {
    check.wallet_url(field, Some(url));
}

fn kept<T: Clone + PartialEq>(changed: &T, before: &T, after: &T) -> T {
    if changed == before { after.clone() } else { changed.clone() }
}

words! {
    UnknownCustomer {
        Reject "reject",
        /// A credit makes a customer with that one identifier.
        Enrol "enrol",
        /// It waits for a customer with that identifier.
        Park "park",
    }
}

words! {
    MerchantStatus {
        Active "active",
        /// Every command but configuration is refused.
        Suspended "suspended",
    }
}

words! {
    OnMatch {
        Update "update",
        /// Leaves it as it is.
        Keep "keep",
        /// Sets only what it does not have.
        FillMissing "fill_missing",
        Reject "reject",
    }
}

words! {
    KeyForm {
        /// 1 to 255 characters.
        Any "any",
        /// 1 to 100 of A-Z a-z 0-9 _ -.
        Token "token",
    }
}

words! {
    /// The products whose behaviour a merchant may choose whole.
    Preset {
        None "none",
        Rewrd "rewrd",
        AddUpdate "add_update",
        Restai "restai",
        Masivo "masivo",
        StampCards "stamp_cards",
    }
}

impl Settings {
    /// Sets what a preset covers, all of it, so that nothing remains of another product's behaviour.
    fn apply_preset(&mut self, preset: Preset) {
        use IdentifierKind::{Email, ExternalId, Phone};
        self.match_by = match preset {
            Preset::None => Settings::default().match_by,
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
}

/// An IANA time zone by its name. The database is compiled in, so that every worker knows the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Zone {
    name: Arc<str>,
    rules: Option<TimeZone>,
}

impl Zone {
    pub fn named(name: &str) -> Zone {
        Zone { name: name.into(), rules: jiff::tz::TimeZoneDatabase::bundled().get(name).ok() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_known(&self) -> bool {
        self.rules.is_some()
    }

    /// UTC's where the name is unknown, which no settings that were accepted have.
    pub fn rules(&self) -> &TimeZone {
        static UTC: TimeZone = TimeZone::UTC;
        self.rules.as_ref().unwrap_or(&UTC)
    }

    fn check(check: &mut FieldCheck, field: &str, zone: &mut Zone) {
        if !zone.is_known() {
            check.bad(field, "must be an IANA time zone such as Europe/Berlin");
        }
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: "UTC".into(), rules: Some(TimeZone::UTC) }
    }
}

impl From<String> for Zone {
    fn from(name: String) -> Zone {
        Zone::named(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name.to_string()
    }
}
