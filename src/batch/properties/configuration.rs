//! What merchants configure in the streams.

use std::collections::BTreeMap;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::{DAY, START, mostly, time, unit_id};
use crate::domain::command::{Body, Schedule};
use crate::domain::config::{
    Card, CardReward, CardStatus, KeyForm, MerchantStatus, OnMatch, PhoneFormat, Programme, SettingsField,
    SettingsPatch, Tier, Unit, UnknownCustomer, Zone,
};
use crate::domain::customer::IdentifierKind;
use crate::domain::{Instant, ProfileField, UnitId};

/// What every merchant of the streams has at first.
pub(super) fn preamble() -> [Body; 5] {
    [
        tier("base", 0),
        tier("vip", 5),
        card("coffee", 2, CardStatus::Active),
        card("gone", 0, CardStatus::Archived),
        programme("club", "points", "base"),
    ]
}

fn tier(id: &str, rank: i32) -> Body {
    let tier = Tier { tier_id: id.to_owned(), name: format!("of rank {rank}"), rank, benefits: BTreeMap::new() };
    Body::Tier(Box::new(tier))
}

fn card(id: &str, initial_stamps: i32, status: CardStatus) -> Body {
    let reward = CardReward { reward_id: "cup".to_owned(), name: "Cup".to_owned(), stamps: 2 };
    let (card_id, name, stamps_required) = (id.to_owned(), "Card".to_owned(), 5);
    Body::Card(Box::new(Card { card_id, name, stamps_required, initial_stamps, rewards: vec![reward], status }))
}

fn programme(id: &str, unit: &str, tier: &str) -> Body {
    let (name, unit_id) = ("Club".to_owned(), UnitId::new(unit));
    let (programme_id, tier_ids) = (id.to_owned(), vec![tier.to_owned()]);
    Body::Programme(Box::new(Programme { programme_id, name, unit_id, tier_ids, active: true }))
}

/// When it is to come into force.
fn schedule() -> impl Strategy<Value = Schedule> {
    let from = weighted(0.5, time()).prop_map(|from| from.map(|it| it.from(Instant::from_micros(START * 1_000_000))));
    (from, weighted(0.2, 0..3_i64))
        .prop_map(|(effective_from, expected_version)| Schedule { effective_from, expected_version })
}

/// Tiers, cards and programmes, some of which may not be.
pub(super) fn object() -> BoxedStrategy<(Schedule, Body)> {
    let tiers = (select(&["base", "vip", "new", ""][..]), -1..4_i32).prop_map(|(id, rank)| tier(id, rank));
    let cards = (select(&["coffee", "gone", "tea", "points"][..]), 0..7_i32, select(&CardStatus::ALL[..]))
        .prop_map(|(id, initial, status)| card(id, initial, status));
    let programmes = (select(&["club", "other"][..]), unit_id(), select(&["base", "vip", "none"][..]))
        .prop_map(|(id, unit, tier)| programme(id, unit.as_str(), tier));
    (schedule(), prop_oneof![tiers, cards, programmes]).boxed()
}

pub(super) fn unit_definition(unit: &str, expiry_days: Option<i32>, min_held: i64, min_amount: i64) -> Unit {
    Unit {
        unit_id: UnitId::new(unit),
        name: unit.to_owned(),
        scale: 0,
        expiry_days,
        min_held,
        min_amount,
        ..Unit::default()
    }
}

pub(super) fn settings() -> BoxedStrategy<(Schedule, Body)> {
    use IdentifierKind::{Email, ExternalId, Phone};
    let zone = prop::option::of(mostly(&["UTC", "Africa/Cairo", "Pacific/Kiritimati"], &["Berlin"]));
    let orders = vec![vec![ExternalId, Phone, Email], vec![Phone], vec![Email, Phone]];
    let match_by = prop_oneof![9 => select(orders), 1 => select(vec![vec![], vec![Phone, Phone]])];
    let max_age_s = prop_oneof![6 => select(&[3600, 20 * DAY][..]), 1 => select(&[0, -1, i64::MIN, i64::MAX][..])];
    (schedule(), zone, prop::option::of(match_by), prop::option::of(max_age_s), customers_settings())
        .prop_map(|(schedule, zone, match_by, max_age_s, rest)| {
            let time_zone = zone.map(Zone::from);
            (schedule, Body::Settings(Box::new(SettingsPatch { time_zone, match_by, max_age_s, ..rest })))
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
    let flags = (weighted(0.2, any::<bool>()), weighted(0.2, any::<bool>()));
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

pub(super) fn unit() -> BoxedStrategy<(Schedule, Body)> {
    let ends = [Some(3650), Some(0), Some(i32::MIN), Some(i32::MAX)];
    let expiry = prop_oneof![9 => select(&[None, Some(1), Some(2)][..]), 1 => select(ends.to_vec())];
    let least = prop_oneof![12 => 1..20_i64, 1 => select(&[0, 1_000_000_000_000, -1, i64::MIN, i64::MAX][..])].boxed();
    (
        schedule(),
        unit_id(),
        prop_oneof![8 => Just(0), 2 => Just(2), 1 => select(&[-1, i32::MAX][..])],
        expiry,
        least.clone(),
        least,
        select(&[1, 1, 1, 5][..]),
    )
        .prop_map(|(schedule, unit_id, scale, expiry_days, min_held, min_amount, step)| {
            let name = "Points".to_owned();
            let unit = Unit { unit_id, name, scale, expiry_days, min_held, min_amount, step, ..Unit::default() };
            (schedule, Body::Unit(Box::new(unit)))
        })
        .boxed()
}
