//! What became of a command.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::command::{Command, ContentHash};
use crate::domain::ledger::balance::Balance;
use crate::domain::ledger::entry::Entry;
use crate::domain::membership::Membership;
use crate::domain::rejection::Rejection;
use crate::domain::values::ids::{CustomerId, IdempotencyKey, MerchantId, Seed, lookup_key};
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// What became of a command, as it is answered.
#[derive(Debug, Clone)]
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
    /// What the decision is remembered by, where it is a new one that is remembered.
    pub remembered_by: Option<KeyHash>,
}

/// A decision as the memory of keys holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remembered {
    /// Where the command stood that was decided.
    pub position: Position,
    pub content_hash: ContentHash,
    pub decision: Arc<Decision>,
}

/// 128 bits of SHA-256 over merchant and idempotency key: the key of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    pub fn of(merchant_id: &MerchantId, key: &IdempotencyKey) -> KeyHash {
        KeyHash(lookup_key(&[merchant_id.as_str(), key.as_str()]))
    }
}
