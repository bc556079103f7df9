//! The profile that an upsert proposes, normalised, and a customer with it.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::domain::book::Book;
use crate::domain::case::Case;
use crate::domain::command::CustomerUpsert;
use crate::domain::config::objects::MAX_ID_CHARS;
use crate::domain::customer::enrolment::{CustomerTier, referrer_of};
use crate::domain::customer::identifiers::IdentifierKind;
use crate::domain::customer::profile::ProfileField;
use crate::domain::customer::state::{Customer, CustomerStatus};
use crate::domain::field_check::{FieldCheck, is_key};
use crate::domain::values::ids::CustomerId;
use crate::domain::values::time::Instant;

/// One command may replace all of a customer's.
pub(in crate::domain) const MAX_KEYS: usize = 50;

/// The payload, normalised.
pub(in crate::domain) struct Proposal<'a> {
    pub(in crate::domain) upsert: &'a CustomerUpsert,
    pub(in crate::domain) identifiers: Vec<(IdentifierKind, String)>,
    birth_date: Option<Date>,
    registered_on: Option<Date>,
    language: Option<String>,
    /// Whom the merchant gives no other tier.
    base_tier: Option<CustomerTier>,
    now: Instant,
}

#[derive(Clone, Copy, PartialEq)]
pub(in crate::domain) enum Change {
    Update,
    FillMissing,
}

/// What is wrong with the payload by itself.
pub(in crate::domain) fn check_form<'a>(
    book: &Book,
    case: &Case<'_>,
    upsert: &'a CustomerUpsert,
    check: &mut FieldCheck,
) -> Proposal<'a> {
    let sent = [
        (IdentifierKind::ExternalId, "command.external_id", &upsert.external_id),
        (IdentifierKind::Phone, "command.phone", &upsert.phone),
        (IdentifierKind::Email, "command.email", &upsert.email),
    ];
    let phones = case.settings.phone_format;
    let identifiers = sent
        .into_iter()
        .filter_map(|(kind, field, value)| Some((kind, check.identifier(field, kind, value.as_deref(), phones)?)))
        .collect();
    check.text("command.first_name", upsert.first_name.as_deref(), 255);
    check.text("command.last_name", upsert.last_name.as_deref(), 255);
    check.text("command.name", upsert.name.as_deref(), 255);
    // Today where the customer may be: the date line is at most 14 hours ahead of UTC.
    let today = case.moment.lane_time.saturating_add_seconds(14 * 60 * 60).utc_date();
    let birth_date = check.date("command.birth_date", upsert.birth_date.as_deref(), today);
    let registered_on = check.date("command.registered_on", upsert.registered_on.as_deref(), today);
    let language = check.language("command.language", upsert.language.as_deref());
    check.id("command.brand_id", upsert.brand_id.as_deref(), 255);
    if check.keys("command.metrics", upsert.metrics.keys(), 2 * MAX_KEYS) {
        let sent = upsert.metrics.iter().filter(|(key, _)| is_key(key));
        for (key, metric) in sent.filter_map(|(key, metric)| Some((key, metric.as_ref()?))) {
            check.range(&format!("command.metrics.{key}.scale"), i64::from(metric.scale), 0, 6);
        }
    }
    if check.keys("command.metadata", upsert.metadata.keys(), 2 * MAX_KEYS) {
        let sent = upsert.metadata.iter().filter(|(key, _)| is_key(key));
        for (key, text) in sent.filter_map(|(key, text)| Some((key, text.as_deref()?))) {
            check.value(&format!("command.metadata.{key}"), text);
        }
    }
    check.id("command.tier_id", upsert.tier_id.as_deref(), MAX_ID_CHARS);
    check.id("command.card_id", upsert.card_id.as_deref(), MAX_ID_CHARS);
    if upsert.referral_code.as_ref().is_some_and(|code| referrer_of(code).is_none()) {
        check.bad("command.referral_code", "must be a customer's id, or the code of one of its cards");
    }
    // By the words that there are: a list may name each as often as it likes.
    for field in ProfileField::ALL.iter().filter(|field| upsert.clear.contains(field) && upsert.sets(**field)) {
        check.bad(format!("command.{}", field.name()), "can't be set and cleared at once");
    }
    let (base_tier, now) = (case.base_tier(book), case.moment.lane_time);
    Proposal { upsert, identifiers, birth_date, registered_on, language, base_tier, now }
}

