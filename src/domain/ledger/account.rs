//! An account: what a customer has of one unit, and its lots. All arithmetic on value is here.

use serde::Serialize;

use crate::domain::ledger::entry::LotShare;
use crate::domain::values::ids::{LotId, TransactionId, UnitId};
use crate::domain::values::time::Instant;

/// What one earning left to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lot {
    pub lot_id: LotId,
    /// What it was made with.
    pub amount: i64,
    /// What is left; never 0 in an account.
    pub remaining: i64,
    pub issued_at: Instant,
    /// The first instant at which it can no longer be spent; `None` never expires.
    pub expires_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    pub unit_id: UnitId,
    /// The seq of the last entry.
    pub entries: i64,
    pub last_entry: Option<TransactionId>,
    pub available: i64,
    pub pending: i64,
    pub held: i64,
    pub debt: i64,
    pub lifetime_earned: i64,
    pub lifetime_redeemed: i64,
    /// Nothing of it is due before. It may be early, so that spending the earliest lot does not touch an index; never late.
    pub next_due: Option<Instant>,
    /// In the order of their making.
    pub lots: Vec<Lot>,
}

/// An amount would leave the range of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

impl Account {
    pub fn new(unit_id: UnitId) -> Account {
        Account {
            unit_id,
            entries: 0,
            last_entry: None,
            available: 0,
            pending: 0,
            held: 0,
            debt: 0,
            lifetime_earned: 0,
            lifetime_redeemed: 0,
            next_due: None,
            lots: Vec::new(),
        }
    }

    /// Numbers a new entry, which becomes the last of the chain, and tells the one before it.
    pub fn append(&mut self, transaction_id: TransactionId) -> Option<TransactionId> {
        self.entries += 1;
        self.last_entry.replace(transaction_id)
    }

    /// available + pending + held - debt. Each credit checks that this, and so every later sum, stays in range.
    pub fn balance(&self) -> i64 {
        self.available + self.pending + self.held - self.debt
    }

    /// Adds a lot and its amount. Nothing changes on overflow.
    pub fn credit(&mut self, lot: Lot) -> Result<(), Overflow> {
        let available = self.available.checked_add(lot.amount).ok_or(Overflow)?;
        let lifetime_earned = self.lifetime_earned.checked_add(lot.amount).ok_or(Overflow)?;
        available
            .checked_add(self.pending)
            .and_then(|sum| sum.checked_add(self.held))
            .and_then(|sum| sum.checked_sub(self.debt))
            .ok_or(Overflow)?;
        self.available = available;
        self.lifetime_earned = lifetime_earned;
        if let Some(expires_at) = lot.expires_at {
            self.next_due = Some(self.next_due.map_or(expires_at, |due| due.min(expires_at)));
        }
        self.lots.push(lot);
        Ok(())
    }

    /// Takes an amount in spending order: earliest expiry first, then oldest, never-expiring last. The caller has made sure that
    /// `amount` is at most `available` and that nothing is expired.
    pub fn spend(&mut self, amount: i64) -> Result<Vec<LotShare>, Overflow> {
        let lifetime_redeemed = self.lifetime_redeemed.checked_add(amount).ok_or(Overflow)?;
        let mut order: Vec<usize> = (0..self.lots.len()).collect();
        // Stable: lots of one expiry and issue stay in the order of their making.
        order.sort_by_key(|&index| spending_rank(&self.lots[index]));
        let mut left = amount;
        let mut shares = Vec::new();
        for index in order {
            if left == 0 {
                break;
            }
            let lot = &mut self.lots[index];
            let taken = lot.remaining.min(left);
            lot.remaining -= taken;
            left -= taken;
            shares.push(LotShare { lot_id: lot.lot_id, amount: taken });
        }
        self.lots.retain(|lot| lot.remaining > 0);
        self.available -= amount - left;
        self.lifetime_redeemed = lifetime_redeemed;
        Ok(shares)
    }

    /// The earliest expiry that has passed, if any. As it looks at every lot only when `next_due` has passed, asking is cheap.
    pub fn first_expiry_until(&self, now: Instant) -> Option<Instant> {
        if self.next_due.is_none_or(|due| due > now) {
            return None;
        }
        self.lots.iter().filter_map(|lot| lot.expires_at).filter(|&expires_at| expires_at <= now).min()
    }

    /// Removes every lot that expires at exactly this instant, and says what was lost.
    pub fn expire(&mut self, at: Instant) -> Vec<LotShare> {
        let mut shares = Vec::new();
        self.lots.retain(|lot| {
            let expires = lot.expires_at == Some(at);
            if expires {
                shares.push(LotShare { lot_id: lot.lot_id, amount: lot.remaining });
            }
            !expires
        });
        self.available -= shares.iter().map(|share| share.amount).sum::<i64>();
        self.refresh_next_due();
        shares
    }

    /// Makes `next_due` exact again.
    pub fn refresh_next_due(&mut self) {
        self.next_due = self.lots.iter().filter_map(|lot| lot.expires_at).min();
    }

    /// The lots in spending order.
    pub fn lots_in_spending_order(&self) -> Vec<&Lot> {
        let mut lots: Vec<&Lot> = self.lots.iter().collect();
        lots.sort_by_key(|lot| spending_rank(lot));
        lots
    }
}

fn spending_rank(lot: &Lot) -> (Instant, Instant) {
    (lot.expires_at.unwrap_or(Instant::from_micros(i64::MAX)), lot.issued_at)
}
