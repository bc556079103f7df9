//! What a batch decided: the rows to write and the facts to publish.

use std::sync::Arc;

use super::plan::EarnedOrder;
use crate::domain::command::{Command, ContentHash, DeadLetter};
use crate::domain::config::objects::ObjectVersion;
use crate::domain::config::{SettingsVersion, UnitVersion};
use crate::domain::{
    Balance, CustomerChange, CustomerState, Decision, Entry, Event, Frontier, Instant, KeyHash, Membership, MerchantId,
    Parked, Position, Seed, TransactionId, UnitId,
};

/// Everything that one batch changes and says.
#[derive(Debug, Default)]
pub struct ChangeSet {
    pub rows: RowChanges,
    /// In the order of the decisions: one per command that was decided. One that waits has none yet.
    pub outcomes: Vec<Outcome>,
    pub events: Vec<Event>,
    /// Records that can't be answered, by their place in the batch.
    pub dead_letters: Vec<(Position, DeadLetter)>,
    pub lane_time: Instant,
    /// How many customers were settled because their time had come.
    pub due_settled: usize,
    /// More is due than the limit let through.
    pub due_pending: bool,
}

impl Default for Instant {
    fn default() -> Self {
        Instant::EPOCH
    }
}

/// Rows to write. Each row appears once, in its final form.
#[derive(Debug, Default)]
pub struct RowChanges {
    /// In the order of their first change.
    pub customers: Vec<ChangedCustomer>,
    pub entries: Vec<Arc<Entry>>,
    pub decisions: Vec<NewDecision>,
    pub earned_orders: Vec<(EarnedOrder, TransactionId)>,
    pub settings_versions: Vec<(MerchantId, Arc<SettingsVersion>)>,
    pub unit_versions: Vec<(MerchantId, UnitId, Arc<UnitVersion>)>,
    /// Tiers, cards and programmes, with their ids.
    pub object_versions: Vec<(MerchantId, String, Arc<ObjectVersion>)>,
    /// Commands that wait from now on.
    pub parked: Vec<Parked>,
    /// Those that waited before, and do not any more: by their seeds.
    pub unparked: Vec<Seed>,
}

/// A customer that changed: the row to write, and the state to publish.
#[derive(Debug, Clone)]
pub struct ChangedCustomer {
    pub state: Box<CustomerState>,
    pub change: CustomerChange,
    /// Its tier and cards, as its merchant's configuration has them at the end of the batch.
    pub membership: Option<Box<Membership>>,
}

/// A decision to remember.
#[derive(Debug)]
pub struct NewDecision {
    pub key_hash: KeyHash,
    pub content_hash: ContentHash,
    pub position: Position,
    pub decision: Arc<Decision>,
}

/// What one command is answered with.
#[derive(Debug)]
pub struct Outcome {
    pub position: Position,
    pub seed: Seed,
    pub command: Box<Command>,
    /// For a duplicate, where the command stood that was decided: `decision` is the first one again.
    pub original: Option<Position>,
    pub decision: Arc<Decision>,
    /// The balances of the units that the command touched, after it. Empty for a duplicate.
    pub balances: Vec<Balance>,
    /// Of an upsert that was accepted, and is no duplicate: the customer's tier and cards after it.
    pub membership: Option<Box<Membership>>,
    /// Of a command that had waited for its customer: since when.
    pub parked_at: Option<Instant>,
}

/// A lane's progress, as its row in the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    pub epoch: i64,
    /// The last batch applied.
    pub batch: i64,
    pub lane_time: Instant,
    pub due_pending: bool,
    pub frontier: Frontier,
}
