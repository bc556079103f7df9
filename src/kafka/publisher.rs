//! A lane's transactional producer, on a thread of its own, since every call of it may block.
//!
//! One Kafka transaction holds the outbound records of one or more applied batches, in order, and the lane's offsets with the last
//! batch's number as their metadata: both are visible together or not at all. After ANY error the publisher reports it and ends. It
//! never commits after a failed send_offsets (that commit would succeed, without the offsets), and never aborts: the next
//! `init_transactions` of the same id does, whoever calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{Offset, error::KafkaResult};
use tokio::sync::mpsc::UnboundedSender;

use super::commands::{CommandConsumer, Committed};
use super::producer::LaneProducer;
pub use super::producer::{PublishError, PublishErrorKind};
use crate::config::KafkaSettings;
use crate::domain::{CommandTopic, Frontier};
use crate::fail_point;
use crate::record::{OutTopic, OutboundRecord, OutboundRecords, TopicNames};

/// One applied batch.
#[derive(Debug, Clone)]
pub struct PublishJob {
    pub batch: i64,
    /// The lane's positions after the batch.
    pub frontier: Frontier,
    pub records: OutboundRecords,
}

#[derive(Debug)]
pub enum PublishReport {
    Published(Published),
    /// The publisher has ended. Recover with a new one.
    Failed(PublishError),
}

/// One committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The last batch in it; all earlier ones are published too.
    pub batch: i64,
    /// How many batches it held.
    pub batches: usize,
    pub records: usize,
    pub took: StageTimes,
}

/// Where a transaction's time went. `send_offsets` is what they took longer than the records, beside which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    pub produce: Duration,
    pub drain: Duration,
    pub send_offsets: Duration,
    pub commit: Duration,
}

