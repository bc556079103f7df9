//! Consumer B: reads the lanes' command partitions, all five topics one way, and never subscribes.
//!
//! Its group metadata (no member, no generation) is what the publishers' transactions carry: the fence is the transactional id and
//! the lane row, and a generation would only cost a transaction at every rebalance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::client::{LoggedContext, consumer_config, with_leader};
use super::describe::{self, ClusterFacts};
use super::lane_queues::{LaneQueues, Shared};
use super::{FailureKind, KafkaFailure};
use crate::config::KafkaSettings;
use crate::domain::{CommandTopic, Frontier};
use crate::record::TopicNames;

/// How long a question to the brokers may take. After a broker's restart 7 s were measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Kafka knows of a lane's progress: the offsets of the last committed transaction, and the batch that its metadata names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The clock's partition has no offset or no metadata. Only the clock's counts: offsets of the topics that the group is not
    /// subscribed to expire a week after their last commit, while the group keeps the clock's for as long as it has members.
    Never,
    /// `frontier` has no position where a topic's offset has expired.
    At { batch: i64, frontier: [Option<i64>; CommandTopic::COUNT] },
}

/// The consumer of all lanes of this process. Cheap to clone; the last clone or open lane that goes closes it.
#[derive(Clone)]
pub struct CommandConsumer {
    shared: Arc<Shared>,
}

impl CommandConsumer {
    /// Makes the consumer and the thread that serves its events. Does not wait for a broker.
    pub fn new(settings: &KafkaSettings, names: &TopicNames) -> Result<CommandConsumer, KafkaFailure> {
        let consumer: BaseConsumer<LoggedContext> =
            consumer_config(settings, &format!("{}-commands", settings.client_id))
                .create_with_context(LoggedContext::default())
                .map_err(|error| KafkaFailure::of("making the consumer of the commands", &error))?;
        let shared =
            Shared { consumer: Arc::new(consumer), names: names.clone(), strays: Arc::default(), stop: Arc::default() };
        std::thread::Builder::new()
            .name("kafka-commands".into())
            .spawn({
                let (consumer, stop, strays) =
                    (Arc::clone(&shared.consumer), Arc::clone(&shared.stop), Arc::clone(&shared.strays));
                move || serve(&consumer, &stop, &strays)
            })
            .map_err(|error| {
                KafkaFailure::new(FailureKind::Unavailable, "starting the consumer's thread", error.to_string())
            })?;
        Ok(CommandConsumer { shared: Arc::new(shared) })
    }

    /// The cluster and its command topics as they are now. Blocks for up to 30 s.
    pub fn facts(&self) -> Result<ClusterFacts, KafkaFailure> {
        describe::facts(self.shared.consumer.client(), &self.shared.names, PATIENCE)
    }

