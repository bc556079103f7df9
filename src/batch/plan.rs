//! What a batch touches, found before anything is loaded.

pub use crate::domain::EarnedOrder;
use crate::domain::customer::Identifier;
use crate::domain::{CustomerId, Instant, KeyHash, MerchantId};

/// The keys of all rows that the commands of a batch name. Each list is sorted and without duplicates. Customers that are found by
/// an identifier, and decisions' entries, follow from what the store finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchPlan {
    /// Merchants whose configuration the lane does not hold in memory yet.
    pub merchants: Vec<MerchantId>,
    pub keys: Vec<KeyHash>,
    pub identifiers: Vec<Identifier>,
    pub customers: Vec<CustomerId>,
    pub orders: Vec<EarnedOrder>,
    /// Load the commands that wait for one of these identifiers, under one of these keys, or until what is due: some of the lane wait.
    pub parked: bool,
    /// Load what is due, because the batch moves time or the last one left some over.
    pub due: Option<DueQuery>,
}

/// So many commands that wait are loaded for what a batch names; one that names more is too large. One record names few enough, since few
/// may wait for one identifier.
pub const MOST_PARKED: usize = 5_000;

/// Customers with `next_due <= until`, in the order (next_due, customer_id), at most `limit`, of all merchants of the lane; and as many
/// commands that wait, by their deadlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueQuery {
    pub until: Instant,
    pub limit: usize,
    /// All merchants of the lane.
    pub merchants: Vec<MerchantId>,
}
