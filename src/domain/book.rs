//! The rows that a batch works on, in memory: what was loaded, what the commands so far have made of it, and which of it changed.
//!
//! It knows no rule. Rows are looked up by key and never iterated by a hash map's order; what changed is remembered in the order of the
//! changes, so that everything that comes out of a batch has one order.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::command::Command;
use crate::domain::config::merchant::{ConfigObject, MerchantConfig};
use crate::domain::customer::identifiers::Identifier;
use crate::domain::customer::state::{Customer, CustomerChange, CustomerState};
use crate::domain::event::{Event, Fact, Notify};
use crate::domain::ledger::account::{Account, Lot, Overflow};
use crate::domain::ledger::balance::Balance;
use crate::domain::ledger::entry::{Entry, EntryKind, LotShare};
use crate::domain::ledger::memory::{Memory, MemoryKey};
use crate::domain::membership::Membership;
use crate::domain::outcome::{KeyHash, Remembered};
use crate::domain::parking::{Parked, Parking};
use crate::domain::values::ids::{CustomerId, EventId, IdMap, LotId, MerchantId, OrderId, Seed, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;

const IN_BOOK: &str = "a customer is changed only after it was found in the book or added to it";

#[derive(Debug, Default)]
pub struct Book {
    pub(crate) configs: HashMap<MerchantId, MerchantConfig>,
    pub(crate) remembered: IdMap<KeyHash, Remembered>,
    /// Who has an identifier now.
    pub(crate) identities: HashMap<Identifier, CustomerId>,
    pub(crate) customers: IdMap<CustomerId, CustomerRow>,
    /// Customers in the order of their first change.
    pub(crate) changed: Vec<CustomerId>,
    pub(crate) memory: IdMap<MemoryKey, Memory>,
    /// What of it is new, in the order of its making.
    pub(crate) new_memory: Vec<MemoryKey>,
    pub(crate) new_versions: Vec<(MerchantId, ConfigObject)>,
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) events: Vec<Event>,
    pub(crate) parking: Parking,
}

#[derive(Debug)]
pub(crate) struct CustomerRow {
    pub state: Box<CustomerState>,
    pub change: Option<CustomerChange>,
}

/// What caused a change: a command, or time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub seed: Seed,
    pub command: Option<(&'a Command, Position)>,
    pub occurred_at: Instant,
    pub recorded_at: Instant,
    pub skip_notifications: bool,
}

/// What an entry does to an account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Movement {
    /// Makes a lot.
    Issue { amount: i64, expires_at: Option<Instant> },
    /// Takes an amount that is available, in spending order.
    Spend(i64),
    /// Takes the lots that expire at exactly this instant.
    Expire(Instant),
}

/// An entry that is to be made.
#[derive(Debug)]
pub(crate) struct Posting {
    pub kind: EntryKind,
    pub movement: Movement,
    /// Of a stamp, the card's.
    pub unit_version: Option<i64>,
    pub order_id: Option<OrderId>,
    pub reason: Option<String>,
    pub title: Option<String>,
}

impl Posting {
    /// Without anything that it refers to.
    pub(crate) fn new(kind: EntryKind, movement: Movement, unit_version: Option<i64>) -> Posting {
        Posting { kind, movement, unit_version, order_id: None, reason: None, title: None }
    }
}

impl Book {
    pub(crate) fn config(&self, merchant: &MerchantId) -> Option<&MerchantConfig> {
        self.configs.get(merchant).filter(|config| !config.is_empty())
    }

    pub(crate) fn holder(&self, identifier: &Identifier) -> Option<CustomerId> {
        self.identities.get(identifier).copied()
    }

    pub(crate) fn give_identifier(&mut self, identifier: Identifier, holder: CustomerId) {
        self.parking.meet(&identifier);
        self.identities.insert(identifier, holder);
    }

    pub(crate) fn free_identifier(&mut self, identifier: &Identifier) {
        self.identities.remove(identifier);
    }

    pub(crate) fn customer(&self, id: CustomerId) -> Option<&Customer> {
        self.customers.get(&id).map(|row| &row.state.customer)
    }

    pub(crate) fn state(&self, id: CustomerId) -> Option<&CustomerState> {
        self.customers.get(&id).map(|row| &*row.state)
    }

