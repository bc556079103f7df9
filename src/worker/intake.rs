//! What a lane takes next: its records as the client fetched them, in batches, and the next batch understood ahead of its turn.

use std::time::Duration;

use super::Shared;
use super::apply::LaneMemory;
use crate::batch::{Inbox, Taken};
use crate::domain::command::Delivery;
use crate::domain::{CommandTopic, Instant};
use crate::kafka::lane_queues::{Fetched, IntakeError, LaneQueues};
use crate::telemetry::metrics;

/// Records that wait in memory per topic at most; the rest waits in the client's queues and on the broker.
const READ_AHEAD: usize = 4000;

pub(super) struct Intake {
    inbox: Inbox,
    queues: LaneQueues,
    ahead: Option<TakenBatch>,
}

/// A batch that was taken, and its records as they were understood.
pub(super) struct TakenBatch {
    pub taken: Taken,
    /// `None` until the schema registry has been asked.
    pub deliveries: Option<Vec<Delivery>>,
}

impl Intake {
    pub fn new(inbox: Inbox, queues: LaneQueues) -> Intake {
        Intake { inbox, queues, ahead: None }
    }

    /// Reads what the client has fetched, without waiting.
    pub fn read(&mut self) -> Result<(), IntakeError> {
        let mut fetched = Vec::new();
        for topic in CommandTopic::ALL {
            let room = READ_AHEAD.saturating_sub(self.inbox.waiting(topic));
            if room == 0 {
                continue;
            }
            self.queues.read(topic, room, &mut fetched)?;
            let was_full = fetched.len() >= room;
            for fetched in fetched.drain(..) {
                match fetched {
                    Fetched::Record(record) => self.inbox.push(record),
                    Fetched::End { next } => self.inbox.reached_end(topic, next),
                }
            }
            // The client knows the topic's end with each fetch; the end-of-partition event comes one empty fetch later.
            let next = self.inbox.read_up_to(topic);
            if !was_full && !self.inbox.is_at_end(topic) && self.queues.cached_end(topic).is_some_and(|end| end <= next)
            {
                self.inbox.reached_end(topic, next);
            }
        }
        Ok(())
    }

    /// The next batch: what is there, without waiting for more.
    pub fn take(&mut self, shared: &Shared, lane: i32) -> Option<TakenBatch> {
        if self.ahead.is_some() {
            return self.ahead.take();
        }
        let taken = self.inbox.take(shared.settings.worker.max_batch_commands, shared.started.elapsed())?;
        for topic in &taken.passed_over {
            metrics::passed_over(*topic);
            tracing::warn!(lane, topic = topic.suffix(), "silent though the broker holds more: passed over");
        }
        Some(TakenBatch { taken, deliveries: None })
    }

    /// Takes and understands the next batch while Postgres works on the one before. Only a whole one: a small one may still grow.
    pub fn take_ahead(&mut self, shared: &Shared, memory: &LaneMemory) {
        let waiting: usize = CommandTopic::ALL.map(|topic| self.inbox.waiting(topic)).iter().sum();
        if self.ahead.is_some() || waiting < shared.settings.worker.max_batch_commands {
            return;
        }
        self.ahead = self.take(shared, memory.lane).map(|batch| {
            let deliveries = memory.decode_known(shared, &batch.taken.records);
            TakenBatch { deliveries, ..batch }
        });
    }

    /// The time of the oldest record that waits.
    pub fn oldest(&self) -> Option<Instant> {
        let ahead = self.ahead.iter().flat_map(|batch| &batch.taken.records).map(|record| record.timestamp);
        ahead.chain(self.inbox.oldest()).min()
    }

    /// The end of a topic as the broker last told it.
    pub fn cached_end(&self, topic: CommandTopic) -> Option<i64> {
        self.queues.cached_end(topic)
    }

    /// When a topic that is silent is passed over, on the clock of [`Shared::started`].
    pub fn patience_ends(&self) -> Option<Duration> {
        self.inbox.patience_ends()
    }
}
