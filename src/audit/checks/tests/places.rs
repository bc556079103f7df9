//! Rows that are where they do not belong. The shop is on lane 0, also of two.

use super::*;
use crate::config::LaneRange;

/// Each of two lanes has a database of its own; all rows are in the first.
fn divide(facts: &mut Facts) {
    let range = |lane| LaneRange { first: lane, last: lane, of: 2 };
    let second = DatabaseFacts::of(range(1), &Ledger::default());
    facts.databases = vec![DatabaseFacts::of(range(0), &facts.ledger), second];
}

/// A command of the shop waits in a lane, and has no result.
fn park(facts: &mut Facts, lane: usize) {
    let merchant = facts.names.keep("shop");
    let row = ParkedRow { lane: facts.lanes[lane].lane, command: credit(3), merchant, is_met: false };
    facts.ledger.parked.push(row);
    facts.lanes[lane].parked.insert(row.command);
    facts.lanes[0].results.records.retain(|result| result.command != row.command);
}

#[test]
fn every_row_is_in_the_database_of_its_lane() {
    let two = |facts: &mut Facts| {
        park(facts, 0);
        divide(facts);
    };
    assert_eq!(failing(two), [""; 0]);
    let moves: [fn(&mut DatabaseFacts) -> &mut usize; 6] = [
        |rows| &mut rows.decisions,
        |rows| &mut rows.entries,
        |rows| &mut rows.customers,
        |rows| &mut rows.orders,
        |rows| &mut rows.configs,
        |rows| &mut rows.parked,
    ];
    for rows in moves {
        let misplaced = |facts: &mut Facts| {
            two(facts);
            *rows(&mut facts.databases[0]) -= 1;
            *rows(&mut facts.databases[1]) += 1;
        };
        assert_eq!(failing(misplaced), ["places"]);
    }
}

#[test]
fn an_entry_is_where_its_customer_is() {
    let fails = failing(|facts| {
        divide(facts);
        let nobody = facts.names.keep("");
        entry(facts, BEN, 2).merchant = nobody;
    });
    assert_eq!(fails, ["accounts", "totals", "places"]);
}

#[test]
fn a_command_waits_in_its_merchants_lane() {
    let waits_in = |lane| {
        failing(|facts| {
            facts.lanes.push(LaneFacts { lane: 1, ..LaneFacts::default() });
            park(facts, lane);
        })
    };
    assert_eq!(waits_in(0), [""; 0]);
    assert_eq!(waits_in(1), ["offsets"]);
}
