//! Giving an amount: rules 2, 4, 5 and 16.
//!
//! A reference that leads to nobody is refused, waits (see [`crate::domain::parking`]), or enrols: then the credit makes a customer with that one
//! identifier, `incomplete` until an upsert says more. It is one command and so one version, the customer's first: it was created, and it
//! has earned. Nobody is enrolled by a credit that is refused for anything else; by a customer id, which is no identifier; nor by a kind of
//! identifier that is not of `match_by`, by which no upsert would find the customer again, unless the merchant has customers without any
//! of those.

use crate::domain::book::Book;
use crate::domain::case::{Accepted, Case, Touched};
use crate::domain::command::{CreditAmount, RefKind};
use crate::domain::config::settings::UnknownCustomer;
use crate::domain::config::unit::{Expiry, UnitVersion};
use crate::domain::customer::identifiers::Identifier;
use crate::domain::event::{Fact, LotEnd};
use crate::domain::ledger::account::Lot;
use crate::domain::ledger::earned_order::EarnedOrder;
use crate::domain::ledger::entry::{Entry, EntryKind, LotShare};
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::settle;
use crate::domain::values::ids::{CustomerId, LotId, UnitId};
use crate::domain::values::time::Instant;

enum Earner {
    Known(CustomerId),
    /// Whom nobody knows, and who is to be enrolled.
    New(Identifier),
}

pub(in crate::domain) fn judge(
    book: &mut Book,
    case: &Case<'_>,
    credit: &CreditAmount,
    touched: &mut Touched,
) -> Result<Accepted, Rejection> {
    check_fields(case, credit)?;
    let unit = unit_in_force(book, case, &credit.unit)?;
    let earner = match newcomer(book, case) {
        Some(identifier) => Earner::New(identifier),
        None => Earner::Known(case.active_customer(book, touched)?),
    };
    touched.unit = Some(credit.unit.clone());
    let order = check_order(book, case)?;
    let (customer, mut facts) = match earner {
        Earner::Known(customer) => (customer, Vec::new()),
        // What comes below can't fail for a new account: it holds whatever one command may give.
        Earner::New(identifier) => enrol(book, case, identifier, touched),
    };

    let transaction_id = case.moment.seed.transaction_id(0);
    let expires_at = credit.expires_at.or_else(|| expiry(&unit, case));
    let lot = Lot {
        lot_id: LotId(transaction_id.0),
        amount: credit.amount,
        remaining: credit.amount,
        issued_at: case.occurred_at,
        expires_at,
    };
    book.change_account(customer, &credit.unit, |account| account.credit(lot)).map_err(|_| {
        Rejection::new(
            RejectionCode::AmountOverflow,
            "The account can't hold so much: its balance would leave 64 bits.",
        )
    })?;

    // From here on nothing can fail.
    let account = book.account_mut(customer, &credit.unit);
    let previous = account.append(transaction_id);
    let entry = Entry {
        transaction_id,
        previous,
        customer_id: customer,
        unit_id: credit.unit.clone(),
        seq: account.entries,
        kind: EntryKind::EarnAmount,
        amount: credit.amount,
        balance_after: account.balance(),
        lots: vec![LotShare { lot_id: lot.lot_id, amount: lot.amount }],
        unit_version: Some(unit.version),
        order_id: credit.order_id.clone(),
        reason: credit.reason.clone(),
        title: credit.title.clone(),
        cause: Some(case.moment.position),
        occurred_at: case.occurred_at,
        recorded_at: case.moment.lane_time,
    };
    let entry = book.record(entry);
    let zone = &case.settings.time_zone.rules;
    let end = expires_at.map(|at| LotEnd { at, last_day: at.last_local_date(zone) });
    let balance = book.balance(customer, &credit.unit);
    facts.push(Fact::PointsEarned { entry: entry.clone(), balance, unit: unit.clone(), end });
    let mut entries = vec![entry];
    if let Some(expires_at) = expires_at.filter(|&expires_at| expires_at <= case.moment.lane_time) {
        // Rule 5: an earning that comes so late that its lot has expired is issued and expired in the same command.
        let cause = case.cause(credit.skip_notifications);
        let transaction_id = case.moment.seed.transaction_id(1);
        let expired = settle::expire_lots(book, customer, &credit.unit, expires_at, transaction_id, &cause);
        let balance = book.balance(customer, &credit.unit);
        facts.push(Fact::PointsExpired { entry: expired.clone(), balance, unit: Some(unit) });
        entries.push(expired);
    }
    book.change_customer(customer, case.cause(credit.skip_notifications), facts);
    if let Some(order) = order {
        book.earned_orders.insert(order.clone(), transaction_id);
        book.new_orders.push((order, transaction_id));
    }
    Ok(Accepted { effect: Effect::Applied, entries, config_version: None })
}

