//! Who has been answered: every record that was sent, by its place in Kafka, and everything that came back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::command::Topic;
use super::model::Outcome;

/// What the sender and the reader share.
#[derive(Default)]
pub struct Tracker {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// The count so far.
#[derive(Default)]
pub struct Seen {
    /// By topic, partition and offset.
    slots: [HashMap<i32, Vec<Slot>>; 4],
    /// Acknowledged by the broker.
    pub sent: u64,
    pub answered: u64,
    pub outcomes: BTreeMap<Outcome, u64>,
    pub dead_letters: BTreeMap<String, u64>,
    pub expiries: u64,
    /// Records of which an event says that they wait for their customer, answered since or not.
    pub waited: u64,
    /// Broker's time of the newest result, in microseconds since 1970.
    pub newest_result: i64,
    /// When the last answer arrived.
    pub last_arrival: i64,
    /// What must not be, in sentences.
    pub wrong: Vec<String>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    sent_at: i64,
    seen_at: i64,
    answers: u32,
    waited: bool,
}

/// What came back for one record.
pub enum Answer {
    Result(Outcome),
    DeadLetter(String),
}

impl Tracker {
    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker has acknowledged a record.
    pub fn acknowledged(&self, topic: Topic, partition: i32, offset: i64, sent_at: i64) {
        let mut seen = self.lock();
        seen.sent += 1;
        if let Some(slot) = seen.slot(topic, partition, offset) {
            slot.sent_at = sent_at;
        }
    }

    /// An answer has become visible.
    pub fn answered(&self, topic: Topic, partition: i32, offset: i64, at: i64, answer: Answer) {
        let mut seen = self.lock();
        seen.answered += 1;
        seen.last_arrival = at;
        match answer {
            Answer::Result(outcome) => *seen.outcomes.entry(outcome).or_default() += 1,
            Answer::DeadLetter(class) => *seen.dead_letters.entry(class).or_default() += 1,
        }
        let Some(slot) = seen.slot(topic, partition, offset) else { return };
        slot.seen_at = at;
        slot.answers += 1;
        if slot.answers > 1 {
            let times = slot.answers;
            seen.wrong(format!("{}/{partition}/{offset} was answered {times} times", topic.suffix()));
        }
        self.changed.notify_all();
    }

    pub fn expired(&self) {
        self.lock().expiries += 1;
    }

    /// A record waits for its customer.
    pub fn waits(&self, topic: Topic, partition: i32, offset: i64) {
        let mut seen = self.lock();
        seen.waited += 1;
        let Some(slot) = seen.slot(topic, partition, offset) else { return };
        if std::mem::replace(&mut slot.waited, true) {
            seen.wrong(format!("{}/{partition}/{offset} was said to wait twice", topic.suffix()));
        }
    }

    pub fn failed(&self, what: String) {
        self.lock().wrong(what);
    }

    /// Waits for something to change, but not for long.
    pub fn wait(&self, at_most: Duration) {
        drop(self.changed.wait_timeout(self.lock(), at_most));
    }
}

impl Seen {
    fn slot(&mut self, topic: Topic, partition: i32, offset: i64) -> Option<&mut Slot> {
        let Ok(offset) = usize::try_from(offset) else {
            self.wrong(format!("{} has a record at offset {offset}", topic.suffix()));
            return None;
        };
        let slots = self.slots[topic.index()].entry(partition).or_default();
        if slots.len() <= offset {
            slots.resize(offset + 1, Slot::default());
        }
        slots.get_mut(offset)
    }

    fn wrong(&mut self, what: String) {
        // The first few say it; a thousand more would hide them.
        if self.wrong.len() < 20 {
            self.wrong.push(what);
        }
    }

    /// Microseconds from sending to arrival, of all answered records, ascending. Those that waited for their customer are left out: their
    /// time is the customer's.
    pub fn latencies(&self) -> Vec<i64> {
        self.latencies_sent_between(i64::MIN, i64::MAX)
    }

    /// The same of those that were sent in this span of time.
    pub fn latencies_sent_between(&self, from: i64, until: i64) -> Vec<i64> {
        let slots = self.slots.iter().flat_map(HashMap::values).flatten();
        let mut latencies: Vec<i64> = slots
            .filter(|slot| slot.sent_at > 0 && slot.seen_at > 0 && !slot.waited)
            .filter(|slot| (from..until).contains(&slot.sent_at))
            .map(|slot| slot.seen_at - slot.sent_at)
            .collect();
        latencies.sort_unstable();
        latencies
    }

    /// Sent, and never answered; some of them by name.
    pub fn unanswered(&self) -> (usize, Vec<String>) {
        let mut count = 0;
        let mut named = Vec::new();
        for topic in Topic::ALL {
            for (partition, slots) in &self.slots[topic.index()] {
                for (offset, _) in slots.iter().enumerate().filter(|(_, slot)| slot.sent_at > 0 && slot.answers == 0) {
                    count += 1;
                    if named.len() < 5 {
                        named.push(format!("{}/{partition}/{offset}", topic.suffix()));
                    }
                }
            }
        }
        (count, named)
    }
}

/// The value below which so many of a hundred lie; 0 of nothing.
pub fn percentile(ascending: &[i64], percent: usize) -> i64 {
    let index = (ascending.len() * percent / 100).min(ascending.len().saturating_sub(1));
    ascending.get(index).copied().unwrap_or(0)
}
