//! Nothing is said twice.

use uuid::Uuid;

use super::super::report::Check;
use super::View;

/// No two results have one id, also when they answer different commands.
pub fn results(view: View<'_>) -> Check {
    let mut check = Check::new("results-once", "no result is there twice", "results");
    let results = view
        .lanes()
        .iter()
        .flat_map(|lane| lane.results.records.iter().map(move |result| (result.result_id, lane.lane, result.offset)));
    find_twice(&mut check, results.collect(), "results", "result_id");
    check
}

pub fn events(view: View<'_>) -> Check {
    let mut check = Check::new("events-once", "no event is there twice", "events");
    let events = view
        .lanes()
        .iter()
        .flat_map(|lane| lane.events.records.iter().map(move |event| (event.event_id, lane.lane, event.offset)));
    find_twice(&mut check, events.collect(), "events", "event_id");
    check
}

fn find_twice(check: &mut Check, mut ids: Vec<(Uuid, i32, i64)>, topic: &str, id: &str) {
    check.examined = ids.len() as u64;
    ids.sort_unstable();
    for pair in ids.windows(2) {
        let ((first, lane, offset), (second, other_lane, other)) = (pair[0], pair[1]);
        if first == second {
            check.fault(|| format!("{topic}/{lane}/{offset} and {topic}/{other_lane}/{other} have one {id}, {first}"));
        }
    }
}
