//! What time does by itself: lots expire. Each due instant is a change of its own with a version of its own, named by the account and the
//! instant, and recorded at that instant. So it makes no difference whether a command, a tick or a later tick settles it.

use std::sync::Arc;

use crate::domain::book::{Book, Cause};
use crate::domain::event::Fact;
use crate::domain::ledger::entry::{Entry, EntryKind};
use crate::domain::values::ids::{CustomerId, Seed, TransactionId, UnitId};
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
    let entry = expire_lots(book, customer, unit, due, seed.transaction_id(0), &cause);
    let balance = book.balance(customer, unit);
    let merchant = book.state(customer).map(|state| &state.customer.merchant_id);
    let config = merchant.and_then(|merchant| book.config(merchant));
    let unit = config.and_then(|config| config.unit_known_before(unit, due)).cloned();
    book.change_customer(customer, cause, vec![Fact::PointsExpired { entry, balance, unit }]);
}

/// Takes the lots that expire at exactly this instant off an account, with one entry for all of them.
pub(super) fn expire_lots(
    book: &mut Book,
    customer: CustomerId,
    unit: &UnitId,
    due: Instant,
    transaction_id: TransactionId,
    cause: &Cause<'_>,
) -> Arc<Entry> {
    let account = book.account_mut(customer, unit);
    let lots = account.expire(due);
    account.refresh_next_due();
    let previous = account.append(transaction_id);
    let entry = Entry {
        transaction_id,
        previous,
        customer_id: customer,
        unit_id: unit.clone(),
        seq: account.entries,
        kind: EntryKind::Expire,
        amount: lots.iter().map(|share| share.amount).sum(),
        balance_after: account.balance(),
        lots,
        unit_version: None,
        order_id: None,
        reason: None,
        title: None,
        cause: cause.command.map(|(_, position)| position),
        occurred_at: due,
        recorded_at: cause.recorded_at,
    };
    book.record(entry)
}
