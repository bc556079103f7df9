//! Where a lane's topics end, asked of the brokers by a client of its own: on the connection that fetches, the question would wait
//! behind the fetch that waits for records.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::KafkaFailure;
use super::client::{LoggedContext, plain_consumer};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::TopicNames;

/// A broker that takes longer is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct TopicEnds {
    consumer: Arc<BaseConsumer<LoggedContext>>,
    names: TopicNames,
}

impl TopicEnds {
    /// Does not wait for a broker.
    pub fn new(settings: &KafkaSettings, names: &TopicNames) -> Result<TopicEnds, KafkaFailure> {
        let consumer = plain_consumer(settings, "ends")?;
        Ok(TopicEnds { consumer: Arc::new(consumer), names: names.clone() })
    }

    /// The ends of a lane's topics for readers of committed records, in the order of [`CommandTopic::ALL`]: one request to each broker
    /// that leads one of them. BLOCKS for about a millisecond, at most for a second.
    pub fn of_lane(&self, lane: i32) -> Result<[i64; CommandTopic::COUNT], KafkaFailure> {
        let doing = || format!("asking where the topics of lane {lane} end");
        let mut asked = TopicPartitionList::with_capacity(CommandTopic::COUNT);
        for topic in CommandTopic::ALL {
            asked
                .add_partition_offset(&self.names.command(topic), lane, Offset::End)
                .map_err(|error| KafkaFailure::of(doing(), &error))?;
        }
        // Its events are logs and errors of connections.
        self.consumer.poll(Duration::ZERO);
        let answer =
            self.consumer.offsets_for_times(asked, PATIENCE).map_err(|error| KafkaFailure::of(doing(), &error))?;
        let mut ends = [0; CommandTopic::COUNT];
        for topic in CommandTopic::ALL {
            let name = self.names.command(topic);
            let element = answer
                .find_partition(&name, lane)
                .ok_or_else(|| KafkaFailure::unexpected(doing(), format!("no answer for {name}")))?;
            element.error().map_err(|error| KafkaFailure::of(doing(), &error))?;
            match element.offset() {
                Offset::Offset(end) => ends[topic.index()] = end,
                other => return Err(KafkaFailure::unexpected(doing(), format!("{name} ends at {other:?}"))),
            }
        }
        Ok(ends)
    }
}
