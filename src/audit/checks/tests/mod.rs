//! Each check, seen to hold and seen to fail.

mod places;
mod since;
mod world;

use uuid::Uuid;

use super::super::facts::*;
use super::*;
use crate::domain::{CommandTopic, Frontier};
use world::{ANN, BEN, EXPIRY, at, credit, redeem, sound};

const IDLE: AuditOptions =
    AuditOptions { expect_idle: true, publication_patience: std::time::Duration::from_secs(0), since: None };
const LIVE: AuditOptions = AuditOptions { expect_idle: false, ..IDLE };

/// Corrupts the sound world; the names of the checks that fail, in the report's order.
#[track_caller]
fn failing(corrupt: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    failing_with(&IDLE, corrupt)
}

#[track_caller]
fn failing_with(options: &AuditOptions, corrupt: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let mut facts = sound();
    corrupt(&mut facts);
    let report = judge(facts, options);
    println!("{report}");
    report.checks.iter().filter(|check| !check.holds()).map(|check| check.name).collect()
}

fn result(facts: &mut Facts, command: Position) -> &mut ResultFact {
    let found = facts.lanes[0].results.records.iter_mut().find(|result| result.command == command);
    found.expect("the command has a result")
}

fn event(facts: &mut Facts, customer: Uuid, version: i64) -> &mut EventFact {
    let mut events = facts.lanes[0].events.records.iter_mut();
    events.find(|event| event.customer == Some(customer) && event.version == version).expect("there is such an event")
}

fn entry(facts: &mut Facts, customer: Uuid, seq: i64) -> &mut EntryRow {
    let found = facts.ledger.entries.iter_mut().find(|row| row.customer == customer && row.seq == seq);
    found.expect("there is such an entry")
}

fn account(facts: &mut Facts, customer: Uuid) -> &mut AccountRow {
    facts.ledger.accounts.iter_mut().find(|row| row.customer == customer).expect("there is such an account")
}

fn state(facts: &mut Facts, customer: Uuid) -> &mut StateFact {
    let found = facts.lanes[0].states.iter_mut().find(|state| state.profile.customer == customer);
    found.expect("there is such a state")
}

#[test]
fn all_holds_in_a_sound_world_and_something_was_examined() {
    let report = judge(sound(), &IDLE);
    assert!(report.holds(), "{report}");
    for check in &report.checks {
        assert!(check.examined > 0 || check.name == "readable", "{} examined nothing", check.name);
    }
}

#[test]
fn an_unreadable_record_is_named() {
    assert_eq!(failing(|facts| facts.lanes[0].unreadable.push("results/0/7: no".to_owned())), ["readable"]);
}

#[test]
fn a_dropped_result() {
    let fails = failing(|facts| facts.lanes[0].results.records.retain(|result| result.command != credit(4)));
    assert_eq!(fails, ["offsets", "results", "entries"]);
    // One that leaves nothing in the ledger: only its offset tells.
    let fails = failing(|facts| facts.lanes[0].results.records.retain(|result| result.command != credit(3)));
    assert_eq!(fails, ["offsets"]);
}

#[test]
fn a_doubled_result() {
    let fails = failing(|facts| {
        let mut again = result(facts, redeem(1)).clone();
        again.offset = 99;
        facts.lanes[0].results.records.push(again);
    });
    assert_eq!(fails, ["offsets", "results-once", "results", "order"]);
}

#[test]
fn a_command_that_waits_has_no_result() {
    let park = |facts: &mut Facts| facts.lanes[0].parked.extend([credit(3)]);
    let fails = failing(|facts| {
        park(facts);
        facts.lanes[0].results.records.retain(|result| result.command != credit(3));
    });
    assert!(fails.is_empty());
    assert_eq!(failing(park), ["offsets"], "it is answered, and waits");
    let fails = failing(|facts| {
        park(facts);
        facts.lanes[0].results.records.retain(|result| result.command != credit(3));
        let merchant = facts.names.keep("shop");
        facts.ledger.parked.push(ParkedRow { lane: 0, command: credit(3), merchant, is_met: true });
    });
    assert_eq!(fails, ["offsets"], "its customer is there");
    // A worker has decided it since the snapshot.
    let fails = failing_with(&LIVE, |facts| {
        park(facts);
        facts.lanes[0].applied_at_end += 1;
    });
    assert!(fails.is_empty());
}

