//! Amounts.

/// The greatest amount of one command, in minor units.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;