fn check_fields(case: &Case<'_>, credit: &CreditAmount) -> Result<(), Rejection> {
    let mut check = case.field_check();
    if case.command.envelope.customer.is_none() {
        check.bad("envelope.customer", "is required");
    }
    case.check_reference(&mut check);
    check.id("command.unit", Some(credit.unit.as_str()), 255);
    check.amount("command.amount", credit.amount);
    check.id("command.order_id", credit.order_id.as_deref(), 255);
    check.prose("command.reason", credit.reason.as_deref(), 500);
    check.text("command.title", credit.title.as_deref(), 255);
    if credit.expires_at.is_some_and(|expires_at| expires_at <= case.occurred_at) {
        check.bad("command.expires_at", "must be after the command's business time");
    }
    check.done()
}

/// The identifier that nobody has, where it makes a customer.
fn newcomer(book: &Book, case: &Case<'_>) -> Option<Identifier> {
    let reference = case.command.envelope.customer.as_ref()?;
    let RefKind::Identifier(kind) = reference.kind else { return None };
    let settings = &case.settings;
    let enrols = match settings.unknown_customer {
        UnknownCustomer::Reject | UnknownCustomer::Park => false,
        UnknownCustomer::Enrol => settings.match_by.contains(&kind) || settings.allow_no_identifier,
    };
    if !enrols || case.find(book, reference).is_some() {
        return None;
    }
    case.identifier(kind, &reference.value)
}

/// Makes the customer; its first version, with these facts, is the credit's.
fn enrol(book: &mut Book, case: &Case<'_>, identifier: Identifier, touched: &mut Touched) -> (CustomerId, Vec<Fact>) {
    let id = case.moment.seed.customer_id();
    let mut customer = case.new_customer(book, id);
    customer.incomplete = true;
    customer.set_identifier(identifier.kind, Some(identifier.value.clone()));
    let mut changed = vec![identifier.kind.field(), "incomplete"];
    changed.extend(customer.tier.as_ref().map(|_| "tier_id"));
    let created = Fact::CustomerCreated { changed };
    book.give_identifier(identifier, id);
    book.add_customer(customer);
    touched.customer = Some(id);
    (id, vec![created])
}

/// The unit's version at business time.
pub(in crate::domain) fn unit_in_force(
    book: &Book,
    case: &Case<'_>,
    unit: &UnitId,
) -> Result<std::sync::Arc<UnitVersion>, Rejection> {
    case.config(book).and_then(|config| config.unit_at(unit, case.occurred_at)).cloned().ok_or_else(|| {
        Rejection::new(RejectionCode::UnknownUnit, "The merchant has no such unit at the command's business time.")
            .with("unit", unit)
    })
}

/// Rule 2: one accepted earning per merchant, order and unit.
fn check_order(book: &Book, case: &Case<'_>) -> Result<Option<EarnedOrder>, Rejection> {
    let Some(order) = case.command.earned_order() else { return Ok(None) };
    match book.earned_orders.get(&order) {
        Some(first) => Err(Rejection::new(
            RejectionCode::DuplicateOrder,
            "This order has earned already: an order earns once per unit.",
        )
        .with("first_transaction", first)),
        None => Ok(Some(order)),
    }
}

fn expiry(unit: &UnitVersion, case: &Case<'_>) -> Option<Instant> {
    match unit.expiry {
        Expiry::Never => None,
        Expiry::Days(days) => Some(case.occurred_at.end_of_local_day_after(days, &case.settings.time_zone.rules)),
    }
}
