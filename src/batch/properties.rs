//! What must hold of any stream of deliveries, however it is cut into batches.

mod configuration;
mod memory_lane;
mod streams;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::domain::command::{Body, Content, CreditAmount, Delivery, RefKind};
use crate::domain::tests::ledger::{self, Reply};
use crate::domain::{
    Account, CommandTopic, CustomerId, CustomerState, Effect, Event, EventId, Position, RejectionCode, UnitId,
};
use memory_lane::{Cut, MemoryLane};
use streams::{Draft, Named, What, again, cuts, deliveries, drafts, late_tick, preamble};

/// The ledgers of the rules, over rows, in batches: what a rule says holds wherever a batch ends.
#[test]
fn every_ledger_holds_in_any_batches() {
    for (name, text) in crate::domain::tests::all() {
        println!("{name}");
        for commands in [1, 2, 3, 5, usize::MAX] {
            ledger::check(&mut MemoryLane::new(false), text, commands);
            ledger::check(&mut MemoryLane::new(true), text, commands);
        }
    }
}

/// How many wait is counted alike, whether they are rows or came in the same batch.
#[test]
fn a_crowd_that_waits_has_the_same_end_in_any_batches() {
    let text = crate::domain::tests::parking::crowd();
    for commands in [1, 7, usize::MAX] {
        ledger::check(&mut MemoryLane::new(true), &text, commands);
    }
}

proptest! {
    // A stream that fails is printed whole; it is kept as a ledger, not as a seed.
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_split_into_batches_changes_anything(
        drafts in drafts(&["acme", "bolt", "late", "ghost"]),
        some in cuts(),
        other in cuts(),
    ) {
        let stream = deliveries(&with_preamble(drafts), false);
        let whole = lane_after(&stream, &[Cut::NONE]);
        for cuts in [some, other, vec![Cut { commands: 1, due: 0, restart: true }]] {
            let split = lane_after(&stream, &cuts);
            same_replies(&whole, &split);
            same_events(&whole.events, &split.events);
            prop_assert_eq!(whole.rows.without_next_due(), split.rows.without_next_due());
        }
        whole.rows.check();
        check_events(&whole);
    }

    #[test]
    fn what_comes_again_changes_nothing(
        drafts in drafts(&["acme", "bolt"]),
        cuts in cuts(),
        replayed in 0..100_usize,
    ) {
        let stream = deliveries(&with_preamble(drafts), false);
        let mut lane = lane_after(&stream, &cuts);
        lane.run(vec![late_tick(lane.lane_time)], &[Cut::NONE]);
        prop_assert!(lane.rows.parked.is_empty());
        let (rows, events) = (lane.rows.clone(), lane.events.len());
        let first = std::mem::take(&mut lane.outcomes);

        let prefix = &stream[..replayed.min(stream.len())];
        let repeated = again(prefix, lane.lane_time);
        lane.run(repeated.clone(), &cuts);
        prop_assert_eq!(&rows, &lane.rows);
        prop_assert_eq!(events, lane.events.len());
        let is_command = |(delivery, _): &(&Delivery, &Delivery)| matches!(delivery.content, Content::Command(_));
        for (before, after) in prefix.iter().zip(&repeated).filter(is_command) {
            let (before, after) = (reply_to(&first, before.position), reply_to(&lane.outcomes, after.position));
            let code = before.decision.verdict.as_ref().err().map(|rejection| rejection.code);
            if code.is_none_or(RejectionCode::is_remembered) {
                prop_assert_eq!(after.original, Some(before.original.unwrap_or(before.position)));
                prop_assert_eq!(&before.decision, &after.decision);
            } else {
                prop_assert_eq!(&before.decision.verdict, &after.decision.verdict);
                prop_assert_eq!(after.original, None);
            }
            prop_assert!(after.balances.is_empty());
        }
        let commands = prefix.iter().filter(|delivery| matches!(delivery.content, Content::Command(_)));
        prop_assert_eq!(commands.count(), lane.outcomes.len());
    }

    /// Also with balances at the end of their range, and with any time on any record.
    #[test]
    fn no_input_is_too_much(
        drafts in drafts(&["acme", "bolt", "late", "ghost"]),
        times in prop::option::of(prop::collection::vec(any::<i64>(), 100)),
        available in (i64::MAX - 100)..=i64::MAX,
        cuts in cuts(),
    ) {
        let mut stream = with_preamble(drafts);
        for (draft, time) in stream.iter_mut().zip(times.iter().flatten()) {
            draft.gap = *time;
        }
        let stream = deliveries(&stream, times.is_some());
        let (preamble, rest) = stream.split_at(preamble().len());
        let lanes = [vec![Cut::NONE], cuts].map(|cuts| {
            let mut lane = MemoryLane::new(false);
            lane.run(preamble.to_vec(), &cuts);
            rich(&mut lane, available);
            lane.run(rest.to_vec(), &cuts);
            lane.rows.check();
            check_events(&lane);
            lane
        });
        same_replies(&lanes[0], &lanes[1]);
        prop_assert_eq!(lanes[0].rows.without_next_due(), lanes[1].rows.without_next_due());
    }
}

