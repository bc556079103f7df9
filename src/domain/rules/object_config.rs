//! A merchant's tiers, cards and programmes: put whole, versioned and scheduled as units are (see [`super::merchant_config`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::book::Book;
use crate::domain::case::{Accepted, Case, unknown_tier};
use crate::domain::command::ObjectDefinition;
use crate::domain::config::merchant::MerchantConfig;
use crate::domain::config::objects::{Card, MOST_ID_CHARS, Object, ObjectKind, ObjectVersion, Programme, Tier};
use crate::domain::customer::enrolment::MOST_CARDS;
use crate::domain::event::{ConfigObject, Fact};
use crate::domain::field_check::FieldCheck;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rules::merchant_config::{
    accepted, check_expected, check_no_reference, check_schedule, effective_from, unchanged,
};
use crate::domain::values::ids::UnitId;
use crate::domain::values::time::Instant;

/// Of tiers and of programmes.
const MOST_OF_A_KIND: usize = 100;
const MOST_STAMPS: i64 = 18;
const MOST_RANK: i64 = 1_000;
const MOST_BENEFITS: usize = 50;
const MOST_LABEL_CHARS: usize = 64;

pub(in crate::domain) fn judge_object(
    book: &mut Book,
    case: &Case<'_>,
    definition: &ObjectDefinition,
) -> Result<Accepted, Rejection> {
    let ObjectDefinition { effective_from: asked, expected_version, id, object } = definition;
    let merchant_id = &case.command.envelope.merchant_id;
    let kind = object.kind();
    let config = case.config(book);
    let latest = config.and_then(|config| config.object_versions(kind, id).last()).cloned();
    let effective_from = effective_from(case, *asked, latest.is_none());
    let in_force = config.and_then(|config| config.object_at(kind, id, effective_from)).cloned();
    let pending = config.map_or_else(Vec::new, |config| config.object_after(kind, id, effective_from));
    let since = effective_from.min(case.moment.record_time);
    let waiting = config.map_or_else(Vec::new, |config| config.object_after(kind, id, since));
    let mut check = case.field_check();
    check_no_reference(case, &mut check);
    check_schedule(case, effective_from, waiting.iter().map(|version| version.effective_from), &mut check);
    let id_field = format!("command.{}_id", kind.name());
    check.id(&id_field, Some(id.as_str()), MOST_ID_CHARS);
    check.text("command.name", Some(object.name()), MOST_LABEL_CHARS);
    let most = if kind == ObjectKind::Card { MOST_CARDS } else { MOST_OF_A_KIND };
    if latest.is_none() && config.is_some_and(|config| config.objects_of(kind).count() >= most) {
        check.bad(id_field, format!("would be one more than the {most} that a merchant may have"));
    }
    match object {
        Object::Tier(tier) => check_tier(tier, &mut check),
        Object::Card(card) => check_card(card, &mut check),
        Object::Programme(programme) => check_programme(programme, &mut check),
    }
    check.done()?;
    let current = latest.as_ref().map_or(0, |latest| latest.version);
    check_expected(*expected_version, current)?;
    match object {
        Object::Tier(_) => {}
        Object::Card(_) => check_no_unit(config, id)?,
        Object::Programme(programme) => {
            check_named(config, programme, effective_from)?;
            check_alone(config, id, programme)?;
        }
    }

    if in_force.is_some_and(|in_force| in_force.object == *object) {
        return Ok(unchanged(current));
    }
    let put = ObjectVersion {
        version: current + 1,
        effective_from,
        recorded_at: case.moment.lane_time,
        object: object.clone(),
    };
    let anew = pending.iter().map(|later| ObjectVersion::clone(later));
    let mut number = current;
    for (nth, version) in (0..).zip(std::iter::once(put).chain(anew)) {
        number += 1;
        let version = Arc::new(ObjectVersion { version: number, recorded_at: case.moment.lane_time, ..version });
        let effective_from = version.effective_from;
        book.configs.entry(merchant_id.clone()).or_default().push_object(id, version.clone());
        let object = ConfigObject::Object(id.clone(), version.object.clone());
        book.new_objects.push((merchant_id.clone(), id.clone(), version));
        let fact = Fact::ConfigChanged { object, effective_from };
        book.announce_config(merchant_id, number, nth, case.cause(false), fact);
    }
    Ok(accepted(number))
}