/// The handle of a lane's publisher. Dropping it abandons what is not committed, without waiting.
pub struct Publisher {
    jobs: Option<mpsc::Sender<PublishJob>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Publisher {
    /// Makes the producer and calls `init_transactions`, which fences every earlier owner of the lane and settles what they left
    /// open. BLOCKS for 15 to 1,000 ms, up to 60 s while the brokers are away, and ends early once it is not `wanted` any more: it would
    /// fence the lane's next owner.
    pub fn start(
        settings: &KafkaSettings,
        names: &TopicNames,
        consumer: &CommandConsumer,
        lane: i32,
        reports: UnboundedSender<PublishReport>,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Publisher, PublishError> {
        let producer = LaneProducer::new(settings, names, lane, wanted)?;
        let shared = Arc::new(Shared {
            abandoned: AtomicBool::new(false),
            busy_since_us: AtomicU64::new(0),
            started: Instant::now(),
        });
        let (jobs, waiting) = mpsc::channel();
        let thread = Thread {
            settings: settings.clone(),
            names: names.clone(),
            lane,
            offset_topics: CommandTopic::ALL.map(|topic| names.command(topic)),
            group: Arc::new(consumer.group_metadata()),
            consumer: consumer.clone(),
            jobs: waiting,
            reports,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name(format!("publish-{lane}"))
            .spawn(move || thread.run(Arc::new(producer)))
            .map_err(|error| PublishError::other(format!("starting the publisher's thread: {error}")))?;
        Ok(Publisher { jobs: Some(jobs), thread: Some(thread), shared })
    }

    /// Queues a batch; batches must come in their order. After a failure jobs are let fall: the report has been sent.
    pub fn submit(&self, job: PublishJob) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// How long the thread has been inside one blocking call: a commit has no timeout of its own.
    pub fn busy_for(&self) -> Option<Duration> {
        self.shared.busy_for()
    }

    /// The same for those who only watch.
    pub fn busy(&self) -> Busy {
        Busy(Arc::clone(&self.shared))
    }

    /// Publishes what is queued, then ends. BLOCKS until that is done or has failed; the reports tell which.
    pub fn finish(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the publisher's thread had panicked");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }
}

/// Tells how long a publisher's thread has been inside one blocking call.
#[derive(Debug)]
pub struct Busy(Arc<Shared>);

impl Busy {
    pub fn busy_for(&self) -> Option<Duration> {
        self.0.busy_for()
    }
}

/// Group commit takes further batches only while there are fewer records than this.
const MAX_RECORDS: usize = 20_000;

/// A commit that takes longer may have been sent twice: see [`Thread::run`].
const QUICK_COMMIT: Duration = Duration::from_secs(1);

/// In a commit that takes longer the process may have been frozen beyond its session.
const LONG_COMMIT: Duration = Duration::from_secs(5);

/// What a commit that was acknowledged leaves to do.
#[derive(Debug, PartialEq, Eq)]
enum AfterCommit {
    GoOn,
    /// Its request may still be on its way: a new producer's epoch fences it.
    NewProducer,
    /// The lane may have another owner, whom a new producer would fence: nothing is said of the batch, and recovery finds out once the
    /// assignment is known.
    Recover,
}

impl AfterCommit {
    fn of(took: Duration, met_transport_error: bool) -> AfterCommit {
        if took > LONG_COMMIT {
            AfterCommit::Recover
        } else if took > QUICK_COMMIT || met_transport_error {
            AfterCommit::NewProducer
        } else {
            AfterCommit::GoOn
        }
    }
}

/// Once a commit is acknowledged its coordinator writes the markers into the transaction's partitions, and until that is done it refuses
/// what belongs to the next transaction. librdkafka asks again after 20 ms for the partitions, and for the offsets after 10, 20, 40 and so on.
const MARKERS_TAKE: Duration = Duration::from_millis(3);

/// How often an idle producer's events are served.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Shared {
    abandoned: AtomicBool,
    /// Since `started`, plus one; 0 while not blocked.
    busy_since_us: AtomicU64,
    started: Instant,
}

impl Shared {
    fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    fn busy_for(&self) -> Option<Duration> {
        let since = self.busy_since_us.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_micros(since)))
    }

    /// Runs a call that may block, in sight of the watchdog, and times it.
    fn blocking<T>(&self, call: impl FnOnce() -> T) -> (T, Duration) {
        let began = Instant::now();
        let since = u64::try_from(began.duration_since(self.started).as_micros()).unwrap_or(u64::MAX - 1);
        self.busy_since_us.store(since + 1, Ordering::Relaxed);
        let result = call();
        self.busy_since_us.store(0, Ordering::Relaxed);
        (result, began.elapsed())
    }
}

struct Thread {
    settings: KafkaSettings,
    names: TopicNames,
    lane: i32,
    offset_topics: [String; CommandTopic::COUNT],
    group: Arc<ConsumerGroupMetadata>,
    consumer: CommandConsumer,
    jobs: mpsc::Receiver<PublishJob>,
    reports: UnboundedSender<PublishReport>,
    shared: Arc<Shared>,
}

impl Thread {
    /// KAFKA-17754: without KIP-890 an EndTxn that was delayed on its way may hit a LATER transaction of the same epoch. So after a
    /// commit that was slow, or during which a connection broke, the producer is made anew: its new epoch fences the delayed request.
    fn run(self, mut producer: Arc<LaneProducer>) {
        let mut committed = None;
        while let Some(group) = self.next_group(&producer, committed) {
            let transport_errors = producer.transport_errors();
            match self.publish(&producer, group) {
                Ok(Some(published)) => {
                    committed = Some(Instant::now());
                    let met_error = producer.transport_errors() != transport_errors;
                    match AfterCommit::of(published.took.commit, met_error) {
                        AfterCommit::GoOn => {}
                        AfterCommit::NewProducer => {
                            // Whoever abandoned this publisher may have a new one by now, which must not be fenced.
                            if self.shared.abandoned() {
                                return;
                            }
                            tracing::info!(lane = self.lane, "making the lane's producer anew after a doubtful commit");
                            drop(producer);
                            producer = match self.shared.blocking(|| self.start_anew(published.batch)) {
                                (Ok(_), _) if self.shared.abandoned() => return,
                                (Ok(producer), _) => Arc::new(producer),
                                (Err(error), _) => {
                                    let _ = self.reports.send(PublishReport::Failed(error));
                                    return;
                                }
                            };
                        }
                        AfterCommit::Recover => {
                            let message = format!(
                                "lane {}: the commit of batch {} took {} s, and the lane may have another owner by now",
                                self.lane,
                                published.batch,
                                published.took.commit.as_secs()
                            );
                            let error = PublishError { kind: PublishErrorKind::Fenced, message };
                            let _ = self.reports.send(PublishReport::Failed(error));
                            return;
                        }
                    }
                    let _ = self.reports.send(PublishReport::Published(published));
                }
                Ok(None) => return,
                Err(error) => {
                    let _ = self.reports.send(PublishReport::Failed(error));
                    return;
                }
            }
        }
    }

