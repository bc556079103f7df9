//! From a merchant's configuration to the commands that would make it: the way back of [`super::convert`], for files that people keep.
//! The domain's structs are taken apart without `..`, so that a new field can't be forgotten.

use super::wire;
use crate::domain::config::objects::{Card, CardReward, Object, Programme, Tier};
use crate::domain::config::{Expiry, MoneyValue, Settings, UnitVersion};
use crate::domain::customer::IdentifierKind;
use crate::domain::{ConfigObject, UnitId};

/// An object as the fields of the command that would make it.
pub fn json(changed: &ConfigObject) -> String {
    let text = match changed {
        ConfigObject::Settings(_, of_merchant) => serde_json::to_string(&settings(of_merchant)),
        ConfigObject::Unit(id, version) => serde_json::to_string(&unit(id, version)),
        ConfigObject::Object(id, of_merchant) => match object(id, of_merchant) {
            wire::ConfigBody::Settings(it) => serde_json::to_string(&it),
            wire::ConfigBody::Unit(it) => serde_json::to_string(&it),
            wire::ConfigBody::Tier(it) => serde_json::to_string(&it),
            wire::ConfigBody::Card(it) => serde_json::to_string(&it),
            wire::ConfigBody::Programme(it) => serde_json::to_string(&it),
        },
    };
    text.expect("texts, numbers, lists and maps by text are JSON")
}

/// Every field of these settings; only `preset` and `clear` say nothing.
pub fn settings(settings: &Settings) -> wire::Settings {
    let Settings {
        name,
        time_zone,
        match_by,
        max_age_s,
        max_future_s,
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
        base_tier_id,
        wallet_url_apple,
        wallet_url_google,
    } = settings;
    wire::Settings {
        name: name.clone(),
        time_zone: Some(time_zone.name.to_string()),
        match_by: Some(match_by.iter().map(|kind| identifier(*kind)).collect()),
        max_age_s: Some(*max_age_s),
        max_future_s: Some(*max_future_s),
        preset: None,
        email: email.clone(),
        phone: phone.clone(),
        social: Some(social.clone()),
        status: Some((*status).into()),
        on_match: Some((*on_match).into()),
        required_fields: Some(required_fields.iter().map(|field| (*field).into()).collect()),
        phone_format: Some((*phone_format).into()),
        allow_no_identifier: Some(*allow_no_identifier),
        profile_change_needs_active: Some(*profile_change_needs_active),
        key_form: Some((*key_form).into()),
        unknown_customer: Some((*unknown_customer).into()),
        park_s: Some(*park_s),
        clear: Vec::new(),
        base_tier_id: base_tier_id.clone(),
        wallet_url_apple: wallet_url_apple.clone(),
        wallet_url_google: wallet_url_google.clone(),
    }
}

/// A unit, whole.
pub fn unit(unit_id: &UnitId, version: &UnitVersion) -> wire::Unit {
    let UnitVersion {
        version: _,
        effective_from: _,
        recorded_at: _,
        name,
        scale,
        expiry,
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
    } = version;
    wire::Unit {
        unit_id: unit_id.to_string(),
        name: name.clone(),
        scale: i32::from(*scale),
        expiry_days: match expiry {
            Expiry::Never => None,
            Expiry::Days(days) => Some(i32::from(*days)),
        },
        min_held: *min_held,
        min_amount: *min_amount,
        description: description.clone(),
        kind: (*kind).into(),
        currency: currency.clone(),
        brand_id: brand_id.clone(),
        value: value.as_ref().map(money_value),
        rounding: (*rounding).into(),
        step: *step,
        attributes: attributes.clone(),
    }
}

/// A tier, a card or a programme, whole.
pub fn object(id: &str, object: &Object) -> wire::ConfigBody {
    let id = id.to_owned();
    match object {
        Object::Tier(Tier { name, rank, benefits }) => wire::ConfigBody::Tier(wire::Tier {
            tier_id: id,
            name: name.clone(),
            rank: *rank,
            benefits: benefits.clone(),
        }),
        Object::Card(Card { name, stamps_required, initial_stamps, rewards, status }) => {
            wire::ConfigBody::Card(wire::Card {
                card_id: id,
                name: name.clone(),
                stamps_required: *stamps_required,
                initial_stamps: *initial_stamps,
                rewards: rewards.iter().map(card_reward).collect(),
                status: (*status).into(),
            })
        }
        Object::Programme(Programme { name, unit_id, tier_ids, is_active }) => {
            wire::ConfigBody::Programme(wire::Programme {
                programme_id: id,
                name: name.clone(),
                unit_id: unit_id.to_string(),
                tier_ids: tier_ids.clone(),
                active: *is_active,
            })
        }
    }
}

fn card_reward(reward: &CardReward) -> wire::CardReward {
    let CardReward { reward_id, name, stamps } = reward;
    wire::CardReward { reward_id: reward_id.clone(), name: name.clone(), stamps: *stamps }
}

fn money_value(value: &MoneyValue) -> wire::MoneyValue {
    let MoneyValue { numerator, denominator, currency } = value;
    wire::MoneyValue { numerator: *numerator, denominator: *denominator, currency: currency.clone() }
}

fn identifier(kind: IdentifierKind) -> wire::Identifier {
    match kind {
        IdentifierKind::ExternalId => wire::Identifier::ExternalId,
        IdentifierKind::Phone => wire::Identifier::Phone,
        IdentifierKind::Email => wire::Identifier::Email,
    }
}
