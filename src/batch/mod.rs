//! From deliveries to a change set: pure. Time and configuration are arguments, and nothing is looked up outside the snapshot.

pub mod change_set;
pub mod plan;
pub mod snapshot;

pub use change_set::{ChangeSet, LaneState, NewDecision, Outcome, RowChanges};
pub use plan::{BatchPlan, DueQuery, EarnedOrder};
pub use snapshot::Snapshot;
