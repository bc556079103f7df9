//! One line of the ledger.

use super::{CustomerId, Instant, LotId, Position, TransactionId, UnitId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    EarnAmount,
    RedeemAmount,
    Expire,
}

impl EntryKind {
    pub const ALL: [EntryKind; 3] = [EntryKind::EarnAmount, EntryKind::RedeemAmount, EntryKind::Expire];

    /// The number that stands for it in the database; never reused.
    pub fn code(self) -> i16 {
        match self {
            EntryKind::EarnAmount => 1,
            EntryKind::RedeemAmount => 2,
            EntryKind::Expire => 3,
        }
    }

    pub fn from_code(code: i16) -> Option<EntryKind> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub fn name(self) -> &'static str {
        match self {
            EntryKind::EarnAmount => "earn_amount",
            EntryKind::RedeemAmount => "redeem_amount",
            EntryKind::Expire => "expire",
        }
    }

    /// Whether it adds to the balance.
    pub fn is_credit(self) -> bool {
        match self {
            EntryKind::EarnAmount => true,
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
