//! A merchant's configuration: each change is a new version; none is ever altered.
//!
//! A change is made of what is in force at its own `effective_from`, and not of what only comes later. What comes later still does: each
//! version that waits for its time behind the change is made anew on top of it, as a further version of the same command, under the same
//! `effective_from`. Of settings it keeps what it changed itself and takes over the rest ([`Settings::rebased`]); everything else is whole,
//! and stays as it was put. So a schedule survives a change of today, a change of today is not undone by the schedule, and every version
//! says the same for ever, as the entries that name it need.

use crate::domain::book::Book;
use crate::domain::case::{Case, unknown_tier};
use crate::domain::config::history::History;
use crate::domain::config::merchant::{Configured, MerchantConfig};
use crate::domain::config::objects::{Card, MAX_ID_CHARS, MAX_OF_A_KIND, Programme, Tier};
use crate::domain::config::settings::{Settings, SettingsPatch};
use crate::domain::config::unit::Unit;
use crate::domain::customer::enrolment::MAX_CARDS;
use crate::domain::field_check::FieldCheck;
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rule::Rule;
use crate::domain::values::time::Instant;

/// Bounds a customer's accounts, and so the size of its state.
const MAX_UNITS: usize = 64;
/// A change makes each of them anew. No more are taken, so that a change of today can always be made.
const MAX_PENDING: usize = 10;

impl Rule for SettingsPatch {
    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
        let change = Change::of::<Settings>(book, case, "");
        let config = case.config(book);
        let before = config.and_then(|config| config.settings_at(change.effective_from));
        let mut check = change.check(case);
        let before = before.map_or_else(Settings::default, |before| before.content.clone());
        let settings = before.patched(self, &mut check);
        check.done()?;
        change.check_expected(case)?;
        if let Some(tier) = &self.base_tier_id {
            check_tier(config, tier, change.effective_from)?;
        }
        if change.current > 0 && settings == before {
            return Ok(change.unchanged(case));
        }
        Ok(change.make(book, case, "", settings, Settings::rebased))
    }
}

/// What is put whole, under an id of its own.
trait Object: Configured + Clone + Default + PartialEq {
    const ID: &'static str;
    const MAX_ID_CHARS: usize = MAX_ID_CHARS;
    /// So many a merchant may have, and what they are called.
    const MAX: (usize, &'static str) = (MAX_OF_A_KIND, "");

    fn id(&self) -> &str;

    fn check(&self, before: Option<&Self>, check: &mut FieldCheck);

    /// Whether it agrees with what else the merchant has at the instant from which on it is to be in force.
    fn check_others(
        &self,
        config: Option<&MerchantConfig>,
        before: Option<&Self>,
        at: Instant,
    ) -> Result<(), Rejection>;
}

fn put<T: Object>(object: &T, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
    let id = object.id();
    let change = Change::of::<T>(book, case, id);
    let config = case.config(book);
    let history = config.and_then(|config| config.history::<T>(id));
    let latest = history.and_then(History::latest).map(|latest| &latest.content);
    let mut check = change.check(case);
    check.id(T::ID, Some(id), T::MAX_ID_CHARS);
    let (most, called) = T::MAX;
    if latest.is_none() && config.is_some_and(|config| T::histories(config).len() >= most) {
        check.bad(T::ID, format!("would be one more than the {most} {called}that a merchant may have"));
    }
    object.check(latest, &mut check);
    check.done()?;
    change.check_expected(case)?;
    object.check_others(config, latest, change.effective_from)?;
    let in_force = history.and_then(|history| history.at(change.effective_from));
    if in_force.is_some_and(|in_force| in_force.content == *object) {
        return Ok(change.unchanged(case));
    }
    Ok(change.make(book, case, id, object.clone(), |later, _, _| later.clone()))
}

macro_rules! objects {
    ($($type:ty)+) => {
        $(impl Rule for $type {
            fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
                put(self, book, case)
            }
        })+
    };
}

objects! { Unit Tier Card Programme }

