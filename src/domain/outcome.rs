//! What became of a command.

use std::sync::Arc;

use super::command::ContentHash;
use super::ids::lookup_key;
use super::words::words;
use super::{CustomerId, Entry, IdempotencyKey, Instant, MerchantId, OrderId, Position, Rejection, UnitId};

words! {
    /// What became of an accepted command. In the database 0 stands for a rejection.
    Effect {
        Created = 1 "created",
        Updated = 2 "updated",
        /// Everything was so already: no version, no event.
        Unchanged = 3 "unchanged",
        Applied = 4 "applied",
        /// The customer exists, and was to be left as it is: no version, no event.
        Kept = 5 "kept",
    }
}

/// The decision on one command. Exactly one for each, and the same for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub verdict: Result<Effect, Rejection>,
    pub customer_id: Option<CustomerId>,
    /// The customer's version after the command, when it named an existing or new customer.
    pub customer_version: Option<i64>,
    /// The settings version that judged it; for merchant-config, the version that it made.
    pub config_version: Option<i64>,
    /// The entries that it wrote.
    pub entries: Vec<Arc<Entry>>,
    /// Business time.
    pub occurred_at: Instant,
    /// Lane time.
    pub decided_at: Instant,
}

/// A decision as the memory of keys holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Where the command stood that was decided.
    pub position: Position,
    pub content_hash: ContentHash,
    pub decision: Arc<Decision>,
}

/// 128 bits of SHA-256 over merchant and idempotency key: the key of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    pub fn of(merchant_id: &MerchantId, key: &IdempotencyKey) -> KeyHash {
        KeyHash(lookup_key(&[merchant_id.as_str(), key.as_str()]))
    }
}

/// What may earn only once: a merchant's order, per unit. Sorted by what differs most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EarnedOrder {
    pub order_id: OrderId,
    pub merchant_id: MerchantId,
    pub unit_id: UnitId,
}

/// What an account holds, for results and events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    pub unit_id: UnitId,
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
    pub lifetime_earned: i64,
}

impl Balance {
    /// available + pending + held - debt.
    pub fn total(&self) -> i64 {
        self.available + self.pending + self.held - self.debt
    }
}
