//! The work of a lane that is ours: take, understand, decide, write, publish. The only place that orders side effects.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use tokio::sync::watch;

use super::Shared;
use super::apply::{ApplyError, Decided};
use super::probe;
use super::recovery::{InFlight, LaneFailure, Session, publish_failure};
use crate::batch::{LaneState, Taken};
use crate::codec::encode::{EncodeInput, JournalBatch};
use crate::codec::outcomes_hash::outcomes_hash;
use crate::domain::{CommandTopic, Instant};
use crate::fail_point;
use crate::kafka::lane_queues::{Fetched, IntakeError};
use crate::kafka::publisher::{PublishJob, PublishReport, Published};
use crate::record::{InboundRecord, OutTopic, OutboundRecord};
use crate::store::StoreErrorKind;
use crate::store::outbox::OutboxValue;
use crate::telemetry::metrics::{self, Stage, Step};

/// What the supervisor wants of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneOrder {
    Work,
    /// A rebalance is on: take nothing new until it is known whose the lane is.
    Pause,
    /// Publish what is applied, then end.
    Finish,
    /// The lane is not ours any more: end at once.
    GiveUp,
}

/// Records that wait in memory per topic at most; the rest waits in the client's queues and on the broker.
const READ_AHEAD: usize = 4000;
/// A broker whose clock is further ahead than this would drag the lane's time with it.
const CLOCK_TOLERANCE_S: i64 = 60 * 60;
/// Beyond this a blocking Kafka call is taken for dead; the process ends and its lanes go to others.
const WATCHDOG: Duration = Duration::from_secs(300);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Works until the lane is given up, finished or fails.
pub(super) async fn work(
    shared: &Arc<Shared>,
    session: &mut Session,
    orders: &mut watch::Receiver<LaneOrder>,
) -> Result<(), LaneFailure> {
    let mut report_due = tokio::time::interval(REPORT_INTERVAL);
    report_due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        while let Ok(report) = session.reports.try_recv() {
            session.note(report)?;
        }
        let order = *orders.borrow_and_update();
        match order {
            LaneOrder::GiveUp => return Ok(()),
            LaneOrder::Finish if session.unpublished() == 0 => return session.forget_published().await,
            LaneOrder::Finish | LaneOrder::Pause => {}
            LaneOrder::Work => {
                session.read()?;
                if session.unpublished() < shared.settings.worker.max_unpublished_batches as i64 {
                    if let Some(taken) = session.take(shared) {
                        session.apply(shared, taken).await?;
                        continue;
                    }
                    session.forget_published().await?;
                }
            }
        }
        let patience = session.inbox.patience_ends().map(|at| shared.started + at);
        tokio::select! {
            () = session.wake.notified() => {}
            Some(report) = session.reports.recv() => session.note(report)?,
            changed = orders.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(patience) => {}
            _ = report_due.tick() => session.report(shared),
        }
    }
}

