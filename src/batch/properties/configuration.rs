//! What merchants configure in the streams.

use std::collections::BTreeMap;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::{DAY, START, mostly, time, unit_id};
use crate::domain::command::{Body, ObjectDefinition, SettingsPatch, UnitDefinition};
use crate::domain::config::objects::{Card, CardReward, CardStatus, Object, Programme, Tier};
use crate::domain::config::{
    KeyForm, MerchantStatus, OnMatch, PhoneFormat, Rounding, SettingsField, UnitKind, UnknownCustomer,
};
use crate::domain::customer::IdentifierKind;
use crate::domain::{Instant, ProfileField, UnitId};

/// What every merchant of the streams has at first.
pub(super) fn preamble() -> [Body; 5] {
    [
        ("base", tier(0)),
        ("vip", tier(5)),
        ("coffee", card(2, CardStatus::Active)),
        ("gone", card(0, CardStatus::Archived)),
        ("club", programme("points", "base")),
    ]
    .map(|(id, object)| defined(id, object))
}

fn tier(rank: i32) -> Object {
    Object::Tier(Tier { name: format!("of rank {rank}"), rank, benefits: BTreeMap::new() })
}

fn card(initial_stamps: i32, status: CardStatus) -> Object {
    let reward = CardReward { reward_id: "cup".to_owned(), name: "Cup".to_owned(), stamps: 2 };
    Object::Card(Card { name: "Card".to_owned(), stamps_required: 5, initial_stamps, rewards: vec![reward], status })
}

fn programme(unit: &str, tier: &str) -> Object {
    let (name, unit_id) = ("Club".to_owned(), UnitId::new(unit));
    Object::Programme(Programme { name, unit_id, tier_ids: vec![tier.to_owned()], is_active: true })
}

fn defined(id: &str, object: Object) -> Body {
    Body::Object(Box::new(ObjectDefinition { effective_from: None, expected_version: None, id: id.to_owned(), object }))
}

/// Tiers, cards and programmes, some of which may not be.
pub(super) fn object() -> BoxedStrategy<Body> {
    let from = weighted(0.5, time()).prop_map(|from| from.map(|it| it.from(Instant::from_micros(START * 1_000_000))));
    let tiers = (select(&["base", "vip", "new", ""][..]), -1..4_i32).prop_map(|(id, rank)| (id, tier(rank)));
    let cards = (select(&["coffee", "gone", "tea", "points"][..]), 0..7_i32, select(&CardStatus::ALL[..]))
        .prop_map(|(id, initial, status)| (id, card(initial, status)));
    let programmes = (select(&["club", "other"][..]), unit_id(), select(&["base", "vip", "none"][..]))
        .prop_map(|(id, unit, tier)| (id, programme(unit.as_str(), tier)));
    (from, weighted(0.2, 0..3_i64), prop_oneof![tiers, cards, programmes])
        .prop_map(|(effective_from, expected_version, (id, object))| {
            Body::Object(Box::new(ObjectDefinition { effective_from, expected_version, id: id.to_owned(), object }))
        })
        .boxed()
}

pub(super) fn unit_definition(unit: &str, expiry_days: Option<i32>, min_held: i64, min_amount: i64) -> UnitDefinition {
    UnitDefinition {
        effective_from: None,
        unit_id: UnitId::new(unit),
        name: unit.to_owned(),
        scale: 0,
        expiry_days,
        min_held,
        min_amount,
        ..bare_unit()
    }
}

fn bare_unit() -> UnitDefinition {
    UnitDefinition {
        effective_from: None,
        expected_version: None,
        unit_id: UnitId::new("points"),
        name: String::new(),
        scale: 0,
        expiry_days: None,
        min_held: 0,
        min_amount: 1,
        description: None,
        kind: UnitKind::Points,
        currency: None,
        brand_id: None,
        value: None,
        rounding: Rounding::Floor,
        step: 1,
        attributes: BTreeMap::new(),
    }
}

