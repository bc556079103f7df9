//! Results say what the ledger says, and every entry of the ledger is told.

use super::super::facts::{DecisionRow, EntryFact, ResultFact};
use super::super::report::Check;
use super::View;
use crate::domain::Position;

/// Rejections that leave nothing behind: there was no merchant or no key to remember them under, the key belongs to another
/// command's decision, or a later version may decide otherwise. Written down here a second time on purpose.
const UNREMEMBERED: [&str; 4] =
    ["unknown_merchant", "invalid_idempotency_key", "unsupported_command", "idempotency_conflict"];

/// The check of results against decisions, and of entries against results and events.
pub fn check(view: View<'_>) -> (Check, Check) {
    let mut results = Check::new("results", "every result says what the ledger says", "results");
    let mut told_entries = vec![Told::default(); view.facts.ledger.entries.len()];
    let mut told_decisions = vec![0_u32; view.facts.ledger.decisions.len()];
    for lane in view.lanes() {
        for result in lane.results.records.iter().filter(|result| !lane.is_beyond(result.command)) {
            results.examined += 1;
            let problems = &mut |problem: String| {
                results.fault(|| format!("{:?} (results/{}/{}): {problem}", result.command, lane.lane, result.offset));
            };
            judge_result(view, result, &mut told_decisions, &mut told_entries, problems);
        }
    }
    for (row, told) in view.facts.ledger.decisions.iter().zip(&told_decisions) {
        judge_decision(view, row, *told, &mut results);
    }
    let entries = entries_told(view, &mut told_entries);
    (results, entries)
}

/// How often an entry is told by the result of its command, and by an event.
#[derive(Clone, Copy, Default)]
struct Told {
    results: u8,
    events: u8,
}

fn judge_result(
    view: View<'_>,
    result: &ResultFact,
    told_decisions: &mut [u32],
    told_entries: &mut [Told],
    problem: &mut dyn FnMut(String),
) {
    if result.accepted == result.rejection.is_some() || result.accepted == (result.effect == 0) {
        problem("its status, effect and rejection do not fit together".to_owned());
    }
    if !result.accepted && !result.entries.is_empty() {
        problem("it is rejected, and has transactions".to_owned());
    }
    if result.duplicate {
        let Some(original) = result.original else {
            return problem("it is a duplicate that names no original".to_owned());
        };
        match view.decision(original) {
            Some((_, row)) if original != result.command => compare(view, result, row, problem),
            _ => problem(format!("its original {original:?} is no decided command")),
        }
        return;
    }
    if result.original.is_some() {
        problem("it is no duplicate, and names an original".to_owned());
    }
    let remembered = result.rejection.is_none_or(|rejection| !UNREMEMBERED.contains(&view.text(rejection.code)));
    match (remembered, view.decision(result.command)) {
        (true, None) => problem("the ledger has no decision on it".to_owned()),
        (false, Some(_)) => problem("the ledger has another decision on it".to_owned()),
        (false, None) => {}
        (true, Some((index, row))) => {
            told_decisions[index] += 1;
            compare(view, result, row, problem);
            if (result.occurred_at, result.decided_at) != (row.occurred_at, row.decided_at) {
                problem("its times are not the ledger's".to_owned());
            }
            mark_entries(view, result, told_entries, problem);
            judge_balances(view, result, problem);
        }
    }
}

fn compare(view: View<'_>, result: &ResultFact, row: &DecisionRow, problem: &mut dyn FnMut(String)) {
    let outcome = |effect: i16, rejection: Option<super::super::facts::RejectionFact>| match rejection {
        Some(rejection) => view.text(rejection.code).to_owned(),
        None => super::super::facts::EFFECTS
            .iter()
            .find(|(code, _)| *code == effect)
            .map_or_else(|| format!("effect {effect}"), |(_, name)| (*name).to_owned()),
    };
    if result.effect != row.effect || result.rejection.map(|it| it.code) != row.rejection.map(|it| it.code) {
        let (told, is) = (outcome(result.effect, result.rejection), outcome(row.effect, row.rejection));
        problem(format!("it says {told}, the ledger {is}"));
    } else if result.rejection != row.rejection {
        problem("its rejection's message is not the ledger's".to_owned());
    }
    if result.customer != row.customer {
        problem(format!("it names customer {}, the ledger {}", shown(result.customer), shown(row.customer)));
    }
    if result.customer_version != row.customer_version {
        let (told, is) = (shown(result.customer_version), shown(row.customer_version));
        problem(format!("it names customer version {told}, the ledger {is}"));
    }
    if result.config_version != row.config_version {
        let (told, is) = (shown(result.config_version), shown(row.config_version));
        problem(format!("it names configuration version {told}, the ledger {is}"));
    }
    let told = result.entries.iter().map(|entry| entry.transaction);
    if !told.eq(row.entries.iter().copied()) {
        problem(format!(
            "it names {} transactions, which are not the ledger's {}",
            result.entries.len(),
            row.entries.len()
        ));
    }
    for entry in &result.entries {
        let found = row.customer.and_then(|customer| view.entry(customer, entry.unit, entry.seq));
        match found {
            None => problem(format!("its transaction {} is not in the ledger", entry.transaction)),
            Some((_, entry_row)) => {
                if entry_row.cause != Some(row.position) {
                    problem(format!("its transaction {} has another cause in the ledger", entry.transaction));
                }
                if let Some(field) = view.entry_difference(entry, entry_row) {
                    problem(format!("{field} of its transaction {} is not the ledger's", entry.transaction));
                }
            }
        }
    }
}

fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn mark_entries(view: View<'_>, result: &ResultFact, told: &mut [Told], problem: &mut dyn FnMut(String)) {
    let Some(customer) = result.customer else {
        if !result.entries.is_empty() {
            problem("it has transactions, and no customer".to_owned());
        }
        return;
    };
    for entry in &result.entries {
        if let Some((index, _)) = view.entry(customer, entry.unit, entry.seq) {
            told[index].results = told[index].results.saturating_add(1);
        }
    }
}

/// The balance of a unit is what its last transaction left.
fn judge_balances(view: View<'_>, result: &ResultFact, problem: &mut dyn FnMut(String)) {
    let mut seen: Vec<&EntryFact> = Vec::new();
    for entry in result.entries.iter().rev() {
        if seen.iter().any(|later| later.unit == entry.unit) {
            continue;
        }
        seen.push(entry);
        let told = result.balances.iter().find(|(unit, _)| *unit == entry.unit).map(|(_, balance)| *balance);
        if told != Some(entry.balance_after) {
            problem(format!("its balance of {} is not what its last transaction left", view.text(entry.unit)));
        }
    }
}

fn judge_decision(view: View<'_>, row: &DecisionRow, told: u32, check: &mut Check) {
    let Position { topic, partition, offset } = row.position;
    let Some(lane) = view.lane(partition) else {
        return check.fault(|| format!("a decision of the ledger stands at {:?}, where no lane is", row.position));
    };
    if offset >= lane.frontier().next(topic) {
        check.fault(|| format!("{:?}: the ledger has a decision beyond the lane's frontier", row.position));
    }
    if told > 1 {
        check.fault(|| format!("{:?}: {told} results tell the one decision of the ledger", row.position));
    }
    if told == 0 && view.is_judgeable(row.position) {
        check.fault(|| format!("{:?}: no result tells the decision of the ledger", row.position));
    }
}

fn entries_told(view: View<'_>, told: &mut [Told]) -> Check {
    let sentence = "every ledger entry is told by one event, and by its command's result";
    let mut check = Check::new("entries", sentence, "entries");
    for lane in view.lanes() {
        for event in &lane.events.records {
            let (Some(entry), Some(customer)) = (&event.entry, event.customer) else {
                continue;
            };
            let row_version = view.customer(customer).map(|row| row.version);
            if lane.is_event_beyond(event, row_version) {
                continue;
            }
            let place = || format!("events/{}/{}", lane.lane, event.offset);
            let Some((index, row)) = view.entry(customer, entry.unit, entry.seq) else {
                check.fault(|| format!("{}: its transaction {} is not in the ledger", place(), entry.transaction));
                continue;
            };
            told[index].events = told[index].events.saturating_add(1);
            if let Some(field) = view.entry_difference(entry, row) {
                check
                    .fault(|| format!("{}: {field} of transaction {} is not the ledger's", place(), entry.transaction));
            }
            if event.cause != row.cause {
                check.fault(|| {
                    format!("{}: transaction {} has another cause in the ledger", place(), entry.transaction)
                });
            }
            let expected = match row.kind {
                1 => "points.earned",
                2 => "points.redeemed",
                4 => "stamps.added",
                _ => "points.expired",
            };
            if view.text(event.kind) != expected {
                check.fault(|| format!("{}: an entry of this kind is told by {expected}", place()));
            }
        }
    }
    let events_truncated = view.lanes().iter().any(|lane| lane.events.truncated);
    for (row, told) in view.facts.ledger.entries.iter().zip(told.iter()) {
        check.examined += 1;
        let place = || format!("entry {} of {} of customer {}", row.seq, view.text(row.unit), row.customer);
        let judgeable = row.cause.is_none_or(|cause| view.is_judgeable(cause));
        let expected = u8::from(row.cause.is_some());
        if told.results > expected || (told.results < expected && judgeable) {
            let cause = row.cause.map_or_else(|| "time".to_owned(), |cause| format!("{cause:?}"));
            check.fault(|| format!("{} (caused by {cause}) is told by {} results", place(), told.results));
        }
        let is_due = !view.since || (row.cause.is_some() && judgeable);
        if told.events > 1 || (told.events == 0 && !events_truncated && is_due) {
            check.fault(|| format!("{} is told by {} events", place(), told.events));
        }
    }
    check
}