    /// What was last committed for a lane. Only to be asked AFTER `init_transactions` of the lane's producer, which settles what an
    /// earlier owner left open. An error of any element is an error: never "none". Blocks for up to 30 s.
    pub fn committed(&self, lane: i32) -> Result<Committed, KafkaFailure> {
        let doing = || format!("reading the committed offsets of lane {lane}");
        let mut asked = TopicPartitionList::with_capacity(CommandTopic::COUNT);
        for topic in CommandTopic::ALL {
            asked.add_partition(&self.shared.names.command(topic), lane);
        }
        let answer = self
            .shared
            .consumer
            .committed_offsets(asked, PATIENCE)
            .map_err(|error| KafkaFailure::of(doing(), &error))?;
        let mut frontier = [None; CommandTopic::COUNT];
        let mut metadata = Vec::new();
        for topic in CommandTopic::ALL {
            let name = self.shared.names.command(topic);
            let element = answer
                .find_partition(&name, lane)
                .ok_or_else(|| KafkaFailure::unexpected(doing(), format!("no answer for {name}")))?;
            element.error().map_err(|error| KafkaFailure::of(format!("{} in {name}", doing()), &error))?;
            if let rdkafka::Offset::Offset(next) = element.offset() {
                frontier[topic.index()] = Some(next);
            }
            if topic == CommandTopic::Clock {
                metadata = metadata_of(&answer, &name, lane);
            }
        }
        if frontier[CommandTopic::Clock.index()].is_none() || metadata.is_empty() {
            return Ok(Committed::Never);
        }
        let batch = std::str::from_utf8(&metadata).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let found = String::from_utf8_lossy(&metadata).into_owned();
            KafkaFailure::unexpected(
                doing(),
                format!("the metadata {found:?} is no batch number: another program uses this group"),
            )
        })?;
        Ok(Committed::At { batch, frontier })
    }

    /// Where each of a lane's partitions begins and ends, in the order of [`CommandTopic::ALL`]. The end is the one for readers of
    /// committed records: before the oldest open transaction. Blocks for up to 30 s per topic.
    pub fn watermarks(&self, lane: i32) -> Result<[(i64, i64); CommandTopic::COUNT], KafkaFailure> {
        let mut all = [(0, 0); CommandTopic::COUNT];
        for topic in CommandTopic::ALL {
            all[topic.index()] = self.watermarks_of(lane, topic)?;
        }
        Ok(all)
    }

    /// The end of one partition, as in [`watermarks`](Self::watermarks). Blocks for up to 30 s.
    pub fn end_of(&self, lane: i32, topic: CommandTopic) -> Result<i64, KafkaFailure> {
        self.watermarks_of(lane, topic).map(|(_, end)| end)
    }

    /// Starts reading a lane at `frontier`. `wake` is called whenever a queue turns from empty to nonempty, by a thread of librdkafka
    /// that holds the queue's lock: it may notify or unpark, nothing else, and must not call back into the queues. So read every
    /// queue until it is empty before waiting. Does not wait for a broker.
    pub fn open_lane(
        &self,
        lane: i32,
        frontier: &Frontier,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<LaneQueues, KafkaFailure> {
        LaneQueues::open(Arc::clone(&self.shared), lane, frontier, Box::new(wake))
    }

    /// For `send_offsets_to_transaction`. It never changes, since this consumer is no member.
    pub fn group_metadata(&self) -> ConsumerGroupMetadata {
        self.shared.consumer.group_metadata().expect("a consumer with a group.id has group metadata")
    }

    fn watermarks_of(&self, lane: i32, topic: CommandTopic) -> Result<(i64, i64), KafkaFailure> {
        let name = self.shared.names.command(topic);
        let consumer = &self.shared.consumer;
        with_leader(consumer, &name, || consumer.fetch_watermarks(&name, lane, PATIENCE))
            .map_err(|error| KafkaFailure::of(format!("reading where {name}/{lane} begins and ends"), &error))
    }
}

const POLL: Duration = Duration::from_millis(100);

/// Serves the consumer's events (logs, errors of connections). Records and errors of partitions have their own queues.
fn serve(consumer: &BaseConsumer<LoggedContext>, stop: &AtomicBool, strays: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        // An Err has been logged by the context, except where a partition's own event went astray.
        let stray = match consumer.poll(POLL) {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(error)) => matches!(error, rdkafka::error::KafkaError::PartitionEOF(_)),
        };
        if stray {
            tracing::error!(
                "a record or an end came by the consumer's queue and not by its partition's: all open lanes recover"
            );
            strays.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The raw metadata of one element; the safe accessor panics where it is not UTF-8.
fn metadata_of(list: &TopicPartitionList, topic: &str, partition: i32) -> Vec<u8> {
    // SAFETY: the list is alive and owns `cnt` elements, each with a NUL-terminated topic and `metadata_size` bytes of metadata.
    unsafe {
        let native = &*list.ptr();
        let count = usize::try_from(native.cnt).unwrap_or(0);
        for index in 0..count {
            let element = &*native.elems.add(index);
            let name = std::ffi::CStr::from_ptr(element.topic);
            if element.partition == partition && name.to_bytes() == topic.as_bytes() && !element.metadata.is_null() {
                return std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size).to_vec();
            }
        }
    }
    Vec::new()
}
