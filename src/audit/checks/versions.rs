//! Customers' versions in the events: none missing, none twice, in order; and every event has its cause.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::super::facts::{ConfigVersion, EventFact, LaneFacts};
use super::super::report::Check;
use super::View;
use crate::domain::Position;

/// Effects that make no version, by the ledger's numbers: unchanged and kept.
const UNCHANGING: [i16; 2] = [3, 5];

/// The check of versions, and that of causes.
pub fn check(view: View<'_>) -> (Check, Check) {
    (versions(view), causes(view))
}

struct Seen<'a> {
    lane: &'a LaneFacts,
    event: &'a EventFact,
    customer: Uuid,
}

impl Seen<'_> {
    fn place(&self) -> String {
        format!("events/{}/{}", self.lane.lane, self.event.offset)
    }
}

fn versions(view: View<'_>) -> Check {
    let sentence = "no customer version is missing, twice or out of order in the events";
    let mut check = Check::new("versions", sentence, "events");
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for lane in view.lanes() {
        for event in &lane.events.records {
            if let Some(customer) = event.customer {
                seen.push(Seen { lane, event, customer });
            }
        }
    }
    // Stable: of each customer the order of the topic.
    seen.sort_by_key(|seen| seen.customer);
    let first_told = first_told(view);
    let mut customers = view.facts.ledger.customers.iter().peekable();
    for run in seen.chunk_by(|one, other| one.customer == other.customer) {
        let customer = run[0].customer;
        while let Some(row) = customers.next_if(|row| row.customer < customer) {
            silent(view, row.customer, row.version, &first_told, &mut check);
        }
        let row = customers.next_if(|row| row.customer == customer);
        let first = view.since.then(|| first_told.get(&customer).copied().unwrap_or(i64::MAX));
        judge_customer(run, row.map(|row| row.version), first, &mut check);
    }
    customers.for_each(|row| silent(view, row.customer, row.version, &first_told, &mut check));
    check
}

/// The first version that results since the instant say to have made, by customer: the events must not begin after it. Where all is
/// judged, they begin with 1.
fn first_told(view: View<'_>) -> HashMap<Uuid, i64> {
    let mut first = HashMap::new();
    if !view.since {
        return first;
    }
    for lane in view.lanes() {
        let made = lane.results.records.iter().filter(|result| {
            let changes = result.accepted && !result.duplicate && !UNCHANGING.contains(&result.effect);
            changes && view.is_judgeable(result.command) && !lane.is_beyond(result.command)
        });
        for (customer, version) in made.filter_map(|result| result.customer.zip(result.customer_version)) {
            let known = first.entry(customer).or_insert(version);
            *known = version.min(*known);
        }
    }
    first
}

fn silent(view: View<'_>, customer: Uuid, version: i64, first_told: &HashMap<Uuid, i64>, check: &mut Check) {
    let is_due = if view.since {
        first_told.contains_key(&customer)
    } else {
        !view.lanes().iter().any(|lane| lane.events.truncated)
    };
    if is_due {
        check.fault(|| format!("customer {customer} has version {version}, and no events"));
    }
}