impl Proposal<'_> {
    pub(in crate::domain) fn holder(&self, book: &Book, case: &Case<'_>, kind: IdentifierKind) -> Option<CustomerId> {
        self.identifiers.iter().find(|(sent, _)| *sent == kind)?;
        case.holder(book, kind, self.sent(kind)?)
    }

    /// An identifier as it was sent.
    fn sent(&self, kind: IdentifierKind) -> Option<&str> {
        match kind {
            IdentifierKind::ExternalId => self.upsert.external_id.as_deref(),
            IdentifierKind::Phone => self.upsert.phone.as_deref(),
            IdentifierKind::Email => self.upsert.email.as_deref(),
        }
    }

    /// The customer with what is sent.
    pub(in crate::domain) fn applied(&self, mut customer: Customer, change: Change) -> Customer {
        let upsert = self.upsert;
        let tier_before = customer.tier.clone();
        for (kind, value) in &self.identifiers {
            if change == Change::Update || customer.identifier(*kind).is_none() {
                customer.set_identifier(*kind, Some(value.clone()));
            }
        }
        set(&mut customer.first_name, &upsert.first_name, change);
        set(&mut customer.last_name, &upsert.last_name, change);
        set(&mut customer.name, &upsert.name, change);
        set(&mut customer.birth_date, &self.birth_date, change);
        set(&mut customer.registered_on, &self.registered_on, change);
        set(&mut customer.gender, &upsert.gender, change);
        set(&mut customer.language, &self.language, change);
        set(&mut customer.brand_id, &upsert.brand_id, change);
        if let Some(tier_id) = &upsert.tier_id
            && (change == Change::Update || customer.tier.is_none())
        {
            customer.tier = Some(self.tier(tier_id, true, tier_before.as_ref()));
        }
        set_keys(&mut customer.metrics, &upsert.metrics, change);
        set_keys(&mut customer.metadata, &upsert.metadata, change);
        // What is never missing is not filled, and nothing is cleared.
        if change == Change::Update {
            upsert.clear.iter().for_each(|field| field.clear(&mut customer));
            customer.notify_email = upsert.notify_email.unwrap_or(customer.notify_email);
            customer.notify_phone = upsert.notify_phone.unwrap_or(customer.notify_phone);
            if upsert.clear.contains(&ProfileField::TierId) {
                customer.tier = self.base_tier_for(tier_before.as_ref());
            }
            customer.status = match upsert.active {
                Some(true) => CustomerStatus::Active,
                Some(false) => CustomerStatus::Inactive,
                None => customer.status,
            };
        }
        customer.source_version = upsert.source_version.or(customer.source_version);
        customer.incomplete = false;
        customer
    }

    /// A tier from now on, or since when it was had.
    fn tier(&self, tier_id: &str, is_manual: bool, before: Option<&CustomerTier>) -> CustomerTier {
        let since = before.filter(|before| before.tier_id == tier_id).map_or(self.now, |before| before.since);
        CustomerTier { tier_id: tier_id.to_owned(), since, is_manual }
    }

    fn base_tier_for(&self, before: Option<&CustomerTier>) -> Option<CustomerTier> {
        self.base_tier.as_ref().map(|base| self.tier(&base.tier_id, false, before))
    }
}

fn set<T: Clone>(field: &mut Option<T>, sent: &Option<T>, change: Change) {
    if sent.is_some() && (change == Change::Update || field.is_none()) {
        field.clone_from(sent);
    }
}

fn set_keys<T: Clone>(map: &mut BTreeMap<String, T>, sent: &BTreeMap<String, Option<T>>, change: Change) {
    for (key, value) in sent {
        match value {
            Some(value) if change == Change::Update || !map.contains_key(key) => {
                map.insert(key.clone(), value.clone());
            }
            None if change == Change::Update => {
                map.remove(key);
            }
            Some(_) | None => {}
        }
    }
}
