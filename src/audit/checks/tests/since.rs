//! The sound world since its second batch: what came before is not missed, and what is broken since is found.

use super::*;
use crate::audit::since::{LEFT_OUT, Named, begin_with_the_journal};
use crate::domain::Instant;

const SINCE: AuditOptions = AuditOptions { since: Some(Instant::EPOCH), ..IDLE };

/// As an audit would read it: from the journal's second record on, and of the decisions those that results since then name.
fn begin(facts: &mut Facts) {
    let lane = &mut facts.lanes[0];
    lane.journal.records.remove(0);
    begin_with_the_journal(lane, i64::MAX);
    let floors = lane.floors();
    assert_eq!(floors, Frontier([1, 3, 0, 3, 0, 0, 0, 1]));
    for topic in CommandTopic::ALL {
        let (commands, floor) = (&mut lane.commands[topic.index()], floors.next(topic));
        commands.offsets.retain(|offset| *offset >= floor);
        commands.low = floor;
    }
    let named = [credit(4), redeem(0), redeem(1)];
    facts.ledger.decisions.retain(|row| named.contains(&row.position));
}

#[track_caller]
fn failing_since(corrupt: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    failing_with(&SINCE, |facts| {
        begin(facts);
        corrupt(facts);
    })
}

#[test]
fn what_came_before_is_left_out_and_said_to_be() {
    let mut facts = sound();
    begin(&mut facts);
    let results: Vec<Position> = facts.lanes[0].results.records.iter().map(|result| result.command).collect();
    assert_eq!(results, [credit(3), credit(4), redeem(0), redeem(1)]);
    assert!(facts.lanes[0].dead_letters.records.is_empty());
    let events: Vec<i64> = facts.lanes[0].events.records.iter().map(|event| event.version).collect();
    assert_eq!(events, [2, 3, 3]);
    let named = Named::by(&facts.lanes);
    assert_eq!((named.keys.len(), named.customers), (4, vec![ANN, BEN]));
    let report = judge(facts, &SINCE);
    assert!(report.holds(), "{report}");
    assert_eq!(report.left_out, LEFT_OUT);
    assert!(report.checks.iter().all(|check| check.name != "totals"));
}

#[test]
fn a_customer_of_before_is_not_missed() {
    let fails = failing_since(|facts| {
        facts.lanes[0].events.records.retain(|event| event.customer != Some(BEN));
        facts.lanes[0].states.retain(|state| state.profile.customer != BEN);
        facts.lanes[0].results.records.retain(|result| result.command != credit(4));
        facts.lanes[0].dead_letters.records.push(DeadLetterFact { offset: 1, record: credit(4) });
        facts.ledger.decisions.retain(|row| row.position != credit(4));
        for entry in &mut facts.ledger.entries {
            entry.cause = entry.cause.filter(|cause| *cause != credit(4));
        }
    });
    assert_eq!(fails, [""; 0], "as if nothing of Ben were since");
}

#[test]
fn what_is_missing_since() {
    let fails = failing_since(|facts| facts.lanes[0].results.records.retain(|result| result.command != credit(4)));
    assert_eq!(fails, ["offsets", "results", "entries"]);
    let fails = failing_since(|facts| {
        facts.lanes[0].events.records.retain(|event| event.customer != Some(BEN) || event.version != 2);
    });
    assert_eq!(fails, ["entries", "versions"]);
    let fails = failing_since(|facts| facts.lanes[0].events.records.retain(|event| event.customer != Some(BEN)));
    assert_eq!(fails, ["entries", "versions"]);
    assert_eq!(failing_since(|facts| facts.lanes[0].states.clear()), ["states"]);
    let fails = failing_since(|facts| facts.ledger.decisions.retain(|row| row.position != redeem(1)));
    assert_eq!(fails, ["results"]);
}

#[test]
fn what_was_said_before_and_again_since() {
    let sound = sound();
    let lane = &sound.lanes[0];
    let (result, event) = (lane.results.records[3].clone(), lane.events.records[1].clone());
    assert_eq!((result.command, event.version), (credit(0), 1));
    let fails = failing_since(|facts| facts.lanes[0].results.records.push(result));
    assert_eq!(fails, ["offsets", "results", "order"]);
    assert_eq!(failing_since(|facts| facts.lanes[0].events.records.push(event)), ["versions", "causes"]);
    let letter = DeadLetterFact { offset: 9, record: credit(2) };
    assert_eq!(failing_since(|facts| facts.lanes[0].dead_letters.records.push(letter)), ["offsets"]);
}

#[test]
fn a_balance_of_who_changed_since_is_that_of_all_entries() {
    assert_eq!(failing_since(|facts| account(facts, ANN).sums.available += 1), ["accounts", "states"]);
    assert_eq!(failing_since(|facts| entry(facts, ANN, 1).amount += 1), ["accounts"], "the history is whole");
}

#[test]
fn a_lane_where_nothing_came_since() {
    let fails = failing_with(&SINCE, |facts| {
        let lane = &mut facts.lanes[0];
        lane.journal.records.clear();
        begin_with_the_journal(lane, i64::MAX);
        for commands in &mut lane.commands {
            (commands.low, commands.offsets) = (commands.end, Vec::new());
        }
        facts.ledger = Ledger::default();
    });
    assert_eq!(fails, [""; 0]);
}