    /// A customer's tier and cards, as its merchant's configuration has them at an instant.
    pub(crate) fn membership(&self, id: CustomerId, at: Instant) -> Option<Box<Membership>> {
        let state = self.state(id)?;
        Membership::of(state, self.config(&state.customer.merchant_id)?, at)
    }

    pub(crate) fn add_customer(&mut self, customer: Customer) {
        let id = customer.customer_id;
        let state = Box::new(CustomerState { customer, accounts: Vec::new() });
        self.customers.insert(id, CustomerRow { state, change: Some(CustomerChange::Created) });
        self.changed.push(id);
    }

    pub(crate) fn accounts(&self, id: CustomerId) -> impl Iterator<Item = &Account> {
        self.customers.get(&id).into_iter().flat_map(|row| &row.state.accounts)
    }

    pub(crate) fn account(&self, id: CustomerId, unit: &UnitId) -> Option<&Account> {
        self.customers.get(&id)?.state.account(unit)
    }

    /// Writes an entry: moves the lots and the balance of the customer's account, which is opened if it does not exist. The only place that
    /// makes entries. Nothing changes on overflow. `nth` is the entry's place among those of its cause. [`Book::change_customer`] must follow.
    pub(crate) fn post(
        &mut self,
        customer: CustomerId,
        unit: &UnitId,
        posting: Posting,
        nth: u32,
        cause: &Cause<'_>,
    ) -> Result<Arc<Entry>, Overflow> {
        let transaction_id = cause.seed.transaction_id(nth);
        let Posting { kind, movement, unit_version, order_id, reason, title } = posting;
        let occurred_at = match movement {
            Movement::Expire(due) => due,
            Movement::Issue { .. } | Movement::Spend(_) => cause.occurred_at,
        };
        let move_lots = |account: &mut Account| {
            Ok(match movement {
                Movement::Issue { amount, expires_at } => {
                    let lot_id = LotId(transaction_id.0);
                    account.credit(Lot { lot_id, amount, remaining: amount, issued_at: occurred_at, expires_at })?;
                    vec![LotShare { lot_id, amount }]
                }
                Movement::Spend(amount) => account.spend(amount)?,
                Movement::Expire(due) => account.expire(due),
            })
        };
        let state = &mut self.customers.get_mut(&customer).expect(IN_BOOK).state;
        let lots = if state.account(unit).is_some() {
            move_lots(state.account_mut(unit))?
        } else {
            let mut opened = Account::new(unit.clone());
            let lots = move_lots(&mut opened)?;
            *state.account_mut(unit) = opened;
            lots
        };
        let account = state.account_mut(unit);
        let entry = Arc::new(Entry {
            transaction_id,
            previous: account.append(transaction_id),
            customer_id: customer,
            unit_id: unit.clone(),
            seq: account.entries,
            kind,
            amount: lots.iter().map(|share| share.amount).sum(),
            balance_after: account.balance(),
            lots,
            unit_version,
            order_id,
            reason,
            title,
            cause: cause.command.map(|(_, position)| position),
            occurred_at,
            recorded_at: cause.recorded_at,
        });
        self.entries.push(entry.clone());
        Ok(entry)
    }

    /// Remembers a new thing.
    pub(crate) fn memorise(&mut self, key: MemoryKey, memory: Memory) {
        self.memory.insert(key, memory);
        self.new_memory.push(key);
    }

    /// A merchant's object has new versions: they are kept, and each is told of.
    pub(crate) fn add_versions(&mut self, merchant: &MerchantId, versions: Vec<ConfigObject>, cause: Cause<'_>) {
        for (nth, object) in (0..).zip(versions) {
            let is_next = self.configs.entry(merchant.clone()).or_default().push(object.clone());
            debug_assert!(is_next, "the versions were numbered from those in the book");
            self.new_versions.push((merchant.clone(), object.clone()));
            let (version, event_id) = (object.version(), cause.seed.event_id(nth));
            self.announce(merchant, version, event_id, cause, Fact::ConfigChanged { object });
        }
    }

