//! From the wire's structs to the domain's command: the whole inbound mapping. Only what would poison a later step is checked here
//! (U+0000, instants outside the range that Postgres and RFC 3339 hold, an unbounded envelope); the rules judge the rest.

use std::collections::BTreeMap;

use super::problems::Problems;
use super::wire;
use crate::domain::NO_SUCH_CHARACTERS;
use crate::domain::command::{
    Body, CreditAmount, CustomerRef, CustomerUpsert, Envelope, ObjectDefinition, RedeemAmount, RefKind, SettingsPatch,
    UnitDefinition,
};
use crate::domain::config::MoneyValue;
use crate::domain::config::objects::{Card, CardReward, Object, Programme, Tier};
use crate::domain::customer::IdentifierKind;
use crate::domain::{
    IdempotencyKey, Instant, MerchantId, Metric, NO_CHARACTER, UnitId, compared, is_deceptive, is_deceptive_in_id,
    is_deceptive_in_prose,
};

const MAX_ATTRIBUTES: usize = 50;
const MAX_ATTRIBUTE_KEY: usize = 64;
const MAX_ATTRIBUTE_VALUE: usize = 500;
const MAX_SOURCE: usize = 64;

/// What of an envelope is well-formed; the rest becomes a problem and is left out.
pub(super) fn envelope(envelope: wire::Envelope, problems: &mut Problems) -> Envelope {
    let wire::Envelope { merchant_id, idempotency_key, customer, occurred_at, source, attributes } = envelope;
    if idempotency_key.contains('\0') {
        problems.add("envelope.idempotency_key", NUL);
    }
    Envelope {
        merchant_id: MerchantId::new(merchant_id),
        idempotency_key: IdempotencyKey::new(idempotency_key),
        customer: customer.and_then(|wire::CustomerRef { kind, value }| {
            let value = text("envelope.customer.value", value, problems)?;
            Some(CustomerRef { kind: ref_kind(kind), value })
        }),
        occurred_at: instant("envelope.occurred_at", occurred_at, problems),
        source: source.and_then(|source| {
            let source = text("envelope.source", source, problems)?;
            if source.contains(is_deceptive) {
                problems.add("envelope.source", NO_SUCH_CHARACTERS);
            } else if !(1..=MAX_SOURCE).contains(&source.chars().count()) || source.trim().is_empty() {
                problems.add("envelope.source", "must have 1 to 64 characters, not only spaces");
            } else {
                return Some(source);
            }
            None
        }),
        attributes: labels(attributes, problems),
    }
}

pub(super) fn customer_upsert(command: wire::CustomerUpsert, problems: &mut Problems) -> Body {
    let wire::CustomerUpsert {
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
    } = command;
    let metrics = entries("command.metrics", metrics, problems, |_, metric, _| {
        metric.map(|wire::Metric { value, scale }| Metric { value, scale })
    });
    let metadata = entries("command.metadata", metadata, problems, optional_text);
    let mut checked = |field, value| optional_text(field, value, problems);
    Body::CustomerUpsert(Box::new(CustomerUpsert {
        external_id: checked("command.external_id", external_id),
        phone: checked("command.phone", phone),
        email: checked("command.email", email),
        first_name: checked("command.first_name", first_name),
        last_name: checked("command.last_name", last_name),
        birth_date: checked("command.birth_date", birth_date),
        active,
        notify_email,
        notify_phone,
        mode: mode.into(),
        on_match: on_match.map(Into::into),
        name: checked("command.name", name),
        registered_on: checked("command.registered_on", registered_on),
        gender: gender.map(Into::into),
        language: checked("command.language", language),
        brand_id: checked("command.brand_id", brand_id),
        metrics,
        metadata,
        clear: clear.into_iter().map(Into::into).collect(),
        source_version,
        tier_id: checked("command.tier_id", tier_id),
        card_id: checked("command.card_id", card_id),
        send_card_links,
        referral_code: checked("command.referral_code", referral_code),
    }))
}

pub(super) fn credit(command: wire::CreditBody, problems: &mut Problems) -> Body {
    match command {
        wire::CreditBody::CreditAmount(wire::CreditAmount {
            unit,
            amount,
            order_id,
            reason,
            title,
            expires_at,
            skip_notifications,
        }) => Body::CreditAmount(CreditAmount {
            unit: unit_id("command.unit", unit, problems),
            amount,
            order_id: order("command.order_id", order_id, problems),
            reason: optional_text("command.reason", reason, problems),
            title: optional_text("command.title", title, problems),
            expires_at: instant("command.expires_at", expires_at, problems),
            skip_notifications,
        }),
    }
}

