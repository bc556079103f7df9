//! A merchant's settings and units; its other objects are in [`super::object_config`]. Each change is a new version; none is ever altered.
//!
//! A change is made of what is in force at its own `effective_from`, and not of what only comes later. What comes later still does: each
//! version that waits for its time behind the change is made anew on top of it, as a further version of the same command, under the same
//! `effective_from`. Of settings it keeps what it changed itself and takes over the rest ([`Settings::rebased`]); a unit is whole, and
//! stays as it was put. So a schedule survives a change of today, a change of today is not undone by the schedule, and every version says
//! the same for ever, as the entries that name it need.

use std::sync::Arc;

use crate::domain::book::Book;
use crate::domain::case::{Accepted, Case, unknown_tier};
use crate::domain::command::{SettingsPatch, UnitDefinition};
use crate::domain::config::merchant::MerchantConfig;
use crate::domain::config::objects::{MOST_ID_CHARS, ObjectKind};
use crate::domain::config::settings::{Settings, SettingsField, SettingsVersion, Zone};
use crate::domain::config::unit::{Expiry, UnitKind, UnitVersion};
use crate::domain::customer::identifiers::IdentifierKind;
use crate::domain::event::{ConfigObject, Fact};
use crate::domain::field_check::FieldCheck;
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::values::amount::MAX_AMOUNT;
use crate::domain::values::time::Instant;

const TEN_YEARS_S: i64 = 10 * 366 * 24 * 60 * 60;
const ONE_DAY_S: i64 = 24 * 60 * 60;
/// Bounds a customer's accounts, and so the size of its state.
const MOST_UNITS: usize = 64;
const MOST_LINKS: usize = 20;
const MOST_ATTRIBUTES: usize = 50;
/// A change makes each of them anew. No more are taken, so that a change of today can always be made.
const MOST_PENDING: usize = 10;
/// What waits takes room in the database.
const MOST_PARKED_S: i64 = 30 * ONE_DAY_S;

pub(in crate::domain) fn judge_settings(
    book: &mut Book,
    case: &Case<'_>,
    patch: &SettingsPatch,
) -> Result<Accepted, Rejection> {
    let merchant_id = &case.command.envelope.merchant_id;
    let config = case.config(book);
    let current = config.and_then(MerchantConfig::latest_settings).map_or(0, |latest| latest.version);
    let effective_from = effective_from(case, patch.effective_from, current == 0);
    let in_force = config.and_then(|config| config.settings_at(effective_from));
    let mut before = in_force.map_or_else(Arc::default, |in_force| in_force.settings.clone());
    let pending = config.map_or_else(Vec::new, |config| config.settings_after(effective_from));
    let since = effective_from.min(case.moment.record_time);
    let waiting = config.map_or_else(Vec::new, |config| config.settings_after(since));
    let mut settings = Settings::clone(&before);
    let mut check = case.field_check();
    check_no_reference(case, &mut check);
    check_schedule(case, effective_from, waiting.iter().map(|version| version.effective_from), &mut check);
    if let Some(preset) = patch.preset {
        settings.apply_preset(preset);
    }
    check.text("command.name", patch.name.as_deref(), 255);
    if let Some(name) = &patch.time_zone {
        match Zone::named(name) {
            Some(zone) => settings.time_zone = zone,
            None => check.bad("command.time_zone", "must be an IANA time zone such as Europe/Berlin"),
        }
    }
    if let Some(match_by) = &patch.match_by {
        let repeats = (1..match_by.len()).any(|at| match_by[..at].contains(&match_by[at]));
        if match_by.is_empty() || repeats {
            check.bad("command.match_by", "must name at least one identifier, each once");
        }
        settings.match_by.clone_from(match_by);
    }
    if let Some(max_age_s) = patch.max_age_s {
        check.range("command.max_age_s", max_age_s, 0, TEN_YEARS_S);
        settings.max_age_s = max_age_s;
    }
    if let Some(max_future_s) = patch.max_future_s {
        check.range("command.max_future_s", max_future_s, 0, ONE_DAY_S);
        settings.max_future_s = max_future_s;
    }
    patch_profile(&mut settings, patch, &mut check);
    patch_customers(&mut settings, patch, &mut check);
    check.done()?;

    check_expected(patch.expected_version, current)?;
    check_base_tier(config, patch, effective_from)?;
    if current > 0 && settings == *before {
        return Ok(unchanged(current));
    }
    let mut after = Arc::new(settings);
    let mut puts = vec![(effective_from, after.clone())];
    for later in pending {
        after = Arc::new(later.settings.rebased(&before, &after));
        before = later.settings.clone();
        puts.push((later.effective_from, after.clone()));
    }
    let mut number = current;
    for (nth, (effective_from, settings)) in (0..).zip(puts) {
        number += 1;
        let recorded_at = case.moment.lane_time;
        let object = ConfigObject::Settings(merchant_id.clone(), settings.clone());
        let version = Arc::new(SettingsVersion { version: number, effective_from, recorded_at, settings });
        book.configs.entry(merchant_id.clone()).or_default().settings.push(version.clone());
        book.new_settings.push((merchant_id.clone(), version));
        let fact = Fact::ConfigChanged { object, effective_from };
        book.announce_config(merchant_id, number, nth, case.cause(false), fact);
    }
    Ok(accepted(number))
}

