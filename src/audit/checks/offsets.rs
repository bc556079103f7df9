//! Every offset below the frontier is exactly one of: result, dead letter, parked, tick, hole.

use std::collections::HashMap;

use super::super::facts::{LaneFacts, ResultFact};
use super::super::report::Check;
use super::View;
use crate::domain::{CommandTopic, Position};
use crate::record::lane_of;

/// Every outgoing record can be understood; the other checks see only those.
pub fn readable(view: View<'_>) -> Check {
    let mut check = Check::new("readable", "every outgoing record can be read", "records");
    for lane in view.lanes() {
        check.examined += lane.read;
        for reason in &lane.unreadable {
            check.fault(|| reason.clone());
        }
    }
    check
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Result(i64),
    /// Of a command that had waited, and its lane: it may have come long before what is judged, and in another lane.
    Late(i32, i64),
    DeadLetter(i64),
}

impl Answer {
    fn describe(self, lane: i32) -> String {
        match self {
            Answer::Result(offset) => format!("results/{lane}/{offset}"),
            Answer::Late(lane, offset) => format!("results/{lane}/{offset}"),
            Answer::DeadLetter(offset) => format!("dead-letters/{lane}/{offset}"),
        }
    }
}

pub fn answered(view: View<'_>) -> Check {
    let sentence = "every offset passed is one result, dead letter, parked, tick or hole";
    let mut check = Check::new("offsets", sentence, "offsets");
    let waiting = view.lanes().iter().flat_map(|lane| lane.parked.iter().map(move |command| (*command, lane)));
    let waiting: HashMap<Position, &LaneFacts> = waiting.collect();
    let lanes = i32::try_from(view.lanes().len()).unwrap_or(i32::MAX);
    for row in &view.facts.ledger.parked {
        if row.is_met {
            check.fault(|| format!("{:?} waits for a customer who is there", row.command));
        }
        let its = lane_of(view.text(row.merchant).as_bytes(), lanes);
        if row.lane != its {
            check.fault(|| format!("{:?} waits in lane {}, but its merchant is on lane {its}", row.command, row.lane));
        }
    }
    let moved: Vec<(Position, Answer)> = view.lanes().iter().flat_map(|lane| moved(view, lane)).collect();
    for (lane, floors) in view.lanes().iter().zip(view.floors) {
        let mut answers: [Vec<(i64, Answer)>; CommandTopic::COUNT] = Default::default();
        for result in lane.results.records.iter().filter(|result| !has_moved(view, lane, result)) {
            let answer =
                if result.was_parked { Answer::Late(lane.lane, result.offset) } else { Answer::Result(result.offset) };
            sort_in(&mut check, lane, &mut answers, result.command, answer);
        }
        for (command, answer) in moved.iter().filter(|(command, _)| command.partition == lane.lane) {
            sort_in(&mut check, lane, &mut answers, *command, *answer);
        }
        for letter in &lane.dead_letters.records {
            sort_in(&mut check, lane, &mut answers, letter.record, Answer::DeadLetter(letter.offset));
        }
        for topic in CommandTopic::ALL {
            answers[topic.index()].sort_unstable();
            topic_answered(view, &mut check, lane, topic, floors.next(topic), &answers[topic.index()], &waiting);
        }
    }
    check
}

/// Whether it answers a command that had begun to wait before the lanes grew, and went with its merchant.
fn has_moved(view: View<'_>, lane: &LaneFacts, result: &ResultFact) -> bool {
    result.was_parked && view.may_have_moved(result.command.partition, lane.lane)
}

fn moved<'a>(view: View<'a>, lane: &'a LaneFacts) -> impl Iterator<Item = (Position, Answer)> + 'a {
    let moved = lane.results.records.iter().filter(move |result| has_moved(view, lane, result));
    moved.map(move |result| (result.command, Answer::Late(lane.lane, result.offset)))
}

fn sort_in(
    check: &mut Check,
    lane: &LaneFacts,
    answers: &mut [Vec<(i64, Answer)>; CommandTopic::COUNT],
    position: Position,
    answer: Answer,
) {
    if position.partition == lane.lane {
        answers[position.topic.index()].push((position.offset, answer));
    } else {
        check.fault(|| format!("{} answers {position:?}, a record of another lane", answer.describe(lane.lane)));
    }
}

fn topic_answered(
    view: View<'_>,
    check: &mut Check,
    lane: &LaneFacts,
    topic: CommandTopic,
    floor: i64,
    answers: &[(i64, Answer)],
    waiting: &HashMap<Position, &LaneFacts>,
) {
    let position = |offset| Position { topic, partition: lane.lane, offset };
    let frontier = lane.frontier().next(topic);
    let commands = &lane.commands[topic.index()];
    check.examined += u64::try_from(frontier - floor).unwrap_or(0);
    if frontier > commands.end {
        check.fault(|| {
            format!(
                "the frontier of {}/{} is {frontier}, but the topic ends at {}",
                topic.suffix(),
                lane.lane,
                commands.end
            )
        });
    }

    for pair in answers.windows(2) {
        let ((first, one), (second, other)) = (pair[0], pair[1]);
        if first == second {
            check.fault(|| {
                let (one, other) = (one.describe(lane.lane), other.describe(lane.lane));
                format!("{:?} is answered twice: by {one} and by {other}", position(first))
            });
        }
    }
    let judged = commands.offsets.iter().copied().filter(|&offset| offset >= floor && offset < frontier);
    if topic == CommandTopic::Clock {
        // A tick answers itself; only an unreadable one has a dead letter.
        for &(offset, answer) in answers.iter().filter(|(_, answer)| !matches!(answer, Answer::DeadLetter(_))) {
            check.fault(|| format!("{:?} is a tick, but {} answers it", position(offset), answer.describe(lane.lane)));
        }
    } else {
        for offset in judged {
            let is_answered = answers.binary_search_by_key(&offset, |(answered, _)| *answered).is_ok();
            let waits_in = waiting.get(&position(offset));
            if !is_answered && waits_in.is_none() {
                check.fault(|| format!("{:?} has neither a result nor a dead letter", position(offset)));
            } else if is_answered && waits_in.is_some_and(|lane| !lane.moved_on()) {
                check.fault(|| format!("{:?} is answered, and waits for its customer", position(offset)));
            }
        }
    }
    for &(offset, answer) in answers {
        if offset >= frontier {
            if !lane.is_beyond(position(offset)) {
                check.fault(|| {
                    let answer = answer.describe(lane.lane);
                    format!("{:?} is answered by {answer}, but the frontier is {frontier}", position(offset))
                });
            }
        } else if view.since && offset < floor && !matches!(answer, Answer::Late(..)) {
            check.fault(|| {
                format!("{:?} was answered before, and since by {}", position(offset), answer.describe(lane.lane))
            });
        } else if offset >= commands.low && commands.offsets.binary_search(&offset).is_err() {
            check.fault(|| {
                format!("{:?} is answered by {}, but holds no record", position(offset), answer.describe(lane.lane))
            });
        }
    }
}
