//! What accounts count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::field_check::FieldCheck;
use crate::domain::values::amount::MAX_AMOUNT;
use crate::domain::values::ids::UnitId;
use crate::domain::values::words::words;

const MAX_ATTRIBUTES: usize = 50;

words! {
    /// What a unit's amounts are.
    #[derive(Default)]
    UnitKind {
        #[default]
        Points "points",
        Money "money",
        Discount "discount",
        Product "product",
    }
}

words! {
    /// How an amount that is computed becomes minor units.
    #[derive(Default)]
    Rounding {
        #[default]
        Floor "floor",
        HalfUp "half_up",
        HalfEven "half_even",
        Ceiling "ceiling",
    }
}

/// What one minor unit is worth: numerator / denominator of the currency's minor unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyValue {
    pub numerator: i64,
    pub denominator: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A unit, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    pub unit_id: UnitId,
    pub name: String,
    /// Digits after the point; amounts are integers of the smallest.
    pub scale: i32,
    /// A lot ends with the local day that is so many days after its issue; `None`: never.
    pub expiry_days: Option<i32>,
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

impl Default for Unit {
    fn default() -> Self {
        Unit {
            unit_id: UnitId::new(""),
            name: String::new(),
            scale: 0,
            expiry_days: None,
            min_held: 0,
            min_amount: 1,
            description: None,
            kind: UnitKind::default(),
            currency: None,
            brand_id: None,
            value: None,
            rounding: Rounding::default(),
            step: 1,
            attributes: BTreeMap::new(),
        }
    }
}

impl Unit {
    /// What is wrong with its fields. `before`: the unit so far, whose currency may have gone out of use since.
    pub fn check(&self, before: Option<&Unit>, check: &mut FieldCheck) {
        check.text("command.name", Some(&self.name), 255);
        check.range("command.scale", i64::from(self.scale), 0, 6);
        if let Some(days) = self.expiry_days {
            check.range("command.expiry_days", i64::from(days), 1, 3650);
        }
        check.range("command.min_held", self.min_held, 0, MAX_AMOUNT);
        check.range("command.min_amount", self.min_amount, 1, MAX_AMOUNT);
        check.prose("command.description", self.description.as_deref(), 500);
        let currency = before.and_then(|before| before.currency.as_deref());
        check.currency("command.currency", self.currency.as_deref(), currency);
        if self.currency.is_some() != (self.kind == UnitKind::Money) && !check.names("command.kind") {
            check.bad("command.currency", "must be set for a unit of kind money, and for no other");
        }
        check.id("command.brand_id", self.brand_id.as_deref(), 255);
        if let Some(value) = &self.value {
            check.range("command.value.numerator", value.numerator, 1, MAX_AMOUNT);
            check.range("command.value.denominator", value.denominator, 1, MAX_AMOUNT);
            let currency = before.and_then(|before| before.value.as_ref()).map(|value| value.currency.as_str());
            check.currency("command.value.currency", Some(&value.currency), currency);
        }
        check.range("command.step", self.step, 1, MAX_AMOUNT);
        let fits = (1..=MAX_AMOUNT).contains(&self.step) && (1..=MAX_AMOUNT).contains(&self.min_amount);
        // Both are at most MAX_AMOUNT, so that nothing overflows.
        if fits && (self.min_amount + self.step - 1) / self.step * self.step > MAX_AMOUNT {
            check.bad(
                "command.step",
                format!(
                    "leaves no amount that can be redeemed: its first multiple from min_amount on is above {MAX_AMOUNT}"
                ),
            );
        }
        check.labels("command.attributes", &self.attributes, MAX_ATTRIBUTES);
    }
}