    /// A new producer, once the group's offsets say that the batch is published. They are asked because a broker that dies in the middle
    /// of a commit and comes back has been seen to call it complete without ever writing its markers, when for a moment no
    /// partition had a leader (Kafka 4.3, TransactionMarkerChannelManager: "likely deleted already"): its records are lost then, and
    /// the outbox must not forget them.
    fn start_anew(&self, batch: i64) -> Result<LaneProducer, PublishError> {
        let wanted = || !self.shared.abandoned();
        let producer = LaneProducer::new(&self.settings, &self.names, self.lane, &wanted)?;
        let found = self.consumer.committed(self.lane).map_err(|error| PublishError::other(error.to_string()))?;
        still_ours(self.lane, batch, &found).map(|()| producer)
    }

    /// Waits for a job, and until the transaction that was `committed` last is out of the way, and takes all jobs that wait by then. `None`
    /// when the publisher is to end.
    fn next_group(&self, producer: &LaneProducer, committed: Option<Instant>) -> Option<Vec<PublishJob>> {
        let first = loop {
            if self.shared.abandoned() {
                return None;
            }
            match self.jobs.recv_timeout(IDLE) {
                Ok(job) => break job,
                Err(mpsc::RecvTimeoutError::Timeout) => producer.serve(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            }
        };
        let markers_written = committed.map(|committed| committed + MARKERS_TAKE);
        if let Some(rest) = markers_written.and_then(|at| at.checked_duration_since(Instant::now())) {
            std::thread::sleep(rest);
        }
        // What broke while nothing was under way concerns no transaction.
        producer.serve();
        let mut records = first.records.len();
        let mut group = vec![first];
        while records < MAX_RECORDS {
            let Ok(job) = self.jobs.try_recv() else { break };
            records += job.records.len();
            group.push(job);
        }
        Some(group)
    }

    /// One transaction. `Ok(None)` when it was abandoned on the way; it is left open, for the next owner to settle.
    fn publish(&self, producer: &Arc<LaneProducer>, group: Vec<PublishJob>) -> Result<Option<Published>, PublishError> {
        let Some(PublishJob { batch, frontier, .. }) = group.last() else { return Ok(None) };
        let (batch, frontier, batches) = (*batch, *frontier, group.len());
        let mut took = StageTimes::default();
        let records = group.iter().map(|job| job.records.len()).sum();
        let blocking = |call: &dyn Fn() -> Result<(), PublishError>| {
            let (result, took) = self.shared.blocking(call);
            result.map(|()| took)
        };

        let began = blocking(&|| producer.begin())?;
        fail_point::reached("after-begin-transaction");
        let offsets_sent = self.send_offsets_beside(producer, batch, &frontier)?;
        let produced = blocking(&|| {
            for (index, record) in in_publishing_order(&group).enumerate() {
                if index == records / 2 {
                    fail_point::reached("half-produced");
                }
                producer.produce(&record)?;
            }
            Ok(())
        })?;
        took.produce = began + produced;
        // The client has its own copy of the records by now, and they are megabytes.
        drop(group);
        took.drain = blocking(&|| producer.drain())?;
        if self.shared.abandoned() {
            return Ok(None);
        }
        let (offsets_sent, waited) = self.shared.blocking(|| offsets_sent.join());
        offsets_sent.map_err(|_| PublishError::other("the thread that sends the offsets had panicked"))??;
        took.send_offsets = waited;
        fail_point::reached("after-send-offsets");
        if self.shared.abandoned() {
            return Ok(None);
        }
        took.commit = blocking(&|| producer.commit())?;
        fail_point::reached("after-commit-transaction");
        producer.serve();
        Ok(Some(Published { batch, batches, records, took }))
    }

    /// Sends the offsets on a thread of its own: to the brokers it makes no difference whether they come before the records, after them or
    /// among them, and they take two requests that would be waited for one after the other. Where the records fail it is left behind, and
    /// ends once the brokers answer, the next producer fences this one, or the transaction's time-out has passed.
    fn send_offsets_beside(
        &self,
        producer: &Arc<LaneProducer>,
        batch: i64,
        frontier: &Frontier,
    ) -> Result<JoinHandle<Result<(), PublishError>>, PublishError> {
        let offsets = self
            .offsets(batch, frontier)
            .map_err(|error| PublishError::other(format!("the offsets of batch {batch}: {error}")))?;
        let (producer, group) = (Arc::clone(producer), Arc::clone(&self.group));
        std::thread::Builder::new()
            .name(format!("offsets-{}", self.lane))
            .spawn(move || producer.send_offsets(&offsets, &group))
            .map_err(|error| PublishError::other(format!("starting the thread that sends the offsets: {error}")))
    }

    /// ALL topics' positions each time, so that every tool shows the lag and no offset expires while the lane lives.
    fn offsets(&self, batch: i64, frontier: &Frontier) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(CommandTopic::COUNT);
        for (topic, next) in frontier.iter() {
            let mut element = list.add_partition(&self.offset_topics[topic.index()], self.lane);
            element.set_offset(Offset::Offset(next))?;
            element.set_metadata(batch.to_string());
        }
        Ok(list)
    }
}

/// Each topic's first record comes before all others: so the client knows at once which partitions the transaction has, and joins all of
/// them with one request. It joins one that turns up later with a request of its own, after the one before has been answered. Nobody
/// sees the difference, since a topic's own records stay in their order.
fn in_publishing_order(group: &[PublishJob]) -> impl Iterator<Item = OutboundRecord<'_>> {
    let first_of = |topic| group.iter().find_map(|job| job.records.first(topic));
    let firsts = OutTopic::ALL.into_iter().filter_map(first_of);
    let mut met = [false; OutTopic::ALL.len()];
    let others = group.iter().flat_map(|job| job.records.iter());
    firsts.chain(others.filter(move |record| std::mem::replace(&mut met[record.topic as usize], true)))
}

