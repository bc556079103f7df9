//! What is applied is published: the group's committed offsets and their batch number are the lane's.

use super::super::AuditOptions;
use super::super::facts::LaneFacts;
use super::super::report::Check;
use super::View;
use crate::domain::CommandTopic;

pub fn check(view: View<'_>, options: &AuditOptions) -> Check {
    let sentence = if options.expect_idle {
        "what is applied is published, and nothing is left to do"
    } else {
        "what is applied is published"
    };
    let mut check = Check::new("publication", sentence, "lanes");
    for lane in view.lanes() {
        check.examined += 1;
        batches(lane, options, &mut check);
        for topic in CommandTopic::ALL {
            offsets(lane, topic, options, &mut check);
        }
    }
    check
}

fn batches(lane: &LaneFacts, options: &AuditOptions, check: &mut Check) {
    let number = lane.lane;
    let Some(row) = &lane.row else {
        if options.expect_idle && lane.commands.iter().any(|commands| commands.low < commands.end) {
            check.fault(|| format!("lane {number} has records, and no worker has owned it yet"));
        } else {
            check.notes.push(format!("lane {number} has not been owned yet"));
        }
        return;
    };
    let numbers = || lane.committed.iter().flatten().map(|committed| committed.batch);
    let published = numbers().flatten().max();
    if numbers().any(|batch| batch != published) {
        check.fault(|| format!("lane {number}: the committed offsets do not all name one batch number"));
    }
    let applied = row.batch;
    let published = published.unwrap_or(0);
    if published < applied {
        check.fault(|| format!("lane {number}: batch {applied} is applied, only {published} is published"));
    } else if published > applied && !lane.moved_on() {
        check.fault(|| format!("lane {number}: batch {published} is published, only {applied} is applied"));
    }
    if lane.moved_on() && options.expect_idle {
        check.fault(|| format!("lane {number}: batch {} was applied during the audit", lane.applied_at_end));
    }
    if let (Some(first), Some(last)) = (lane.outbox.first(), lane.outbox.last()) {
        let text = format!("lane {number}: batches {first} to {last} are in the outbox");
        // A worker removes them in its own time; that they are published is judged above.
        if options.expect_idle { check.fault(|| text) } else { check.notes.push(text) }
    }
}

fn offsets(lane: &LaneFacts, topic: CommandTopic, options: &AuditOptions, check: &mut Check) {
    if lane.row.is_none() {
        return;
    }
    let place = || format!("{}/{}", topic.suffix(), lane.lane);
    let frontier = lane.frontier().next(topic);
    let settled = options.expect_idle || !lane.moved_on();
    match lane.committed[topic.index()] {
        // Kafka drops what is not renewed, and a lane that has done nothing yet has committed nothing.
        None if lane.row.as_ref().is_some_and(|row| row.batch > 0) => {
            check.fault(|| format!("{}: the group has no committed offset", place()));
        }
        Some(committed) if committed.offset < frontier || (settled && committed.offset != frontier) => {
            check.fault(|| format!("{}: the frontier is {frontier}, committed is {}", place(), committed.offset));
        }
        _ => {}
    }
    let lag = lane.commands[topic.index()].end - frontier;
    if lag > 0 {
        let text = format!("{} has a lag of {lag}", place());
        // The last ticks of a worker that has stopped are nothing that anybody waits for.
        let left_over = options.expect_idle && topic != CommandTopic::Clock;
        if left_over { check.fault(|| text) } else { check.notes.push(text) }
    }
}
