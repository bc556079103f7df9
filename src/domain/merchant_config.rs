//! A merchant's settings and units. Each change is a new version; none is ever altered.

use std::sync::Arc;

use super::book::Book;
use super::command::{SettingsPatch, UnitDefinition};
use super::config::{Expiry, MerchantConfig, Settings, SettingsVersion, UnitKind, UnitVersion, Zone};
use super::customer::IdentifierKind;
use super::fields::FieldCheck;
use super::judge::{Accepted, Case};
use super::{Effect, Fact, Instant, MAX_AMOUNT, Rejection, RejectionCode};

const TEN_YEARS_S: i64 = 10 * 366 * 24 * 60 * 60;
const ONE_DAY_S: i64 = 24 * 60 * 60;
/// Bounds a customer's accounts, and so the size of its state.
const MOST_UNITS: usize = 64;
const MOST_LINKS: usize = 20;
const MOST_ATTRIBUTES: usize = 50;

pub(super) fn judge_settings(book: &mut Book, case: &Case<'_>, patch: &SettingsPatch) -> Result<Accepted, Rejection> {
    let merchant_id = &case.command.envelope.merchant_id;
    let latest = case.config(book).and_then(MerchantConfig::latest_settings).cloned();
    let mut settings = latest.as_ref().map_or_else(Settings::default, |latest| Settings::clone(&latest.settings));
    let mut check = FieldCheck::default();
    check_no_reference(case, &mut check);
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

    let current = latest.as_ref().map_or(0, |latest| latest.version);
    check_expected(patch.expected_version, current)?;
    if let Some(latest) = &latest
        && *latest.settings == settings
    {
        return Ok(unchanged(latest.version));
    }
    let version = SettingsVersion {
        version: current + 1,
        effective_from: effective_from(case, patch.effective_from, latest.is_none()),
        recorded_at: case.moment.lane_time,
        settings: Arc::new(settings),
    };
    let (number, effective_from) = (version.version, version.effective_from);
    let version = Arc::new(version);
    book.configs.entry(merchant_id.clone()).or_default().settings.push(version.clone());
    book.new_settings.push((merchant_id.clone(), version));
    let fact = Fact::ConfigChanged { object: "settings", id: merchant_id.to_string(), effective_from };
    book.announce_config(merchant_id, number, case.cause(false), fact);
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
}

pub(super) fn judge_unit(book: &mut Book, case: &Case<'_>, unit: &UnitDefinition) -> Result<Accepted, Rejection> {
    let merchant_id = &case.command.envelope.merchant_id;
    let latest = case.config(book).and_then(|config| config.latest_unit(&unit.unit_id)).cloned();
    let mut check = FieldCheck::default();
    check_no_reference(case, &mut check);
    check.text("command.unit_id", Some(unit.unit_id.as_str()), 255);
    check.text("command.name", Some(&unit.name), 255);
    let units = case.config(book).map_or(0, |config| config.units.len());
    if latest.is_none() && units >= MOST_UNITS {
        check.bad("command.unit_id", format!("would be one more than the {MOST_UNITS} units that a merchant may have"));
    }
    check.range("command.scale", i64::from(unit.scale), 0, 6);
    if let Some(days) = unit.expiry_days {
        check.range("command.expiry_days", i64::from(days), 1, 3650);
    }
    check.range("command.min_held", unit.min_held, 0, MAX_AMOUNT);
    check.range("command.min_amount", unit.min_amount, 1, MAX_AMOUNT);
    check.text("command.description", unit.description.as_deref(), 500);
    check.currency("command.currency", unit.currency.as_deref());
    if unit.currency.is_some() != (unit.kind == UnitKind::Money) {
        check.bad("command.currency", "must be set for a unit of kind money, and for no other");
    }
    check.text("command.brand_id", unit.brand_id.as_deref(), 255);
    if let Some(value) = &unit.value {
        check.range("command.value.numerator", value.numerator, 1, MAX_AMOUNT);
        check.range("command.value.denominator", value.denominator, 1, MAX_AMOUNT);
        check.currency("command.value.currency", Some(&value.currency));
    }
    check.range("command.step", unit.step, 1, MAX_AMOUNT);
    check.labels("command.attributes", &unit.attributes, MOST_ATTRIBUTES);
    check.done()?;
    let current = latest.as_ref().map_or(0, |latest| latest.version);
    check_expected(unit.expected_version, current)?;

    let scale = u8::try_from(unit.scale).unwrap_or_default();
    if let Some(latest) = &latest {
        check_protected(latest, unit, scale)?;
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
    if let Some(latest) = latest.as_ref().filter(|latest| says(latest)) {
        return Ok(unchanged(latest.version));
    }
    let version = UnitVersion {
        version: current + 1,
        effective_from: effective_from(case, unit.effective_from, latest.is_none()),
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
    let (number, effective_from) = (version.version, version.effective_from);
    let version = Arc::new(version);
    let units = &mut book.configs.entry(merchant_id.clone()).or_default().units;
    units.entry(unit.unit_id.clone()).or_default().push(version.clone());
    book.new_units.push((merchant_id.clone(), unit.unit_id.clone(), version));
    let fact = Fact::ConfigChanged { object: "unit", id: unit.unit_id.to_string(), effective_from };
    book.announce_config(merchant_id, number, case.cause(false), fact);
    Ok(accepted(number))
}

/// Whether the sender knows the version that it changes.
fn check_expected(expected: Option<i64>, current: i64) -> Result<(), Rejection> {
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

fn check_no_reference(case: &Case<'_>, check: &mut FieldCheck) {
    if case.command.envelope.customer.is_some() {
        check.bad("envelope.customer", "must be null: configuration is the merchant's");
    }
}

/// A first version is in force from the beginning of time, so that nothing that happened before it is without a rule.
fn effective_from(case: &Case<'_>, asked: Option<Instant>, is_first: bool) -> Instant {
    if is_first { Instant::BEGINNING } else { asked.unwrap_or(case.occurred_at) }
}

fn accepted(version: i64) -> Accepted {
    let effect = if version == 1 { Effect::Created } else { Effect::Updated };
    Accepted { effect, entries: Vec::new(), config_version: Some(version) }
}

fn unchanged(version: i64) -> Accepted {
    Accepted { effect: Effect::Unchanged, entries: Vec::new(), config_version: Some(version) }
}
