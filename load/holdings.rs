//! What customers hold, as the model counts it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::command::Profile;

#[derive(Default)]
pub struct Customer {
    pub profile: Profile,
    /// A credit made it, and no upsert has come since.
    pub incomplete: bool,
    pub cards: BTreeSet<&'static str>,
    pub accounts: BTreeMap<&'static str, Vec<Lot>>,
}

pub struct Lot {
    pub remaining: i64,
    pub issued_at: i64,
    pub expires_at: Option<i64>,
}

impl Customer {
    /// Removes what has expired, and says in how many entries: those of one unit that expire together make one.
    pub fn settle(&mut self, now: i64) -> u64 {
        let mut entries = 0;
        for lots in self.accounts.values_mut() {
            let due: BTreeSet<i64> =
                lots.iter().filter_map(|lot| lot.expires_at).filter(|expiry| *expiry <= now).collect();
            entries += due.len() as u64;
            lots.retain(|lot| lot.expires_at.is_none_or(|expiry| expiry > now));
        }
        entries
    }

    pub fn available(&self, unit: &str) -> i64 {
        self.accounts.get(unit).map_or(0, |lots| lots.iter().map(|lot| lot.remaining).sum())
    }

    pub fn spend(&mut self, unit: &'static str, mut amount: i64) {
        let lots = self.accounts.entry(unit).or_default();
        let mut order: Vec<&mut Lot> = lots.iter_mut().collect();
        order.sort_by_key(|lot| (lot.expires_at.unwrap_or(i64::MAX), lot.issued_at));
        for lot in order {
            let taken = lot.remaining.min(amount);
            lot.remaining -= taken;
            amount -= taken;
        }
        lots.retain(|lot| lot.remaining > 0);
    }
}

/// The first instant after the local day that lies so many days after `at`'s. Microseconds since 1970.
pub fn end_of_local_day(at: i64, days: i32, zone: &TimeZone) -> i64 {
    Timestamp::from_microsecond(at)
        .ok()
        .and_then(|at| at.to_zoned(zone.clone()).date().checked_add((days + 1).days()).ok())
        .and_then(|date| date.to_zoned(zone.clone()).ok())
        .map_or(i64::MAX, |zoned| zoned.timestamp().as_microsecond())
}
