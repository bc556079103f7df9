//! What was read, before any judgement: compact, and without personal data. Text that could be personal is kept as a hash only, which is
//! enough to compare two sides.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use super::names::{Name, Names};
use crate::config::LaneRange;
use crate::domain::{CommandTopic, Frontier, Position};

/// Everything that the checks judge.
#[derive(Debug, Default, Clone)]
pub struct Facts {
    pub names: Names,
    pub lanes: Vec<LaneFacts>,
    /// How many lanes there were at first, where that was another number.
    pub grown_from: Option<i32>,
    pub ledger: Ledger,
    /// Where there are several: which rows of the ledger are whose. Empty where there is one.
    pub databases: Vec<DatabaseFacts>,
}

/// One of several databases. Its rows follow in the ledger on those of the databases before it.
#[derive(Debug, Clone)]
pub struct DatabaseFacts {
    pub lanes: LaneRange,
    pub decisions: usize,
    pub entries: usize,
    pub customers: usize,
    pub orders: usize,
    pub configs: usize,
    pub parked: usize,
}

/// One snapshot of each database, but for the lanes' own rows.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    pub decisions: Vec<DecisionRow>,
    pub entries: Vec<EntryRow>,
    pub customers: Vec<CustomerFact>,
    pub accounts: Vec<AccountRow>,
    pub identifiers: Vec<IdentifierRow>,
    pub orders: Vec<OrderRow>,
    pub configs: Vec<ConfigVersion>,
    pub parked: Vec<ParkedRow>,
}

