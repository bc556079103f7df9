//! The work of a lane that is ours: take, understand, decide, write, publish. The only place that orders side effects.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::watch;

use super::Shared;
use super::apply::{ApplyError, Decided, encode};
use super::failure::LaneFailure;
use super::intake::{TakenBatch, oldest_of};
use super::probe;
use super::recovery::{InFlight, Session, check_publisher};
use super::watch::Wait;
use crate::batch::{LaneState, Taken};
use crate::codec::encode::{EncodeInput, JournalBatch};
use crate::codec::outcomes_hash::outcomes_hash;
use crate::domain::command::Delivery;
use crate::domain::{Instant, Position};
use crate::fail_point;
use crate::kafka::lane_queues::IntakeError;
use crate::kafka::publisher::{PublishJob, PublishReport, Published};
use crate::record::{InboundRecord, OutTopic, OutboundRecords};
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
    /// The same, but the group has been left, so that another worker may have the lane: it is not taken again.
    Leave,
    /// The lane is not ours any more: end at once.
    GiveUp,
}

/// A broker whose clock is further ahead than this would drag the lane's time with it.
const CLOCK_TOLERANCE_S: i64 = 60 * 60;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Works until the lane is finished or fails. Where the lane is given up its owner drops this: what is left half-way goes with the connection, and
/// a commit on its way is settled by the next owner.
pub(super) async fn work(
    shared: &Arc<Shared>,
    session: &mut Session,
    orders: &mut watch::Receiver<LaneOrder>,
) -> Result<(), LaneFailure> {
    let mut report_due = Clock::now();
    loop {
        // Here, where a lane that is busy comes by too.
        if report_due <= Clock::now() {
            session.watch.fetched(session.intake.oldest());
            check_publisher(&session.publisher)?;
            report_due = Clock::now() + REPORT_INTERVAL;
        }
        loop {
            match session.reports.try_recv() {
                Ok(report) => session.note(report)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(publisher_ended()),
            }
        }
        let order = *orders.borrow_and_update();
        let mut look_again = None;
        match order {
            LaneOrder::Finish | LaneOrder::Leave if session.unpublished() == 0 => {
                return session.forget_published().await;
            }
            LaneOrder::Finish | LaneOrder::Leave | LaneOrder::Pause | LaneOrder::GiveUp => {}
            LaneOrder::Work => {
                session.read(shared)?;
                let most = shared.settings.worker.max_unpublished_batches as i64;
                if may_begin(session.unpublished(), most, || session.intake.has_whole_batch(shared)) {
                    if let Some((taken, deliveries)) = session.take(shared, orders).await? {
                        session.apply(shared, taken, deliveries, orders).await?;
                        continue;
                    }
                    session.forget_published().await?;
                    look_again = session.intake.look_again_at(shared);
                }
            }
        }
        tokio::select! {
            () = session.wake.notified() => {}
            report = session.reports.recv() => session.note(report.ok_or_else(publisher_ended)?)?,
            changed = orders.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(look_again) => {}
            () = tokio::time::sleep_until(report_due.into()) => {}
        }
    }
}

/// Resolves when the lane is to end. False: the supervisor is gone, which ends the lane as well.
pub(super) async fn stop_requested(orders: &mut watch::Receiver<LaneOrder>) -> bool {
    orders.wait_for(|order| matches!(order, LaneOrder::GiveUp | LaneOrder::Finish | LaneOrder::Leave)).await.is_ok()
}

/// A batch that is not whole could be published only after the one before, so it waits for that and grows meanwhile: the brokers have fewer
/// transactions to serve under a light load. Whole ones overlap.
fn may_begin(unpublished: i64, most: i64, has_whole_batch: impl FnOnce() -> bool) -> bool {
    unpublished == 0 || unpublished < most && has_whole_batch()
}

