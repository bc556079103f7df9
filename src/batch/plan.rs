//! What a batch touches, found before anything is loaded.

use crate::domain::customer::Identifier;
use crate::domain::parking::MAX_WAITING;
use crate::domain::{CustomerId, Instant, KeyHash, MemoryKey, MerchantId};

/// The keys of all rows that the commands of a batch name. Each list is sorted and without duplicates. Customers that are found by
/// an identifier, and decisions' entries, follow from what the store finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchPlan {
    /// Merchants whose configuration the lane does not hold in memory yet.
    pub merchants: Vec<MerchantId>,
    pub keys: Vec<KeyHash>,
    pub identifiers: Vec<Identifier>,
    pub customers: Vec<CustomerId>,
    pub memory: Vec<MemoryKey>,
    /// Load the commands that wait for one of these identifiers, under one of these keys, or until what is due: some of the lane wait.
    pub parked: bool,
    /// Load what is due, because the batch moves time or the last one left some over.
    pub due: Option<DueQuery>,
}

/// So many commands that wait are loaded for what a batch names; one that names more is too large, and is halved. As many as a batch has
/// records, so that neither their number nor their bytes are of another order than its own. It also cuts what is due, so that a replay needs
/// the same: another number is another version of the rules.
pub const MAX_PARKED: usize = 2_000;

/// A record that is alone can't be halved, and must never be too large: it names three identifiers of a customer and a reference to
/// it, a phone in two forms each, and a key.
const MAX_PARKED_OF_A_RECORD: usize = (3 + 1 + 2 + 1) * 2 * MAX_WAITING;
const _: () = assert!(MAX_PARKED_OF_A_RECORD <= MAX_PARKED);

/// Customers with `next_due <= until`, in the order (next_due, customer_id), at most `limit`, of all merchants of the lane; and as many
/// commands that wait, by their deadlines, but no more than [`MAX_PARKED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueQuery {
    pub until: Instant,
    pub limit: usize,
    /// All merchants of the lane.
    pub merchants: Vec<MerchantId>,
}

impl DueQuery {
    /// How many commands that wait are loaded because they are due.
    pub fn parked_limit(limit: usize) -> usize {
        limit.min(MAX_PARKED)
    }
}
