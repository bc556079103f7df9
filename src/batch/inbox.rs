//! Which records the next batch takes. Each topic is read by itself; the batch takes a range of each, merged by the records' times, so
//! that a worker that catches up sees what happened in the order in which it happened.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{CommandTopic, Frontier, Instant};
use crate::record::InboundRecord;

/// What was read of one topic and not taken yet.
#[derive(Debug, Default)]
struct TopicQueue {
    records: VecDeque<InboundRecord>,
    /// What they take of memory.
    bytes: usize,
    /// The next offset once `records` are taken: known only at the topic's end, where it may lie past control records.
    end: Option<i64>,
    /// Since when the topic has had nothing to offer though the broker holds more of it.
    silent_since: Option<Duration>,
}

/// The records of one lane that were fetched and not applied yet.
#[derive(Debug)]
pub struct Inbox {
    topics: [TopicQueue; CommandTopic::COUNT],
    /// Where the topics ended for the broker after everything that waits here had been read; `None` when something came since.
    ends: Option<[i64; CommandTopic::COUNT]>,
    frontier: Frontier,
    patience: Duration,
}

/// What one batch takes.
#[derive(Debug)]
pub struct Taken {
    /// In the order in which they are decided.
    pub records: Vec<InboundRecord>,
    pub before: Frontier,
    pub after: Frontier,
    /// Topics that were not waited for any longer.
    pub passed_over: Vec<CommandTopic>,
}

impl Taken {
    /// The first half of it, and the rest.
    pub fn halves(mut self) -> (Taken, Taken) {
        let records = self.records.split_off(self.records.len() / 2);
        let mut middle = self.before;
        for record in &self.records {
            middle.pass(record.position);
        }
        let after = std::mem::replace(&mut self.after, middle);
        (self, Taken { records, before: middle, after, passed_over: Vec::new() })
    }
}

impl Inbox {
    pub fn new(frontier: Frontier, patience: Duration) -> Inbox {
        Inbox { topics: Default::default(), ends: None, frontier, patience }
    }

    pub fn push(&mut self, record: InboundRecord) {
        self.ends = None;
        let topic = &mut self.topics[record.position.topic.index()];
        topic.end = None;
        topic.silent_since = None;
        topic.bytes += record.bytes();
        topic.records.push_back(record);
    }

    /// The topic has been read to an end: `next` is the offset that the next record will have, or a later one. That it still ends there
    /// only [`ends_are`](Self::ends_are) can tell: the topics are fetched by themselves, one later than the other, and a record
    /// of one may have been written after a record of the other that is not fetched yet.
    pub fn reached_end(&mut self, topic: CommandTopic, next: i64) {
        let queue = &mut self.topics[topic.index()];
        queue.end = Some(next);
        queue.silent_since = None;
    }

    /// Whether nothing can be taken before it is known where the topics end.
    pub fn is_unsure(&self) -> bool {
        self.ends.is_none()
            && self.topics.iter().any(|queue| queue.records.is_empty())
            && self.topics.iter().any(|queue| !queue.records.is_empty())
    }

    /// Where the topics end for the broker, asked after everything that waits here had been read: what is written later is younger.
    pub fn ends_are(&mut self, ends: [i64; CommandTopic::COUNT]) {
        self.ends = Some(ends);
        for topic in CommandTopic::ALL {
            if self.is_read(topic) {
                self.topics[topic.index()].silent_since = None;
            }
        }
    }

    /// How many records of the topic wait.
    pub fn waiting(&self, topic: CommandTopic) -> usize {
        self.topics[topic.index()].records.len()
    }

    /// How many bytes of memory they take, about.
    pub fn waiting_bytes(&self, topic: CommandTopic) -> usize {
        self.topics[topic.index()].bytes
    }

    /// The offset up to which the topic was read: what is fetched next has this one or a later one.
    pub fn read_up_to(&self, topic: CommandTopic) -> i64 {
        let queue = &self.topics[topic.index()];
        queue.records.back().map_or(self.frontier.next(topic), |last| last.position.offset + 1)
    }

    /// Whether everything is here that the topic held when the broker was asked.
    fn is_read(&self, topic: CommandTopic) -> bool {
        let read = self.read_up_to(topic).max(self.topics[topic.index()].end.unwrap_or(0));
        self.ends.is_some_and(|ends| read >= ends[topic.index()])
    }