#[test]
fn a_command_that_has_waited_is_answered_out_of_turn_and_was_announced() {
    let postpone = |facts: &mut Facts, was_parked| {
        let results = &mut facts.lanes[0].results.records;
        let place = results.iter().position(|result| result.command == credit(0)).expect("a result");
        let next = results.iter().position(|result| result.command == credit(4)).expect("a result");
        let late = ResultFact { was_parked, ..results.remove(place) };
        results.insert(next, late);
    };
    let announce = |facts: &mut Facts, cause| {
        let kind = facts.names.keep("command.parked");
        let told = event(facts, ANN, 2).clone();
        let event_id = Uuid::from_u128(0xF);
        let told = EventFact { event_id, kind, customer: None, version: 0, cause: Some(cause), entry: None, ..told };
        facts.lanes[0].events.records.push(told);
    };
    assert_eq!(failing(|facts| postpone(facts, false)), ["order"]);
    assert_eq!(failing(|facts| postpone(facts, true)), ["order"], "no event says that it waited");
    let fails = failing(|facts| {
        postpone(facts, true);
        announce(facts, credit(0));
    });
    assert!(fails.is_empty());
    assert_eq!(failing(|facts| announce(facts, credit(0))), ["causes"], "its result does not say that it waited");
}

#[test]
fn a_command_that_waits_goes_with_its_merchant_when_the_lanes_grow() {
    let moved = |grown_from: Option<i32>, is_answered: bool| {
        failing(|facts| {
            let kind = facts.names.keep("command.parked");
            let told = event(facts, ANN, 2).clone();
            let cause = Some(credit(3));
            let told = EventFact {
                event_id: Uuid::from_u128(0xF),
                kind,
                customer: None,
                version: 0,
                cause,
                entry: None,
                ..told
            };
            facts.lanes[0].events.records.push(told);
            let results = &mut facts.lanes[0].results.records;
            let place = results.iter().position(|result| result.command == credit(3)).expect("a result");
            let late = ResultFact { was_parked: true, offset: 0, ..results.remove(place) };
            let mut lane = LaneFacts { lane: 1, ..LaneFacts::default() };
            if is_answered {
                lane.results.records.push(late);
            } else {
                lane.parked.insert(credit(3));
            }
            facts.lanes.push(lane);
            facts.grown_from = grown_from;
        })
    };
    assert_eq!(moved(Some(1), true), Vec::<&str>::new(), "one lane grew to two");
    assert_eq!(moved(Some(1), false), Vec::<&str>::new(), "it waits there");
    assert_eq!(moved(None, true), ["offsets"], "nobody moves where lanes have not grown");
}

#[test]
fn two_swapped_results() {
    let swap = |one, other| move |facts: &mut Facts| facts.lanes[0].results.records.swap(one, other);
    assert_eq!(failing(swap(3, 4)), ["order"], "of one topic");
    assert_eq!(failing(swap(2, 8)), ["order"], "of one customer and of two batches");
}

#[test]
fn a_swap_within_one_batch_and_across_topics_is_seen_by_the_customers_version() {
    let at_offset = |facts: &Facts, command| facts.lanes[0].results.records.iter().position(|it| it.command == command);
    let fails = failing(|facts| {
        let (upsert, earn) = (at_offset(facts, at(CommandTopic::CustomerUpsert, 1)), at_offset(facts, credit(4)));
        let (Some(upsert), Some(earn)) = (upsert, earn) else { panic!("both are there") };
        // As if one batch had taken all.
        facts.lanes[0].journal.records[0].ranges =
            [Some((0, 1)), Some((0, 3)), None, Some((0, 6)), Some((0, 2)), None, None, Some((0, 3))];
        facts.lanes[0].journal.records[1].ranges = [None; CommandTopic::COUNT];
        let moved = facts.lanes[0].results.records.remove(upsert);
        facts.lanes[0].results.records.insert(earn, moved);
    });
    assert_eq!(fails, ["order"]);
}