/// One lane: its row, and what partition `lane` of every topic holds.
#[derive(Debug, Default, Clone)]
pub struct LaneFacts {
    pub lane: i32,
    /// `None` when no worker has ever owned it.
    pub row: Option<LaneRow>,
    /// The batch that the row named when the topics had been read: later than the snapshot's when a worker is at work.
    pub applied_at_end: i64,
    /// Batches that wait for their publication.
    pub outbox: Vec<i64>,
    /// Commands that wait for their customer, also of another partition, from before the lanes grew.
    pub parked: BTreeSet<Position>,
    /// The group's committed offsets, in the order of [`CommandTopic::ALL`].
    pub committed: [Option<Committed>; CommandTopic::COUNT],
    pub commands: [CommandFacts; CommandTopic::COUNT],
    pub results: Published<ResultFact>,
    pub events: Published<EventFact>,
    pub dead_letters: Published<DeadLetterFact>,
    pub journal: Published<JournalFact>,
    /// The last state of each key of the compacted topic.
    pub states: Vec<StateFact>,
    /// Outgoing records that could not be understood: where, and why.
    pub unreadable: Vec<String>,
    /// How many outgoing records were read.
    pub read: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LaneRow {
    pub batch: i64,
    /// In microseconds, as all times here.
    pub lane_time: i64,
    pub frontier: Frontier,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Committed {
    pub offset: i64,
    /// The batch number in the metadata; `None` when it is not one.
    pub batch: Option<i64>,
}

/// A partition of a command topic, read up to the frontier.
#[derive(Debug, Default, Clone)]
pub struct CommandFacts {
    /// The first offset that the broker still holds.
    pub low: i64,
    /// The end for a read_committed consumer.
    pub end: i64,
    /// The offsets that hold a record, ascending.
    pub offsets: Vec<i64>,
}

/// A partition of an outgoing topic, from its beginning to its end, in order.
#[derive(Debug, Clone)]
pub struct Published<T> {
    /// Retention has removed its beginning: what is missing there proves nothing.
    pub truncated: bool,
    pub records: Vec<T>,
}

impl<T> Default for Published<T> {
    fn default() -> Self {
        Published { truncated: false, records: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ResultFact {
    /// Where it stands on the results topic.
    pub offset: i64,
    pub result_id: Uuid,
    /// By which the memory of decided commands is looked up: of the merchant and the idempotency key.
    pub key: Uuid,
    pub command: Position,
    pub customer: Option<Uuid>,
    pub accepted: bool,
    pub duplicate: bool,
    pub original: Option<Position>,
    /// As the ledger numbers them; 0 for none.
    pub effect: i16,
    pub rejection: Option<RejectionFact>,
    pub occurred_at: i64,
    pub decided_at: i64,
    pub config_version: Option<i64>,
    pub customer_version: Option<i64>,
    pub entries: Box<[EntryFact]>,
    pub balances: Box<[(Name, i64)]>,
    /// It had waited: it stands behind results of later offsets, and in another batch than the one that took it.
    pub was_parked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RejectionFact {
    pub code: Name,
    pub message: Name,
}

/// An entry as results and events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryFact {
    pub transaction: Uuid,
    pub unit: Name,
    pub seq: i64,
    pub kind: i16,
    pub credit: bool,
    pub amount: i64,
    pub balance_before: i64,
    pub balance_after: i64,
    /// The first of them; `lots_total` says how many there are.
    pub lots: Box<[Share]>,
    pub lots_total: i32,
    pub occurred_at: i64,
    pub recorded_at: i64,
}

/// How much of a lot an entry made or took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub lot: Uuid,
    pub amount: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EventFact {
    pub offset: i64,
    pub event_id: Uuid,
    pub kind: Name,
    pub customer: Option<Uuid>,
    pub version: i64,
    pub index: i32,
    pub count: i32,
    pub cause: Option<Position>,
    pub entry: Option<Box<EntryFact>>,
    /// Set on config.changed.
    pub config: Option<Box<ConfigVersion>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeadLetterFact {
    pub offset: i64,
    pub record: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JournalFact {
    pub offset: i64,
    pub lane: i32,
    pub batch: i64,
    pub lane_time_before: i64,
    /// `[from, to)` of each topic that it names.
    pub ranges: [Option<(i64, i64)>; CommandTopic::COUNT],
}

/// A customer, as a row or as a state has it.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerFact {
    pub customer: Uuid,
    pub merchant: Name,
    pub version: i64,
    pub status: Name,
    pub external_id: Option<Name>,
    pub phone: Option<Name>,
    pub email: Option<Name>,
    pub first_name: Option<Name>,
    pub last_name: Option<Name>,
    pub birth_date: Option<Name>,
    /// What few have, as one text: see [`Further`].
    pub further: Option<Name>,
    pub notify_email: bool,
    pub notify_phone: bool,
    pub created_at: i64,
    pub updated_at: i64,
}

/// The fields of a profile that few customers have, as both the row and the state tell them.
#[derive(Debug, Default)]
pub struct Further {
    pub texts: [Option<String>; 5],
    pub source_version: Option<i64>,
    /// By key: value and scale.
    pub metrics: BTreeMap<String, (i64, i32)>,
    pub metadata: BTreeMap<String, String>,
    pub incomplete: bool,
    pub programme: Option<String>,
    /// Its id, since when, and whether somebody assigned it.
    pub tier: Option<(String, i64, bool)>,
    pub referrer: Option<Uuid>,
    /// Each card's id, its code, and since when.
    pub cards: Vec<(String, String, i64)>,
}

impl Further {
    /// `None` where there is nothing, as with most.
    pub fn name(&self) -> Option<Name> {
        let is_empty = self.texts.iter().all(Option::is_none)
            && self.source_version.is_none()
            && self.metrics.is_empty()
            && self.metadata.is_empty()
            && !self.incomplete
            && self.programme.is_none()
            && self.tier.is_none()
            && self.referrer.is_none()
            && self.cards.is_empty();
        (!is_empty).then(|| Name::of(&format!("{self:?}")))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct StateFact {
    pub offset: i64,
    pub profile: CustomerFact,
    pub accounts: Box<[AccountFact]>,
    /// The stamps on each card, by its id.
    pub stamps: Box<[(Name, i64)]>,
}

/// An account as a state has it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountFact {
    pub unit: Name,
    pub sums: Sums,
    pub balance: i64,
    pub lots: Box<[LotFact]>,
    pub lots_total: i32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
    pub lifetime_earned: i64,
    pub lifetime_redeemed: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LotFact {
    pub lot: Uuid,
    pub amount: i64,
    pub remaining: i64,
    pub issued_at: i64,
    pub expires_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AccountRow {
    pub customer: Uuid,
    pub unit: Name,
    pub merchant: Name,
    /// The seq of the last entry.
    pub entries: i64,
    pub last_entry: Option<Uuid>,
    pub sums: Sums,
    /// The customer's: nothing is due in any of its accounts before.
    pub next_due: Option<i64>,
    /// In the order of their making.
    pub lots: Box<[LotFact]>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    pub position: Position,
    pub effect: i16,
    pub rejection: Option<RejectionFact>,
    pub customer: Option<Uuid>,
    pub customer_version: Option<i64>,
    pub config_version: Option<i64>,
    pub entries: Box<[Uuid]>,
    pub occurred_at: i64,
    pub decided_at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EntryRow {
    pub customer: Uuid,
    pub unit: Name,
    pub seq: i64,
    pub transaction: Uuid,
    /// The account's entry before.
    pub previous: Option<Uuid>,
    pub merchant: Name,
    pub kind: i16,
    pub amount: i64,
    pub balance_after: i64,
    pub lots: Box<[Share]>,
    /// The key of the order that it names.
    pub order: Option<Uuid>,
    pub cause: Option<Position>,
    pub occurred_at: i64,
    pub recorded_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentifierRow {
    pub customer: Uuid,
    /// By which it is looked up.
    pub key: Option<Uuid>,
    /// What that must be.
    pub due: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderRow {
    /// Of merchant, order and unit.
    pub order: Uuid,
    pub transaction: Uuid,
}

/// A command that waits for its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedRow {
    pub lane: i32,
    pub command: Position,
    pub merchant: Name,
    /// The customer is there all the same.
    pub is_met: bool,
}

/// A version of a merchant's settings, or of one of its units or other objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigVersion {
    pub merchant: Name,
    /// settings, unit, tier, card or programme.
    pub object: Name,
    /// The object's id. Settings are alone of their kind, so that their id tells nothing and is left out here.
    pub id: Option<Name>,
    pub version: i64,
}

/// Entry kinds by the ledger's numbers, and what they are called outside; written down here a second time on purpose.
pub const ENTRY_KINDS: [(i16, &str, bool); 4] =
    [(1, "earn_amount", true), (2, "redeem_amount", false), (3, "expire", false), (4, "stamp", true)];

/// Effects by the ledger's numbers; 0 is a rejection.
pub const EFFECTS: [(i16, &str); 5] = [(1, "created"), (2, "updated"), (3, "unchanged"), (4, "applied"), (5, "kept")];

impl EntryRow {
    /// The amount as the balance sees it. An unknown kind counts as nothing, and is found by its own check.
    pub fn signed(&self) -> i128 {
        match ENTRY_KINDS.iter().find(|(code, _, _)| *code == self.kind) {
            Some((_, _, true)) => i128::from(self.amount),
            Some((_, _, false)) => -i128::from(self.amount),
            None => 0,
        }
    }

    pub fn account(&self) -> (Uuid, Name) {
        (self.customer, self.unit)
    }
}

impl Sums {
    pub fn balance(&self) -> i128 {
        i128::from(self.available) + i128::from(self.pending) + i128::from(self.held) - i128::from(self.debt)
    }
}

impl DatabaseFacts {
    pub fn of(lanes: LaneRange, ledger: &Ledger) -> DatabaseFacts {
        DatabaseFacts {
            lanes,
            decisions: ledger.decisions.len(),
            entries: ledger.entries.len(),
            customers: ledger.customers.len(),
            orders: ledger.orders.len(),
            configs: ledger.configs.len(),
            parked: ledger.parked.len(),
        }
    }
}

impl Ledger {
    /// Adds another database's.
    pub fn append(&mut self, other: Ledger) {
        append(&mut self.decisions, other.decisions);
        append(&mut self.entries, other.entries);
        append(&mut self.customers, other.customers);
        append(&mut self.accounts, other.accounts);
        append(&mut self.identifiers, other.identifiers);
        append(&mut self.orders, other.orders);
        append(&mut self.configs, other.configs);
        append(&mut self.parked, other.parked);
    }
}

/// The first database's rows are not copied: mostly it is the only one.
fn append<T>(rows: &mut Vec<T>, more: Vec<T>) {
    if rows.is_empty() {
        *rows = more;
    } else {
        rows.extend(more);
    }
}

impl LaneFacts {
    /// Whether the lane was worked on after the snapshot was taken: what lies beyond the snapshot is then no fault, only not judged.
    pub fn moved_on(&self) -> bool {
        self.applied_at_end > self.row.as_ref().map_or(0, |row| row.batch)
    }

    /// The lane's frontier in the snapshot; 0 everywhere for a lane without a row.
    pub fn frontier(&self) -> Frontier {
        self.row.as_ref().map_or(Frontier([0; CommandTopic::COUNT]), |row| row.frontier)
    }

    /// Whether a command was decided after the snapshot.
    pub fn is_beyond(&self, command: Position) -> bool {
        let is_ahead = command.partition == self.lane && command.offset >= self.frontier().next(command.topic);
        self.moved_on() && (is_ahead || self.parked.contains(&command))
    }

    /// Whether an event came after the snapshot, in which its customer had this version. What time did has no command to tell by, and
    /// bears the instant at which it was due, which may be long before it was done: there the version decides.
    pub fn is_event_beyond(&self, event: &EventFact, version: Option<i64>) -> bool {
        match event.cause {
            Some(cause) => self.is_beyond(cause),
            None => self.moved_on() && event.version > version.unwrap_or(0),
        }
    }

    /// Where each topic's judgeable part begins: at the first offset that the journal says was taken, or later where retention has removed
    /// answers.
    pub fn floors(&self) -> Frontier {
        let frontier = self.frontier();
        let mut floors = frontier;
        for topic in CommandTopic::ALL {
            let started = self.journal.records.iter().find_map(|batch| batch.ranges[topic.index()]);
            let mut floor = started.map_or(frontier.next(topic), |(from, _)| from);
            if self.results.truncated {
                let answered = self.results.records.iter().filter(|result| !result.was_parked);
                let answered = answered.map(|result| result.command);
                floor = floor.max(first_of(topic, answered).unwrap_or(frontier.next(topic)));
            }
            if self.dead_letters.truncated {
                let answered = self.dead_letters.records.iter().map(|letter| letter.record);
                floor = floor.max(first_of(topic, answered).unwrap_or(frontier.next(topic)));
            }
            floors.set(topic, floor);
        }
        floors
    }
}

fn first_of(topic: CommandTopic, positions: impl Iterator<Item = Position>) -> Option<i64> {
    positions.filter(|position| position.topic == topic).map(|position| position.offset).min()
}