    /// Takes up to `most` records, of `most_bytes` and one record more: always the oldest head, ties by the topics' rank. It stops where a topic has nothing to offer and the
    /// broker may hold more of it, since an older record may follow there, unless the topic has been silent beyond the patience.
    /// None when there is nothing to take. `now` is any clock that never goes back.
    pub fn take(&mut self, most: usize, most_bytes: usize, now: Duration) -> Option<Taken> {
        let mut passed_over = Vec::new();
        for topic in CommandTopic::ALL {
            let is_behind = self.ends.is_some() && !self.is_read(topic);
            let queue = &mut self.topics[topic.index()];
            if queue.records.is_empty() && is_behind {
                let since = *queue.silent_since.get_or_insert(now);
                if now.saturating_sub(since) >= self.patience {
                    passed_over.push(topic);
                }
            }
        }
        let before = self.frontier;
        let waiting: usize = self.topics.iter().map(|queue| queue.records.len()).sum();
        let mut records = Vec::with_capacity(most.min(waiting));
        let mut bytes = 0;
        while records.len() < most && bytes < most_bytes {
            let must_wait = CommandTopic::ALL.into_iter().any(|topic| {
                self.topics[topic.index()].records.is_empty() && !self.is_read(topic) && !passed_over.contains(&topic)
            });
            let Some(topic) = self.oldest_head().filter(|_| !must_wait) else { break };
            let queue = &mut self.topics[topic.index()];
            if let Some(record) = queue.records.pop_front() {
                let taken = record.bytes();
                queue.bytes -= taken;
                bytes += taken;
                self.frontier.set(topic, record.position.offset + 1);
                records.push(record);
            }
        }
        for topic in CommandTopic::ALL {
            let queue = &self.topics[topic.index()];
            if let Some(end) = queue.end.filter(|_| queue.records.is_empty()) {
                self.frontier.set(topic, end.max(self.frontier.next(topic)));
            }
        }
        if records.is_empty() {
            // An end past control records moves with the next batch; it is no reason for one.
            self.frontier = before;
            return None;
        }
        Some(Taken { records, before, after: self.frontier, passed_over })
    }

    /// The time of the oldest record that waits.
    pub fn oldest(&self) -> Option<Instant> {
        let heads = self.topics.iter().filter_map(|queue| queue.records.front());
        heads.filter(|record| !record.is_unreadable()).map(|record| record.timestamp).min()
    }

    /// When the first topic that is waited for will be passed over.
    pub fn patience_ends(&self) -> Option<Duration> {
        let has_records = self.topics.iter().any(|queue| !queue.records.is_empty());
        let first = self.topics.iter().filter_map(|queue| queue.silent_since).min();
        first.filter(|_| has_records).map(|since| since + self.patience)
    }

    fn oldest_head(&self) -> Option<CommandTopic> {
        let heads = CommandTopic::ALL
            .into_iter()
            .filter_map(|topic| Some((self.topics[topic.index()].records.front()?.timestamp, topic)));
        heads.min().map(|(_, topic)| topic)
    }
}

