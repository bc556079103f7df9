//! Reads what the worker publishes, as a consumer would: read_committed, results, dead letters and events, as Avro or JSON.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::avro::Reader;
use super::command::Topic;
use super::model::Outcome;
use super::track::{Answer, Tracker};
use super::{Failure, now_micros};

/// A read_committed consumer of outgoing topics, all partitions, from their beginning or from what comes next.
pub fn consumer(
    bootstrap: &str,
    topic_prefix: &str,
    topics: &[&str],
    lanes: i32,
    from: Offset,
) -> Result<BaseConsumer, Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "load")
        .set("group.id", "load") // which it never joins
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        // Where librdkafka begins when the broker does not say in time where a partition begins or ends.
        .set("auto.offset.reset", if from == Offset::Beginning { "earliest" } else { "latest" })
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "1000")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for topic in topics {
        for lane in 0..lanes {
            partitions.add_partition_offset(&format!("{topic_prefix}{topic}"), lane, from)?;
        }
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Reads until it is told to stop.
pub struct Observer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    pub fn start(bootstrap: &str, topic_prefix: &str, lanes: i32, tracker: Arc<Tracker>) -> Result<Observer, Failure> {
        let topics = ["results", "dead-letters", "events"];
        let consumer = consumer(bootstrap, topic_prefix, &topics, lanes, Offset::Beginning)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (prefix, until) = (topic_prefix.to_owned(), stop.clone());
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // After an error librdkafka connects again by itself; should it not, the answers stay away, which is noticed.
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else { continue };
                if understand(&message, &prefix, &tracker).is_none() {
                    tracker.failed(format!(
                        "{}/{}/{} is not what the documents say",
                        message.topic(),
                        message.partition(),
                        message.offset()
                    ));
                }
            }
        })?;
        Ok(Observer { stop, thread: Some(thread) })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn understand(message: &BorrowedMessage<'_>, prefix: &str, tracker: &Tracker) -> Option<()> {
    let topic_of = |name: &str| {
        let suffix = name.strip_prefix(prefix)?;
        Topic::ALL.into_iter().find(|topic| topic.suffix() == suffix)
    };
    match message.topic().strip_prefix(prefix)? {
        "results" => {
            let result = AnsweredResult::read(message.payload()?)?;
            {
                let mut seen = tracker.lock();
                seen.newest_result = seen.newest_result.max(message.timestamp().to_millis()? * 1000);
            }
            let (topic, partition, offset) =
                (topic_of(&result.topic)?, i32::try_from(result.partition).ok()?, result.offset);
            tracker.answered(topic, partition, offset, now_micros(), Answer::Result(result.outcome));
        }
        "dead-letters" => {
            let header = |name: &str| {
                let header = message.headers()?.iter().find(|header| header.key == name)?;
                std::str::from_utf8(header.value?).ok()
            };
            let topic = topic_of(header("__connect.errors.topic")?)?;
            let partition = header("__connect.errors.partition")?.parse().ok()?;
            let offset = header("__connect.errors.offset")?.parse().ok()?;
            let class = header("__connect.errors.class.name")?.to_owned();
            tracker.answered(topic, partition, offset, now_micros(), Answer::DeadLetter(class));
        }
        _ => {
            let event = Event::read(message.payload()?)?;
            match &*event.kind {
                "points.expired" => tracker.expired(),
                "command.parked" => {
                    let (topic, partition, offset) = event.cause?;
                    tracker.waits(topic_of(&topic)?, i32::try_from(partition).ok()?, offset);
                }
                _ => {}
            }
        }
    }
    Some(())
}

/// The beginning of an event, as `schemas/events.avsc` has it.
struct Event<'a> {
    kind: Cow<'a, str>,
    /// Topic, partition and offset of the command.
    cause: Option<(Cow<'a, str>, i64, i64)>,
}

impl<'a> Event<'a> {
    fn read(value: &'a [u8]) -> Option<Event<'a>> {
        if value.starts_with(b"{") {
            return Event::of_json(&serde_json::from_slice(value).ok()?);
        }
        let mut event = Reader::of_frame(value)?;
        let _event_id = event.string()?;
        let kind = event.string()?;
        let _merchant_id = event.string()?;
        let _customer_id = event.option(Reader::string)?;
        let (_version, _index, _count) = (event.long()?, event.long()?, event.long()?);
        let (_occurred_at, _recorded_at) = (event.long()?, event.long()?);
        let cause = event.option(|cause| Some((cause.string()?.into(), cause.long()?, cause.long()?)))?;
        Some(Event { kind: kind.into(), cause })
    }

    fn of_json(event: &Value) -> Option<Event<'a>> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let cause = match &event["cause"] {
            Value::Null => None,
            cause => Some((text(&cause["topic"])?.into(), cause["partition"].as_i64()?, cause["offset"].as_i64()?)),
        };
        Some(Event { kind: text(&event["type"])?.into(), cause })
    }
}

/// The beginning of a result, as `schemas/results.avsc` has it.
pub struct AnsweredResult<'a> {
    pub topic: Cow<'a, str>,
    pub partition: i64,
    pub offset: i64,
    pub idempotency_key: Cow<'a, str>,
    pub outcome: Outcome,
}

impl<'a> AnsweredResult<'a> {
    pub fn read(value: &'a [u8]) -> Option<AnsweredResult<'a>> {
        if value.starts_with(b"{") {
            return AnsweredResult::of_json(&serde_json::from_slice(value).ok()?);
        }
        let mut result = Reader::of_frame(value)?;
        let _result_id = result.string()?;
        let _source = result.option(Reader::string)?;
        let (topic, partition, offset) = (result.string()?, result.long()?, result.long()?);
        let _merchant_id = result.string()?;
        let idempotency_key = result.string()?;
        let kind = result.string()?;
        let _customer_id = result.option(Reader::string)?;
        let status = result.string()?;
        let duplicate = result.boolean()?;
        let _original = result.option(|original| Some((original.string()?, original.long()?, original.long()?)))?;
        let effect = result.option(Reader::string)?;
        let rejection = result.option(Reader::string)?; // its code comes first; nothing behind it is read
        let verdict = match status {
            "accepted" => effect?,
            _ => rejection?,
        };
        let outcome = Outcome { kind: kind.to_owned(), verdict: verdict.to_owned(), duplicate };
        Some(AnsweredResult {
            topic: topic.into(),
            partition,
            offset,
            idempotency_key: idempotency_key.into(),
            outcome,
        })
    }

    fn of_json(result: &Value) -> Option<AnsweredResult<'a>> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let verdict = match result["status"].as_str()? {
            "accepted" => &result["effect"],
            _ => &result["rejection"]["code"],
        };
        let outcome = Outcome {
            kind: text(&result["command_kind"])?,
            verdict: text(verdict)?,
            duplicate: result["duplicate"].as_bool()?,
        };
        Some(AnsweredResult {
            topic: text(&result["command"]["topic"])?.into(),
            partition: result["command"]["partition"].as_i64()?,
            offset: result["command"]["offset"].as_i64()?,
            idempotency_key: text(&result["idempotency_key"])?.into(),
            outcome,
        })
    }
}
