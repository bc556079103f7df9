//! Order: results stand in the order of application, and the journal's batches follow each other without gaps.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::super::facts::{JournalFact, LaneFacts, Name, ResultFact};
use super::super::report::Check;
use super::View;
use crate::domain::{CommandTopic, Position};

/// Within a lane, a topic's commands are answered in the order of their offsets, and batch by batch as the journal has them; of one
/// customer, versions never go back, and neither do the entries of one account. Only what is said to wait may be answered out of turn.
pub fn results(view: View<'_>) -> Check {
    let mut check = Check::new("order", "results stand in the order of application", "results");
    let announced: Vec<_> = view.lanes().iter().map(|lane| announced(view, lane)).collect();
    for lane in view.lanes() {
        let batches = Batches::of(&lane.journal.records);
        let mut last = Last::default();
        for result in &lane.results.records {
            check.examined += 1;
            // Said where it began to wait, which another lane may have done.
            let said = usize::try_from(result.command.partition).ok().and_then(|lane| announced.get(lane));
            let is_said = said.is_some_and(|said| said.as_ref().is_none_or(|said| said.contains(&result.command)));
            if result.was_parked && !is_said && !lane.is_beyond(result.command) {
                let (lane, offset, command) = (lane.lane, result.offset, result.command);
                check.fault(|| format!("results/{lane}/{offset} ({command:?}): has waited, and no event said so"));
            }
            last.judge(lane, result, &batches, &mut check);
        }
    }
    check
}

/// The commands of which an event says that they wait; `None` where the event may be older than what is there.
fn announced(view: View<'_>, lane: &LaneFacts) -> Option<HashSet<Position>> {
    if view.since || lane.events.truncated {
        return None;
    }
    let told = lane.events.records.iter().filter(|event| view.text(event.kind) == "command.parked");
    Some(told.filter_map(|event| event.cause).collect())
}

#[derive(Default)]
struct Last {
    offsets: [Option<i64>; CommandTopic::COUNT],
    batch: i64,
    versions: HashMap<Uuid, i64>,
    seqs: HashMap<(Uuid, Name), i64>,
}

impl Last {
    fn judge(&mut self, lane: &LaneFacts, result: &ResultFact, batches: &Batches, check: &mut Check) {
        let place = || format!("results/{}/{} ({:?})", lane.lane, result.offset, result.command);
        if !result.was_parked {
            self.judge_place(lane, result, batches, check);
        }
        let (Some(customer), false) = (result.customer, result.duplicate) else {
            return;
        };
        if let Some(version) = result.customer_version {
            let before = self.versions.insert(customer, version).unwrap_or(version);
            if before > version {
                check.fault(|| format!("{}: customer {customer} went from version {before} to {version}", place()));
            }
        }
        for entry in &result.entries {
            if let Some(before) = self.seqs.insert((customer, entry.unit), entry.seq).filter(|seq| *seq >= entry.seq) {
                check.fault(|| {
                    format!("{}: entry {} of customer {customer} stands behind entry {before}", place(), entry.seq)
                });
            }
        }
    }

    /// What had waited stands anywhere behind its turn.
    fn judge_place(&mut self, lane: &LaneFacts, result: &ResultFact, batches: &Batches, check: &mut Check) {
        let place = || format!("results/{}/{} ({:?})", lane.lane, result.offset, result.command);
        let offset = result.command.offset;
        let before = self.offsets[result.command.topic.index()].replace(offset);
        if let Some(before) = before.filter(|before| *before >= offset) {
            check.fault(|| format!("{}: stands behind the result of offset {before}", place()));
        }
        match batches.of_command(result.command) {
            Some(batch) if batch < self.batch => {
                check
                    .fault(|| format!("{}: of batch {batch}, stands behind a result of batch {}", place(), self.batch));
            }
            Some(batch) => self.batch = batch,
            None if lane.journal.truncated => {}
            None => check.fault(|| format!("{}: no batch of the journal took its command", place())),
        }
    }
}

