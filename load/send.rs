//! Sends records to their partitions, a wave at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::command::{Record, Topic};
use super::encode::Encoder;
use super::track::Tracker;
use super::{Failure, now_micros};

/// More than a broker's restart takes on a machine that is busy with other things.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(240);

pub struct Sender {
    producer: ThreadedProducer<Reports>,
    encoder: Encoder,
    topics: [String; 4],
    tracker: Arc<Tracker>,
}

/// How records go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Each at once, in order and once, whatever becomes of the broker.
    Prompt,
    /// Gathered for 5 ms, as Java's producers do it by default: a request for each command would take the machine that is measured. For a
    /// broker that stays, since a record that fails is not sent again. That would take idempotence, with which librdkafka has one
    /// request in flight per partition and spins on what waits behind it: a quarter of a core at 4,900 commands per second.
    Gathering,
}

struct Reports {
    tracker: Arc<Tracker>,
    topic_prefix: String,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// When the record was sent, in microseconds since 1970.
    type DeliveryOpaque = usize;

    fn delivery(&self, delivery: &DeliveryResult<'_>, sent_at: usize) {
        match delivery {
            Ok(message) => {
                let suffix = message.topic().strip_prefix(&self.topic_prefix);
                if let Some(topic) = Topic::ALL.into_iter().find(|topic| Some(topic.suffix()) == suffix) {
                    self.tracker.acknowledged(topic, message.partition(), message.offset(), sent_at as i64);
                }
            }
            Err((error, _)) => self.tracker.failed(format!("a record was not delivered: {error}")),
        }
    }
}

impl Sender {
    pub fn new(
        bootstrap: &str,
        topic_prefix: &str,
        encoder: Encoder,
        tracker: Arc<Tracker>,
        manner: Manner,
    ) -> Result<Sender, Failure> {
        let reports = Reports { tracker: tracker.clone(), topic_prefix: topic_prefix.to_owned() };
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("client.id", "load")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "500000");
        match manner {
            Manner::Prompt => config.set("linger.ms", "0").set("enable.idempotence", "true"),
            Manner::Gathering => config.set("linger.ms", "5").set("retries", "0"),
        };
        let producer = config.create_with_context(reports)?;
        let topics = Topic::ALL.map(|topic| format!("{topic_prefix}{}", topic.suffix()));
        Ok(Sender { producer, encoder, topics, tracker })
    }

    /// Sends one record; it is acknowledged later.
    pub fn send(&mut self, record: &Record) -> Result<(), Failure> {
        let bytes = self.encoder.encode(record);
        let headers = record.traceparent.as_ref().map(|traceparent| {
            OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(traceparent.as_bytes()) })
        });
        let mut kafka_record = BaseRecord::with_opaque_to(&self.topics[bytes.topic.index()], now_micros() as usize)
            .partition(bytes.partition)
            .key(&bytes.key);
        kafka_record.payload = bytes.value.as_deref();
        kafka_record.headers = headers;
        loop {
            match self.producer.send(kafka_record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    std::thread::sleep(Duration::from_millis(1));
                    kafka_record = back;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Until the broker has acknowledged everything.
    pub fn await_acknowledgements(&self) -> Result<(), Failure> {
        let end = Instant::now() + ACKNOWLEDGED_WITHIN;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > end {
                return Err("the broker has not acknowledged the records within four minutes".into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        match self.tracker.lock().wrong.first() {
            Some(wrong) => Err(wrong.clone().into()),
            None => Ok(()),
        }
    }

    /// Sends waves of records at their pace, evenly within each. A wave that is late moves all later ones: between two waves there is
    /// always as much time as planned, and every record of the one is acknowledged before the next begins. Ends early when told to.
    pub fn send_waves(&mut self, waves: &[Vec<Record>], wave: Duration, stop: &AtomicBool) -> Result<(), Failure> {
        const STEPS: u32 = 20;
        let mut begins = Instant::now();
        for records in waves {
            let share = records.len().div_ceil(STEPS as usize).max(1);
            for (step, chunk) in (0u32..).zip(records.chunks(share)) {
                sleep_until(begins + wave * step / STEPS);
                for record in chunk {
                    self.send(record)?;
                }
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            self.await_acknowledgements()?;
            // The broker's clock counts milliseconds: the next wave is at least one later.
            begins = (begins + wave).max(Instant::now() + Duration::from_millis(2));
            sleep_until(begins);
        }
        Ok(())
    }
}

fn sleep_until(moment: Instant) {
    if let Some(wait) = moment.checked_duration_since(Instant::now()) {
        std::thread::sleep(wait);
    }
}
