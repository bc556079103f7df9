//! What accounts count.

use std::collections::BTreeMap;

use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

words! {
    /// What a unit's amounts are.
    UnitKind {
        Points = 1 "points",
        Money = 2 "money",
        Discount = 3 "discount",
        Product = 4 "product",
    }
}

words! {
    /// How an amount that is computed becomes minor units.
    Rounding {
        Floor = 1 "floor",
        HalfUp = 2 "half_up",
        HalfEven = 3 "half_even",
        Ceiling = 4 "ceiling",
    }
}

/// What one minor unit is worth: numerator / denominator of the currency's minor unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyValue {
    pub numerator: i64,
    pub denominator: i64,
    /// ISO 4217.
    pub currency: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UnitVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub name: String,
    /// Digits after the point; amounts are integers of the smallest.
    pub scale: u8,
    pub expiry: Expiry,
    /// The least available balance before a redemption.
    pub min_held: i64,
    /// The least amount of a redemption.
    pub min_amount: i64,
    pub description: Option<String>,
    pub kind: UnitKind,
    /// ISO 4217, for a unit that is money.
    pub currency: Option<String>,
    pub brand_id: Option<String>,
    pub value: Option<MoneyValue>,
    pub rounding: Rounding,
    /// A redemption's amount is a multiple of it.
    pub step: i64,
    /// The merchant's own labels.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// At the end of the local day so many days after the lot was issued.
    Days(u16),
}