/// Which batch took an offset: of each topic the ranges' ends, ascending.
struct Batches([Vec<(i64, i64, i64)>; CommandTopic::COUNT]);

impl Batches {
    fn of(journal: &[JournalFact]) -> Batches {
        let mut ranges: [Vec<(i64, i64, i64)>; CommandTopic::COUNT] = Default::default();
        for record in journal {
            for topic in CommandTopic::ALL {
                if let Some((from, to)) = record.ranges[topic.index()].filter(|(from, to)| from < to) {
                    ranges[topic.index()].push((to, from, record.batch));
                }
            }
        }
        ranges.iter_mut().for_each(|ranges| ranges.sort_unstable());
        Batches(ranges)
    }

    fn of_command(&self, command: Position) -> Option<i64> {
        let ranges = &self.0[command.topic.index()];
        let (_, from, batch) = *ranges.get(ranges.partition_point(|(to, _, _)| *to <= command.offset))?;
        (from <= command.offset).then_some(batch)
    }
}

/// Batches are numbered without gaps, each begins where the last one ended, and the last applied one ends at the frontier.
pub fn journal(view: View<'_>) -> Check {
    let sentence = "the journal's batches follow each other up to the frontier";
    let mut check = Check::new("journal", sentence, "batches");
    for lane in view.lanes() {
        let mut last: Option<&JournalFact> = None;
        let mut ends = [None; CommandTopic::COUNT];
        for record in &lane.journal.records {
            check.examined += 1;
            let place = || format!("journal/{}/{} (batch {})", lane.lane, record.offset, record.batch);
            let first = if lane.journal.truncated || view.since { record.batch } else { 1 };
            let due = last.map_or(first, |last| last.batch + 1);
            if record.batch != due {
                check.fault(|| format!("{}: stands where batch {due} must", place()));
            }
            if record.lane != lane.lane {
                check.fault(|| format!("{}: is of lane {}", place(), record.lane));
            }
            if last.is_some_and(|last| last.lane_time_before > record.lane_time_before) {
                check.fault(|| format!("{}: the lane's time went back", place()));
            }
            for topic in CommandTopic::ALL {
                let Some((from, to)) = record.ranges[topic.index()] else { continue };
                let end = ends[topic.index()].replace(to);
                if end.is_some_and(|end| end != from) || from > to {
                    let end = end.unwrap_or(from);
                    check.fault(|| format!("{}: takes {} from {from} to {to}, after {end}", place(), topic.suffix()));
                }
            }
            if lane.row.as_ref().is_some_and(|row| row.batch == record.batch) {
                judge_end(lane, record, &ends, &mut check);
            }
            last = Some(record);
        }
        let applied = lane.row.as_ref().map_or(0, |row| row.batch);
        // Of a lane where nothing was published since, the group's offsets tell.
        let written = last.map_or(if view.since { applied } else { 0 }, |last| last.batch);
        if written < applied {
            check.fault(|| format!("lane {}: batch {applied} is applied, the journal ends at {written}", lane.lane));
        }
        if written > lane.applied_at_end {
            let applied = lane.applied_at_end;
            check.fault(|| {
                format!("lane {}: the journal ends at batch {written}, only {applied} is applied", lane.lane)
            });
        }
    }
    check
}

/// The last applied batch ends where the lane's row says, in offsets and in time.
fn judge_end(lane: &LaneFacts, last: &JournalFact, ends: &[Option<i64>; CommandTopic::COUNT], check: &mut Check) {
    let frontier = lane.frontier();
    if lane.row.as_ref().is_some_and(|row| row.lane_time < last.lane_time_before) {
        check.fault(|| format!("lane {}: its time is before that of its batch {}", lane.lane, last.batch));
    }
    for topic in CommandTopic::ALL {
        let next = frontier.next(topic);
        if let Some(end) = ends[topic.index()].filter(|end| *end != next) {
            check.fault(|| {
                format!("the frontier of {}/{} is {next}, its last batch ends at {end}", topic.suffix(), lane.lane)
            });
        }
    }
}
