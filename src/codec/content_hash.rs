//! What makes two commands the same: SHA-256 over what was said, not over how it was written.
//!
//! Each field that does not have its schema's default is fed as a name and a value, in the schema's order; maps are sorted. So JSON and
//! Avro give the same hash, and so does a schema with one more field, as long as that field is at its default. Merchant, idempotency key,
//! source and headers say who asks and are left out. The structs are taken apart without `..`, so that a new field can't be forgotten.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::command::{
    Body, ContentHash, CreditAmount, CustomerRef, CustomerUpsert, Envelope, ObjectDefinition, RedeemAmount, RefKind,
    SettingsPatch, UnitDefinition, UpsertMode,
};
use crate::domain::config::objects::{Card, CardReward, CardStatus, Object, Programme, Tier};
use crate::domain::config::{
    KeyForm, MerchantStatus, MoneyValue, OnMatch, PhoneFormat, Preset, Rounding, UnitKind, UnknownCustomer,
};
use crate::domain::customer::IdentifierKind;
use crate::domain::customer::stored_form;
use crate::domain::customer::{card_code, parse_card_code};
use crate::domain::parse_customer_id;
use crate::domain::{CommandTopic, Gender, Instant, Metric, compared};

/// The hash of a command as its domain types hold it. A malformed one is only known by its envelope: see [`of_json`].
pub(super) fn of_command(envelope: &Envelope, body: &Body) -> ContentHash {
    let mut content = Content::of(body.kind());
    content.envelope(envelope);
    content.body(body);
    content.finish()
}

/// The hash of JSON that is not of a command's form.
pub(super) fn of_json(topic: CommandTopic, value: &Value) -> ContentHash {
    let mut content = Content::of("malformed");
    content.text(topic.suffix());
    content.json(value, &mut Vec::new());
    content.finish()
}

/// A text in the form in which it is compared; as it is where it has none.
fn content_form(kind: IdentifierKind, value: &str) -> String {
    stored_form(kind, value).unwrap_or_else(|| compared(value))
}

fn id_form(value: &str) -> String {
    parse_customer_id(value).map_or_else(|| value.trim().to_owned(), |id| id.to_string())
}

fn code_form(value: &str) -> String {
    parse_card_code(value).map_or_else(|| value.trim().to_owned(), |(id, place)| card_code(id, place))
}

/// Collected first and digested once: many small updates cost more than the digest.
struct Content(Vec<u8>);

impl Content {
    fn of(kind: &str) -> Content {
        let mut content = Content(Vec::with_capacity(512));
        content.text(kind);
        content
    }

