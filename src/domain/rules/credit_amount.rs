//! Giving an amount: rules 2, 4, 5 and 16.
//!
//! A reference that leads to nobody is refused, waits (see [`crate::domain::parking`]), or enrols: then the credit makes a customer with that one
//! identifier, `incomplete` until an upsert says more. It is one command and so one version, the customer's first: it was created, and it
//! has earned. Nobody is enrolled by a credit that is refused for anything else; by a customer id, which is no identifier; nor by a kind of
//! identifier that is not of `match_by`, by which no upsert would find the customer again, unless the merchant has customers without any
//! of those.

use crate::domain::book::{Book, Movement, Posting};
use crate::domain::case::Case;
use crate::domain::command::CreditAmount;
use crate::domain::config::settings::UnknownCustomer;
use crate::domain::config::unit::Unit;
use crate::domain::customer::identifiers::Identifier;
use crate::domain::event::{Counted, Fact, LotEnd};
use crate::domain::ledger::entry::EntryKind;
use crate::domain::ledger::memory::{Memory, MemoryKey};
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rule::{Keys, Rule};
use crate::domain::settle;
use crate::domain::values::ids::{CustomerId, MerchantId, OrderId};
use crate::domain::values::time::Instant;

enum Earner {
    Known(CustomerId),
    /// Whom nobody knows, and who is to be enrolled.
    New(Identifier),
}

impl Rule for CreditAmount {
    const MAY_PARK: bool = true;

    fn keys(&self, merchant: &MerchantId, keys: &mut Keys) {
        keys.memory.extend(self.order(merchant));
    }

    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
        check_fields(case, self)?;
        let unit = case.unit_in_force(book, &self.unit)?;
        let earner = match newcomer(book, case) {
            Some(identifier) => Earner::New(identifier),
            None => Earner::Known(case.active_customer(book)?),
        };
        case.unit = Some(self.unit.clone());
        let order = self.order(&case.command.envelope.merchant_id);
        check_order(book, order)?;
        let (customer, mut facts) = match earner {
            Earner::Known(customer) => (customer, Vec::new()),
            // What comes below can't fail for a new account: it holds whatever one command may give.
            Earner::New(identifier) => enrol(book, case, identifier),
        };
        let cause = case.cause(self.skip_notifications);
        let expires_at = self.expires_at.or_else(|| expiry(&unit, case));
        let posting = Posting {
            order_id: self.order_id.clone(),
            reason: self.reason.clone(),
            title: self.title.clone(),
            ..Posting::new(
                EntryKind::EarnAmount,
                Movement::Issue { amount: self.amount, expires_at },
                Some(unit.version),
            )
        };
        let entry = book.post(customer, &self.unit, posting, 0, &cause).map_err(|_| {
            Rejection::new(
                RejectionCode::AmountOverflow,
                "The account can't hold so much: its balance would leave 64 bits.",
            )
        })?;

        // From here on nothing can fail.
        let zone = case.settings.time_zone.rules();
        let end = expires_at.map(|at| LotEnd { at, last_day: at.last_local_date(zone) });
        let balance = book.balance(customer, &self.unit);
        if let Some(order) = order {
            book.memorise(order, Memory::EarnedOrder(entry.transaction_id));
        }
        let counted = Counted::Unit(Some(unit.clone()));
        facts.push(Fact::Posted { entry: entry.clone(), balance, counted, end });
        case.entries.push(entry);
        if let Some(expires_at) = expires_at.filter(|&expires_at| expires_at <= case.moment.lane_time) {
            // Rule 5: an earning that comes so late that its lot has expired is issued and expired in the same command.
            let (expired, fact) = settle::expire_lots(book, customer, &self.unit, Some(unit), expires_at, 1, &cause);
            facts.push(fact);
            case.entries.push(expired);
        }
        book.change_customer(customer, cause, facts);
        Ok(Effect::Applied)
    }
}

impl CreditAmount {
    /// By what it is remembered that the order has earned.
    fn order(&self, merchant: &MerchantId) -> Option<MemoryKey> {
        Some(MemoryKey::earned_order(merchant, self.order_id.as_ref()?, &self.unit))
    }
}

fn check_fields(case: &Case<'_>, credit: &CreditAmount) -> Result<(), Rejection> {
    let mut check = case.field_check();
    if case.command.envelope.customer.is_none() {
        check.bad("envelope.customer", "is required");
    }
    case.check_reference(&mut check);
    check.id("command.unit", Some(credit.unit.as_str()), 255);
    check.amount("command.amount", credit.amount);
    check.id("command.order_id", credit.order_id.as_ref().map(OrderId::as_str), 255);
    check.prose("command.reason", credit.reason.as_deref(), 500);
    check.text("command.title", credit.title.as_deref(), 255);
    if credit.expires_at.is_some_and(|expires_at| expires_at <= case.occurred_at) {
        check.bad("command.expires_at", "must be after the command's business time");
    }
    Ok(check.done()?)
}

/// The identifier that nobody has, where it makes a customer.
fn newcomer(book: &Book, case: &Case<'_>) -> Option<Identifier> {
    let reference = case.command.envelope.customer.as_ref()?;
    let kind = reference.kind.identifier()?;
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
fn enrol(book: &mut Book, case: &mut Case<'_>, identifier: Identifier) -> (CustomerId, Vec<Fact>) {
    let id = case.moment.seed.customer_id();
    let mut customer = case.new_customer(book, id);
    customer.incomplete = true;
    customer.set_identifier(identifier.kind, Some(identifier.value.clone()));
    let mut changed = vec![identifier.kind.field(), "incomplete"];
    changed.extend(customer.tier.as_ref().map(|_| "tier_id"));
    let created = Fact::CustomerCreated { changed };
    book.give_identifier(identifier, id);
    book.add_customer(customer);
    case.customer = Some(id);
    (id, vec![created])
}

/// Rule 2: one accepted earning per merchant, order and unit.
fn check_order(book: &Book, order: Option<MemoryKey>) -> Result<(), Rejection> {
    match order.and_then(|order| book.memory.get(&order)) {
        Some(Memory::EarnedOrder(first)) => Err(Rejection::new(
            RejectionCode::DuplicateOrder,
            "This order has earned already: an order earns once per unit.",
        )
        .with("first_transaction", first)),
        None => Ok(()),
    }
}

fn expiry(unit: &Unit, case: &Case<'_>) -> Option<Instant> {
    let days = u16::try_from(unit.expiry_days?).expect("the days of a unit are checked when it is put");
    Some(case.occurred_at.end_of_local_day_after(days, case.settings.time_zone.rules()))
}