#[test]
fn an_answer_to_nothing_to_a_tick_to_another_lane_or_beyond_the_frontier() {
    let letter = |record| {
        move |facts: &mut Facts| facts.lanes[0].dead_letters.records.push(DeadLetterFact { offset: 9, record })
    };
    assert_eq!(failing(letter(credit(5))), ["offsets"], "a hole");
    assert_eq!(failing(letter(credit(6))), ["offsets"], "beyond the frontier");
    assert_eq!(failing(letter(credit(4))), ["offsets"], "answered by a result too");
    assert_eq!(failing(letter(Position { partition: 1, ..credit(2) })), ["offsets"], "another lane");
    assert_eq!(failing(letter(at(CommandTopic::Clock, 1))), [""; 0], "an unreadable tick may have one");
}

#[test]
fn a_lost_topic_end() {
    assert_eq!(failing(|facts| facts.lanes[0].commands[CommandTopic::Redeem.index()].end = 1), ["offsets"]);
}

#[test]
fn a_result_that_says_something_else() {
    let fails = |change: fn(&mut ResultFact)| failing(|facts| change(result(facts, redeem(1))));
    assert_eq!(fails(|result| result.rejection = None), ["results"]);
    assert_eq!(fails(|result| result.customer = Some(BEN)), ["results"]);
    assert_eq!(fails(|result| result.customer_version = Some(4)), ["results"]);
    assert_eq!(fails(|result| result.config_version = None), ["results"]);
    assert_eq!(fails(|result| result.decided_at += 1), ["results"]);
    let fails = |change: fn(&mut ResultFact)| failing(|facts| change(result(facts, redeem(0))));
    assert_eq!(fails(|result| result.entries[0].amount += 1), ["results"]);
    assert_eq!(fails(|result| result.entries[0].lots = Box::default()), ["results"]);
    assert_eq!(fails(|result| result.entries = Box::default()), ["results", "entries"]);
    assert_eq!(fails(|result| result.balances[0].1 += 1), ["results"]);
    assert_eq!(fails(|result| result.effect = 3), ["results"]);
}

#[test]
fn a_duplicate_must_name_a_decision_and_repeat_it() {
    let fails = |change: fn(&mut ResultFact)| failing(|facts| change(result(facts, credit(1))));
    assert_eq!(fails(|result| result.original = None), ["results"]);
    assert_eq!(fails(|result| result.original = Some(credit(3))), ["results"]);
    assert_eq!(fails(|result| result.original = Some(credit(1))), ["results"]);
    assert_eq!(fails(|result| result.entries[0].balance_after = 7), ["results"]);
    // A second effect in disguise.
    assert_eq!(fails(|result| (result.duplicate, result.original) = (false, None)), ["results", "order"]);
}

#[test]
fn a_decision_without_a_command_and_beyond_the_frontier() {
    let fails = failing(|facts| {
        let mut row = facts.ledger.decisions[0].clone();
        row.position = credit(17);
        facts.ledger.decisions.push(row);
    });
    assert_eq!(fails, ["results"]);
}

#[test]
fn a_corrupted_entry_row() {
    assert_eq!(failing(|facts| entry(facts, ANN, 2).amount = 31), ["results", "entries", "accounts", "totals"]);
    assert_eq!(failing(|facts| entry(facts, ANN, 2).cause = None), ["results", "entries"]);
    assert_eq!(failing(|facts| entry(facts, ANN, 1).order = None), ["orders"]);
    let fails = failing(|facts| facts.ledger.entries.retain(|row| (row.customer, row.seq) != (BEN, 2)));
    assert_eq!(fails, ["entries", "accounts", "totals"]);
}

