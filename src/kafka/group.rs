//! Consumer A: the member of the group whose assignment says which lanes are this worker's.
//!
//! It subscribes to the clock topic, whose partition p stands for lane p, and reads nothing. With the range assignor every rebalance
//! revokes all lanes for some milliseconds: `Revoked { lost: false }` says stop intake and wait; the `Assigned` that follows is the
//! whole truth, and what it does not name must be given up. `Revoked { lost: true }` says that somebody else may already own the lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc::UnboundedSender;

use super::client::{LoggedContext, consumer_config};
use super::{FailureKind, KafkaFailure};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::TopicNames;

/// What the group says about this worker's lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// All lanes of the new assignment, in order.
    Assigned(Vec<i32>),
    /// `lost`: the group has already given the lanes away, even those that the next assignment names again.
    Revoked { lost: bool },
    /// The membership can't go on; no further event comes.
    Failed(String),
}

/// This worker's membership. Dropping it leaves the group without waiting for that.
pub struct Group {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Group {
    /// Joins the group; events come from a thread of its own. Does not wait for a broker.
    pub fn join(
        settings: &KafkaSettings,
        names: &TopicNames,
        events: UnboundedSender<GroupEvent>,
    ) -> Result<Group, KafkaFailure> {
        let context = GroupContext { inner: LoggedContext::default(), events: events.clone() };
        let consumer: BaseConsumer<GroupContext> = consumer_config(settings, &settings.client_id)
            .create_with_context(context)
            .map_err(|error| KafkaFailure::of("making the group's consumer", &error))?;
        let clock = names.command(CommandTopic::Clock);
        consumer.subscribe(&[&clock]).map_err(|error| KafkaFailure::of(format!("subscribing to {clock}"), &error))?;
        let shared = Arc::new(Shared::new());
        let thread = std::thread::Builder::new()
            .name("kafka-group".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || poll(&consumer, &shared, &events)
            })
            .map_err(|error| {
                KafkaFailure::new(FailureKind::Unavailable, "starting the group's thread", error.to_string())
            })?;
        Ok(Group { thread: Some(thread), shared })
    }

    /// How long ago the polling thread last turned; it does so ten times a second.
    pub fn last_turn(&self) -> Duration {
        self.shared.last_turn()
    }

    /// Stops the thread and leaves the group, so that the others get the lanes at once. Blocks for some 200 ms.
    pub fn leave(mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the group's thread had panicked");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

const POLL: Duration = Duration::from_millis(100);

fn poll(consumer: &BaseConsumer<GroupContext>, shared: &Shared, events: &UnboundedSender<GroupEvent>) {
    while !shared.stop.load(Ordering::Relaxed) {
        shared.turn();
        match consumer.poll(POLL) {
            None => {}
            // Everything is paused; a record would mean that a pause failed, and it is read by consumer B anyway.
            Some(Ok(_)) => {}
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                let _ = events.send(GroupEvent::Failed(error.to_string()));
                return;
            }
            // Retried inside librdkafka, and logged by the context.
            Some(Err(_)) => {}
        }
    }
}

struct Shared {
    stop: AtomicBool,
    started: Instant,
    last_turn_ms: AtomicU64,
}

impl Shared {
    fn new() -> Self {
        Shared { stop: AtomicBool::new(false), started: Instant::now(), last_turn_ms: AtomicU64::new(0) }
    }

    fn turn(&self) {
        let since_start = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_turn_ms.store(since_start, Ordering::Relaxed);
    }

    fn last_turn(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_turn_ms.load(Ordering::Relaxed)))
    }
}

struct GroupContext {
    inner: LoggedContext,
    events: UnboundedSender<GroupEvent>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.inner.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.inner.stats_raw(statistics);
    }
}

impl ConsumerContext for GroupContext {
    /// Runs on the polling thread. Left alone, the consumer would look up committed offsets and report every partition without one.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let (event, done) = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let mut lanes: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
            lanes.sort_unstable();
            (GroupEvent::Assigned(lanes), take(consumer, partitions))
        } else {
            let lost = consumer.assignment_lost();
            (GroupEvent::Revoked { lost }, consumer.unassign())
        };
        // The receiver is gone only when the worker is ending.
        let _ = self.events.send(match done {
            Ok(()) => event,
            Err(error) => GroupEvent::Failed(format!("answering a rebalance: {error}")),
        });
    }
}

/// Takes the assignment without reading: from the end, and paused.
fn take(consumer: &BaseConsumer<GroupContext>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
    for element in &mut partitions.elements() {
        element.set_offset(Offset::End)?;
    }
    consumer.assign(partitions)?;
    consumer.pause(partitions)
}
