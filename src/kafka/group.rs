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
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
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
        let member = Member { settings: settings.clone(), clock: names.command(CommandTopic::Clock), events };
        let consumer = member.join()?;
        let shared = Arc::new(Shared::new());
        let thread = std::thread::Builder::new()
            .name("kafka-group".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || member.stay(consumer, &shared)
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

/// A member that is fenced so often within [`FENCED_WITHIN`] shares its name with another worker.
const MAX_FENCED: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);
/// Before it joins again, so that of two with one name neither keeps the group busy.
const REJOIN_PAUSE: Duration = Duration::from_secs(1);

struct Member {
    settings: KafkaSettings,
    clock: String,
    events: UnboundedSender<GroupEvent>,
}

/// How a time as a member ended.
enum Stay {
    Stopped,
    /// Another client has joined under this member's name. It may be this worker itself: after a session that has timed out librdkafka joins
    /// again, and the broker fences what it still sends under the member id of before.
    Fenced,
    Failed(String),
}

impl Member {
    fn join(&self) -> Result<BaseConsumer<GroupContext>, KafkaFailure> {
        let context = GroupContext { inner: LoggedContext::default(), events: self.events.clone() };
        let mut config = consumer_config(&self.settings, &self.settings.client_id);
        if let Some(instance_id) = &self.settings.instance_id {
            config.set("group.instance.id", instance_id);
        }
        let consumer: BaseConsumer<GroupContext> = config
            .create_with_context(context)
            .map_err(|error| KafkaFailure::of("making the group's consumer", &error))?;
        let clock = &self.clock;
        consumer.subscribe(&[clock]).map_err(|error| KafkaFailure::of(format!("subscribing to {clock}"), &error))?;
        Ok(consumer)
    }

    /// Stays in the group until it is stopped or fails for good.
    fn stay(self, mut consumer: BaseConsumer<GroupContext>, shared: &Shared) {
        let mut fenced: Vec<Instant> = Vec::new();
        let failure = loop {
            match poll(&consumer, shared) {
                Stay::Stopped => return leave(&consumer),
                Stay::Failed(reason) => break reason,
                Stay::Fenced => {}
            }
            fenced.retain(|at| at.elapsed() < FENCED_WITHIN);
            fenced.push(Instant::now());
            // Another may have the lanes by now.
            let _ = self.events.send(GroupEvent::Revoked { lost: true });
            if fenced.len() >= MAX_FENCED {
                break "another worker joins the group under the name of this one again and again: give each worker a kafka.instance_id of \
                       its own (or a kafka.client_id, which is its default)"
                    .to_owned();
            }
            tracing::warn!("the group has fenced this member: it joins again");
            drop(consumer);
            std::thread::sleep(REJOIN_PAUSE);
            consumer = match self.join() {
                Ok(consumer) => consumer,
                Err(failure) => break failure.to_string(),
            };
        };
        let _ = self.events.send(GroupEvent::Failed(failure));
    }
}

fn poll(consumer: &BaseConsumer<GroupContext>, shared: &Shared) -> Stay {
    while !shared.stop.load(Ordering::Relaxed) {
        shared.turn();
        let polled = consumer.poll(POLL);
        if consumer.client().fatal_error().is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId) {
            return Stay::Fenced;
        }
        match polled {
            None => {}
            // Everything is paused; a record would mean that a pause failed, and it is read by consumer B anyway.
            Some(Ok(_)) => {}
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Stay::Failed(error.to_string()),
            // Retried inside librdkafka, and logged by the context.
            Some(Err(_)) => {}
        }
    }
    Stay::Stopped
}

/// A static member does not leave when its client is closed, since it is expected back, and its lanes would wait for the end of its session.
/// It does leave when it unsubscribes before that.
fn leave(consumer: &BaseConsumer<GroupContext>) {
    consumer.unsubscribe();
    let deadline = Instant::now() + LEAVE_PATIENCE;
    while Instant::now() < deadline {
        let _ = consumer.poll(LEAVE_POLL);
        if consumer.assignment().is_ok_and(|assigned| assigned.count() == 0) {
            break;
        }
    }
    // The request is on its way once the partitions are given back.
    let _ = consumer.poll(LEAVE_POLL);
}

const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
const LEAVE_POLL: Duration = Duration::from_millis(50);

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
