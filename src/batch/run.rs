//! The fold: the commands of a batch, in their order, over the rows in memory.

use std::collections::HashMap;

use super::change_set::{ChangeSet, ChangedCustomer, NewDecision, Outcome};
use super::plan::{BatchPlan, DueQuery};
use super::snapshot::Snapshot;
use crate::domain::book::{Book, CustomerRow};
use crate::domain::case::Moment;
use crate::domain::command::{Body, Command, Content, Delivery, RefKind};
use crate::domain::config::MerchantConfig;
use crate::domain::customer::{Identifier, IdentifierKind};
use crate::domain::customer::{parse_card_code, referrer_of, stored_form};
use crate::domain::decide::{self, Decided};
use crate::domain::parking::Parking;
use crate::domain::{Frontier, Instant, KeyHash, Membership, MerchantId, parse_customer_id, settle};

/// The configuration of a lane's merchants, kept in memory between batches: one writer, so it is as the database has it.
pub type Configs = HashMap<MerchantId, MerchantConfig>;

/// Finds what the deliveries touch. `due` asks for what time has to settle beside them.
pub fn plan(deliveries: &[Delivery], configs: &Configs, due: Option<DueQuery>) -> BatchPlan {
    let mut plan = BatchPlan { due, ..BatchPlan::default() };
    let commands = deliveries.iter().filter_map(|delivery| match &delivery.content {
        Content::Command(command) => Some(command),
        Content::Tick | Content::DeadLetter(_) => None,
    });
    for command in commands {
        plan_command(&mut plan, command, configs);
    }
    sort(&mut plan.merchants);
    sort(&mut plan.keys);
    sort(&mut plan.identifiers);
    sort(&mut plan.customers);
    sort(&mut plan.orders);
    plan
}

fn sort<T: Ord>(keys: &mut Vec<T>) {
    keys.sort_unstable();
    keys.dedup();
}

fn plan_command(plan: &mut BatchPlan, command: &Command, configs: &Configs) {
    let envelope = &command.envelope;
    if !configs.contains_key(&envelope.merchant_id) {
        plan.merchants.push(envelope.merchant_id.clone());
    }
    plan.keys.push(KeyHash::of(&envelope.merchant_id, &envelope.idempotency_key));
    if let Some(reference) = &envelope.customer {
        match reference.kind {
            RefKind::CustomerId => plan.customers.extend(parse_customer_id(&reference.value)),
            RefKind::CardCode => plan.customers.extend(parse_card_code(&reference.value).map(|(id, _)| id)),
            RefKind::Identifier(kind) => plan_identifier(plan, &envelope.merchant_id, kind, Some(&reference.value)),
        }
    }
    match command.understood() {
        Body::CustomerUpsert(upsert) => {
            let merchant = &envelope.merchant_id;
            plan_identifier(plan, merchant, IdentifierKind::ExternalId, upsert.external_id.as_ref());
            plan_identifier(plan, merchant, IdentifierKind::Phone, upsert.phone.as_ref());
            plan_identifier(plan, merchant, IdentifierKind::Email, upsert.email.as_ref());
            plan.customers.extend(upsert.referral_code.as_deref().and_then(referrer_of));
        }
        Body::CreditAmount(_)
        | Body::RedeemAmount(_)
        | Body::Settings(_)
        | Body::Unit(_)
        | Body::Object(_)
        | Body::Malformed(_) => {}
    }
    plan.orders.extend(command.earned_order());
}

fn plan_identifier(plan: &mut BatchPlan, merchant: &MerchantId, kind: IdentifierKind, value: Option<&String>) {
    let stored = value.and_then(|value| stored_form(kind, value));
    plan.identifiers.extend(stored.map(|value| Identifier { merchant_id: merchant.clone(), kind, value }));
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
    changes.rows.decisions.reserve(deliveries.len());
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
                decide::decide(&mut book, command, moment, |decided| tell(&mut changes, decided));
            }
            Content::Tick => {}
            Content::DeadLetter(dead_letter) => changes.dead_letters.push((delivery.position, dead_letter)),
        }
    }
    decide::expire(&mut book, changes.lane_time, |decided| tell(&mut changes, decided));
    for customer in &due {
        settle::settle_customer(&mut book, *customer, changes.lane_time);
    }
    changes.due_settled = due.len();
    changes.due_pending = due.len() == due_limit || parked_due == DueQuery::parked_limit(due_limit);
    close_book(book, configs, &mut changes);
    changes
}

fn tell(changes: &mut ChangeSet, decided: Decided) {
    let Decided { position, seed, command, parked_at, answer } = decided;
    if parked_at.is_some() {
        crate::fail_point::poison(command.envelope.idempotency_key.as_str());
    }
    let is_remembered = match &answer.decision.verdict {
        Ok(_) => true,
        Err(rejection) => rejection.code.is_remembered(),
    };
    if let Some(key_hash) = answer.new_key.filter(|_| is_remembered) {
        changes.rows.decisions.push(NewDecision {
            key_hash,
            content_hash: command.content_hash,
            position,
            decision: answer.decision.clone(),
        });
    }
    changes.outcomes.push(Outcome {
        position,
        seed,
        command,
        original: answer.original,
        decision: answer.decision,
        balances: answer.balances,
        membership: answer.membership,
        parked_at,
    });
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
        earned_orders: snapshot.earned_orders,
        parking: Parking::of(snapshot.parked),
        ..Book::default()
    }
}

/// What changed, each row once, in the order of the first changes.
fn close_book(mut book: Book, configs: &mut Configs, changes: &mut ChangeSet) {
    let rows = &mut changes.rows;
    rows.entries = book.entries;
    rows.earned_orders = book.new_orders;
    rows.settings_versions = book.new_settings;
    rows.unit_versions = book.new_units;
    rows.object_versions = book.new_objects;
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
