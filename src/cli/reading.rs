//! Reads an outgoing topic as its consumers should: read_committed, every partition, in the order that it comes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::CliError;
use crate::config::Settings;
use crate::kafka::client::{LoggedContext, is_passing, plain_consumer, with_leader};

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where to begin in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Beginning,
    /// So many offsets before the end. Some of them may be no records but marks of transactions.
    BeforeEnd(i64),
}

/// One step of reading.
pub enum Read {
    Record(Box<OwnedMessage>),
    /// Every partition has been read to its end; more may come.
    AtEnd,
    /// Nothing came for as long as was allowed.
    Quiet,
}

/// A reader of whole topics.
pub struct TopicReader {
    consumer: BaseConsumer<LoggedContext>,
    partitions: usize,
    at_end: HashSet<i32>,
}

impl TopicReader {
    /// Stands where `start` says when this returns, so that nothing that is published later is missed.
    pub fn open(settings: &Settings, topics: &[String], start: Start) -> Result<TopicReader, CliError> {
        let consumer = plain_consumer(&settings.kafka, "reader").map_err(CliError::failed)?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            for partition in partitions(&consumer, topic)? {
                let watermarks = || consumer.fetch_watermarks(topic, partition, PATIENCE);
                let (low, high) = with_leader(&consumer, topic, watermarks).map_err(|error| failed(topic, &error))?;
                let offset = match start {
                    Start::Beginning => low,
                    Start::BeforeEnd(back) => (high - back).max(low),
                };
                assignment
                    .add_partition_offset(topic, partition, Offset::Offset(offset))
                    .map_err(|error| failed(topic, &error))?;
            }
        }
        consumer.assign(&assignment).map_err(|error| failed("the topics", &error))?;
        Ok(TopicReader { consumer, partitions: assignment.count(), at_end: HashSet::new() })
    }

    /// Goes on with one partition alone, at this offset.
    pub fn stand_at(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), CliError> {
        let mut assignment = TopicPartitionList::new();
        let added = assignment.add_partition_offset(topic, partition, Offset::Offset(offset));
        added.and_then(|()| self.consumer.assign(&assignment)).map_err(|error| failed(topic, &error))?;
        self.partitions = 1;
        self.at_end.clear();
        Ok(())
    }

    /// The next record, or that there is none for now. [`Read::AtEnd`] comes again each time that new records have been read; it is
    /// told by partition number, so only a reader of one topic gets it.
    pub fn next(&mut self, wait: Duration) -> Result<Read, CliError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left.min(Duration::from_millis(200))) {
                Some(Ok(message)) => {
                    let message = message.detach();
                    self.at_end.remove(&rdkafka::Message::partition(&message));
                    return Ok(Read::Record(Box::new(message)));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.at_end.insert(partition);
                    if self.at_end.len() == self.partitions {
                        return Ok(Read::AtEnd);
                    }
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(failed("the topics", &error)),
                None if left.is_zero() => return Ok(Read::Quiet),
                None => {}
            }
        }
    }
}

fn partitions(consumer: &BaseConsumer<LoggedContext>, topic: &str) -> Result<Vec<i32>, CliError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(|error| failed(topic, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let refusal = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
    if let Some(code) = refusal.filter(|code| *code != RDKafkaErrorCode::UnknownTopicOrPartition) {
        return Err(failed(topic, &KafkaError::MetadataFetch(code)));
    }
    let partitions: Vec<i32> =
        found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
    if partitions.is_empty() {
        return Err(CliError::Failed(format!(
            "there is no topic {topic}. `loyalty-worker topics create` makes the topics; kafka.topic_prefix says what their names \
             begin with"
        )));
    }
    Ok(partitions)
}

fn failed(topic: &str, error: &KafkaError) -> CliError {
    CliError::Failed(format!("Kafka, reading {topic}: {error}"))
}
