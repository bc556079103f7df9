//! What the worker published, read as a consumer would and decoded by the schemas that the registry has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use loyalty_worker::codec::{OutgoingReader, RegistryClient};
use loyalty_worker::config::RegistrySettings;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;
use serde_json::Value;

use super::topics::Position;
use super::{Installation, PATIENCE};
use crate::load::observe::consumer;

/// A record of an outgoing topic.
#[derive(Debug, Clone)]
pub struct Record {
    /// Without the prefix.
    pub topic: String,
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// As they are, in their order.
    pub raw_headers: Vec<(String, Vec<u8>)>,
    pub headers: BTreeMap<String, String>,
    /// The decoded value; null for dead letters, whose value is the sender's.
    pub json: Value,
}

impl Record {
    /// The command that this answers.
    pub fn answers(&self, prefix: &str) -> Option<Position> {
        let suffix = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        match self.topic.as_str() {
            "results" => Some(Position {
                topic: suffix(self.json["command"]["topic"].as_str()?)?,
                partition: i32::try_from(self.json["command"]["partition"].as_i64()?).ok()?,
                offset: self.json["command"]["offset"].as_i64()?,
            }),
            "dead-letters" => Some(Position {
                topic: suffix(self.headers.get("__connect.errors.topic")?)?,
                partition: self.headers.get("__connect.errors.partition")?.parse().ok()?,
                offset: self.headers.get("__connect.errors.offset")?.parse().ok()?,
            }),
            _ => None,
        }
    }

    pub fn is_dead_letter(&self) -> bool {
        self.topic == "dead-letters"
    }
}

/// A reader from the beginning; what it has passed it keeps.
pub struct Published {
    consumer: BaseConsumer,
    reader: OutgoingReader,
    prefix: String,
    seen: Vec<Record>,
}

impl Published {
    pub fn of(installation: &Installation, topics: &[&str]) -> Published {
        let (stack, prefix) = (&installation.stack, installation.prefix.clone());
        let consumer =
            consumer(&stack.bootstrap, &prefix, topics, installation.lanes, Offset::Beginning).expect("a consumer");
        let reader =
            OutgoingReader::new(RegistryClient::new(&RegistrySettings::at(&stack.registry_url)).expect("a client"));
        Published { consumer, reader, prefix, seen: Vec::new() }
    }

    /// Results and dead letters.
    pub fn answers(installation: &Installation) -> Published {
        Published::of(installation, &["results", "dead-letters"])
    }

    pub fn await_answer(&mut self, to: &Position) -> Record {
        let prefix = self.prefix.clone();
        self.await_record(&format!("an answer to {to:?}"), |record| record.answers(&prefix).as_ref() == Some(to))
    }

    pub fn await_record(&mut self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        if let Some(record) = self.seen.iter().find(|record| wanted(record)) {
            return record.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen.len();
            self.poll(Duration::from_millis(100));
            if let Some(record) = self.seen[seen..].iter().find(|record| wanted(record)) {
                return record.clone();
            }
            assert!(Instant::now() < deadline, "this has not come within {PATIENCE:?}: {what}");
        }
    }

    /// What comes within this time. Nothing is kept.
    pub fn read_for(&mut self, wait: Duration) -> Vec<Record> {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.poll(until.saturating_duration_since(Instant::now()));
        }
        std::mem::take(&mut self.seen)
    }

    /// Reads on to where the topics end now, and gives all from the beginning. Only for topics that nobody writes to meanwhile.
    pub fn all(mut self) -> Vec<Record> {
        let assignment = self.consumer.assignment().expect("an assignment");
        for element in assignment.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let (low, end) = self.consumer.fetch_watermarks(topic, partition, PATIENCE).expect("watermarks");
            let deadline = Instant::now() + PATIENCE;
            // The position stands behind the last record that was handed out; behind it only marks of transactions may be left.
            while low < end && !self.has_passed(topic, partition, end) {
                self.poll(Duration::from_millis(100));
                assert!(Instant::now() < deadline, "{topic}/{partition} is not read to its end {end}");
            }
        }
        self.seen
    }

    fn has_passed(&self, topic: &str, partition: i32, end: i64) -> bool {
        let positions = self.consumer.position().expect("positions");
        let position = positions.find_partition(topic, partition).map(|element| element.offset());
        matches!(position, Some(Offset::Offset(next)) if next >= end)
    }

    fn poll(&mut self, wait: Duration) {
        match self.consumer.poll(wait) {
            Some(Ok(fetched)) => {
                let record = understand(&fetched, &self.prefix, &self.reader);
                self.seen.push(record);
            }
            Some(Err(error)) => eprintln!("reading what was published: {error}"),
            None => {}
        }
    }
}

fn understand(fetched: &BorrowedMessage<'_>, prefix: &str, reader: &OutgoingReader) -> Record {
    let topic = fetched.topic().strip_prefix(prefix).expect("a topic of the installation").to_owned();
    let value = fetched.payload().map(<[u8]>::to_vec);
    let json = match &value {
        Some(value) if topic != "dead-letters" => {
            reader.read_json(value).unwrap_or_else(|error| panic!("{topic} {}: {error}", fetched.offset()))
        }
        _ => Value::Null,
    };
    let headers: Vec<(String, Vec<u8>)> = fetched
        .headers()
        .map(|headers| headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect())
        .unwrap_or_default();
    Record {
        topic,
        partition: fetched.partition(),
        key: fetched.key().map(<[u8]>::to_vec),
        value,
        headers: headers.iter().map(|(k, v)| (k.clone(), String::from_utf8_lossy(v).into_owned())).collect(),
        raw_headers: headers,
        json,
    }
}