/// Two deliveries of one command, and between them another that waits as long. Of those whose deadline has come a batch settles one; then a
/// command names whom the two waited for.
#[test]
fn a_further_delivery_may_outlast_the_first() {
    let credit = |customer: &str, key: &str, gap| {
        let (order_id, reason, title, expires_at) = (None, None, None, None);
        let skip_notifications = false;
        let (unit, amount) = (UnitId::new("points"), 1);
        let body = CreditAmount { unit, amount, order_id, reason, title, expires_at, skip_notifications };
        let reference = Some(Named::By(RefKind::ExternalId, customer.to_owned()));
        let (merchant, key, said) = ("acme", Some(key.to_owned()), Body::CreditAmount(body).into());
        let what = What::Send { merchant, key, reference, time: None, said };
        Draft { topic: CommandTopic::Credit, gap, what }
    };
    let clock = |gap, what| Draft { topic: CommandTopic::Clock, gap, what };
    let drafts = vec![
        credit("eve", "k", 0),
        credit("fay", "other", 0),
        clock(0, What::Repeat(1)),
        clock(2 * 86_400, What::Tick),
        credit("eve", "later", 0),
    ];
    let stream = deliveries(&with_preamble(drafts), false);
    let cut = |commands| Cut { commands, due: 1, restart: false };
    let (whole, split) =
        (lane_after(&stream, &[Cut::NONE]), lane_after(&stream, &[cut(stream.len() - 2), cut(1), cut(1)]));
    same_replies(&whole, &split);
    assert_eq!(whole.rows.parked.len(), 1, "the last waits");
    let position = |back: usize| stream[stream.len() - back].position;
    assert_eq!(reply_to(&split.outcomes, position(3)).original, Some(position(5)));
}

/// Else the properties would hold of little.
#[test]
fn the_streams_meet_every_answer() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for index in 0..400 {
        let drafts = drafts(&["acme", "bolt", "late", "ghost"]).new_tree(&mut runner).expect("a stream").current();
        let stream = deliveries(&with_preamble(drafts), false);
        let (preamble, rest) = stream.split_at(preamble().len());
        let mut lane = lane_after(preamble, &[Cut::NONE]);
        // Plenty for some, so that a balance can also overflow.
        if index % 4 == 0 {
            rich(&mut lane, i64::MAX - 100);
        }
        lane.run(rest.to_vec(), &[Cut::NONE]);
        for reply in &lane.outcomes {
            let verdict = reply.decision.verdict.as_ref();
            let answer = verdict.map_or_else(|rejection| rejection.code.name(), |effect| effect.name());
            let kind = if reply.original.is_some() { "duplicate" } else { answer };
            *met.entry(kind).or_default() += 1;
        }
        lane.events.iter().for_each(|event| *met.entry(event.fact.event_type().name()).or_default() += 1);
        let parked = lane.events.iter().filter(|event| event.fact.event_type().name() == "command.parked");
        let parked: BTreeSet<Option<Position>> = parked.map(|event| event.cause).collect();
        for reply in lane.outcomes.iter().filter(|reply| parked.contains(&Some(reply.position))) {
            let became = match (reply.original, &reply.decision.verdict) {
                (Some(_), _) => "waited as a duplicate",
                (None, Ok(_)) => "waited and applied",
                (None, Err(_)) => "waited and refused",
            };
            *met.entry(became).or_default() += 1;
        }
        let is_credits = |event: &&Event| event.cause.is_some_and(|cause| cause.topic == CommandTopic::Credit);
        let created = lane.events.iter().filter(|event| event.fact.event_type().name() == "customer.created");
        *met.entry("enrolled").or_default() += created.filter(is_credits).count();
        let is_of_one =
            |pair: &&[Event]| pair.iter().all(|event| event.customer_id.is_none() && event.cause == pair[0].cause);
        *met.entry("scheduled anew").or_default() += lane.events.windows(2).filter(is_of_one).count();
    }
    let codes = RejectionCode::ALL.into_iter().map(RejectionCode::name);
    let wanted = codes.chain(Effect::ALL.into_iter().map(Effect::name)).chain([
        "duplicate",
        "points.expired",
        "enrolled",
        "scheduled anew",
        "command.parked",
        "card.enrolled",
        "stamps.added",
        "card.reward_reached",
        "tier.changed",
        "waited and applied",
        "waited and refused",
        "waited as a duplicate",
    ]);
    for answer in wanted {
        assert!(met.get(answer).is_some_and(|times| *times >= 10), "{answer} is met too rarely: {met:?}");
    }
}