async fn sleep_until(at: Option<Clock>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Reads on. A record that can't be read is passed where the operator has given it up.
    fn read(&mut self, shared: &Shared) -> Result<(), LaneFailure> {
        let lane = self.memory.lane;
        loop {
            let (topic, offset, reason) = match self.intake.read() {
                Ok(()) => return Ok(()),
                Err(IntakeError::Unreadable { topic, offset, reason }) => (topic, offset, reason),
                Err(error) => return Err(intake_failure(lane, &error)),
            };
            let record = Position { topic, partition: lane, offset };
            if !self.memory.is_skipped(record) {
                return Err(LaneFailure::Unreadable { record, reason });
            }
            let waker = self.wake.clone();
            self.intake
                .pass_unreadable(record, |next| shared.consumer.open_lane(lane, next, move || waker.notify_one()))?;
        }
    }

    fn unpublished(&self) -> i64 {
        self.state.batch - self.published
    }

    /// The next batch, or what time has left over. An order that comes meanwhile is looked at in the next turn.
    async fn take(
        &mut self,
        shared: &Shared,
        orders: &mut watch::Receiver<LaneOrder>,
    ) -> Result<Option<(Taken, Vec<Delivery>)>, LaneFailure> {
        let taken = tokio::select! {
            taken = self.intake.take_surely(shared, self.memory.lane, &self.watch) => taken,
            _ = orders.changed() => {
                orders.mark_changed();
                return Ok(None);
            }
        };
        let Some(TakenBatch { taken, deliveries }) = taken else {
            let frontier = self.state.frontier;
            let taken = Taken { records: Vec::new(), before: frontier, after: frontier, passed_over: Vec::new() };
            return Ok(self.state.due_pending.then_some((taken, Vec::new())));
        };
        if let Some(deliveries) = deliveries {
            return Ok(Some((taken, deliveries)));
        }
        // A registry may be away for hours: the lane goes on telling how it is, and listening.
        let understood = {
            let Session { memory, registry_patience, publisher, reports, watch, .. } = self;
            let _wait = watch.waits_for(Wait::Registry);
            watch.fetched(oldest_of(&taken.records));
            let mut decode = std::pin::pin!(memory.decode(shared, &taken.records, registry_patience));
            loop {
                tokio::select! {
                    deliveries = &mut decode => break Ok(deliveries?),
                    report = reports.recv() => break Err(Some(report.ok_or_else(publisher_ended)?)),
                    _ = orders.changed() => {
                        orders.mark_changed();
                        break Err(None);
                    }
                    () = tokio::time::sleep(REPORT_INTERVAL) => check_publisher(publisher)?,
                }
            }
        };
        match understood {
            Ok(deliveries) => Ok(Some((taken, deliveries))),
            Err(report) => {
                self.intake.put_back(TakenBatch { taken, deliveries: None });
                report.map_or(Ok(()), |report| self.note(report)).map(|()| None)
            }
        }
    }

    /// One batch: from its records to a committed transaction, and on to the publisher.
    async fn apply(
        &mut self,
        shared: &Arc<Shared>,
        mut taken: Taken,
        mut deliveries: Vec<Delivery>,
        orders: &mut watch::Receiver<LaneOrder>,
    ) -> Result<(), LaneFailure> {
        fail_point::reached("after-poll");
        let lane = self.memory.lane;
        let wait = self.watch.waits_for(Wait::Batch);
        self.watch.fetched(oldest_of(&taken.records));
        check_clock(lane, &taken.records)?;
        let applied = loop {
            let applied = self.write(shared, &taken, deliveries).await;
            let Err(ApplyError::TooMuch(mut all)) = applied else { break applied };
            // Before it is written, since the next batch is taken then.
            let (first, rest) = taken.halves();
            let later = all.split_off(first.records.len());
            self.intake.put_back(TakenBatch { taken: rest, deliveries: Some(later) });
            (taken, deliveries) = (first, all);
        };
        let (next, records) = match applied {
            Ok(written) => written,
            Err(error) if is_poisoned(&error) => {
                // The search takes the lane row's lock itself.
                self.connection.rollback().await?;
                return tokio::select! {
                    failure = probe::find_poison(shared, lane, &self.state, &taken, &error) => Err(failure),
                    // Whoever has the lane next meets the record again. What is applied is still published, and nothing more is taken.
                    true = stop_requested(orders) => Ok(()),
                };
            }
            Err(ApplyError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(LaneFailure::Halt(error.to_string())),
        };
        drop(wait);
        self.state = next;
        self.watch.progressed(self.state.frontier);
        self.watch.fetched(self.intake.oldest());
        self.outgoing_bytes = records.as_bytes().len();
        self.applied.send_replace(self.state.batch);
        self.in_flight.push_back(InFlight {
            batch: self.state.batch,
            applied_at: Clock::now(),
            oldest: oldest_of(&taken.records),
            records: OutTopic::ALL.map(|topic| records.count(topic)),
        });
        self.publisher.submit(PublishJob { batch: self.state.batch, frontier: self.state.frontier, records });
        metrics::unpublished_batches(lane, self.unpublished());
        self.watch.unpublished_since(self.in_flight.front().map(|first| first.applied_at));
        Ok(())
    }

    /// Reads, decides and writes, in one transaction of Postgres. While Postgres is at work on the rows, the batch's records are made
    /// and the next batch is understood: neither needs what Postgres answers.
    async fn write(
        &mut self,
        shared: &Arc<Shared>,
        taken: &Taken,
        deliveries: Vec<Delivery>,
    ) -> Result<(LaneState, OutboundRecords), ApplyError> {
        let Session { connection, memory, intake, state, published, outgoing_bytes, watch, .. } = self;
        let due_limit = shared.settings.worker.max_due_per_batch;
        let Decided { changes, next, skipped } =
            memory.decide(connection, state, deliveries, taken.after, due_limit).await?;

        let lane = memory.lane;
        let write = async {
            let started = Clock::now();
            let written = connection.write(&changes.rows, &changes.outcomes).await;
            metrics::stage_seconds(Stage::Write, started.elapsed());
            written
        };
        // The bytes are made before the commit: afterwards nothing may fail but the connection.
        let encode = async {
            let started = Clock::now();
            let journal = JournalBatch {
                lane,
                batch: next.batch,
                lane_time_before: state.lane_time,
                ranges: shared.ranges(&taken.before, &taken.after),
                due_settled: changes.due_settled,
                skipped,
                settings: shared.journaled_settings(),
                outcomes_hash: outcomes_hash(&changes),
            };
            let records = encode(
                shared,
                &EncodeInput {
                    changes: &changes,
                    lane,
                    names: &shared.names,
                    group: &shared.settings.kafka.group,
                    records: &taken.records,
                    journal: &journal,
                    room: *outgoing_bytes + *outgoing_bytes / 8,
                },
            )?;
            let outbox = OutboxValue::encode(&records);
            metrics::stage_seconds(Stage::Encode, started.elapsed());
            intake.take_ahead(shared, memory, watch).await;
            Ok::<_, ApplyError>((records, outbox))
        };
        // `write` is polled first, which sends the rows.
        let (written, encoded) = tokio::join!(biased; write, encode);
        written?;
        let (records, outbox) = encoded?;

        let started = Clock::now();
        connection.advance(lane, state, &next, Some(&outbox), Some(*published)).await?;
        connection.commit().await?;
        metrics::stage_seconds(Stage::Commit, started.elapsed());
        shared.count(&changes);
        metrics::parked_commands(lane, memory.parked);
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
                self.watch.unpublished_since(self.in_flight.front().map(|first| first.applied_at));
                Ok(())
            }
            PublishReport::Failed(error) => Err(error.into()),
        }
    }

    /// Deletes published outbox rows when no batch comes that would do it along the way.
    async fn forget_published(&mut self) -> Result<(), LaneFailure> {
        if self.forgotten < self.published {
            let _wait = self.watch.waits_for(Wait::OutboxDelete);
            self.connection.forget_published(self.memory.lane, self.published).await?;
            self.forgotten = self.published;
        }
        Ok(())
    }
}