#[test]
fn an_entry_that_nobody_was_told_of() {
    let fails = failing(|facts| {
        for seq in [3, 4] {
            let mut row = entry(facts, ANN, 2).clone();
            (row.seq, row.transaction) = (seq, Uuid::from_u128(77));
            facts.ledger.entries.push(row);
        }
    });
    assert_eq!(fails, ["entries", "accounts", "totals"]);
}

#[test]
fn a_corrupted_account_row() {
    let fails = |change: fn(&mut AccountRow)| failing(|facts| change(account(facts, ANN)));
    assert_eq!(fails(|row| row.sums.available += 1), ["accounts", "states"]);
    assert_eq!(fails(|row| (row.sums.available, row.sums.held) = (60, 10)), ["accounts", "states"]);
    assert_eq!(fails(|row| row.lots[0].remaining -= 1), ["accounts", "totals", "states"]);
    assert_eq!(fails(|row| row.lots = Box::default()), ["accounts", "totals", "states"]);
    assert_eq!(fails(|row| row.entries = 3), ["accounts"]);
    assert_eq!(fails(|row| row.last_entry = None), ["accounts"]);
    assert_eq!(fails(|row| row.next_due = Some(EXPIRY + 1)), ["accounts"], "time would come too late");
    assert_eq!(fails(|row| row.customer = Uuid::from_u128(5)), ["accounts", "states"]);
    assert_eq!(fails(|row| row.sums.lifetime_redeemed = 0), ["accounts", "states"]);
}

#[test]
fn a_lot_spent_twice() {
    let fails = failing(|facts| entry(facts, BEN, 2).lots[0].lot = Uuid::from_u128(1));
    assert_eq!(fails, ["entries", "accounts"]);
}

#[test]
fn an_order_that_earned_twice() {
    let fails = failing(|facts| entry(facts, BEN, 1).order = entry(facts, ANN, 1).order);
    assert_eq!(fails, ["orders"]);
    assert_eq!(failing(|facts| facts.ledger.orders.clear()), ["orders"]);
    assert_eq!(failing(|facts| facts.ledger.orders[0].order = Uuid::from_u128(9)), ["orders"]);
}

#[test]
fn events_dropped_doubled_and_swapped() {
    let drop = failing(|facts| facts.lanes[0].events.records.retain(|it| it.customer != Some(ANN) || it.version != 2));
    assert_eq!(drop, ["entries", "versions"]);
    let drop_last =
        failing(|facts| facts.lanes[0].events.records.retain(|it| it.entry.is_none() || it.cause.is_some()));
    assert_eq!(drop_last, ["entries", "versions"]);
    let double = failing(|facts| {
        let again = event(facts, ANN, 2).clone();
        facts.lanes[0].events.records.push(again);
    });
    assert_eq!(double, ["events-once", "entries", "versions"]);
    let swap = failing(|facts| facts.lanes[0].events.records.reverse());
    assert_eq!(swap, ["versions"]);
    let none = failing(|facts| facts.lanes[0].events.records.retain(|it| it.customer != Some(BEN)));
    assert_eq!(none, ["entries", "versions"]);
}

#[test]
fn a_gap_in_versions() {
    let fails = failing(|facts| event(facts, BEN, 3).version = 4);
    assert_eq!(fails, ["versions"]);
    let fails = failing(|facts| event(facts, BEN, 3).count = 2);
    assert_eq!(fails, ["versions"], "an event of the version is missing");
    let fails = failing(|facts| facts.ledger.customers[1].version = 4);
    assert_eq!(fails, ["versions", "states"]);
}

#[test]
fn an_event_of_a_rejected_command_or_of_another_customer() {
    assert_eq!(failing(|facts| event(facts, BEN, 1).cause = Some(redeem(1))), ["causes"]);
    assert_eq!(failing(|facts| event(facts, BEN, 1).cause = Some(credit(0))), ["causes"]);
    assert_eq!(failing(|facts| event(facts, BEN, 1).cause = Some(credit(4))), ["causes"]);
}

