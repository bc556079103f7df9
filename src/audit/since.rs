//! An audit of what was published since an instant: where that begins in each topic, what it names of the database, and what is left out.
//!
//! The journal decides. The first of its batches that came then or later is the first that is judged, and its ranges say where that batch
//! began in the command topics. A transaction's records come side by side and not at one instant, so of the other topics a little more is
//! read; each is in the order of the batches, so that what belongs to older ones is its beginning.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::facts::LaneFacts;
use crate::domain::Position;

/// The records of one transaction lie no further apart: it may last a minute, and brokers' clocks differ.
pub const EDGE_SECONDS: i64 = 120;

/// What this audit can't say, and why.
pub const LEFT_OUT: [&str; 5] = [
    "customers whom nothing concerned since: their rows are not read, nor compared with the identifiers of the others",
    "earned - redeemed - expired = what all lots hold: that needs every account, and `loyalty-worker trial-balance` adds them up",
    "rows that no record names, as decisions without a result or configuration without an event: rows are found by what names them",
    "what joins a customer's first version since to the one before, which was published earlier",
    "what time alone did within two minutes after the instant, where no command since came before it",
];

/// The keys of the rows that records name.
#[derive(Debug, PartialEq)]
pub struct Named {
    /// Of decisions: those of duplicates are the first ones'.
    pub keys: Vec<Uuid>,
    pub customers: Vec<Uuid>,
}

impl Named {
    pub fn by(lanes: &[LaneFacts]) -> Named {
        let results = || lanes.iter().flat_map(|lane| &lane.results.records);
        let events = lanes.iter().flat_map(|lane| &lane.events.records);
        let customers = results().filter_map(|result| result.customer).chain(events.filter_map(|event| event.customer));
        let keys: BTreeSet<Uuid> = results().map(|result| result.key).collect();
        let customers: BTreeSet<Uuid> = customers.collect();
        Named { keys: keys.into_iter().collect(), customers: customers.into_iter().collect() }
    }
}

/// Leaves out what belongs to batches before the first one of the journal. Only beginnings are left out: an older record that stands behind
/// was published twice, and is judged. From the offset `times_own` on, what time did by itself is of the journal's batches too.
pub fn begin_with_the_journal(lane: &mut LaneFacts, times_own: i64) {
    let floors = lane.floors();
    let is_older = |position: Position| position.offset < floors.next(position.topic);
    drop_beginning(&mut lane.results.records, |result| is_older(result.command));
    drop_beginning(&mut lane.dead_letters.records, |letter| is_older(letter.record));
    drop_beginning(&mut lane.events.records, |event| event.cause.map_or(event.offset < times_own, is_older));
    let changed: HashSet<Uuid> = lane.events.records.iter().filter_map(|event| event.customer).collect();
    lane.states.retain(|state| changed.contains(&state.profile.customer));
}

fn drop_beginning<T>(records: &mut Vec<T>, is_older: impl Fn(&T) -> bool) {
    let first = records.iter().position(|record| !is_older(record)).unwrap_or(records.len());
    records.drain(..first);
}
