//! One line of the ledger.

use serde::{Deserialize, Serialize};

use crate::domain::ledger::event_type::EventType;
use crate::domain::values::ids::{CustomerId, LotId, OrderId, TransactionId, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

words! {
    /// Whether an entry adds to the balance.
    Direction {
        Credit "credit",
        Debit "debit",
    }
}

macro_rules! entry_kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal $word:literal $direction:ident $event:ident,)+) => {
        words! {
            EntryKind { $($(#[$doc])* $kind = $code $word,)+ }
        }

        impl EntryKind {
            pub fn direction(self) -> Direction {
                match self {
                    $(EntryKind::$kind => Direction::$direction,)+
                }
            }

            /// The event that tells of such an entry.
            pub fn event_type(self) -> EventType {
                match self {
                    $(EntryKind::$kind => EventType::$event,)+
                }
            }
        }
    };
}

entry_kinds! {
    EarnAmount = 1 "earn_amount" Credit PointsEarned,
    RedeemAmount = 2 "redeem_amount" Debit PointsRedeemed,
    Expire = 3 "expire" Debit PointsExpired,
    /// Stamps on a card.
    Stamp = 4 "stamp" Credit StampsAdded,
}

/// How much of one lot an entry made or took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotShare {
    pub lot_id: LotId,
    pub amount: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub order_id: Option<OrderId>,
    pub reason: Option<String>,
    pub title: Option<String>,
    /// The command that caused it; `None` when time did.
    pub cause: Option<Position>,
    pub occurred_at: Instant,
    pub recorded_at: Instant,
}

impl Entry {
    pub fn balance_before(&self) -> i64 {
        match self.kind.direction() {
            Direction::Credit => self.balance_after - self.amount,
            Direction::Debit => self.balance_after + self.amount,
        }
    }
}
