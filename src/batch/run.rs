//! The fold: the commands of a batch, in their order, over the rows in memory.

use std::collections::HashMap;

use super::change_set::{ChangeSet, ChangedCustomer};
use super::plan::{BatchPlan, DueQuery};
use super::snapshot::Snapshot;
use crate::domain::book::{Book, CustomerRow};
use crate::domain::case::Moment;
use crate::domain::command::{Content, Delivery, Envelope};
use crate::domain::config::MerchantConfig;
use crate::domain::parking::Parking;
use crate::domain::rule::Keys;
use crate::domain::{Frontier, Instant, KeyHash, Membership, MerchantId, Outcome, decide, rules, settle};

/// The configuration of a lane's merchants, kept in memory between batches: one writer, so it is as the database has it.
pub type Configs = HashMap<MerchantId, MerchantConfig>;

/// Finds what the deliveries touch. `due` asks for what time has to settle beside them.
pub fn plan(deliveries: &[Delivery], configs: &Configs, due: Option<DueQuery>) -> BatchPlan {
    let mut plan = BatchPlan { due, ..BatchPlan::default() };
    let commands = deliveries.iter().filter_map(|delivery| match &delivery.content {
        Content::Command(command) => Some(command),
        Content::Tick | Content::DeadLetter(_) => None,
    });
    let mut keys = Keys::default();
    for command in commands {
        let Envelope { merchant_id, idempotency_key, .. } = &command.envelope;
        if !configs.contains_key(merchant_id) {
            plan.merchants.push(merchant_id.clone());
        }
        plan.keys.push(KeyHash::of(merchant_id, idempotency_key));
        rules::plan(command, &mut keys);
    }
    Keys { identifiers: plan.identifiers, customers: plan.customers, memory: plan.memory } = keys;
    sort(&mut plan.merchants);
    sort(&mut plan.keys);
    sort(&mut plan.identifiers);
    sort(&mut plan.customers);
    sort(&mut plan.memory);
    plan
}

fn sort<T: Ord>(keys: &mut Vec<T>) {
    keys.sort_unstable();
    keys.dedup();
}

/// Decides everything: the deliveries in their order, then what is due. `configs` lose nothing and gain what was loaded or made. The
/// frontier is the lane's before the batch.
pub fn run(
    deliveries: Vec<Delivery>,
    snapshot: Snapshot,
    configs: &mut Configs,
    lane_time: Instant,
    mut frontier: Frontier,
    due_limit: usize,
) -> ChangeSet {
    let mut changes = ChangeSet { lane_time, ..ChangeSet::default() };
    let (due, parked_due) = (snapshot.due.clone(), snapshot.parked_due);
    let mut book = open_book(snapshot, configs);
    // Nearly every command has one of each.
    changes.outcomes.reserve(deliveries.len());
    book.entries.reserve(deliveries.len());
    book.events.reserve(deliveries.len());
    book.remembered.reserve(deliveries.len());
    for delivery in deliveries {
        changes.lane_time = changes.lane_time.max(delivery.timestamp);
        let moment = Moment {
            position: delivery.position,
            seed: delivery.seed,
            record_time: delivery.timestamp,
            lane_time: changes.lane_time,
            place: frontier.pass(delivery.position),
        };
        match delivery.content {
            Content::Command(command) => {
                crate::fail_point::poison(command.envelope.idempotency_key.as_str());
                decide::decide(&mut book, command, moment, |outcome| tell(&mut changes, outcome));
            }
            Content::Tick => {}
            Content::DeadLetter(dead_letter) => changes.dead_letters.push((delivery.position, dead_letter)),
        }
    }
    decide::expire(&mut book, changes.lane_time, |outcome| tell(&mut changes, outcome));
    for customer in &due {
        settle::settle_customer(&mut book, *customer, changes.lane_time);
    }
    changes.due_settled = due.len();
    changes.due_pending = due.len() == due_limit || parked_due == DueQuery::parked_limit(due_limit);
    close_book(book, configs, &mut changes);
    changes
}

fn tell(changes: &mut ChangeSet, outcome: Outcome) {
    if outcome.parked_at.is_some() {
        crate::fail_point::poison(outcome.command.envelope.idempotency_key.as_str());
    }
    changes.outcomes.push(outcome);
}

fn open_book(snapshot: Snapshot, configs: &mut Configs) -> Book {
    let customers = snapshot.customers.into_iter();
    let customers = customers.map(|(id, state)| (id, CustomerRow { state, change: None })).collect();
    configs.extend(snapshot.configs);
    Book {
        configs: std::mem::take(configs),
        remembered: snapshot.remembered,
        identities: snapshot.identities,
        customers,
        memory: snapshot.memory,
        parking: Parking::of(snapshot.parked),
        ..Book::default()
    }
}

/// What changed, each row once, in the order of the first changes.
fn close_book(mut book: Book, configs: &mut Configs, changes: &mut ChangeSet) {
    let rows = &mut changes.rows;
    rows.entries = book.entries;
    rows.memory = book.new_memory.iter().filter_map(|key| Some((*key, book.memory.remove(key)?))).collect();
    rows.versions = book.new_versions;
    rows.customers.reserve(book.changed.len());
    (rows.parked, rows.unparked) = book.parking.close();
    for id in book.changed {
        if let Some(CustomerRow { state, change: Some(change) }) = book.customers.remove(&id) {
            // Most are no members, and need no configuration.
            let config = state.customer.is_member().then(|| book.configs.get(&state.customer.merchant_id)).flatten();
            let membership = config.and_then(|config| Membership::of(&state, config, changes.lane_time));
            rows.customers.push(ChangedCustomer { state, change, membership });
        }
    }
    changes.events = book.events;
    // Merchants that do not exist are not kept: anybody can name any number of them.
    book.configs.retain(|_, config| !config.is_empty());
    *configs = book.configs;
}
