//! What rules remember beside customers, entries and decisions: each thing under a key of its own kind.

use serde::{Deserialize, Serialize};

use crate::domain::values::ids::{MerchantId, OrderId, TransactionId, UnitId, lookup_key};
use crate::domain::values::words::words;

words! {
    MemoryKind {
        /// What may earn only once: a merchant's order, per unit.
        EarnedOrder = 1 "earned_order",
    }
}

/// Half a SHA-256 over the merchant, the kind and what names the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MemoryKey(pub [u8; 16]);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// The entry of the earning.
    EarnedOrder(TransactionId),
}

impl Memory {
    pub fn kind(&self) -> MemoryKind {
        match self {
            Memory::EarnedOrder(_) => MemoryKind::EarnedOrder,
        }
    }
}

impl MemoryKey {
    fn of(merchant: &MerchantId, kind: MemoryKind, names: [&str; 2]) -> MemoryKey {
        MemoryKey(lookup_key(&[merchant.as_str(), kind.name(), names[0], names[1]]))
    }

    pub fn earned_order(merchant: &MerchantId, order: &OrderId, unit: &UnitId) -> MemoryKey {
        MemoryKey::of(merchant, MemoryKind::EarnedOrder, [order.as_str(), unit.as_str()])
    }
}
