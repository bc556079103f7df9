//! What became of a command.

use std::sync::Arc;

use crate::domain::command::ContentHash;
use crate::domain::ledger::entry::Entry;
use crate::domain::rejection::Rejection;
use crate::domain::values::ids::{CustomerId, IdempotencyKey, MerchantId, lookup_key};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

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
