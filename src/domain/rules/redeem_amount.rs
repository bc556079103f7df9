//! Taking an amount: rules 4, 6 and 16.
//!
//! Whoever is unknown stays so, also where a credit would enrol: who has just come has nothing, so the redemption would be refused all the
//! same, and a refused command makes nobody. Where commands wait for their customer, a redemption does too, behind the credits before it.

use crate::domain::book::{Book, Movement, Posting};
use crate::domain::case::Case;
use crate::domain::command::RedeemAmount;
use crate::domain::event::{Counted, Fact};
use crate::domain::ledger::entry::EntryKind;
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rule::Rule;
use crate::domain::values::ids::OrderId;

impl Rule for RedeemAmount {
    const MAY_PARK: bool = true;

    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
        check_fields(case, self)?;
        let unit = case.unit_in_force(book, &self.unit)?;
        let customer = case.active_customer(book)?;
        case.unit = Some(self.unit.clone());
        let available = book.account(customer, &self.unit).map_or(0, |account| account.available);
        if self.amount < unit.min_amount {
            return Err(Rejection::new(
                RejectionCode::BelowMinimum,
                "The unit's least amount of a redemption is greater.",
            )
            .with("minimum", unit.min_amount)
            .with("requested", self.amount));
        }
        if self.amount % unit.step != 0 {
            return Err(Rejection::new(
                RejectionCode::NotAStep,
                "A redemption's amount must be a multiple of the unit's step.",
            )
            .with("requested", self.amount)
            .with("step", unit.step));
        }
        if available < unit.min_held {
            return Err(Rejection::new(
                RejectionCode::MinimumBalanceNotMet,
                "The customer must hold more of this unit before any can be redeemed.",
            )
            .with("available", available)
            .with("minimum", unit.min_held));
        }
        if available < self.amount {
            return Err(Rejection::new(
                RejectionCode::InsufficientPoints,
                "The customer has less available than requested.",
            )
            .with("available", available)
            .with("requested", self.amount));
        }
        let cause = case.cause(self.skip_notifications);
        let posting = Posting {
            order_id: self.order_id.clone(),
            reason: self.reason.clone(),
            ..Posting::new(EntryKind::RedeemAmount, Movement::Spend(self.amount), Some(unit.version))
        };
        let entry = book.post(customer, &self.unit, posting, 0, &cause).map_err(|_| {
            Rejection::new(
                RejectionCode::AmountOverflow,
                "The account's lifetime sum of redemptions would leave 64 bits.",
            )
        })?;

        // From here on nothing can fail.
        let balance = book.balance(customer, &self.unit);
        let counted = Counted::Unit(Some(unit));
        let fact = Fact::Posted { entry: entry.clone(), balance, counted, end: None };
        case.entries.push(entry);
        book.change_customer(customer, cause, vec![fact]);
        Ok(Effect::Applied)
    }
}

fn check_fields(case: &Case<'_>, redeem: &RedeemAmount) -> Result<(), Rejection> {
    let mut check = case.field_check();
    if case.command.envelope.customer.is_none() {
        check.bad("envelope.customer", "is required");
    }
    case.check_reference(&mut check);
    check.id("command.unit", Some(redeem.unit.as_str()), 255);
    check.amount("command.amount", redeem.amount);
    check.id("command.order_id", redeem.order_id.as_ref().map(OrderId::as_str), 255);
    check.prose("command.reason", redeem.reason.as_deref(), 500);
    Ok(check.done()?)
}
