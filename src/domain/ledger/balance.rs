//! What an account holds, as results and events have it.

use serde::Serialize;

use crate::domain::values::ids::UnitId;

/// What an account holds, for results and events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