fn check_tier(tier: &Tier, check: &mut FieldCheck) {
    check.range("command.rank", i64::from(tier.rank), 0, MOST_RANK);
    check.labels("command.benefits", &tier.benefits, MOST_BENEFITS);
}

fn check_card(card: &Card, check: &mut FieldCheck) {
    check.range("command.stamps_required", i64::from(card.stamps_required), 1, MOST_STAMPS);
    // What is wrong bounds nothing.
    let is_known = !check.names("command.stamps_required");
    let required = if is_known { i64::from(card.stamps_required) } else { MOST_STAMPS };
    check.range("command.initial_stamps", i64::from(card.initial_stamps), 0, required);
    if card.rewards.len() > MOST_STAMPS as usize {
        check.bad("command.rewards", format!("must have at most {MOST_STAMPS} entries"));
        return;
    }
    let (mut ids, mut last) = (BTreeSet::new(), 0);
    for (place, reward) in card.rewards.iter().enumerate() {
        let field = |name: &str| format!("command.rewards[{place}].{name}");
        check.id(&field("reward_id"), Some(reward.reward_id.as_str()), MOST_ID_CHARS);
        check.text(&field("name"), Some(reward.name.as_str()), MOST_LABEL_CHARS);
        check.range(&field("stamps"), i64::from(reward.stamps), 1, required);
        if !ids.insert(&reward.reward_id) {
            check.bad(field("reward_id"), "is there twice");
        }
        if reward.stamps < last {
            check.bad(field("stamps"), "must not be less than those of the reward before it");
        }
        last = reward.stamps;
    }
}

fn check_programme(programme: &Programme, check: &mut FieldCheck) {
    check.id("command.unit_id", Some(programme.unit_id.as_str()), 255);
    if programme.tier_ids.len() > MOST_OF_A_KIND {
        check.bad("command.tier_ids", format!("must have at most {MOST_OF_A_KIND} entries"));
        return;
    }
    let distinct: BTreeSet<&String> = programme.tier_ids.iter().collect();
    if distinct.len() < programme.tier_ids.len() {
        check.bad("command.tier_ids", "must name each tier once");
    }
}

/// What a programme names must be there.
fn check_named(config: Option<&MerchantConfig>, programme: &Programme, at: Instant) -> Result<(), Rejection> {
    let unit = &programme.unit_id;
    if config.and_then(|config| config.unit_at(unit, at)).is_none() {
        return Err(Rejection::new(RejectionCode::UnknownUnit, "The merchant has no such unit.").with("unit", unit));
    }
    let is_unknown = |tier: &&String| config.and_then(|config| config.tier_at(tier, at)).is_none();
    programme.tier_ids.iter().find(is_unknown).map_or(Ok(()), |tier| Err(unknown_tier(tier)))
}

/// New customers are enrolled in one programme.
fn check_alone(config: Option<&MerchantConfig>, id: &str, programme: &Programme) -> Result<(), Rejection> {
    let is_active = |object: &Object| matches!(object, Object::Programme(other) if other.is_active);
    let mut others = config.into_iter().flat_map(|config| config.objects_of(ObjectKind::Programme));
    let other =
        others.find(|(other, versions)| *other != id && versions.last().is_some_and(|it| is_active(&it.object)));
    match other {
        Some((other, _)) if programme.is_active => Err(Rejection::new(
            RejectionCode::InUse,
            "Another programme is active: put that one with active false first.",
        )
        .with("programme", other)),
        Some(_) | None => Ok(()),
    }
}

/// A card's stamps are an account of the card's id.
fn check_no_unit(config: Option<&MerchantConfig>, id: &str) -> Result<(), Rejection> {
    if config.is_none_or(|config| config.latest_unit(&UnitId::new(id)).is_none()) {
        return Ok(());
    }
    Err(Rejection::new(RejectionCode::InUse, "The merchant has a unit of this id: a stamp card needs another one."))
}
