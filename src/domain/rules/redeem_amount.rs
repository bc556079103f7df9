//! Taking an amount: rules 4, 6 and 16.
//!
//! Whoever is unknown stays so, also where a credit would enrol: who has just come has nothing, so the redemption would be refused all the
//! same, and a refused command makes nobody. Where commands wait for their customer, a redemption does too, behind the credits before it.

use crate::domain::book::Book;
use crate::domain::case::{Accepted, Case, Touched};
use crate::domain::command::RedeemAmount;
use crate::domain::event::Fact;
use crate::domain::ledger::entry::{Entry, EntryKind};
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rules::credit_amount::unit_in_force;

pub(in crate::domain) fn judge(
    book: &mut Book,
    case: &Case<'_>,
    redeem: &RedeemAmount,
    touched: &mut Touched,
) -> Result<Accepted, Rejection> {
    check_fields(case, redeem)?;
    let unit = unit_in_force(book, case, &redeem.unit)?;
    let customer = case.active_customer(book, touched)?;
    touched.unit = Some(redeem.unit.clone());
    let available = book.account(customer, &redeem.unit).map_or(0, |account| account.available);
    if redeem.amount < unit.min_amount {
        return Err(Rejection::new(RejectionCode::BelowMinimum, "The unit's least amount of a redemption is greater.")
            .with("minimum", unit.min_amount)
            .with("requested", redeem.amount));
    }
    if redeem.amount % unit.step != 0 {
        return Err(Rejection::new(
            RejectionCode::NotAStep,
            "A redemption's amount must be a multiple of the unit's step.",
        )
        .with("requested", redeem.amount)
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
    if available < redeem.amount {
        return Err(Rejection::new(
            RejectionCode::InsufficientPoints,
            "The customer has less available than requested.",
        )
        .with("available", available)
        .with("requested", redeem.amount));
    }
    let spent = book.change_account(customer, &redeem.unit, |account| account.spend(redeem.amount));
    let lots = spent.map_err(|_| {
        Rejection::new(RejectionCode::AmountOverflow, "The account's lifetime sum of redemptions would leave 64 bits.")
    })?;

    // From here on nothing can fail.
    let account = book.account_mut(customer, &redeem.unit);
    let transaction_id = case.moment.seed.transaction_id(0);
    let previous = account.append(transaction_id);
    let entry = Entry {
        transaction_id,
        previous,
        customer_id: customer,
        unit_id: redeem.unit.clone(),
        seq: account.entries,
        kind: EntryKind::RedeemAmount,
        amount: redeem.amount,
        balance_after: account.balance(),
        lots,
        unit_version: Some(unit.version),
        order_id: redeem.order_id.clone(),
        reason: redeem.reason.clone(),
        title: None,
        cause: Some(case.moment.position),
        occurred_at: case.occurred_at,
        recorded_at: case.moment.lane_time,
    };
    let entry = book.record(entry);
    let balance = book.balance(customer, &redeem.unit);
    let facts = vec![Fact::PointsRedeemed { entry: entry.clone(), balance, unit }];
    book.change_customer(customer, case.cause(redeem.skip_notifications), facts);
    Ok(Accepted { effect: Effect::Applied, entries: vec![entry], config_version: None })
}

fn check_fields(case: &Case<'_>, redeem: &RedeemAmount) -> Result<(), Rejection> {
    let mut check = case.field_check();
    if case.command.envelope.customer.is_none() {
        check.bad("envelope.customer", "is required");
    }
    case.check_reference(&mut check);
    check.id("command.unit", Some(redeem.unit.as_str()), 255);
    check.amount("command.amount", redeem.amount);
    check.id("command.order_id", redeem.order_id.as_deref(), 255);
    check.prose("command.reason", redeem.reason.as_deref(), 500);
    check.done()
}
