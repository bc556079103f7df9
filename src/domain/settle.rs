//! What time does by itself: lots expire. Each due instant is a change of its own with a version of its own, named by the account and the
//! instant, and recorded at that instant. So it makes no difference whether a command, a tick or a later tick settles it.

use std::sync::Arc;

use crate::domain::book::{Book, Cause, Movement, Posting};
use crate::domain::config::history::Version;
use crate::domain::config::unit::Unit;
use crate::domain::event::{Counted, Fact};
use crate::domain::ledger::entry::{Entry, EntryKind};
use crate::domain::values::ids::{CustomerId, Seed, UnitId};
use crate::domain::values::time::Instant;

/// Settles everything that is due for a customer until `now`, in the order of time, then of units.
pub fn settle_customer(book: &mut Book, customer: CustomerId, now: Instant) {
    while let Some((due, unit)) = next_expiry(book, customer, now) {
        expire(book, customer, &unit, due);
    }
    // An early `next_due` has been visited for nothing: make it exact, so that ticks do not come back to it.
    book.refresh_next_due(customer, now);
}

fn next_expiry(book: &Book, customer: CustomerId, now: Instant) -> Option<(Instant, UnitId)> {
    book.accounts(customer)
        .filter_map(|account| Some((account.first_expiry_until(now)?, &account.unit_id)))
        .min()
        .map(|(due, unit)| (due, unit.clone()))
}

fn expire(book: &mut Book, customer: CustomerId, unit: &UnitId, due: Instant) {
    let seed = Seed::of_due(customer, unit, due);
    let cause = Cause { seed, command: None, occurred_at: due, recorded_at: due, skip_notifications: false };
    let merchant = book.state(customer).map(|state| &state.customer.merchant_id);
    let config = merchant.and_then(|merchant| book.config(merchant));
    let known = config.and_then(|config| config.history(unit.as_str())?.known_before(due)).cloned();
    let (_, fact) = expire_lots(book, customer, unit, known, due, 0, &cause);
    book.change_customer(customer, cause, vec![fact]);
}

/// Takes the lots that expire at exactly this instant off an account, with one entry for all of them, and what is to be told of it.
pub(super) fn expire_lots(
    book: &mut Book,
    customer: CustomerId,
    unit: &UnitId,
    known: Option<Arc<Version<Unit>>>,
    due: Instant,
    nth: u32,
    cause: &Cause<'_>,
) -> (Arc<Entry>, Fact) {
    let posting = Posting::new(EntryKind::Expire, Movement::Expire(due), None);
    let entry = book.post(customer, unit, posting, nth, cause).expect("what is taken off leaves no range");
    let balance = book.balance(customer, unit);
    let fact = Fact::Posted { entry: entry.clone(), balance, counted: Counted::Unit(known), end: None };
    (entry, fact)
}
