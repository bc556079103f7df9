//! Sends commands as any sender would: for `loyalty-worker send` and for tests.

use std::time::Duration;

use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::KafkaFailure;
use super::client::{LoggedContext, producer_config};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::{Header, TopicNames};

/// A plain idempotent producer that lays commands where Java's default partitioner would. Many sends may be under way at once.
#[derive(Clone)]
pub struct CommandSender {
    producer: FutureProducer<LoggedContext>,
    names: TopicNames,
}

impl CommandSender {
    /// Does not wait for a broker.
    pub fn new(settings: &KafkaSettings, names: &TopicNames) -> Result<CommandSender, KafkaFailure> {
        let producer = producer_config(settings, &format!("{}-send", settings.client_id))
            .create_with_context(LoggedContext::default())
            .map_err(|error| KafkaFailure::of("making the sender", &error))?;
        Ok(CommandSender { producer, names: names.clone() })
    }

    /// Sends one command and waits until it is written; gives its partition and offset. The key is the merchant's id.
    pub async fn send(
        &self,
        topic: CommandTopic,
        key: &[u8],
        value: &[u8],
        headers: &[Header],
    ) -> Result<(i32, i64), KafkaFailure> {
        let name = self.names.command(topic);
        let mut record = FutureRecord::to(&name).key(key).payload(value);
        if !headers.is_empty() {
            let all = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, header| {
                all.insert(NativeHeader { key: &header.name, value: Some(&header.value) })
            });
            record = record.headers(all);
        }
        match self.producer.send(record, PATIENCE).await {
            Ok(delivery) => Ok((delivery.partition, delivery.offset)),
            Err((error, _)) => Err(KafkaFailure::of(format!("sending a command to {name}"), &error)),
        }
    }
}

/// For room in the producer's queue; the delivery itself has the producer's own timeout.
const PATIENCE: Duration = Duration::from_secs(30);
