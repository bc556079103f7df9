//! Identifiers. Those that the worker makes derive from the position of the record that caused them, so that doing the work again, in
//! other batches or from the journal, makes the same ones.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::values::text::{compared, is_deceptive_in_id};
use crate::domain::values::time::Instant;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id!(
    /// A merchant, 1 to 64 bytes: the key of every command and the owner of everything else.
    MerchantId
);
text_id!(
    /// What an account counts, for example `points`. Unique within its merchant.
    UnitId
);
text_id!(
    /// What makes a command one command, however often it is delivered. Unique within its merchant.
    IdempotencyKey
);

/// A purchase as the merchant numbers it, in the form in which it is compared. What no id may hold is left in it, so that it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OrderId(Arc<str>);

impl OrderId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<OrderId> for String {
    fn from(order: OrderId) -> String {
        order.0.to_string()
    }
}

impl From<&str> for OrderId {
    fn from(text: &str) -> OrderId {
        text.to_owned().into()
    }
}

impl From<String> for OrderId {
    fn from(text: String) -> OrderId {
        OrderId(if text.contains(is_deceptive_in_id) { text } else { compared(&text) }.into())
    }
}

uuid_id!(CustomerId);
uuid_id!(
    /// One line of the ledger.
    TransactionId
);
uuid_id!(
    /// One earning's remainder; the same UUID as the transaction that made it.
    LotId
);
uuid_id!(ResultId);
uuid_id!(EventId);

/// A map by ids of our own making or by digests, which every command asks a dozen times. They are spread already, and nobody can aim at
/// its seed, so a hash that is cheap will do; what is keyed by the senders' texts keeps the standard library's.
pub type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Where ids come from: what is unique about their cause, digested, and the cause's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    pub digest: [u8; 16],
    pub at: Instant,
}

impl Seed {
    /// The seed of a record. `topic_id` is Kafka's own id of the topic, so that a topic made anew under an old name makes new ids.
    pub fn of_record(topic_id: &str, partition: i32, offset: i64, timestamp: Instant) -> Seed {
        let mut hasher = Sha256::new();
        hasher.update(b"record\0");
        hasher.update(topic_id.as_bytes());
        hasher.update(partition.to_be_bytes());
        hasher.update(offset.to_be_bytes());
        Seed { digest: first_16(hasher), at: timestamp }
    }

    /// The seed of what becomes due: the account and the instant.
    pub fn of_due(customer: CustomerId, unit: &UnitId, due: Instant) -> Seed {
        let mut hasher = Sha256::new();
        hasher.update(b"due\0");
        hasher.update(customer.0.as_bytes());
        hasher.update(unit.as_str().as_bytes());
        hasher.update(due.micros().to_be_bytes());
        Seed { digest: first_16(hasher), at: due }
    }

    pub fn customer_id(&self) -> CustomerId {
        CustomerId(self.uuid(b'c', 0))
    }

    pub fn transaction_id(&self, index: u32) -> TransactionId {
        TransactionId(self.uuid(b't', index))
    }

    pub fn event_id(&self, index: u32) -> EventId {
        EventId(self.uuid(b'e', index))
    }

    pub fn result_id(&self) -> ResultId {
        ResultId(self.uuid(b'r', 0))
    }

    /// A version 8 UUID: 48 bits of milliseconds, so that keys are inserted near each other, then the digest.
    fn uuid(&self, purpose: u8, index: u32) -> Uuid {
        let mut bytes = self.digest;
        let millis = u64::try_from(self.at.micros() / 1000).unwrap_or(0);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[11] = bytes[11].wrapping_add(purpose);
        for (byte, part) in bytes[12..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= part;
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// A customer id as results show it.
pub fn parse_customer_id(value: &str) -> Option<CustomerId> {
    Uuid::try_parse(value.trim()).ok().map(CustomerId)
}

/// What a row that is looked up by text is keyed by: half a SHA-256 over the parts. No part may hold U+0000, which stands between them,
/// so that no other parts read the same.
pub fn lookup_key(parts: &[&str]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            hasher.update([0]);
        }
        hasher.update(part.as_bytes());
    }
    first_16(hasher)
}

/// The first half of a SHA-256.
pub(crate) fn first_16(hasher: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    half
}
