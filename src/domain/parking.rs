//! Commands that wait for their customer, where the merchant's `unknown_customer` is `park`.
//!
//! A credit or a redeem whose identifier leads to nobody is not answered: it waits until a customer has that identifier, and is decided
//! then, right after the command that made it so, those of one customer in the order in which they came; or until its deadline, and is
//! `unknown_customer` then, as of the deadline. Deadlines are settled before every command, as expiry is before a customer is touched: so
//! nothing that a command can see depends on when ticks run or where batches are cut.
//!
//! A further delivery of a command that waits does so too, for as long, and becomes its duplicate. No order is reserved by waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::command::Command;
use crate::domain::customer::identifiers::Identifier;
use crate::domain::outcome::KeyHash;
use crate::domain::values::ids::{IdMap, Seed};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;

/// Commands for one identifier; the next is `unknown_customer`. Whatever makes their customer decides all of them at once, so there is an end
/// to it. As many further deliveries of theirs may wait beside them, so that no command loses its place to one that comes again.
pub const MAX_WAITING: usize = 100;

/// A command that waits, with all that it takes to decide it later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    pub position: Position,
    pub seed: Seed,
    pub record_time: Instant,
    /// Greater than that of every record that the lane had before; of one that came from another lane, when its merchant did, less than
    /// those of all that came here.
    pub place: i64,
    /// Lane time at its coming.
    pub parked_at: Instant,
    /// The first instant of lane time at which it does not wait any more.
    pub deadline: Instant,
    /// The settings version that let it wait.
    pub config_version: Option<i64>,
    pub awaits: Identifier,
    pub command: Box<Command>,
}

/// How long a command waits, and what for.
#[derive(Debug)]
pub struct Wait {
    pub awaits: Identifier,
    pub deadline: Instant,
    pub config_version: Option<i64>,
}

impl Parked {
    pub fn key_hash(&self) -> KeyHash {
        let envelope = &self.command.envelope;
        KeyHash::of(&envelope.merchant_id, &envelope.idempotency_key)
    }
}

/// Those of a batch's merchants who wait, as far as the batch can see them.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// By place, and whether it is a row of the database.
    waiting: BTreeMap<i64, (Parked, bool)>,
    deadlines: BTreeSet<(Instant, i64)>,
    by_identifier: HashMap<Identifier, Awaited>,
    /// Of each key the places of all deliveries.
    deliveries: IdMap<KeyHash, BTreeSet<i64>>,
    /// Whose identifier has an owner by now.
    met: BTreeSet<i64>,
    /// Rows that wait no longer.
    left: Vec<Seed>,
}

/// Those who wait for one identifier.
#[derive(Debug, Default)]
struct Awaited {
    places: BTreeSet<i64>,
    /// How many of them are not deliveries of the same.
    commands: usize,
}

impl Parking {
    /// The rows that a batch starts from, in the order of their places.
    pub fn of(rows: Vec<Parked>) -> Parking {
        let mut parking = Parking::default();
        rows.into_iter().for_each(|parked| parking.insert(parked, true));
        parking
    }

    /// What is to be written of it, and what deleted.
    pub fn close(self) -> (Vec<Parked>, Vec<Seed>) {
        let new = self.waiting.into_values().filter(|(_, is_stored)| !is_stored).map(|(parked, _)| parked);
        (new.collect(), self.left)
    }

    /// The command with this key that waits, in its first delivery.
    pub fn first(&self, key: &KeyHash) -> Option<&Parked> {
        Some(&self.waiting.get(self.deliveries.get(key)?.first()?)?.0)
    }

    /// How many commands wait for an identifier.
    pub fn commands(&self, awaited: &Identifier) -> usize {
        self.by_identifier.get(awaited).map_or(0, |awaited| awaited.commands)
    }

    /// How many deliveries wait for an identifier beside the first of each command.
    pub fn further_deliveries(&self, awaited: &Identifier) -> usize {
        self.by_identifier.get(awaited).map_or(0, |awaited| awaited.places.len() - awaited.commands)
    }

    /// Somebody has this identifier now.
    pub fn meet(&mut self, identifier: &Identifier) {
        self.met.extend(self.by_identifier.get(identifier).into_iter().flat_map(|awaited| &awaited.places));
    }

    pub fn insert(&mut self, parked: Parked, is_stored: bool) {
        let place = parked.place;
        self.deadlines.insert((parked.deadline, place));
        let deliveries = self.deliveries.entry(parked.key_hash()).or_default();
        deliveries.insert(place);
        let awaited = self.by_identifier.entry(parked.awaits.clone()).or_default();
        awaited.places.insert(place);
        awaited.commands += usize::from(deliveries.len() == 1);
        self.waiting.insert(place, (parked, is_stored));
    }

    pub fn take_due(&mut self, now: Instant) -> Option<Parked> {
        let (_, place) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)?;
        self.remove(place)
    }

    pub fn take_met(&mut self) -> Option<Parked> {
        let place = self.met.pop_first()?;
        self.remove(place)
    }

    fn remove(&mut self, place: i64) -> Option<Parked> {
        let (parked, is_stored) = self.waiting.remove(&place)?;
        self.deadlines.remove(&(parked.deadline, place));
        let key = parked.key_hash();
        let is_last = self.deliveries.get_mut(&key).is_some_and(|deliveries| {
            deliveries.remove(&place);
            deliveries.is_empty()
        });
        if is_last {
            self.deliveries.remove(&key);
        }
        // All deliveries of a command wait for the same.
        if let Some(awaited) = self.by_identifier.get_mut(&parked.awaits) {
            awaited.places.remove(&place);
            awaited.commands -= usize::from(is_last);
        }
        if is_stored {
            self.left.push(parked.seed);
        }
        Some(parked)
    }
}
