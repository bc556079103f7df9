//! From deliveries to a change set: pure. Time and configuration are arguments, and nothing is looked up outside the snapshot.

pub mod change_set;
pub mod inbox;
pub mod plan;
pub mod run;
pub mod snapshot;

pub use change_set::{ChangeSet, ChangedCustomer, LaneState, RowChanges};
pub use inbox::{Inbox, Taken};
pub use plan::{BatchPlan, DueQuery, MAX_PARKED};
pub use run::{Configs, plan, run};
pub use snapshot::Snapshot;

#[cfg(test)]
mod properties;
