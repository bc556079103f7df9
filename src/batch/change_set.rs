//! What a batch decided: the rows to write and the facts to publish.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::command::DeadLetter;
use crate::domain::{
    ConfigObject, CustomerChange, CustomerState, Entry, Event, Frontier, Instant, Membership, Memory, MemoryKey,
    MerchantId, Outcome, Parked, Position, Seed,
};

/// Everything that one batch changes and says.
#[derive(Debug, Default)]
pub struct ChangeSet {
    pub rows: RowChanges,
    /// In the order of the decisions: one per command that was decided. One that waits has none yet. Those that are remembered are rows too.
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
#[derive(Debug, Default, Serialize)]
pub struct RowChanges {
    /// In the order of their first change.
    pub customers: Vec<ChangedCustomer>,
    pub entries: Vec<Arc<Entry>>,
    pub memory: Vec<(MemoryKey, Memory)>,
    pub versions: Vec<(MerchantId, ConfigObject)>,
    /// Commands that wait from now on.
    pub parked: Vec<Parked>,
    /// Those that waited before, and do not any more: by their seeds.
    pub unparked: Vec<Seed>,
}

/// A customer that changed: the row to write, and the state to publish.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedCustomer {
    pub state: Box<CustomerState>,
    pub change: CustomerChange,
    /// Its tier and cards, as its merchant's configuration has them at the end of the batch.
    pub membership: Option<Box<Membership>>,
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