#[test]
fn a_configuration_version_untold_or_told_wrong() {
    assert_eq!(failing(|facts| facts.ledger.configs[0].version = 2), ["configuration"]);
    let fails = failing(|facts| facts.lanes[0].events.records.retain(|event| event.config.is_none()));
    assert_eq!(fails, ["configuration"]);
}

#[test]
fn a_broken_journal() {
    let fails = |change: fn(&mut Vec<JournalFact>)| failing(|facts| change(&mut facts.lanes[0].journal.records));
    assert_eq!(fails(|journal| journal[1].batch = 3), ["journal"]);
    assert_eq!(
        fails(|journal| journal[1].ranges[CommandTopic::Credit.index()] = Some((4, 6))),
        ["order", "journal"],
        "an offset left out"
    );
    assert_eq!(
        fails(|journal| journal[1].ranges[CommandTopic::Redeem.index()] = Some((0, 3))),
        ["journal"],
        "not the frontier"
    );
    assert_eq!(fails(|journal| journal[1].lane_time_before = 0), ["journal"]);
    assert_eq!(fails(|journal| journal[1].lane_time_before = 101), ["journal"], "later than the lane itself");
    assert_eq!(fails(|journal| journal[1].lane = 1), ["journal"]);
    assert_eq!(fails(|journal| journal.truncate(1)), ["order", "journal"]);
}

#[test]
fn a_state_that_is_not_the_row() {
    let fails = |change: fn(&mut StateFact)| failing(|facts| change(state(facts, ANN)));
    assert_eq!(fails(|state| state.profile.version = 2), ["states"]);
    assert_eq!(fails(|state| state.profile.first_name = None), ["states"]);
    assert_eq!(fails(|state| state.profile.further = Some(Name::of("pt-BR"))), ["states"]);
    assert_eq!(fails(|state| state.accounts = Box::default()), ["states"]);
    assert_eq!(fails(|state| state.stamps = Box::new([(Name::of("points"), 69)])), ["states"]);
    assert_eq!(fails(|state| state.stamps = Box::new([(Name::of("points"), 70)])), [""; 0], "what the account has");
    assert_eq!(fails(|state| state.stamps = Box::new([(Name::of("no card"), 1)])), ["states"]);
    assert_eq!(fails(|state| state.accounts[0].lots[0].expires_at = None), ["states"]);
    assert_eq!(fails(|state| state.profile.customer = Uuid::from_u128(5)), ["states"]);
    assert_eq!(failing(|facts| facts.lanes[0].states.truncate(1)), ["states"]);
}

#[test]
fn a_state_in_two_lanes() {
    let moved = |grown_from: Option<i32>, older: i64| {
        failing(|facts| {
            let newest = state(facts, ANN).clone();
            state(facts, ANN).profile.version = older;
            facts.lanes.push(LaneFacts { lane: 1, states: vec![newest], ..LaneFacts::default() });
            facts.grown_from = grown_from;
        })
    };
    assert_eq!(moved(Some(1), 2), Vec::<&str>::new(), "one lane grew to two");
    assert_eq!(moved(None, 2), ["states"], "nobody moves where lanes have not grown");
    assert_eq!(moved(Some(2), 2), ["states"], "of two lanes that grow nobody goes from the first to the second");
    assert_eq!(moved(Some(1), 3), ["states"], "one version in two lanes");
    assert_eq!(moved(Some(1), 4), ["states"], "the later version is left behind");
}

#[test]
fn an_identifier_that_leads_elsewhere() {
    let key = Some(Uuid::from_u128(3));
    assert_eq!(failing(|facts| facts.ledger.identifiers[0].key = None), ["identities"]);
    assert_eq!(failing(|facts| facts.ledger.identifiers[0].key = key), ["identities"]);
    assert_eq!(failing(|facts| facts.ledger.identifiers[0].due = None), ["identities"]);
    let fails = failing(|facts| {
        let one = facts.ledger.identifiers[0];
        facts.ledger.identifiers.push(IdentifierRow { customer: BEN, ..one });
    });
    assert_eq!(fails, ["identities"]);
}