impl Object for Unit {
    const ID: &'static str = "command.unit_id";
    const MAX_ID_CHARS: usize = 255;
    const MAX: (usize, &'static str) = (MAX_UNITS, "units ");

    fn id(&self) -> &str {
        self.unit_id.as_str()
    }

    fn check(&self, before: Option<&Self>, check: &mut FieldCheck) {
        Unit::check(self, before, check);
    }

    fn check_others(
        &self,
        config: Option<&MerchantConfig>,
        before: Option<&Self>,
        _: Instant,
    ) -> Result<(), Rejection> {
        match before {
            Some(before) => check_protected(before, self),
            None if config.is_some_and(|config| config.cards.contains_key(self.id())) => Err(Rejection::new(
                RejectionCode::InUse,
                "The merchant has a stamp card of this id: a unit needs another one.",
            )),
            None => Ok(()),
        }
    }
}

/// What can't change: amounts that were recorded would mean something else.
fn check_protected(before: &Unit, unit: &Unit) -> Result<(), Rejection> {
    let protected = [
        ("scale", before.scale == unit.scale),
        ("kind", before.kind == unit.kind),
        ("currency", before.currency == unit.currency),
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

impl Object for Tier {
    const ID: &'static str = "command.tier_id";

    fn id(&self) -> &str {
        &self.tier_id
    }

    fn check(&self, _: Option<&Self>, check: &mut FieldCheck) {
        Tier::check(self, check);
    }

    fn check_others(&self, _: Option<&MerchantConfig>, _: Option<&Self>, _: Instant) -> Result<(), Rejection> {
        Ok(())
    }
}

impl Object for Card {
    const ID: &'static str = "command.card_id";
    const MAX: (usize, &'static str) = (MAX_CARDS, "");

    fn id(&self) -> &str {
        &self.card_id
    }

    fn check(&self, _: Option<&Self>, check: &mut FieldCheck) {
        Card::check(self, check);
    }

    /// A card's stamps are an account of the card's id.
    fn check_others(&self, config: Option<&MerchantConfig>, _: Option<&Self>, _: Instant) -> Result<(), Rejection> {
        if config.is_some_and(|config| config.units.contains_key(self.id())) {
            return Err(Rejection::new(
                RejectionCode::InUse,
                "The merchant has a unit of this id: a stamp card needs another one.",
            ));
        }
        Ok(())
    }
}

impl Object for Programme {
    const ID: &'static str = "command.programme_id";

    fn id(&self) -> &str {
        &self.programme_id
    }

    fn check(&self, _: Option<&Self>, check: &mut FieldCheck) {
        Programme::check(self, check);
    }

    /// What it names must be there, and new customers are enrolled in one programme.
    fn check_others(&self, config: Option<&MerchantConfig>, _: Option<&Self>, at: Instant) -> Result<(), Rejection> {
        let unit = &self.unit_id;
        if config.and_then(|config| config.unit_at(unit, at)).is_none() {
            return Err(Rejection::new(RejectionCode::UnknownUnit, "The merchant has no such unit.").with("unit", unit));
        }
        self.tier_ids.iter().try_for_each(|tier| check_tier(config, tier, at))?;
        let mut others = config.into_iter().flat_map(|config| &config.programmes);
        let is_other = |(id, history): &(&String, &History<Programme>)| {
            *id != self.id() && history.latest().is_some_and(|latest| latest.active)
        };
        match others.find(is_other) {
            Some((other, _)) if self.active => Err(Rejection::new(
                RejectionCode::InUse,
                "Another programme is active: put that one with active false first.",
            )
            .with("programme", other)),
            Some(_) | None => Ok(()),
        }
    }
}

fn check_tier(config: Option<&MerchantConfig>, tier: &str, at: Instant) -> Result<(), Rejection> {
    match config.and_then(|config| config.at::<Tier>(tier, at)) {
        Some(_) => Ok(()),
        None => Err(unknown_tier(tier)),
    }
}

/// A change of one object's configuration.
struct Change {
    effective_from: Instant,
    /// The object's latest version; 0 for one that is new.
    current: i64,
    /// How many versions of it will wait for their time beside this one. A version of the same instant is replaced.
    waiting: usize,
}

impl Change {
    fn of<T: Configured>(book: &Book, case: &Case<'_>, id: &str) -> Change {
        let history = case.config(book).and_then(|config| config.history::<T>(id));
        let current = history.and_then(History::latest).map_or(0, |latest| latest.version);
        // A first version is in force from the beginning of time, so that nothing that happened before it is without a rule.
        let asked = case.command.schedule.effective_from.unwrap_or(case.occurred_at);
        let effective_from = if current == 0 { Instant::BEGINNING } else { asked };
        // Those that wait for their time, and those that the change lies before.
        let since = effective_from.min(case.moment.record_time);
        let after = history.map_or_else(Vec::new, |history| history.after(since));
        let waiting = after.iter().filter(|version| version.effective_from != effective_from).count();
        Change { effective_from, current, waiting }
    }

    /// The check of the object's fields, begun with what concerns every configuration.
    fn check(&self, case: &Case<'_>) -> FieldCheck {
        let mut check = case.field_check();
        if case.command.envelope.customer.is_some() {
            check.bad("envelope.customer", "must be null: configuration is the merchant's");
        }
        let (others, is_scheduled) = (self.waiting, self.effective_from > case.moment.record_time);
        if others + usize::from(is_scheduled) > MAX_PENDING {
            check.bad(
                "effective_from",
                format!("leaves {others} other versions that come into force later; {MAX_PENDING} may wait in all"),
            );
        }
        check
    }

    /// Whether the sender knows the version that it changes.
    fn check_expected(&self, case: &Case<'_>) -> Result<(), Rejection> {
        match case.command.schedule.expected_version {
            Some(expected) if expected != self.current => Err(Rejection::new(
                RejectionCode::VersionConflict,
                "The latest version is another than the one that the change was made for.",
            )
            .with("current", self.current)
            .with("expected", expected)),
            Some(_) | None => Ok(()),
        }
    }

    fn unchanged(&self, case: &mut Case<'_>) -> Effect {
        case.version = Some(self.current);
        Effect::Unchanged
    }

    /// Makes the versions; see [`History::changed`].
    fn make<T: Configured + Clone + Default>(
        &self,
        book: &mut Book,
        case: &mut Case<'_>,
        id: &str,
        content: T,
        rebased: impl Fn(&T, &T, &T) -> T,
    ) -> Effect {
        let history = case.config(book).and_then(|config| config.history(id)).cloned().unwrap_or_default();
        let versions = history.changed(content, self.effective_from, case.moment.lane_time, rebased);
        let last = self.current + versions.len() as i64;
        let objects = versions.into_iter().map(|version| T::object(id.to_owned(), version)).collect();
        book.add_versions(&case.command.envelope.merchant_id, objects, case.cause(false));
        case.version = Some(last);
        if last == 1 { Effect::Created } else { Effect::Updated }
    }
}
