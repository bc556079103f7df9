//! The peers' side of Kafka: where the backlog is, where results go, and what all clients have in common.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::command::Kind;
use crate::load::now_micros;
use crate::support::Failure;
use crate::support::installation::Stack;

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Input {
    /// In the order of [`Kind::ALL`].
    topics: [String; 2],
    pub results: String,
    /// Of this run alone: it begins at the beginning.
    pub run: String,
    bootstrap: String,
    lanes: i32,
}

impl Input {
    /// Makes the results topic too, unless an earlier run did.
    pub fn open(stack: &Stack, topic_prefix: &str, lanes: i32) -> Result<Input, Failure> {
        let input = Input {
            topics: Kind::ALL.map(|kind| format!("{topic_prefix}{}", kind.name())),
            results: format!("{topic_prefix}peer-results"),
            run: format!("{topic_prefix}peer-{}", now_micros()),
            bootstrap: stack.bootstrap.clone(),
            lanes,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let admin: AdminClient<DefaultClientContext> = input.client_config().create()?;
        let topic = NewTopic::new(&input.results, lanes, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for made in runtime.block_on(admin.create_topics([&topic], &options))? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(format!("{topic} can't be made: {code}").into()),
            }
        }
        Ok(input)
    }

    pub fn topic(&self, kind: Kind) -> &str {
        &self.topics[kind as usize]
    }

    /// Each topic has a group of its own, so that its consumer's start disturbs no other.
    pub fn consumer_config(&self, kind: Kind) -> ClientConfig {
        let mut config = self.client_config();
        config
            .set("group.id", format!("{}-{}", self.run, kind.name()))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    pub fn producer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        config
            .set("enable.idempotence", "true") // which is acks=all
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random");
        config
    }

    /// Commands in all partitions.
    pub fn backlog(&self) -> Result<u64, Failure> {
        let partitions = Kind::ALL.into_iter().flat_map(|kind| (0..self.lanes).map(move |lane| (kind, lane)));
        partitions.map(|(kind, lane)| self.backlog_of(kind, lane)).sum()
    }

    /// Commands in one partition.
    pub fn backlog_of(&self, kind: Kind, lane: i32) -> Result<u64, Failure> {
        let consumer: BaseConsumer = self.consumer_config(kind).create()?;
        let (first, next) = consumer.fetch_watermarks(self.topic(kind), lane, PATIENCE)?;
        Ok(u64::try_from(next - first)?)
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "peer");
        config
    }
}
