//! Tiers, cards and programmes in the streams, and who joins them.

use std::collections::BTreeMap;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::streams::{START, mostly, time, unit_id};
use crate::domain::command::{Body, CustomerUpsert, ObjectDefinition};
use crate::domain::objects::{Card, CardReward, CardStatus, Object, Programme, Tier};
use crate::domain::{Instant, UnitId};

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

/// What an upsert asks of them.
pub(super) fn joins() -> impl Strategy<Value = CustomerUpsert> {
    let tier = weighted(0.2, mostly(&["base", "vip"], &["none", ""]));
    let card = weighted(0.3, mostly(&["coffee", "gone", "tea"], &["none"]));
    let referral = weighted(0.1, mostly(&["01971e5c-0000-8000-8000-000000000000"], &["nobody"]));
    (tier, card, referral).prop_map(|(tier_id, card_id, referral_code)| CustomerUpsert {
        tier_id,
        card_id,
        referral_code,
        ..CustomerUpsert::default()
    })
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