/// What the merchant is called, and where it is found.
fn patch_profile(settings: &mut Settings, patch: &SettingsPatch, check: &mut FieldCheck) {
    if patch.name.is_some() {
        settings.name.clone_from(&patch.name);
    }
    check.text("command.phone", patch.phone.as_deref(), 20);
    if patch.phone.is_some() {
        settings.phone.clone_from(&patch.phone);
    }
    let email = patch.email.as_deref();
    if let Some(email) = check.identifier("command.email", IdentifierKind::Email, email, settings.phone_format) {
        settings.email = Some(email);
    }
    if let Some(social) = &patch.social {
        check.labels("command.social", social, MOST_LINKS);
        settings.social.clone_from(social);
    }
    settings.status = patch.status.unwrap_or(settings.status);
    check.id("command.base_tier_id", patch.base_tier_id.as_deref(), MOST_ID_CHARS);
    check.wallet_url("command.wallet_url_apple", patch.wallet_url_apple.as_deref());
    check.wallet_url("command.wallet_url_google", patch.wallet_url_google.as_deref());
    let links = [
        (&patch.base_tier_id, &mut settings.base_tier_id),
        (&patch.wallet_url_apple, &mut settings.wallet_url_apple),
        (&patch.wallet_url_google, &mut settings.wallet_url_google),
    ];
    for (sent, setting) in links.into_iter().filter(|(sent, _)| sent.is_some()) {
        setting.clone_from(sent);
    }
    // By the words that there are: a list may name each as often as it likes.
    for field in SettingsField::ALL.into_iter().filter(|field| patch.clear.contains(field)) {
        let (sent, text) = match field {
            SettingsField::Name => (&patch.name, &mut settings.name),
            SettingsField::Email => (&patch.email, &mut settings.email),
            SettingsField::Phone => (&patch.phone, &mut settings.phone),
            SettingsField::BaseTierId => (&patch.base_tier_id, &mut settings.base_tier_id),
            SettingsField::WalletUrlApple => (&patch.wallet_url_apple, &mut settings.wallet_url_apple),
            SettingsField::WalletUrlGoogle => (&patch.wallet_url_google, &mut settings.wallet_url_google),
        };
        if sent.is_some() {
            check.bad(format!("command.{}", field.name()), "can't be set and cleared at once");
        }
        *text = None;
    }
}

fn check_base_tier(
    config: Option<&MerchantConfig>,
    patch: &SettingsPatch,
    effective_from: Instant,
) -> Result<(), Rejection> {
    let Some(tier) = &patch.base_tier_id else { return Ok(()) };
    let exists = config.is_some_and(|config| config.tier_at(tier, effective_from).is_some());
    if exists { Ok(()) } else { Err(unknown_tier(tier)) }
}

/// How its customers are found, and what is asked of them.
fn patch_customers(settings: &mut Settings, patch: &SettingsPatch, check: &mut FieldCheck) {
    if let Some(required) = &patch.required_fields {
        if (1..required.len()).any(|at| required[..at].contains(&required[at])) {
            check.bad("command.required_fields", "must name each field once");
        }
        settings.required_fields.clone_from(required);
    }
    settings.on_match = patch.on_match.unwrap_or(settings.on_match);
    settings.phone_format = patch.phone_format.unwrap_or(settings.phone_format);
    settings.allow_no_identifier = patch.allow_no_identifier.unwrap_or(settings.allow_no_identifier);
    settings.profile_change_needs_active =
        patch.profile_change_needs_active.unwrap_or(settings.profile_change_needs_active);
    settings.key_form = patch.key_form.unwrap_or(settings.key_form);
    settings.unknown_customer = patch.unknown_customer.unwrap_or(settings.unknown_customer);
    if let Some(park_s) = patch.park_s {
        check.range("command.park_s", park_s, 1, MOST_PARKED_S);
        settings.park_s = park_s;
    }
}