/// Its thread says why it ends, unless it panicked.
fn publisher_ended() -> LaneFailure {
    LaneFailure::Kafka("the publisher's thread has ended without a report: this is a defect".to_owned())
}

fn is_poisoned(error: &ApplyError) -> bool {
    match error {
        ApplyError::Panicked(_) => true,
        ApplyError::Store(error) => error.kind == StoreErrorKind::Data,
        ApplyError::Encode(_) => true,
        ApplyError::TooMuch(_) => false,
    }
}

/// The wall clock, read in the shell only.
pub(super) fn now() -> Instant {
    Instant::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Zero when the broker's clock is ahead of ours.
pub(super) fn elapsed_since(then: Instant) -> Duration {
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
        IntakeError::Unreadable { .. } => LaneFailure::Kafka(error.to_string()),
        IntakeError::Failed(failure) => failure.clone().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_batch_begins_beside_one_that_is_not_published() {
        let begins = |unpublished, most, is_whole: bool| may_begin(unpublished, most, || is_whole);
        assert_eq!([0, 1, 2].map(|unpublished| begins(unpublished, 2, false)), [true, false, false]);
        assert_eq!([0, 1, 2].map(|unpublished| begins(unpublished, 2, true)), [true, true, false]);
        assert_eq!([0, 1].map(|unpublished| begins(unpublished, 1, true)), [true, false]);
    }
}
