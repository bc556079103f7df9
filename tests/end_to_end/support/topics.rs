//! Topics from an operator's side: made, changed, cut and deleted by hand; and records put there by hand.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use super::eventually;
use crate::load::murmur2::partition_of;

pub const COMMANDS: [&str; 8] = [
    "merchant-config",
    "customer-upsert",
    "customer-lifecycle",
    "credit",
    "redeem",
    "reservation",
    "reversal",
    "clock",
];
pub const OUTGOING: [&str; 5] = ["results", "events", "customers", "dead-letters", "journal"];

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// Without the prefix.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// A record to write by hand.
#[derive(Debug, Clone, Default)]
pub struct ByHand<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
    /// Where the key does not belong.
    pub partition: Option<i32>,
}

pub struct Topics {
    runtime: Runtime,
    config: ClientConfig,
    producer: FutureProducer,
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
    lanes: i32,
}

impl Topics {
    pub fn new(bootstrap: &str, prefix: &str, lanes: i32) -> Topics {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("client.id", "by-hand").set("linger.ms", "0");
        Topics {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            producer: config.create().expect("a producer"),
            admin: config.create().expect("an administrator's client"),
            prefix: prefix.to_owned(),
            lanes,
            config,
        }
    }

    /// Takes a lane's transactional id, as another owner of the lane would.
    pub fn fence(&self, group: &str, lane: i32) -> BaseProducer {
        let producer: BaseProducer = self
            .config
            .clone()
            .set("transactional.id", format!("{group}.{lane}"))
            .create()
            .expect("a transactional producer");
        producer.init_transactions(Duration::from_secs(30)).expect("the lane's id");
        producer
    }

    /// Whether nobody has taken the id from it since. What it sends for that it gives up again.
    pub fn has_its_id(&self, producer: &BaseProducer, lane: i32) -> bool {
        let name = self.name("results");
        let record = BaseRecord::<(), [u8]>::to(&name).partition(lane).payload(b"given up".as_slice());
        producer.begin_transaction().expect("a transaction");
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        producer
            .flush(Duration::from_secs(30))
            .and_then(|()| producer.abort_transaction(Duration::from_secs(30)))
            .is_ok()
    }

    pub fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// Returns when the broker has it.
    pub fn write(&self, topic: &str, record: ByHand<'_>) -> Position {
        let name = self.name(topic);
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: Some(value) })
        });
        let partition = record.partition.unwrap_or_else(|| partition_of(record.key.unwrap_or_default(), self.lanes));
        let mut outgoing = FutureRecord::<[u8], [u8]>::to(&name).partition(partition).headers(headers);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        let sent = self.runtime.block_on(self.producer.send(outgoing, Duration::from_secs(30)));
        let delivery = sent.unwrap_or_else(|(error, _)| panic!("writing to {name}: {error}"));
        Position { topic: topic.to_owned(), partition: delivery.partition, offset: delivery.offset }
    }

    /// Writes a record of so many spaces, which zstd makes some kilobytes of.
    pub fn write_bomb(&self, topic: &str, key: &str, bytes: usize) -> Position {
        let (name, partition) = (self.name(topic), partition_of(key.as_bytes(), self.lanes));
        let producer: FutureProducer = self
            .config
            .clone()
            .set("compression.type", "zstd")
            .set("message.max.bytes", "400000000")
            .create()
            .expect("a producer");
        let value = vec![b' '; bytes];
        let record = FutureRecord::to(&name).partition(partition).key(key.as_bytes()).payload(&value);
        let sent = self.runtime.block_on(producer.send(record, Duration::from_secs(60)));
        let delivery = sent.unwrap_or_else(|(error, _)| panic!("writing to {name}: {error}"));
        Position { topic: topic.to_owned(), partition: delivery.partition, offset: delivery.offset }
    }

    /// Writes them in one transaction: who reads what is committed gets none of them before all.
    pub fn write_together(&self, topic: &str, key: &str, values: &[Vec<u8>]) -> Vec<Position> {
        let (name, partition) = (self.name(topic), partition_of(key.as_bytes(), self.lanes));
        let patience = Duration::from_secs(30);
        let producer: FutureProducer = self
            .config
            .clone()
            .set("transactional.id", format!("{}together", self.prefix))
            .create()
            .expect("a transactional producer");
        producer.init_transactions(patience).expect("the id");
        producer.begin_transaction().expect("a transaction");
        let send = |value: &Vec<u8>| {
            let record = FutureRecord::<[u8], [u8]>::to(&name).partition(partition);
            let sent = producer.send_result(record.key(key.as_bytes()).payload(value.as_slice()));
            sent.map_err(|(error, _)| error).expect("room in the queue")
        };
        let sent: Vec<_> = values.iter().map(send).collect();
        producer.commit_transaction(patience).expect("a commit");
        let position = |delivery: DeliveryFuture| {
            let delivery = self.runtime.block_on(delivery).expect("the producer is there");
            let delivery = delivery.map_err(|(error, _)| error).expect("it is written");
            Position { topic: topic.to_owned(), partition: delivery.partition, offset: delivery.offset }
        };
        sent.into_iter().map(position).collect()
    }

    pub fn create(&self, topic: &str, configuration: &[(&str, &str)]) {
        let name = self.name(topic);
        let topic = NewTopic::new(&name, self.lanes, TopicReplication::Fixed(1));
        let topic = configuration.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let answers = self.runtime.block_on(self.admin.create_topics(&[topic], &options())).expect("an answer");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    /// Adds partitions until there are so many.
    pub fn grow(&self, topic: &str, partitions: usize) {
        let name = self.name(topic);
        let wanted = [NewPartitions::new(&name, partitions)];
        let answers = self.runtime.block_on(self.admin.create_partitions(&wanted, &options())).expect("an answer");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    /// Until the broker has heard of it from its controller, records for a new topic of that name would go into the old one.
    pub fn delete(&self, topic: &str) {
        let name = self.name(topic);
        let answers = self.runtime.block_on(self.admin.delete_topics(&[&name], &options())).expect("an answer");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        eventually("the broker has heard that the topic is gone", || {
            let found = self.admin.inner().fetch_metadata(Some(&name), Duration::from_secs(30)).expect("an answer");
            found.topics().iter().all(|topic| topic.error().is_some()).then_some(())
        });
    }

    /// Takes all offsets of a group that nobody uses, as time does.
    pub fn forget_group(&self, group: &str) {
        let answers = self.runtime.block_on(self.admin.delete_groups(&[group], &options())).expect("an answer");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    pub fn delete_all(&self) {
        let names: Vec<String> = COMMANDS.iter().chain(&OUTGOING).map(|topic| self.name(topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Those that a test has not made are not there.
        let _ = self.runtime.block_on(self.admin.delete_topics(&names, &options()));
    }

    /// Removes all records of a partition before an offset, as retention would.
    pub fn cut(&self, topic: &str, partition: i32, before: i64) {
        let mut cut = TopicPartitionList::new();
        cut.add_partition_offset(&self.name(topic), partition, Offset::Offset(before)).expect("an offset");
        let answer = self.runtime.block_on(self.admin.delete_records(&cut, &options())).expect("an answer");
        answer.elements().iter().for_each(|element| element.error().expect("the records can be removed"));
    }
}

fn options() -> AdminOptions {
    let patience = Some(Duration::from_secs(30));
    AdminOptions::new().request_timeout(patience).operation_timeout(patience)
}
