//! The values that streams are made of.

use proptest::prelude::*;
use proptest::sample::select;

use crate::domain::{Instant, UnitId};

pub(super) const START: i64 = 1_768_000_000;
pub(super) const DAY: i64 = 86_400;

/// A time of business, from the record's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Time {
    Ago(i64),
    Exactly(i64),
}

impl Time {
    pub fn from(self, now: Instant) -> Instant {
        match self {
            Time::Ago(seconds) => now.saturating_add_seconds(-seconds),
            Time::Exactly(micros) => Instant::from_micros(micros),
        }
    }
}

pub(super) fn mostly(common: &'static [&'static str], rare: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![15 => select(common), 1 => select(rare)].prop_map(str::to_owned)
}

/// Mostly near, sometimes at the very ends.
pub(super) fn time() -> impl Strategy<Value = Time> {
    let ends = [i64::MIN, i64::MAX, 0, Instant::EARLIEST.micros(), Instant::LATEST.micros()];
    prop_oneof![
        12 => (-400..10 * DAY).prop_map(Time::Ago),
        2 => (0..40 * DAY).prop_map(Time::Ago),
        1 => Just(Time::Ago(-100 * DAY)),
        1 => select(ends.to_vec()).prop_map(Time::Exactly),
    ]
}

pub(super) fn unit_id() -> impl Strategy<Value = UnitId> {
    prop_oneof![24 => Just("points"), 8 => Just("apples"), 1 => Just("pears"), 1 => Just("")].prop_map(UnitId::new)
}
