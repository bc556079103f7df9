//! What a lane takes next: its records as the client fetched them, in batches, and the next batch understood ahead of its turn.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use super::Shared;
use super::apply::LaneMemory;
use super::watch::{LaneWatch, Wait};
use crate::batch::{Inbox, Taken};
use crate::domain::command::Delivery;
use crate::domain::{CommandTopic, Frontier, Instant, Position};
use crate::kafka::KafkaFailure;
use crate::kafka::lane_queues::{Fetched, IntakeError, LaneQueues};
use crate::record::InboundRecord;
use crate::telemetry::metrics;

/// Records that wait in memory per topic at most; the rest waits in the client's queues and on the broker.
const READ_AHEAD: usize = 3000;
/// The same in bytes of memory, about: commands may be large, and have many headers.
const READ_AHEAD_BYTES: usize = 8 * 1024 * 1024;
/// So many records are read at once before their bytes are looked at.
const READ_AT_ONCE: usize = 100;
/// What a batch's records take at most, and one more.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// After the brokers did not say where the topics end.
const ASK_AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Intake {
    inbox: Inbox,
    /// `None` after they could not be opened again.
    queues: Option<LaneQueues>,
    /// What could not be read of each topic, behind its records that wait.
    unreadable: [Option<IntakeError>; CommandTopic::COUNT],
    ahead: Option<TakenBatch>,
    /// The brokers did not say where the topics end: when they are asked again.
    ask_after: Option<Clock>,
}

/// A batch that was taken, and its records as they were understood.
pub(super) struct TakenBatch {
    pub taken: Taken,
    /// `None` until the schema registry has been asked.
    pub deliveries: Option<Vec<Delivery>>,
}

/// The time of the oldest of them. One that can't be read has none.
pub(super) fn oldest_of(records: &[InboundRecord]) -> Option<Instant> {
    records.iter().filter(|record| !record.is_unreadable()).map(|record| record.timestamp).min()
}

impl TakenBatch {
    fn followed_by(mut self, later: TakenBatch) -> TakenBatch {
        self.taken.records.extend(later.taken.records);
        self.taken.after = later.taken.after;
        let deliveries = self.deliveries.zip(later.deliveries);
        let deliveries = deliveries.map(|(first, rest)| first.into_iter().chain(rest).collect());
        TakenBatch { taken: self.taken, deliveries }
    }
}

impl Intake {
    pub fn new(inbox: Inbox, queues: LaneQueues) -> Intake {
        Intake { inbox, queues: Some(queues), unreadable: Default::default(), ahead: None, ask_after: None }
    }

    /// Reads what the client has fetched, without waiting. What was read before an error is kept; and where it is a record that can't be
    /// read, the error is returned once what is before it in its topic has been taken.
    pub fn read(&mut self) -> Result<(), IntakeError> {
        for topic in CommandTopic::ALL {
            if self.unreadable[topic.index()].is_none() {
                match self.read_topic(topic) {
                    Err(error @ IntakeError::Unreadable { .. }) => self.unreadable[topic.index()] = Some(error),
                    read => read?,
                }
            }
        }
        // The other topics are read on meanwhile: what waits is decided in the order of all.
        let is_next = |topic: &CommandTopic| self.ahead.is_none() && self.inbox.waiting(*topic) == 0;
        let next =
            CommandTopic::ALL.into_iter().filter(is_next).find_map(|topic| self.unreadable[topic.index()].clone());
        next.map_or(Ok(()), Err)
    }