/// Whether the batch that was published last is ours: then nobody has gone on after it, and what waits here may follow.
fn still_ours(lane: i32, batch: i64, found: &Committed) -> Result<(), PublishError> {
    match found {
        Committed::At { batch: published, .. } if *published == batch => Ok(()),
        // The new producer may have fenced that owner, which recovers; what waits here is published already.
        Committed::At { batch: published, .. } if *published > batch => Err(PublishError {
            kind: PublishErrorKind::Fenced,
            message: format!("lane {lane}: another owner has published batch {published}, after {batch} of this one"),
        }),
        found => Err(PublishError::other(format!(
            "lane {lane}: Kafka has acknowledged the commit of batch {batch}, but its offsets do not say so: {found:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_met_at_once_and_keeps_its_order() {
        let job = |batch, records: &[(OutTopic, &'static str)]| {
            let mut made = OutboundRecords::default();
            for (topic, value) in records {
                made.push(&OutboundRecord {
                    topic: *topic,
                    key: b"".into(),
                    value: Some(value.as_bytes().into()),
                    headers: Vec::new(),
                });
            }
            PublishJob { batch, frontier: Frontier([0; CommandTopic::COUNT]), records: made }
        };
        use OutTopic::{Customers, DeadLetters, Events, Journal, Results};
        let group = [
            job(1, &[(Results, "r1"), (Results, "r2"), (Events, "e1"), (Journal, "j1")]),
            job(2, &[(Results, "r3"), (Customers, "c1"), (Customers, "c2"), (DeadLetters, "d1"), (Journal, "j2")]),
        ];
        let values =
            in_publishing_order(&group).map(|record| String::from_utf8_lossy(&record.value.unwrap()).into_owned());
        let values: Vec<String> = values.collect();
        assert_eq!(values, ["r1", "e1", "c1", "d1", "j1", "r2", "r3", "c2", "j2"]);
        assert_eq!(in_publishing_order(&[]).count(), 0);
    }

    #[test]
    fn a_doubtful_commit_takes_a_new_producer_and_a_frozen_one_a_recovery() {
        let after = |millis, met_error| AfterCommit::of(Duration::from_millis(millis), met_error);
        assert_eq!(after(1_000, false), AfterCommit::GoOn);
        assert_eq!(after(1_001, false), AfterCommit::NewProducer);
        assert_eq!(after(1, true), AfterCommit::NewProducer);
        assert_eq!(after(5_000, false), AfterCommit::NewProducer);
        assert_eq!(after(5_001, false), AfterCommit::Recover);
        assert_eq!(after(5_001, true), AfterCommit::Recover);
    }

    #[test]
    fn a_new_producer_goes_on_only_where_nobody_else_has() {
        let found = |batch| Committed::At { batch, frontier: [Some(1); CommandTopic::COUNT] };
        let kind = |found: &Committed| still_ours(3, 7, found).map_err(|error| error.kind);
        assert_eq!(kind(&found(7)), Ok(()));
        assert_eq!(kind(&found(8)), Err(PublishErrorKind::Fenced));
        assert_eq!(kind(&found(6)), Err(PublishErrorKind::Other));
        assert_eq!(kind(&Committed::Never), Err(PublishErrorKind::Other));
    }
}