    fn envelope(&mut self, envelope: &Envelope) {
        let Envelope { merchant_id: _, idempotency_key: _, customer, occurred_at, source: _, attributes } = envelope;
        if let Some(CustomerRef { kind, value }) = customer {
            self.string("customer.kind", ref_name(*kind));
            match kind {
                RefKind::Identifier(kind) => self.string("customer.value", &content_form(*kind, value)),
                RefKind::CustomerId => self.string("customer.value", &id_form(value)),
                RefKind::CardCode => self.string("customer.value", &code_form(value)),
            }
        }
        self.optional_instant("occurred_at", *occurred_at);
        if !attributes.is_empty() {
            self.text("attributes");
            self.count(attributes.len());
            for (key, value) in attributes {
                self.text(key);
                self.text(value);
            }
        }
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::CustomerUpsert(body) => {
                let CustomerUpsert {
                    external_id,
                    phone,
                    email,
                    first_name,
                    last_name,
                    birth_date,
                    active,
                    notify_email,
                    notify_phone,
                    mode,
                    on_match,
                    name,
                    registered_on,
                    gender,
                    language,
                    brand_id,
                    metrics,
                    metadata,
                    clear,
                    source_version,
                    tier_id,
                    card_id,
                    send_card_links,
                    referral_code,
                } = &**body;
                self.identifier(IdentifierKind::ExternalId, external_id);
                self.identifier(IdentifierKind::Phone, phone);
                self.identifier(IdentifierKind::Email, email);
                self.optional_string("first_name", first_name);
                self.optional_string("last_name", last_name);
                self.optional_string("birth_date", birth_date);
                self.optional_flag("active", *active);
                self.optional_flag("notify_email", *notify_email);
                self.optional_flag("notify_phone", *notify_phone);
                self.word("mode", (*mode != UpsertMode::Upsert).then_some(mode.name()));
                self.word("on_match", on_match.map(OnMatch::name));
                self.optional_string("name", name);
                self.optional_string("registered_on", registered_on);
                self.word("gender", gender.map(Gender::name));
                self.optional_string("language", language);
                self.optional_string("brand_id", brand_id);
                self.entries("metrics", metrics, |content, Metric { value, scale }| {
                    content.number("value", *value);
                    content.number("scale", i64::from(*scale));
                });
                self.entries("metadata", metadata, |content, text| content.text(text));
                self.words("clear", clear.iter().map(|field| field.name()));
                self.optional_number("source_version", *source_version);
                self.optional_string("tier_id", tier_id);
                self.optional_string("card_id", card_id);
                self.optional_flag("send_card_links", send_card_links.then_some(true));
                if let Some(code) = referral_code {
                    self.string(
                        "referral_code",
                        &if parse_customer_id(code).is_some() { id_form(code) } else { code_form(code) },
                    );
                }
            }
            Body::CreditAmount(CreditAmount {
                unit,
                amount,
                order_id,
                reason,
                title,
                expires_at,
                skip_notifications,
            }) => {
                self.string("unit", unit.as_str());
                self.number("amount", *amount);
                self.optional_string("order_id", order_id);
                self.optional_string("reason", reason);
                self.optional_string("title", title);
                self.optional_instant("expires_at", *expires_at);
                self.optional_flag("skip_notifications", skip_notifications.then_some(true));
            }
            Body::RedeemAmount(RedeemAmount { unit, amount, order_id, reason, skip_notifications }) => {
                self.string("unit", unit.as_str());
                self.number("amount", *amount);
                self.optional_string("order_id", order_id);
                self.optional_string("reason", reason);
                self.optional_flag("skip_notifications", skip_notifications.then_some(true));
            }
            Body::Settings(body) => {
                let SettingsPatch {
                    effective_from,
                    expected_version,
                    name,
                    time_zone,
                    match_by,
                    max_age_s,
                    max_future_s,
                    preset,
                    email,
                    phone,
                    social,
                    status,
                    on_match,
                    required_fields,
                    phone_format,
                    allow_no_identifier,
                    profile_change_needs_active,
                    key_form,
                    unknown_customer,
                    park_s,
                    clear,
                    base_tier_id,
                    wallet_url_apple,
                    wallet_url_google,
                } = &**body;
                self.optional_instant("effective_from", *effective_from);
                self.optional_string("name", name);
                self.optional_string("time_zone", time_zone);
                if let Some(kinds) = match_by {
                    self.list("match_by", kinds.iter().map(|kind| kind.field()));
                }
                self.optional_number("max_age_s", *max_age_s);
                self.optional_number("max_future_s", *max_future_s);
                self.optional_number("expected_version", *expected_version);
                self.word("preset", preset.map(Preset::name));
                self.optional_string("email", email);
                self.optional_string("phone", phone);
                if let Some(links) = social {
                    self.labels("social", links);
                }
                self.word("status", status.map(MerchantStatus::name));
                self.word("on_match", on_match.map(OnMatch::name));
                if let Some(fields) = required_fields {
                    self.list("required_fields", fields.iter().map(|field| field.name()));
                }
                self.word("phone_format", phone_format.map(PhoneFormat::name));
                self.optional_flag("allow_no_identifier", *allow_no_identifier);
                self.optional_flag("profile_change_needs_active", *profile_change_needs_active);
                self.word("key_form", key_form.map(KeyForm::name));
                self.word("unknown_customer", unknown_customer.map(UnknownCustomer::name));
                self.optional_number("park_s", *park_s);
                self.words("clear", clear.iter().map(|field| field.name()));
                self.optional_string("base_tier_id", base_tier_id);
                self.optional_string("wallet_url_apple", wallet_url_apple);
                self.optional_string("wallet_url_google", wallet_url_google);
            }
            Body::Unit(body) => {
                let UnitDefinition {
                    effective_from,
                    expected_version,
                    unit_id,
                    name,
                    scale,
                    expiry_days,
                    min_held,
                    min_amount,
                    description,
                    kind,
                    currency,
                    brand_id,
                    value,
                    rounding,
                    step,
                    attributes,
                } = &**body;
                self.optional_instant("effective_from", *effective_from);
                self.string("unit_id", unit_id.as_str());
                self.string("name", name);
                self.optional_number("scale", (*scale != 0).then_some(i64::from(*scale)));
                self.optional_number("expiry_days", expiry_days.map(i64::from));
                self.optional_number("min_held", (*min_held != 0).then_some(*min_held));
                self.optional_number("min_amount", (*min_amount != 1).then_some(*min_amount));
                self.optional_number("expected_version", *expected_version);
                self.optional_string("description", description);
                self.word("kind", (*kind != UnitKind::Points).then_some(kind.name()));
                self.optional_string("currency", currency);
                self.optional_string("brand_id", brand_id);
                if let Some(MoneyValue { numerator, denominator, currency }) = value {
                    self.number("value.numerator", *numerator);
                    self.number("value.denominator", *denominator);
                    self.string("value.currency", currency);
                }
                self.word("rounding", (*rounding != Rounding::Floor).then_some(rounding.name()));
                self.optional_number("step", (*step != 1).then_some(*step));
                if !attributes.is_empty() {
                    self.labels("attributes", attributes);
                }
            }
            Body::Object(body) => {
                let ObjectDefinition { effective_from, expected_version, id, object } = &**body;
                self.optional_instant("effective_from", *effective_from);
                self.optional_number("expected_version", *expected_version);
                self.string("id", id);
                self.object(object);
            }
            Body::Malformed(_) => {}
        }
    }

    fn object(&mut self, object: &Object) {
        match object {
            Object::Tier(Tier { name, rank, benefits }) => {
                self.string("name", name);
                self.optional_number("rank", (*rank != 0).then_some(i64::from(*rank)));
                if !benefits.is_empty() {
                    self.labels("benefits", benefits);
                }
            }
            Object::Card(Card { name, stamps_required, initial_stamps, rewards, status }) => {
                self.string("name", name);
                self.number("stamps_required", i64::from(*stamps_required));
                let initial_stamps = (*initial_stamps != 0).then_some(i64::from(*initial_stamps));
                self.optional_number("initial_stamps", initial_stamps);
                if !rewards.is_empty() {
                    self.text("rewards");
                    self.count(rewards.len());
                    for CardReward { reward_id, name, stamps } in rewards {
                        self.string("reward_id", reward_id);
                        self.string("name", name);
                        self.number("stamps", i64::from(*stamps));
                    }
                }
                self.word("status", (*status != CardStatus::Active).then_some(status.name()));
            }
            Object::Programme(Programme { name, unit_id, tier_ids, is_active }) => {
                self.string("name", name);
                self.string("unit_id", unit_id.as_str());
                self.words("tier_ids", tier_ids.iter().map(String::as_str));
                self.optional_flag("active", (!is_active).then_some(false));
            }
        }
    }

    /// Every value by its path, in the order of the keys. The two fields that say who asks are left out, as in a command.
    fn json<'v>(&mut self, value: &'v Value, path: &mut Vec<&'v str>) {
        match value {
            Value::Null => self.0.push(0),
            Value::Bool(flag) => self.0.extend_from_slice(&[1, u8::from(*flag)]),
            Value::Number(number) => {
                self.0.push(2);
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.0.push(3);
                self.text(text);
            }
            Value::Array(items) => {
                self.0.push(4);
                self.count(items.len());
                for item in items {
                    path.push("[]");
                    self.json(item, path);
                    path.pop();
                }
            }
            Value::Object(fields) => {
                self.0.push(5);
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort_unstable();
                for name in names {
                    if path.as_slice() == ["envelope"]
                        && ["merchant_id", "idempotency_key", "source"].contains(&name.as_str())
                    {
                        continue;
                    }
                    self.text(name);
                    path.push(name);
                    self.json(&fields[name], path);
                    path.pop();
                }
                self.0.push(6);
            }
        }
    }

    fn count(&mut self, items: usize) {
        self.0.extend_from_slice(&(items as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.text(name);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn word(&mut self, name: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.string(name, word);
        }
    }

    fn list<'w>(&mut self, name: &str, items: impl ExactSizeIterator<Item = &'w str>) {
        self.text(name);
        self.count(items.len());
        items.for_each(|item| self.text(item));
    }

    /// A list whose default is the empty one.
    fn words<'w>(&mut self, name: &str, items: impl ExactSizeIterator<Item = &'w str>) {
        if items.len() > 0 {
            self.list(name, items);
        }
    }

    fn labels(&mut self, name: &str, labels: &BTreeMap<String, String>) {
        self.text(name);
        self.count(labels.len());
        for (key, value) in labels {
            self.string(key, value);
        }
    }

    /// A map whose default is the empty one, and whose values may be null.
    fn entries<T>(&mut self, name: &str, map: &BTreeMap<String, Option<T>>, put: impl Fn(&mut Content, &T)) {
        if map.is_empty() {
            return;
        }
        self.text(name);
        self.count(map.len());
        for (key, value) in map {
            self.text(key);
            self.0.push(u8::from(value.is_some()));
            if let Some(value) = value {
                put(self, value);
            }
        }
    }

    fn optional_string(&mut self, name: &str, value: &Option<String>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    /// As it is compared: spaces and capitals make no other command.
    fn identifier(&mut self, kind: IdentifierKind, value: &Option<String>) {
        if let Some(value) = value {
            self.string(kind.field(), &content_form(kind, value));
        }
    }

    fn optional_number(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    fn optional_flag(&mut self, name: &str, value: Option<bool>) {
        self.optional_number(name, value.map(i64::from));
    }

    fn optional_instant(&mut self, name: &str, value: Option<Instant>) {
        self.optional_number(name, value.map(Instant::micros));
    }

    fn finish(self) -> ContentHash {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(&self.0)[..16]);
        ContentHash(half)
    }
}

fn ref_name(kind: RefKind) -> &'static str {
    match kind {
        RefKind::CustomerId => "customer_id",
        RefKind::Identifier(kind) => kind.field(),
        RefKind::CardCode => "card_code",
    }
}