pub(super) fn settings() -> BoxedStrategy<Body> {
    use IdentifierKind::{Email, ExternalId, Phone};
    let from = weighted(0.5, time());
    let zone = prop::option::of(mostly(&["UTC", "Africa/Cairo", "Pacific/Kiritimati"], &["Berlin"]));
    let orders = vec![vec![ExternalId, Phone, Email], vec![Phone], vec![Email, Phone]];
    let match_by = prop_oneof![9 => select(orders), 1 => select(vec![vec![], vec![Phone, Phone]])];
    let max_age_s = prop_oneof![6 => select(&[3600, 20 * DAY][..]), 1 => select(&[0, -1, i64::MIN, i64::MAX][..])];
    (from, zone, prop::option::of(match_by), prop::option::of(max_age_s), customers_settings())
        .prop_map(|(from, zone, match_by, max_age_s, rest)| {
            let effective_from = from.map(|time| time.from(Instant::from_micros(START * 1_000_000)));
            let time_zone = zone;
            Body::Settings(Box::new(SettingsPatch { effective_from, time_zone, match_by, max_age_s, ..rest }))
        })
        .boxed()
}

fn customers_settings() -> impl Strategy<Value = SettingsPatch> {
    let status = prop_oneof![
        12 => Just(None),
        2 => Just(Some(MerchantStatus::Active)),
        1 => Just(Some(MerchantStatus::Suspended))
    ];
    let phone_format = prop_oneof![9 => Just(None), 2 => select(&PhoneFormat::ALL[..]).prop_map(Some)];
    let required = select(&[ProfileField::ExternalId, ProfileField::FirstName][..]);
    let required_fields = prop_oneof![
        8 => Just(None),
        2 => Just(Some(vec![])),
        1 => required.prop_map(|field| Some(vec![field])),
    ];
    let flags = (weighted(0.2, any::<bool>()), weighted(0.2, any::<bool>()), weighted(0.2, 0..3_i64));
    let on_match = weighted(0.1, select(&OnMatch::ALL[..]));
    let key_form = weighted(0.05, select(&KeyForm::ALL[..]));
    let unknown =
        (weighted(0.3, select(&UnknownCustomer::ALL[..])), weighted(0.2, select(&[0, 30, 3600, 3 * DAY][..])));
    let phone = (weighted(0.1, Just("+49301".to_owned())), prop::bool::weighted(0.1));
    (status, phone_format, required_fields, flags, on_match, key_form, unknown, phone).prop_map(
        |(status, phone_format, required_fields, flags, on_match, key_form, unknown, phone)| SettingsPatch {
            status,
            phone_format,
            required_fields,
            allow_no_identifier: flags.0,
            profile_change_needs_active: flags.1,
            expected_version: flags.2,
            on_match,
            key_form,
            unknown_customer: unknown.0,
            park_s: unknown.1,
            phone: phone.0,
            clear: if phone.1 { vec![SettingsField::Phone] } else { vec![] },
            ..SettingsPatch::default()
        },
    )
}

pub(super) fn unit() -> BoxedStrategy<Body> {
    let from = weighted(0.5, time());
    let ends = [Some(3650), Some(0), Some(i32::MIN), Some(i32::MAX)];
    let expiry = prop_oneof![9 => select(&[None, Some(1), Some(2)][..]), 1 => select(ends.to_vec())];
    let least = prop_oneof![12 => 1..20_i64, 1 => select(&[0, 1_000_000_000_000, -1, i64::MIN, i64::MAX][..])].boxed();
    (
        from,
        unit_id(),
        prop_oneof![8 => Just(0), 2 => Just(2), 1 => select(&[-1, i32::MAX][..])],
        expiry,
        least.clone(),
        least,
        select(&[1, 1, 1, 5][..]),
    )
        .prop_map(|(from, unit_id, scale, expiry_days, min_held, min_amount, step)| {
            let effective_from = from.map(|time| time.from(Instant::from_micros(START * 1_000_000)));
            let name = "Points".to_owned();
            Body::Unit(Box::new(UnitDefinition {
                effective_from,
                unit_id,
                name,
                scale,
                expiry_days,
                min_held,
                min_amount,
                step,
                ..bare_unit()
            }))
        })
        .boxed()
}
