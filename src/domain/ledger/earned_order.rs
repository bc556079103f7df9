//! What remembers that an order has earned.

use crate::domain::values::ids::{MerchantId, OrderId, UnitId};

/// What may earn only once: a merchant's order, per unit. Sorted by what differs most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EarnedOrder {
    pub order_id: OrderId,
    pub merchant_id: MerchantId,
    pub unit_id: UnitId,
}