pub(super) fn redeem(command: wire::RedeemBody, problems: &mut Problems) -> Body {
    match command {
        wire::RedeemBody::RedeemAmount(wire::RedeemAmount { unit, amount, order_id, reason, skip_notifications }) => {
            Body::RedeemAmount(RedeemAmount {
                unit: unit_id("command.unit", unit, problems),
                amount,
                order_id: order("command.order_id", order_id, problems),
                reason: optional_text("command.reason", reason, problems),
                skip_notifications,
            })
        }
    }
}

pub(super) fn merchant_config(
    effective_from: Option<i64>,
    expected_version: Option<i64>,
    command: wire::ConfigBody,
    problems: &mut Problems,
) -> Body {
    let effective_from = instant("effective_from", effective_from, problems);
    let object = |id, object| Body::Object(Box::new(ObjectDefinition { effective_from, expected_version, id, object }));
    match command {
        wire::ConfigBody::Settings(wire::Settings {
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
        }) => Body::Settings(Box::new(SettingsPatch {
            effective_from,
            expected_version,
            preset: preset.map(Into::into),
            name: optional_text("command.name", name, problems),
            time_zone: optional_text("command.time_zone", time_zone, problems),
            match_by: match_by.map(|kinds| kinds.into_iter().map(identifier_kind).collect()),
            max_age_s,
            max_future_s,
            email: optional_text("command.email", email, problems),
            phone: optional_text("command.phone", phone, problems),
            social: social.map(|links| texts("command.social", links, problems)),
            status: status.map(Into::into),
            on_match: on_match.map(Into::into),
            required_fields: required_fields.map(|fields| fields.into_iter().map(Into::into).collect()),
            phone_format: phone_format.map(Into::into),
            allow_no_identifier,
            profile_change_needs_active,
            key_form: key_form.map(Into::into),
            unknown_customer: unknown_customer.map(Into::into),
            park_s,
            clear: clear.into_iter().map(Into::into).collect(),
            base_tier_id: optional_text("command.base_tier_id", base_tier_id, problems),
            wallet_url_apple: optional_text("command.wallet_url_apple", wallet_url_apple, problems),
            wallet_url_google: optional_text("command.wallet_url_google", wallet_url_google, problems),
        })),
        wire::ConfigBody::Unit(wire::Unit {
            unit_id: id,
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
        }) => Body::Unit(Box::new(UnitDefinition {
            effective_from,
            expected_version,
            unit_id: unit_id("command.unit_id", id, problems),
            name: required_text("command.name", name, problems),
            scale,
            expiry_days,
            min_held,
            min_amount,
            description: optional_text("command.description", description, problems),
            kind: kind.into(),
            currency: optional_text("command.currency", currency, problems),
            brand_id: optional_text("command.brand_id", brand_id, problems),
            value: value.and_then(|wire::MoneyValue { numerator, denominator, currency }| {
                let currency = text("command.value.currency", currency, problems)?;
                Some(MoneyValue { numerator, denominator, currency })
            }),
            rounding: rounding.into(),
            step,
            attributes: texts("command.attributes", attributes, problems),
        })),
        wire::ConfigBody::Tier(wire::Tier { tier_id, name, rank, benefits }) => {
            let name = required_text("command.name", name, problems);
            let benefits = texts("command.benefits", benefits, problems);
            let id = required_text("command.tier_id", tier_id, problems);
            object(id, Object::Tier(Tier { name, rank, benefits }))
        }
        wire::ConfigBody::Card(wire::Card { card_id, name, stamps_required, initial_stamps, rewards, status }) => {
            let rewards = rewards.into_iter().enumerate().map(|(place, reward)| {
                let wire::CardReward { reward_id, name, stamps } = reward;
                let mut checked =
                    |field, value| required_text(&format!("command.rewards[{place}].{field}"), value, problems);
                CardReward { reward_id: checked("reward_id", reward_id), name: checked("name", name), stamps }
            });
            let rewards = rewards.collect();
            let name = required_text("command.name", name, problems);
            let id = required_text("command.card_id", card_id, problems);
            object(id, Object::Card(Card { name, stamps_required, initial_stamps, rewards, status: status.into() }))
        }
        wire::ConfigBody::Programme(wire::Programme { programme_id, name, unit_id: unit, tier_ids, active }) => {
            let name = required_text("command.name", name, problems);
            let unit_id = unit_id("command.unit_id", unit, problems);
            let tiers = tier_ids.into_iter().enumerate();
            let tier = |(place, tier)| required_text(&format!("command.tier_ids[{place}]"), tier, problems);
            let tier_ids = tiers.map(tier).collect();
            let id = required_text("command.programme_id", programme_id, problems);
            object(id, Object::Programme(Programme { name, unit_id, tier_ids, is_active: active }))
        }
    }
}