    /// Makes `next_due` exact where it was early: no change that anybody is told of.
    pub(crate) fn refresh_next_due(&mut self, id: CustomerId, now: Instant) {
        let Some(row) = self.customers.get_mut(&id) else { return };
        let mut was_early = false;
        for account in row.state.accounts.iter_mut().filter(|account| account.next_due.is_some_and(|due| due <= now)) {
            account.refresh_next_due();
            was_early = true;
        }
        if was_early {
            self.mark(id, CustomerChange::NextDue);
        }
    }

    /// Customers are remembered in the order of their first change.
    fn mark(&mut self, id: CustomerId, change: CustomerChange) {
        let row = self.customers.get_mut(&id).expect(IN_BOOK);
        if row.change.is_none() {
            self.changed.push(id);
        }
        row.change = row.change.max(Some(change));
    }

    pub(crate) fn balance(&self, id: CustomerId, unit: &UnitId) -> Balance {
        match self.account(id, unit) {
            Some(account) => Balance {
                unit_id: unit.clone(),
                available: account.available,
                pending: account.pending,
                held: account.held,
                debt: account.debt,
                lifetime_earned: account.lifetime_earned,
            },
            None => Balance { unit_id: unit.clone(), available: 0, pending: 0, held: 0, debt: 0, lifetime_earned: 0 },
        }
    }

    /// Another profile for a customer; [`Book::change_customer`] must follow.
    pub(crate) fn replace_profile(&mut self, id: CustomerId, customer: Customer) {
        self.customers.get_mut(&id).expect(IN_BOOK).state.customer = customer;
        self.mark(id, CustomerChange::Profile);
    }

    /// A customer whose profile or accounts were changed: the next version, and its events in their order.
    pub(crate) fn change_customer(&mut self, id: CustomerId, cause: Cause<'_>, facts: Vec<Fact>) {
        self.mark(id, CustomerChange::Accounts);
        let customer = &mut self.customers.get_mut(&id).expect(IN_BOOK).state.customer;
        customer.version += 1;
        customer.updated_at = cause.recorded_at;
        let notify = Arc::new(notify(customer));
        let (merchant_id, version) = (customer.merchant_id.clone(), customer.version);
        let count = facts.len() as u32;
        for (index, fact) in facts.into_iter().enumerate() {
            let index = index as u32;
            self.events.push(Event {
                event_id: cause.seed.event_id(index),
                merchant_id: merchant_id.clone(),
                customer_id: Some(id),
                version,
                index,
                count,
                occurred_at: cause.occurred_at,
                recorded_at: cause.recorded_at,
                cause: cause.command.map(|(_, position)| position),
                traceparent: cause.command.and_then(|(command, _)| command.traceparent.clone()),
                source: cause.command.and_then(|(command, _)| command.envelope.source.clone()),
                notify: Some(notify.clone()),
                skip_notifications: cause.skip_notifications,
                fact,
            });
        }
    }

    /// A command waits: its event, beside those that it may cause later.
    pub(crate) fn announce_parked(&mut self, parked: &Parked, cause: Cause<'_>) {
        let envelope = &parked.command.envelope;
        let fact = Fact::CommandParked { idempotency_key: envelope.idempotency_key.clone(), deadline: parked.deadline };
        self.announce(&envelope.merchant_id, 0, cause.seed.event_id(u32::MAX), cause, fact);
    }

    /// What concerns no customer.
    fn announce(&mut self, merchant: &MerchantId, version: i64, event_id: EventId, cause: Cause<'_>, fact: Fact) {
        self.events.push(Event {
            event_id,
            merchant_id: merchant.clone(),
            customer_id: None,
            version,
            index: 0,
            count: 1,
            occurred_at: cause.occurred_at,
            recorded_at: cause.recorded_at,
            cause: cause.command.map(|(_, position)| position),
            traceparent: cause.command.and_then(|(command, _)| command.traceparent.clone()),
            source: cause.command.and_then(|(command, _)| command.envelope.source.clone()),
            notify: None,
            skip_notifications: false,
            fact,
        });
    }
}

fn notify(customer: &Customer) -> Notify {
    Notify {
        email: customer.notify_email,
        phone: customer.notify_phone,
        to_email: customer.email.clone(),
        to_phone: customer.phone.clone(),
        name: customer.full_name(),
        language: customer.language.clone(),
    }
}
