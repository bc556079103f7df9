//! A merchant's settings and units. Each change is a new version; none is ever altered.

use std::sync::Arc;

use super::book::Book;
use super::command::{SettingsPatch, UnitDefinition};
use super::config::{Expiry, MerchantConfig, Settings, SettingsVersion, UnitVersion, Zone};
use super::fields::FieldCheck;
use super::judge::{Accepted, Case};
use super::{Effect, Fact, Instant, MAX_AMOUNT, Rejection, RejectionCode};

const TEN_YEARS_S: i64 = 10 * 366 * 24 * 60 * 60;
const ONE_DAY_S: i64 = 24 * 60 * 60;
/// Bounds a customer's accounts, and so the size of its state.
const MOST_UNITS: usize = 64;

pub(super) fn judge_settings(book: &mut Book, case: &Case<'_>, patch: &SettingsPatch) -> Result<Accepted, Rejection> {
    let merchant_id = &case.command.envelope.merchant_id;
    let latest = case.config(book).and_then(MerchantConfig::latest_settings).cloned();
    let mut settings = latest.as_ref().map_or_else(Settings::default, |latest| Settings::clone(&latest.settings));
    let mut check = FieldCheck::default();
    check_no_reference(case, &mut check);
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
    if patch.name.is_some() {
        settings.name.clone_from(&patch.name);
    }
    check.done()?;

    if let Some(latest) = &latest
        && *latest.settings == settings
    {
        return Ok(unchanged(latest.version));
    }
    let version = SettingsVersion {
        version: latest.as_ref().map_or(1, |latest| latest.version + 1),
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
    check.done()?;

    let scale = u8::try_from(unit.scale).unwrap_or_default();
    if latest.as_ref().is_some_and(|latest| latest.scale != scale) {
        return Err(Rejection::new(
            RejectionCode::ProtectedField,
            "A unit's scale can't change: amounts that were recorded would mean something else.",
        )
        .with("field", "command.scale"));
    }
    let expiry = unit.expiry_days.and_then(|days| u16::try_from(days).ok()).map_or(Expiry::Never, Expiry::Days);
    let says = |version: &UnitVersion| {
        version.name == unit.name
            && version.expiry == expiry
            && version.min_held == unit.min_held
            && version.min_amount == unit.min_amount
    };
    if let Some(latest) = latest.as_ref().filter(|latest| says(latest)) {
        return Ok(unchanged(latest.version));
    }
    let version = UnitVersion {
        version: latest.as_ref().map_or(1, |latest| latest.version + 1),
        effective_from: effective_from(case, unit.effective_from, latest.is_none()),
        recorded_at: case.moment.lane_time,
        name: unit.name.clone(),
        scale,
        expiry,
        min_held: unit.min_held,
        min_amount: unit.min_amount,
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
