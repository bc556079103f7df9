//! The hash that the journal keeps of what a batch decided. Doing the batch again must give it again, whatever the schemas and formats of
//! the records are by then; so it is over what was decided, not over bytes that were written somewhere.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::batch::{ChangeSet, RowChanges};
use crate::domain::command::DeadLetterClass;
use crate::domain::{Balance, Decision, Event, Instant, Membership, Position};

/// All that a batch decided. What the commands said, and what stands in a change set for the lane's own use, is left out.
#[derive(Serialize)]
struct Decided<'a> {
    rows: &'a RowChanges,
    outcomes: Vec<DecidedCommand<'a>>,
    events: &'a [Event],
    /// Without their sentences: a replay knows a record that was given up by its class alone.
    dead_letters: Vec<(Position, DeadLetterClass)>,
    lane_time: Instant,
}

#[derive(Serialize)]
struct DecidedCommand<'a> {
    position: Position,
    original: Option<Position>,
    decision: &'a Decision,
    balances: &'a [Balance],
    membership: Option<&'a Membership>,
    parked_at: Option<Instant>,
    is_remembered: bool,
}

/// SHA-256 over the whole change set in postcard's format: rows, outcomes, events and dead letters, in their order.
pub fn outcomes_hash(changes: &ChangeSet) -> [u8; 32] {
    let outcomes = changes.outcomes.iter().map(|outcome| DecidedCommand {
        position: outcome.position,
        original: outcome.original,
        decision: &outcome.decision,
        balances: &outcome.balances,
        membership: outcome.membership.as_deref(),
        parked_at: outcome.parked_at,
        is_remembered: outcome.remembered_by.is_some(),
    });
    let decided = Decided {
        rows: &changes.rows,
        outcomes: outcomes.collect(),
        events: &changes.events,
        dead_letters: changes.dead_letters.iter().map(|(position, letter)| (*position, letter.class)).collect(),
        lane_time: changes.lane_time,
    };
    // Collected first and digested once: many small updates cost more than the digest.
    let bytes = postcard::to_stdvec(&decided);
    Sha256::digest(bytes.expect("a change set consists of what postcard knows, and its lengths are known")).into()
}