/// The order of a batch whose ranges are known already: the same merge, over all of them.
pub fn merge(ranges: [Vec<InboundRecord>; CommandTopic::COUNT]) -> Vec<InboundRecord> {
    let most = ranges.iter().map(Vec::len).sum();
    let mut inbox = Inbox::new(Frontier([0; CommandTopic::COUNT]), Duration::ZERO);
    ranges.into_iter().flatten().for_each(|record| inbox.push(record));
    inbox.ends_are(CommandTopic::ALL.map(|topic| inbox.read_up_to(topic)));
    inbox.take(most, usize::MAX, Duration::ZERO).map_or_else(Vec::new, |taken| taken.records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Position;
    use crate::record::Headers;
    use CommandTopic::{Clock as Ticks, Credit, CustomerUpsert, MerchantConfig, Redeem};

    const PATIENCE: Duration = Duration::from_secs(5);
    const NOW: Duration = Duration::from_secs(100);
    /// All but credits and redemptions.
    const OTHERS: [CommandTopic; 6] = [
        MerchantConfig,
        CustomerUpsert,
        CommandTopic::CustomerLifecycle,
        CommandTopic::Reservation,
        CommandTopic::Reversal,
        Ticks,
    ];

    fn record(topic: CommandTopic, offset: i64, millis: i64) -> InboundRecord {
        InboundRecord {
            position: Position { topic, partition: 0, offset },
            timestamp: Instant::from_millis(millis),
            key: None,
            value: None,
            headers: Headers::default(),
        }
    }

    fn inbox_with(records: &[(CommandTopic, i64, i64)], ended: &[CommandTopic]) -> Inbox {
        let mut inbox = Inbox::new(Frontier([0; CommandTopic::COUNT]), PATIENCE);
        for &(topic, offset, millis) in records {
            inbox.push(record(topic, offset, millis));
        }
        let beyond = |topic| i64::from(!ended.contains(&topic));
        inbox.ends_are(CommandTopic::ALL.map(|topic| inbox.read_up_to(topic) + beyond(topic)));
        inbox
    }

    fn order(taken: Option<Taken>) -> String {
        let positions =
            taken.into_iter().flat_map(|taken| taken.records).map(|record| format!("{:?}", record.position));
        positions.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_oldest_head_comes_first_and_configuration_wins_ties() {
        let mut inbox = inbox_with(
            &[(Redeem, 0, 30), (Credit, 0, 20), (Credit, 1, 40), (MerchantConfig, 0, 20), (CustomerUpsert, 0, 20)],
            &CommandTopic::ALL,
        );
        assert_eq!(
            order(inbox.take(9, usize::MAX, NOW)),
            "merchant-config/0/0 customer-upsert/0/0 credit/0/0 redeem/0/0 credit/0/1"
        );
    }

    #[test]
    fn a_topic_whose_end_is_unknown_is_waited_for() {
        let now = NOW;
        let mut inbox = inbox_with(&[(Redeem, 0, 30)], &OTHERS);
        assert!(inbox.take(9, usize::MAX, now).is_none(), "a credit that is older may follow");
        inbox.push(record(Credit, 0, 20));
        assert!(
            inbox.is_unsure() && inbox.take(9, usize::MAX, now).is_none(),
            "it took time to come, and so may others"
        );
        inbox.ends_are([0, 0, 0, 2, 1, 0, 0, 0]);
        assert_eq!(order(inbox.take(9, usize::MAX, now)), "credit/0/0", "one more is on its way");
        inbox.reached_end(Credit, 2); // it was the mark of a transaction
        assert_eq!(order(inbox.take(9, usize::MAX, now)), "redeem/0/0");
    }

    #[test]
    fn a_silent_topic_is_passed_over_when_patience_ends() {
        let now = NOW;
        let mut inbox = inbox_with(&[(Redeem, 0, 30)], &OTHERS);
        assert!(inbox.take(9, usize::MAX, now).is_none());
        assert_eq!(inbox.patience_ends(), Some(now + PATIENCE));
        let taken = inbox.take(9, usize::MAX, now + PATIENCE).expect("patience has ended");
        assert_eq!(taken.passed_over, [Credit]);
        assert_eq!(taken.after.next(Redeem), 1);
    }

    #[test]
    fn the_frontier_passes_control_records_with_the_next_batch() {
        let mut inbox = inbox_with(&[(Credit, 0, 10)], &CommandTopic::ALL);
        inbox.reached_end(Redeem, 7);
        let taken = inbox.take(9, usize::MAX, NOW).expect("a credit waits");
        assert_eq!((taken.before.next(Redeem), taken.after.next(Redeem)), (0, 7));
        inbox.reached_end(Redeem, 9);
        assert!(inbox.take(9, usize::MAX, NOW).is_none(), "an end alone makes no batch");
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_too() {
        let records = [(Credit, 0, 10), (Credit, 1, 20), (Redeem, 0, 30)];
        let mut inbox = inbox_with(&records, &CommandTopic::ALL);
        let of_one = inbox.waiting_bytes(Redeem);
        assert!(of_one > 0 && inbox.waiting_bytes(Credit) == 2 * of_one);
        assert_eq!(order(inbox.take(9, of_one + 1, NOW)), "credit/0/0 credit/0/1");
        assert_eq!((inbox.waiting_bytes(Credit), inbox.waiting_bytes(Redeem)), (0, of_one));
        assert_eq!(order(inbox.take(9, 1, NOW)), "redeem/0/0", "one record is always taken");
    }

    #[test]
    fn halves_have_all_of_it() {
        let records = [(Credit, 3, 10), (Redeem, 5, 20), (Credit, 4, 30)];
        let mut inbox = inbox_with(&records, &CommandTopic::ALL);
        inbox.reached_end(Credit, 9);
        let taken = inbox.take(9, usize::MAX, NOW).expect("three records");
        let (before, after) = (taken.before, taken.after);
        let (first, rest) = taken.halves();
        assert_eq!((first.before, rest.after), (before, after));
        assert_eq!(first.after, rest.before);
        assert_eq!((first.after.next(Credit), first.after.next(Redeem), after.next(Credit)), (4, 0, 9));
        assert_eq!((order(Some(first)), order(Some(rest))), ("credit/0/3".into(), "redeem/0/5 credit/0/4".into()));
    }

    #[test]
    fn ranges_that_are_known_merge_in_the_same_order() {
        let records = [(Redeem, 0, 30), (Credit, 0, 20), (Credit, 3, 40), (CustomerUpsert, 1, 20)];
        let live = order(inbox_with(&records, &CommandTopic::ALL).take(9, usize::MAX, NOW));
        let mut ranges: [Vec<InboundRecord>; CommandTopic::COUNT] = Default::default();
        for (topic, offset, millis) in records {
            ranges[topic.index()].push(record(topic, offset, millis));
        }
        let replayed: Vec<String> = merge(ranges).iter().map(|record| format!("{:?}", record.position)).collect();
        assert_eq!(replayed.join(" "), live);
    }
}