async fn sleep_until(at: Option<Clock>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Session {
    fn unpublished(&self) -> i64 {
        self.state.batch - self.published
    }

    /// Reads what the client has fetched, without waiting.
    fn read(&mut self) -> Result<(), LaneFailure> {
        let mut fetched = Vec::new();
        for topic in CommandTopic::ALL {
            let room = READ_AHEAD.saturating_sub(self.inbox.waiting(topic));
            if room == 0 {
                continue;
            }
            self.queues.read(topic, room, &mut fetched).map_err(|error| intake_failure(self.memory.lane, &error))?;
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

    /// The next batch: what is there, without waiting for more. Time's own work goes on without records.
    fn take(&mut self, shared: &Shared) -> Option<Taken> {
        let taken = self.inbox.take(shared.settings.worker.max_batch_commands, shared.started.elapsed());
        for topic in taken.iter().flat_map(|taken| &taken.passed_over) {
            metrics::passed_over(*topic);
            tracing::warn!(
                lane = self.memory.lane,
                topic = topic.suffix(),
                "silent though the broker holds more: passed over"
            );
        }
        taken.or_else(|| {
            let frontier = self.state.frontier;
            let empty = Taken { records: Vec::new(), before: frontier, after: frontier, passed_over: Vec::new() };
            self.state.due_pending.then_some(empty)
        })
    }

    /// One batch: from its records to a committed transaction, and on to the publisher.
    async fn apply(&mut self, shared: &Arc<Shared>, taken: Taken) -> Result<(), LaneFailure> {
        fail_point::reached("after-poll");
        let lane = self.memory.lane;
        check_clock(lane, &taken.records)?;
        let applied = self.write(shared, &taken).await;
        let (next, records) = match applied {
            Ok(written) => written,
            Err(error) if is_poisoned(&error) => {
                // The search takes the lane row's lock itself.
                self.connection.rollback().await?;
                return Err(probe::find_poison(shared, lane, &self.state, &taken, &error).await);
            }
            Err(ApplyError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(LaneFailure::Halt(error.to_string())),
        };
        self.state = next;
        let mut in_flight = InFlight { batch: self.state.batch, oldest: None, records: Default::default() };
        in_flight.oldest = taken.records.iter().map(|record| record.timestamp).min();
        for record in &records {
            in_flight.records[record.topic as usize] += 1;
        }
        self.in_flight.push_back(in_flight);
        self.publisher.submit(PublishJob {
            batch: self.state.batch,
            frontier: self.state.frontier,
            records: records.into(),
        });
        metrics::unpublished_batches(lane, self.unpublished());
        Ok(())
    }

    async fn write(
        &mut self,
        shared: &Arc<Shared>,
        taken: &Taken,
    ) -> Result<(LaneState, Vec<OutboundRecord>), ApplyError> {
        let deliveries = self.memory.decode(shared, &taken.records).await;
        let due_limit = shared.settings.worker.max_due_per_batch;
        let Decided { changes, next, skipped } =
            self.memory.decide(&mut self.connection, &self.state, deliveries, taken.after, due_limit).await?;

        // The bytes are made before the commit: afterwards nothing may fail but the connection.
        let started = Clock::now();
        let journal = JournalBatch {
            lane: self.memory.lane,
            batch: next.batch,
            lane_time_before: self.state.lane_time,
            ranges: shared.ranges(&taken.before, &taken.after),
            due_settled: changes.due_settled,
            skipped,
            settings: shared.journaled_settings(),
            outcomes_hash: outcomes_hash(&changes),
        };
        let records = shared.encoder.encode(&EncodeInput {
            changes: &changes,
            lane: self.memory.lane,
            names: &shared.names,
            group: &shared.settings.kafka.group,
            records: &taken.records,
            journal: &journal,
        })?;
        let outbox = OutboxValue::encode(&records);
        metrics::stage_seconds(Stage::Encode, started.elapsed());

        let started = Clock::now();
        let forget = Some(self.published);
        self.connection.write(self.memory.lane, &changes.rows, &self.state, &next, Some(&outbox), forget).await?;
        metrics::stage_seconds(Stage::Write, started.elapsed());
        let started = Clock::now();
        self.connection.commit().await?;
        metrics::stage_seconds(Stage::Commit, started.elapsed());
        shared.count(&changes);
        Ok((next, records))
    }

    fn note(&mut self, report: PublishReport) -> Result<(), LaneFailure> {
        match report {
            PublishReport::Published(Published { batch, batches, took, .. }) => {
                metrics::transaction_committed(batches);
                metrics::kafka_transaction_seconds(Step::Produce, took.produce);
                metrics::kafka_transaction_seconds(Step::Drain, took.drain);
                metrics::kafka_transaction_seconds(Step::SendOffsets, took.send_offsets);
                metrics::kafka_transaction_seconds(Step::Commit, took.commit);
                self.published = batch;
                while self.in_flight.front().is_some_and(|in_flight| in_flight.batch <= batch) {
                    let Some(done) = self.in_flight.pop_front() else { break };
                    for topic in OutTopic::ALL {
                        metrics::published(topic, done.records[topic as usize]);
                    }
                    if let Some(oldest) = done.oldest {
                        metrics::answered_after(elapsed_since(oldest));
                    }
                }
                metrics::unpublished_batches(self.memory.lane, self.unpublished());
                Ok(())
            }
            PublishReport::Failed(error) => Err(publish_failure(error.kind, error.to_string())),
        }
    }

    /// Deletes published outbox rows when no batch comes that would do it along the way.
    async fn forget_published(&mut self) -> Result<(), LaneFailure> {
        if self.forgotten < self.published {
            self.connection.forget_published(self.memory.lane, self.published).await?;
            self.forgotten = self.published;
        }
        Ok(())
    }

    /// Lag and age for the dashboards, and the watchdog.
    fn report(&self, shared: &Shared) {
        let lane = self.memory.lane;
        for topic in CommandTopic::ALL {
            if let Some(end) = self.queues.cached_end(topic) {
                metrics::lag_records(lane, topic, (end - self.state.frontier.next(topic)).max(0));
            }
        }
        metrics::lag_age_seconds(lane, self.inbox.oldest().map_or(Duration::ZERO, elapsed_since));
        if self.publisher.busy_for().is_some_and(|busy| busy > WATCHDOG) {
            tracing::error!(
                lane,
                client = shared.settings.kafka.client_id,
                "a Kafka call has not returned for minutes: ending the process"
            );
            std::process::exit(70);
        }
    }
}

fn is_poisoned(error: &ApplyError) -> bool {
    match error {
        ApplyError::Panicked(_) => true,
        ApplyError::Store(error) => error.kind == StoreErrorKind::Data,
        ApplyError::Encode(_) => true,
    }
}

/// The wall clock, read in the shell only.
pub(super) fn now() -> Instant {
    Instant::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Zero when the broker's clock is ahead of ours.
fn elapsed_since(then: Instant) -> Duration {
    Duration::from_micros(u64::try_from(now().micros() - then.micros()).unwrap_or(0))
}

fn check_clock(lane: i32, records: &[InboundRecord]) -> Result<(), LaneFailure> {
    let latest = now().saturating_add_seconds(CLOCK_TOLERANCE_S);
    match records.iter().find(|record| record.timestamp > latest) {
        None => Ok(()),
        Some(record) => Err(LaneFailure::Halt(format!(
            "lane {lane}: the record {:?} carries the broker's time {}, more than an hour ahead of this machine's: correct the clock \
             that is wrong",
            record.position, record.timestamp
        ))),
    }
}

fn intake_failure(lane: i32, error: &IntakeError) -> LaneFailure {
    match error {
        IntakeError::OutOfRange { .. } => LaneFailure::Halt(format!("lane {lane}: {error}")),
        IntakeError::Failed(_) => LaneFailure::Kafka(error.to_string()),
    }
}