#[test]
fn what_is_applied_and_not_published_or_the_other_way() {
    let committed = |batch| {
        move |facts: &mut Facts| {
            for committed in facts.lanes[0].committed.iter_mut().flatten() {
                committed.batch = Some(batch);
            }
        }
    };
    assert_eq!(failing(committed(1)), ["publication"]);
    assert_eq!(failing_with(&LIVE, committed(1)), ["publication"]);
    assert_eq!(failing(committed(3)), ["publication"]);
    assert_eq!(failing(|facts| facts.lanes[0].applied_at_end = 3), ["publication"], "idle is not working");
    assert_eq!(failing(|facts| facts.lanes[0].committed[CommandTopic::Credit.index()] = None), ["publication"]);
    assert_eq!(failing(|facts| facts.lanes[0].committed = [None; CommandTopic::COUNT]), ["publication"]);
}

#[test]
fn what_is_left_to_do_is_a_fault_only_when_nothing_should_be() {
    let lag = |facts: &mut Facts| facts.lanes[0].commands[CommandTopic::Credit.index()].end = 9;
    assert_eq!(failing(lag), ["publication"]);
    assert_eq!(failing_with(&LIVE, lag), [""; 0]);
    let waiting = |facts: &mut Facts| facts.lanes[0].outbox.push(2);
    assert_eq!(failing(waiting), ["publication"]);
    assert_eq!(failing_with(&LIVE, waiting), [""; 0]);
}

/// The sound world seen by an audit whose snapshot was taken after the first batch: all of the second is beyond it.
fn snapshot_before_the_second_batch(facts: &mut Facts) {
    let lane = &mut facts.lanes[0];
    lane.row = Some(LaneRow { batch: 1, lane_time: 20, frontier: Frontier([1, 3, 0, 3, 0, 0, 0, 1]) });
    let ledger = &mut facts.ledger;
    ledger.decisions.retain(|row| row.position.topic != CommandTopic::Redeem && row.position != credit(4));
    ledger.entries.retain(|row| row.customer == ANN && row.seq == 1);
    ledger.customers[0].version = 2;
    ledger.customers[1].version = 1;
    ledger.accounts.retain(|row| row.customer == ANN);
    let ann = &mut ledger.accounts[0];
    ann.entries = 1;
    ann.last_entry = Some(ledger.entries[0].transaction);
    (ann.sums.available, ann.sums.lifetime_redeemed, ann.lots[0].remaining) = (100, 0, 100);
}

#[test]
fn a_worker_at_work_is_no_fault() {
    assert_eq!(failing_with(&LIVE, snapshot_before_the_second_batch), [""; 0]);
    let doubled = |facts: &mut Facts| {
        snapshot_before_the_second_batch(facts);
        let again = result(facts, redeem(1)).clone();
        facts.lanes[0].results.records.push(again);
    };
    assert_eq!(failing_with(&LIVE, doubled), ["offsets", "results-once", "order"], "also beyond the snapshot");
}

#[test]
fn what_retention_has_removed_is_not_missed() {
    let fails = failing(|facts| {
        let lane = &mut facts.lanes[0];
        for truncated in [&mut lane.results.truncated, &mut lane.events.truncated, &mut lane.journal.truncated] {
            *truncated = true;
        }
        lane.results.records.drain(..4);
        lane.events.records.drain(..4);
        lane.journal.records.remove(0);
        lane.commands[CommandTopic::Credit.index()].low = 3;
    });
    assert_eq!(fails, [""; 0]);
}

#[test]
fn a_report_shows_no_more_than_twenty_faults_of_a_check() {
    let mut facts = sound();
    facts.lanes[0].commands[CommandTopic::Credit.index()].offsets = (0..6).collect();
    facts.lanes[0].results.records.clear();
    for offset in 0..100 {
        facts.lanes[0].dead_letters.records.push(DeadLetterFact { offset, record: credit(2) });
    }
    let report = judge(facts, &IDLE);
    assert!(!report.holds());
    let check = &report.checks[1];
    assert_eq!((check.name, check.faults.len()), ("offsets", 20));
    assert!(check.fault_count > 100, "{report}");
}