    fn read_topic(&mut self, topic: CommandTopic) -> Result<(), IntakeError> {
        let mut fetched = Vec::new();
        loop {
            let room = READ_AHEAD.saturating_sub(self.inbox.waiting(topic)).min(READ_AT_ONCE);
            if room == 0 || self.inbox.waiting_bytes(topic) >= READ_AHEAD_BYTES {
                return Ok(());
            }
            // They could not be opened again, and the lane recovers for it.
            let Some(queues) = self.queues.as_mut() else { return Ok(()) };
            let read = queues.read(topic, room, &mut fetched);
            let was_empty = fetched.len() < room;
            for fetched in fetched.drain(..) {
                match fetched {
                    Fetched::Record(record) => self.inbox.push(record),
                    Fetched::End { next } => self.inbox.reached_end(topic, next),
                }
            }
            match read {
                Err(IntakeError::Unreadable { topic, offset, reason }) => {
                    // The client names the beginning of the batch, where an earlier record of it may have been given up.
                    let offset = offset.max(self.inbox.read_up_to(topic));
                    return Err(IntakeError::Unreadable { topic, offset, reason });
                }
                Err(error) => return Err(error),
                Ok(()) if was_empty => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    /// Goes on behind a record that can't be read, and was given up.
    pub fn pass_unreadable(
        &mut self,
        record: Position,
        reopen: impl FnOnce(&Frontier) -> Result<LaneQueues, KafkaFailure>,
    ) -> Result<(), KafkaFailure> {
        self.inbox.push(InboundRecord::unreadable(record));
        let next = Frontier(CommandTopic::ALL.map(|topic| self.inbox.read_up_to(topic)));
        self.unreadable = Default::default();
        // The old ones first: they are handles of the same queues, and switch off what wakes the lane when they go.
        self.queues = None;
        self.queues = Some(reopen(&next)?);
        Ok(())
    }

    /// The next batch: what is there, without waiting for more. Where a topic has nothing to offer, the brokers are asked first whether
    /// that is all there is. While they do not answer, nothing is lost but time.
    pub async fn take_surely(&mut self, shared: &Shared, lane: i32, watch: &Arc<LaneWatch>) -> Option<TakenBatch> {
        self.ask_after = self.ask_after.filter(|at| *at > Clock::now());
        if self.ahead.is_none() && self.inbox.is_unsure() && self.ask_after.is_none() {
            let ends = shared.ends.clone();
            let _wait = watch.waits_for(Wait::EndOffsets);
            let answer = tokio::task::spawn_blocking(move || ends.of_lane(lane)).await;
            match answer.map_err(|error| error.to_string()).and_then(|ends| ends.map_err(|error| error.to_string())) {
                Ok(ends) => self.inbox.ends_are(ends),
                Err(error) => {
                    tracing::debug!(lane, error, "the ends of the topics are not known");
                    self.ask_after = Some(Clock::now() + ASK_AGAIN);
                }
            }
        }
        self.take(shared, lane)
    }

    fn take(&mut self, shared: &Shared, lane: i32) -> Option<TakenBatch> {
        if self.ahead.is_some() {
            return self.ahead.take();
        }
        let taken =
            self.inbox.take(shared.settings.worker.max_batch_commands, MAX_BATCH_BYTES, shared.started.elapsed())?;
        for topic in &taken.passed_over {
            metrics::passed_over(*topic);
            tracing::warn!(lane, topic = topic.suffix(), "silent though the broker holds more: passed over");
        }
        Some(TakenBatch { taken, deliveries: None })
    }

    /// Takes and understands the next batch while Postgres works on the one before. Only a whole one: a small one may still grow.
    pub async fn take_ahead(&mut self, shared: &Shared, memory: &LaneMemory, watch: &Arc<LaneWatch>) {
        if self.ahead.is_some() || !self.has_whole_batch(shared) {
            return;
        }
        self.ahead = self.take_surely(shared, memory.lane, watch).await.map(|batch| {
            let deliveries = memory.decode_known(shared, &batch.taken.records);
            TakenBatch { deliveries, ..batch }
        });
    }

    /// As many records wait as a batch takes at most, or as are read ahead.
    pub fn has_whole_batch(&self, shared: &Shared) -> bool {
        let ahead = self.ahead.as_ref().map_or(0, |batch| batch.taken.records.len());
        let waiting = CommandTopic::ALL.map(|topic| self.inbox.waiting(topic));
        ahead + waiting.iter().sum::<usize>() >= shared.settings.worker.max_batch_commands
            || waiting.iter().any(|waiting| *waiting >= READ_AHEAD)
            || CommandTopic::ALL.iter().any(|topic| self.inbox.waiting_bytes(*topic) >= MAX_BATCH_BYTES)
    }

    /// Takes a batch back whose turn has not come: the next that is taken.
    pub fn put_back(&mut self, batch: TakenBatch) {
        self.ahead = Some(match self.ahead.take() {
            Some(later) => batch.followed_by(later),
            None => batch,
        });
    }

    /// The time of the oldest record that waits.
    pub fn oldest(&self) -> Option<Instant> {
        let ahead = self.ahead.iter().filter_map(|batch| oldest_of(&batch.taken.records));
        ahead.chain(self.inbox.oldest()).min()
    }

    /// When to look again though nothing has come: a batch was put back, a silent topic is passed over, or the brokers are asked once more.
    pub fn look_again_at(&self, shared: &Shared) -> Option<Clock> {
        if self.ahead.is_some() {
            return Some(Clock::now());
        }
        let patience = self.inbox.patience_ends().map(|at| shared.started + at);
        patience.into_iter().chain(self.ask_after).min()
    }
}