/// Postgres' text can't hold it.
const NUL: &str = "must not contain U+0000";

fn text(field: &str, value: String, problems: &mut Problems) -> Option<String> {
    if value.contains('\0') {
        problems.add(field, NUL);
        return None;
    }
    if value.contains(NO_CHARACTER) {
        problems.add(field, "must be Unicode text: half of a surrogate pair is no character");
        return None;
    }
    Some(value)
}

/// An order is compared in one form. What no id may hold is left in it, also at its ends, and the rules refuse it.
fn order(field: &str, value: Option<String>, problems: &mut Problems) -> Option<String> {
    let value = optional_text(field, value, problems)?;
    Some(if value.contains(is_deceptive_in_id) { value } else { compared(&value) })
}

/// What is wrong is named, so that what stands for it is never judged.
fn required_text(field: &str, value: String, problems: &mut Problems) -> String {
    text(field, value, problems).unwrap_or_default()
}

fn optional_text(field: &str, value: Option<String>, problems: &mut Problems) -> Option<String> {
    value.and_then(|value| text(field, value, problems))
}

/// A map's entries, with each key checked here and each value by `value`.
fn entries<W, D>(
    field: &str,
    map: BTreeMap<String, Option<W>>,
    problems: &mut Problems,
    value: impl Fn(&str, Option<W>, &mut Problems) -> Option<D>,
) -> BTreeMap<String, Option<D>> {
    let mut kept = BTreeMap::new();
    for (key, entry) in map {
        let field = format!("{field}.{key}");
        let entry = value(&field, entry, problems);
        if let Some(key) = text(&field, key, problems) {
            kept.insert(key, entry);
        }
    }
    kept
}

fn texts(field: &str, map: BTreeMap<String, String>, problems: &mut Problems) -> BTreeMap<String, String> {
    let map = map.into_iter().map(|(key, value)| (key, Some(value))).collect();
    let kept = entries(field, map, problems, optional_text);
    kept.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn unit_id(field: &str, value: String, problems: &mut Problems) -> UnitId {
    UnitId::new(required_text(field, value, problems))
}

fn instant(field: &str, micros: Option<i64>, problems: &mut Problems) -> Option<Instant> {
    let instant = Instant::from_micros(micros?);
    if instant.is_representable() {
        return Some(instant);
    }
    problems.add(field, "must lie in the years 1900 to 9999");
    None
}

fn labels(attributes: BTreeMap<String, String>, problems: &mut Problems) -> Vec<(String, String)> {
    if attributes.len() > MAX_ATTRIBUTES {
        problems.add("envelope.attributes", "must have at most 50 entries");
        return Vec::new();
    }
    let mut kept = Vec::with_capacity(attributes.len());
    for (key, value) in attributes {
        let field = || format!("envelope.attributes.{key}");
        if key.contains('\0') || value.contains('\0') {
            problems.add(&field(), NUL);
        } else if key.contains(is_deceptive) || value.contains(is_deceptive_in_prose) {
            problems.add(&field(), NO_SUCH_CHARACTERS);
        } else if !(1..=MAX_ATTRIBUTE_KEY).contains(&key.chars().count()) {
            problems.add(&field(), "must have a name of 1 to 64 characters");
        } else if value.chars().count() > MAX_ATTRIBUTE_VALUE {
            problems.add(&field(), "must have at most 500 characters");
        } else {
            kept.push((key, value));
        }
    }
    kept
}

fn ref_kind(kind: wire::RefKind) -> RefKind {
    match kind {
        wire::RefKind::CustomerId => RefKind::CustomerId,
        wire::RefKind::ExternalId => RefKind::Identifier(IdentifierKind::ExternalId),
        wire::RefKind::Phone => RefKind::Identifier(IdentifierKind::Phone),
        wire::RefKind::Email => RefKind::Identifier(IdentifierKind::Email),
        wire::RefKind::CardCode => RefKind::CardCode,
    }
}

fn identifier_kind(kind: wire::Identifier) -> IdentifierKind {
    match kind {
        wire::Identifier::ExternalId => IdentifierKind::ExternalId,
        wire::Identifier::Phone => IdentifierKind::Phone,
        wire::Identifier::Email => IdentifierKind::Email,
    }
}