pub(in crate::domain) fn judge_unit(
    book: &mut Book,
    case: &Case<'_>,
    unit: &UnitDefinition,
) -> Result<Accepted, Rejection> {
    let merchant_id = &case.command.envelope.merchant_id;
    let config = case.config(book);
    let latest = config.and_then(|config| config.latest_unit(&unit.unit_id)).cloned();
    let effective_from = effective_from(case, unit.effective_from, latest.is_none());
    let in_force = config.and_then(|config| config.unit_at(&unit.unit_id, effective_from)).cloned();
    let pending = config.map_or_else(Vec::new, |config| config.unit_after(&unit.unit_id, effective_from));
    let since = effective_from.min(case.moment.record_time);
    let waiting = config.map_or_else(Vec::new, |config| config.unit_after(&unit.unit_id, since));
    let mut check = case.field_check();
    check_no_reference(case, &mut check);
    check_schedule(case, effective_from, waiting.iter().map(|version| version.effective_from), &mut check);
    check.id("command.unit_id", Some(unit.unit_id.as_str()), 255);
    check.text("command.name", Some(&unit.name), 255);
    let units = config.map_or(0, |config| config.units.len());
    if latest.is_none() && units >= MOST_UNITS {
        check.bad("command.unit_id", format!("would be one more than the {MOST_UNITS} units that a merchant may have"));
    }
    check.range("command.scale", i64::from(unit.scale), 0, 6);
    if let Some(days) = unit.expiry_days {
        check.range("command.expiry_days", i64::from(days), 1, 3650);
    }
    check.range("command.min_held", unit.min_held, 0, MAX_AMOUNT);
    check.range("command.min_amount", unit.min_amount, 1, MAX_AMOUNT);
    check.prose("command.description", unit.description.as_deref(), 500);
    let before = latest.as_ref().and_then(|latest| latest.currency.as_deref());
    check.currency("command.currency", unit.currency.as_deref(), before);
    if unit.currency.is_some() != (unit.kind == UnitKind::Money) && !check.names("command.kind") {
        check.bad("command.currency", "must be set for a unit of kind money, and for no other");
    }
    check.id("command.brand_id", unit.brand_id.as_deref(), 255);
    if let Some(value) = &unit.value {
        check.range("command.value.numerator", value.numerator, 1, MAX_AMOUNT);
        check.range("command.value.denominator", value.denominator, 1, MAX_AMOUNT);
        let before = latest.as_ref().and_then(|latest| latest.value.as_ref()).map(|value| value.currency.as_str());
        check.currency("command.value.currency", Some(&value.currency), before);
    }
    check.range("command.step", unit.step, 1, MAX_AMOUNT);
    let fits = (1..=MAX_AMOUNT).contains(&unit.step) && (1..=MAX_AMOUNT).contains(&unit.min_amount);
    // Both are at most MAX_AMOUNT, so that nothing overflows.
    if fits && (unit.min_amount + unit.step - 1) / unit.step * unit.step > MAX_AMOUNT {
        check.bad(
            "command.step",
            format!(
                "leaves no amount that can be redeemed: its first multiple from min_amount on is above {MAX_AMOUNT}"
            ),
        );
    }
    check.labels("command.attributes", &unit.attributes, MOST_ATTRIBUTES);
    check.done()?;
    let current = latest.as_ref().map_or(0, |latest| latest.version);
    check_expected(unit.expected_version, current)?;

    let scale = u8::try_from(unit.scale).unwrap_or_default();
    match &latest {
        Some(latest) => check_protected(latest, unit, scale)?,
        None => check_free(config, unit)?,
    }
    let expiry = unit.expiry_days.and_then(|days| u16::try_from(days).ok()).map_or(Expiry::Never, Expiry::Days);
    let says = |version: &UnitVersion| {
        version.name == unit.name
            && version.expiry == expiry
            && version.min_held == unit.min_held
            && version.min_amount == unit.min_amount
            && version.description == unit.description
            && version.brand_id == unit.brand_id
            && version.value == unit.value
            && version.rounding == unit.rounding
            && version.step == unit.step
            && version.attributes == unit.attributes
    };
    if in_force.is_some_and(|in_force| says(&in_force)) {
        return Ok(unchanged(current));
    }
    let put = UnitVersion {
        version: current + 1,
        effective_from,
        recorded_at: case.moment.lane_time,
        name: unit.name.clone(),
        scale,
        expiry,
        min_held: unit.min_held,
        min_amount: unit.min_amount,
        description: unit.description.clone(),
        kind: unit.kind,
        currency: unit.currency.clone(),
        brand_id: unit.brand_id.clone(),
        value: unit.value.clone(),
        rounding: unit.rounding,
        step: unit.step,
        attributes: unit.attributes.clone(),
    };
    let anew = pending.iter().map(|later| UnitVersion::clone(later));
    let mut number = current;
    for (nth, version) in (0..).zip(std::iter::once(put).chain(anew)) {
        number += 1;
        let version = Arc::new(UnitVersion { version: number, recorded_at: case.moment.lane_time, ..version });
        let effective_from = version.effective_from;
        let units = &mut book.configs.entry(merchant_id.clone()).or_default().units;
        units.entry(unit.unit_id.clone()).or_default().push(version.clone());
        let object = ConfigObject::Unit(unit.unit_id.clone(), version.clone());
        book.new_units.push((merchant_id.clone(), unit.unit_id.clone(), version));
        let fact = Fact::ConfigChanged { object, effective_from };
        book.announce_config(merchant_id, number, nth, case.cause(false), fact);
    }
    Ok(accepted(number))
}