/// Walks a customer's events. Since an instant they begin at any version up to `first`.
fn judge_customer(run: &[Seen<'_>], row_version: Option<i64>, first: Option<i64>, check: &mut Check) {
    let mut last: Option<&EventFact> = None;
    for seen in run {
        let event = seen.event;
        if seen.lane.is_event_beyond(event, row_version) {
            continue;
        }
        check.examined += 1;
        let customer = seen.customer;
        let (version, index) = match last {
            None if seen.lane.events.truncated => (event.version, event.index),
            None => (first.map_or(1, |first| first.min(event.version)), 0),
            Some(last) if last.index + 1 < last.count => (last.version, last.index + 1),
            Some(last) => (last.version + 1, 0),
        };
        if (event.version, event.index) != (version, index) {
            check.fault(|| {
                let (is, at) = (event.version, event.index);
                format!("{}: customer {customer}: event {at} of version {is}, expected was event {index} of version {version}", seen.place())
            });
        } else if event.count <= event.index || last.is_some_and(|last| index > 0 && last.count != event.count) {
            check.fault(|| {
                format!("{}: customer {customer}: version {version} says two different counts", seen.place())
            });
        }
        last = Some(event);
    }
    let Some(last) = last else { return };
    let customer = run[0].customer;
    if last.index + 1 != last.count {
        check.fault(|| {
            format!("customer {customer}: version {} has {} of {} events", last.version, last.index + 1, last.count)
        });
    }
    match row_version {
        None => check.fault(|| format!("customer {customer} has events up to version {}, and no row", last.version)),
        Some(version) if version != last.version => {
            check.fault(|| format!("customer {customer} has version {version}, its events end at {}", last.version));
        }
        Some(_) => {}
    }
}

/// Every event that names a cause names an accepted command, and its customer's version is the one that the command's result names; or a
/// command that waits, or is said to have waited.
fn causes(view: View<'_>) -> Check {
    let mut check = Check::new("causes", "every event's cause is an accepted command of its customer", "events");
    // Of all lanes: a command that waits goes with its merchant when the lanes grow.
    let late = view.lanes().iter().flat_map(|lane| &lane.results.records).filter(|result| result.was_parked);
    let late: HashSet<Position> = late.map(|result| result.command).collect();
    let has_moved =
        |cause: Position, lane: &LaneFacts| late.contains(&cause) && view.may_have_moved(cause.partition, lane.lane);
    let has_gone = view.lanes().iter().any(|lane| lane.results.truncated);
    for lane in view.lanes() {
        for event in &lane.events.records {
            let Some(cause) = event.cause.filter(|cause| !lane.is_beyond(*cause)) else {
                continue;
            };
            check.examined += 1;
            let problem = match view.decision(cause) {
                _ if view.text(event.kind) == "command.parked" => {
                    let waits = || view.lanes().iter().any(|lane| lane.parked.contains(&cause));
                    let is_known = has_gone || late.contains(&cause) || waits();
                    (!is_known).then_some("neither waits nor has a result that says so")
                }
                _ if view.since && !view.is_judgeable(cause) && !late.contains(&cause) => {
                    Some("was decided and told before, and is told since")
                }
                None => Some("is no decided command"),
                Some((_, row)) if row.effect == 0 => Some("was rejected"),
                Some((_, row)) if event.customer.is_some() && row.customer != event.customer => {
                    Some("was about another customer")
                }
                Some((_, row)) if event.customer.is_some() && row.customer_version != Some(event.version) => {
                    Some("made another version")
                }
                Some(_) if cause.partition != lane.lane && !has_moved(cause, lane) => Some("is of another lane"),
                Some(_) => None,
            };
            if let Some(problem) = problem {
                check.fault(|| format!("events/{}/{}: its cause {cause:?} {problem}", lane.lane, event.offset));
            }
        }
    }
    check
}

/// Every version of a merchant's settings and units is told by exactly one event.
pub fn configs(view: View<'_>) -> Check {
    let sentence = "every configuration version is told by one event";
    let mut check = Check::new("configuration", sentence, "versions");
    let mut told: HashMap<ConfigVersion, u64> = view.facts.ledger.configs.iter().map(|row| (*row, 0)).collect();
    let describe = |row: &ConfigVersion| {
        let id = row.id.map_or("", |id| view.text(id));
        format!("version {} of {} {id} of merchant {}", row.version, view.text(row.object), view.text(row.merchant))
    };
    for lane in view.lanes() {
        for event in &lane.events.records {
            let Some(config) = &event.config else { continue };
            if event.cause.is_some_and(|cause| lane.is_beyond(cause)) {
                continue;
            }
            match told.get_mut(config.as_ref()) {
                Some(count) => *count += 1,
                None => check.fault(|| {
                    format!("events/{}/{} tells {}, which does not exist", lane.lane, event.offset, describe(config))
                }),
            }
        }
    }
    let truncated = view.lanes().iter().any(|lane| lane.events.truncated);
    for row in &view.facts.ledger.configs {
        check.examined += 1;
        let count = told.get(row).copied().unwrap_or_default();
        if count > 1 || (count == 0 && !truncated && !view.since) {
            check.fault(|| format!("{} is told by {count} events", describe(row)));
        }
    }
    check
}