fn with_preamble(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut all = preamble();
    all.extend(drafts);
    all
}

fn lane_after(stream: &[Delivery], cuts: &[Cut]) -> MemoryLane {
    let mut lane = MemoryLane::new(false);
    lane.run(stream.to_vec(), cuts);
    lane
}

/// Gives every customer an account that a few more credits overflow.
fn rich(lane: &mut MemoryLane, available: i64) {
    use crate::domain::tests::ledger::Keeper;
    use crate::domain::{Instant, Lot, LotId};
    let ids: Vec<CustomerId> = lane.rows.customers.keys().copied().collect();
    for id in ids {
        let mut account = Account::new(UnitId::new("points"));
        let lot_id = LotId(uuid::Uuid::nil());
        let lot = Lot { lot_id, amount: available, remaining: available, issued_at: Instant::EPOCH, expires_at: None };
        account.credit(lot).expect("in range");
        account.append(crate::domain::TransactionId(uuid::Uuid::nil()));
        lane.preset(id, account);
    }
}

fn reply_to(replies: &[Reply], position: Position) -> &Reply {
    replies.iter().find(|reply| reply.position == position).expect("whoever waits is answered in the end")
}

/// The same to each command, and in the same order for each customer. When somebody who waits in vain is told so, a tick may say.
fn same_replies(one: &MemoryLane, other: &MemoryLane) {
    let parts = |reply: &Reply| (reply.original, reply.decision.clone(), reply.balances.clone());
    let told = |lane: &MemoryLane| -> BTreeMap<Position, _> {
        let told: BTreeMap<_, _> = lane.outcomes.iter().map(|reply| (reply.position, parts(reply))).collect();
        assert_eq!(told.len(), lane.outcomes.len(), "a command is answered once");
        told
    };
    let by_customer = |lane: &MemoryLane| {
        let mut told: BTreeMap<CustomerId, Vec<Position>> = BTreeMap::new();
        for reply in &lane.outcomes {
            if let Some(customer) = reply.decision.customer_id {
                told.entry(customer).or_default().push(reply.position);
            }
        }
        told
    };
    assert_eq!(told(one), told(other));
    assert_eq!(by_customer(one), by_customer(other));
}

/// The same as a set, and in the same order for each customer.
fn same_events(one: &[Event], other: &[Event]) {
    let by_id = |events: &[Event]| -> BTreeMap<EventId, Event> {
        let by_id: BTreeMap<_, _> = events.iter().map(|event| (event.event_id, event.clone())).collect();
        assert_eq!(by_id.len(), events.len(), "an event id names one event");
        by_id
    };
    let by_customer = |events: &[Event]| {
        let mut told: BTreeMap<Option<CustomerId>, Vec<EventId>> = BTreeMap::new();
        events.iter().for_each(|event| told.entry(event.customer_id).or_default().push(event.event_id));
        told
    };
    assert_eq!(by_id(one), by_id(other));
    assert_eq!(by_customer(one), by_customer(other));
}

/// Every version of every customer is told once, whole and in order, and the last state that went out is the row.
fn check_events(lane: &MemoryLane) {
    let mut told: BTreeMap<CustomerId, Vec<&Event>> = BTreeMap::new();
    for event in &lane.events {
        if let Some(id) = event.customer_id {
            told.entry(id).or_default().push(event);
        }
    }
    let ids: BTreeSet<CustomerId> = lane.rows.customers.keys().copied().collect();
    assert_eq!(ids, told.keys().copied().collect());
    for (id, events) in told {
        let mut rest = events.as_slice();
        let mut version = 0;
        while let Some(first) = rest.first() {
            version += 1;
            let (of_version, later) = rest.split_at(first.count as usize);
            for (index, event) in (0..).zip(of_version) {
                assert_eq!((event.version, event.index, event.count), (version, index, first.count), "{event:?}");
            }
            rest = later;
        }
        let blind = |mut state: CustomerState| {
            state.accounts.iter_mut().for_each(|account| account.next_due = None);
            state
        };
        let row = &lane.rows.customers[&id];
        assert_eq!(row.customer.version, version);
        assert_eq!(blind(lane.states[&id].clone()), blind(row.clone()));
    }
}