/// Whether the sender knows the version that it changes.
pub(in crate::domain) fn check_expected(expected: Option<i64>, current: i64) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != current => Err(Rejection::new(
            RejectionCode::VersionConflict,
            "The latest version is another than the one that the change was made for.",
        )
        .with("current", current)
        .with("expected", expected)),
        Some(_) | None => Ok(()),
    }
}

/// What can't change: amounts that were recorded would mean something else.
fn check_protected(latest: &UnitVersion, unit: &UnitDefinition, scale: u8) -> Result<(), Rejection> {
    let protected = [
        ("scale", latest.scale == scale),
        ("kind", latest.kind == unit.kind),
        ("currency", latest.currency == unit.currency),
    ];
    match protected.iter().find(|(_, is_kept)| !is_kept) {
        Some((field, _)) => Err(Rejection::new(
            RejectionCode::ProtectedField,
            format!("A unit's {field} can't change: amounts that were recorded would mean something else."),
        )
        .with("field", format!("command.{field}"))),
        None => Ok(()),
    }
}

/// A card's stamps are an account of the card's id.
fn check_free(config: Option<&MerchantConfig>, unit: &UnitDefinition) -> Result<(), Rejection> {
    let versions = config.map(|config| config.object_versions(ObjectKind::Card, unit.unit_id.as_str()));
    if versions.is_none_or(<[_]>::is_empty) {
        return Ok(());
    }
    Err(Rejection::new(RejectionCode::InUse, "The merchant has a stamp card of this id: a unit needs another one."))
}

pub(in crate::domain) fn check_no_reference(case: &Case<'_>, check: &mut FieldCheck) {
    if case.command.envelope.customer.is_some() {
        check.bad("envelope.customer", "must be null: configuration is the merchant's");
    }
}

/// `waiting`: when those begin that wait for their time, and those that the change lies before. A version of the same instant is replaced.
pub(in crate::domain) fn check_schedule(
    case: &Case<'_>,
    effective_from: Instant,
    waiting: impl Iterator<Item = Instant>,
    check: &mut FieldCheck,
) {
    let others = waiting.filter(|begins| *begins != effective_from).count();
    let is_scheduled = effective_from > case.moment.record_time;
    if others + usize::from(is_scheduled) > MOST_PENDING {
        check.bad(
            "effective_from",
            format!("leaves {others} other versions that come into force later; {MOST_PENDING} may wait in all"),
        );
    }
}

/// A first version is in force from the beginning of time, so that nothing that happened before it is without a rule.
pub(in crate::domain) fn effective_from(case: &Case<'_>, asked: Option<Instant>, is_first: bool) -> Instant {
    if is_first { Instant::BEGINNING } else { asked.unwrap_or(case.occurred_at) }
}

pub(in crate::domain) fn accepted(version: i64) -> Accepted {
    let effect = if version == 1 { Effect::Created } else { Effect::Updated };
    Accepted { effect, entries: Vec::new(), config_version: Some(version) }
}

pub(in crate::domain) fn unchanged(version: i64) -> Accepted {
    Accepted { effect: Effect::Unchanged, entries: Vec::new(), config_version: Some(version) }
}
