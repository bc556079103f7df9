//! One line of the ledger.

use crate::domain::values::ids::{CustomerId, LotId, TransactionId, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

words! {
    EntryKind {
        EarnAmount = 1 "earn_amount",
        RedeemAmount = 2 "redeem_amount",
        Expire = 3 "expire",
        /// Stamps on a card.
        Stamp = 4 "stamp",
    }
}

impl EntryKind {
    /// Whether it adds to the balance.
    pub fn is_credit(self) -> bool {
        match self {
            EntryKind::EarnAmount | EntryKind::Stamp => true,
            EntryKind::RedeemAmount | EntryKind::Expire => false,
        }
    }
}

/// How much of one lot an entry made or took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LotShare {
    pub lot_id: LotId,
    pub amount: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub transaction_id: TransactionId,
    /// The account's entry before it: an account's entries are a chain.
    pub previous: Option<TransactionId>,
    pub customer_id: CustomerId,
    pub unit_id: UnitId,
    /// From 1, without gaps, within the account.
    pub seq: i64,
    pub kind: EntryKind,
    /// Minor units, always positive; the kind tells the direction.
    pub amount: i64,
    pub balance_after: i64,
    pub lots: Vec<LotShare>,
    /// Of a stamp, the card's.
    pub unit_version: Option<i64>,
    pub order_id: Option<String>,
    pub reason: Option<String>,
    pub title: Option<String>,
    /// The command that caused it; `None` when time did.
    pub cause: Option<Position>,
    pub occurred_at: Instant,
    pub recorded_at: Instant,
}

impl Entry {
    pub fn balance_before(&self) -> i64 {
        if self.kind.is_credit() { self.balance_after - self.amount } else { self.balance_after + self.amount }
    }
}
