//! The rows that a batch starts from.

use std::collections::HashMap;

use crate::domain::config::MerchantConfig;
use crate::domain::customer::Identifier;
use crate::domain::{CustomerId, CustomerState, IdMap, KeyHash, Memory, MemoryKey, MerchantId, Parked, Remembered};

/// What the store found of a plan; what is not in it does not exist. Looked up by key only, never iterated.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub configs: HashMap<MerchantId, MerchantConfig>,
    /// Also of the keys of the commands that wait: a further delivery may outlast the first.
    pub remembered: IdMap<KeyHash, Remembered>,
    /// Of the identifiers that the plan names, whose they are.
    pub identities: HashMap<Identifier, CustomerId>,
    /// Every customer that the plan names by id, that an identifier led to, or that something is due for. Boxed, since they go from here to
    /// the book and on to the change set.
    pub customers: IdMap<CustomerId, Box<CustomerState>>,
    pub memory: IdMap<MemoryKey, Memory>,
    /// Commands that wait, in the order of their places: all that wait for an identifier of the plan, and others.
    pub parked: Vec<Parked>,
    /// How many of them the plan names, by identifier or key.
    pub parked_named: usize,
    /// How many of them wait until what is due; at most the query's limit.
    pub parked_due: usize,
    /// Whom something is due for, in order; see [`super::plan::DueQuery`]. At most its limit.
    pub due: Vec<CustomerId>,
}
