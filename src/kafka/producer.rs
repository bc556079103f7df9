//! The calls of a transactional producer, each with what its errors mean. Blocking; used by the publisher's threads only.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;

use super::client::{LoggedContext, is_denied, transactional_config};
use crate::config::KafkaSettings;
use crate::record::{OutTopic, OutboundRecord, TopicNames};

/// Why a publisher ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PublishError {
    pub kind: PublishErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishErrorKind {
    /// Another producer has the lane's transactional id, OR the broker timed our transaction out: Kafka answers both alike. The
    /// group's assignment decides whether the lane is still ours.
    Fenced,
    /// The brokers refuse this worker the right.
    Denied,
    /// Recover with a new publisher, with back-off.
    Other,
}

impl PublishError {
    pub(super) fn other(message: impl Into<String>) -> Self {
        PublishError { kind: PublishErrorKind::Other, message: message.into() }
    }
}

pub(super) struct LaneProducer {
    producer: BaseProducer<LaneContext>,
    topics: [String; OutTopic::ALL.len()],
    lane: i32,
}

impl LaneProducer {
    /// Makes a producer that has been initialised: earlier ones of the lane are fenced.
    pub(super) fn new(
        settings: &KafkaSettings,
        names: &TopicNames,
        lane: i32,
        wanted: &dyn Fn() -> bool,
    ) -> Result<LaneProducer, PublishError> {
        let producer: BaseProducer<LaneContext> = transactional_config(settings, lane)
            .create_with_context(LaneContext::default())
            .map_err(|error| PublishError::other(format!("making the producer of lane {lane}: {error}")))?;
        let producer = LaneProducer { producer, topics: OutTopic::ALL.map(|topic| names.out(topic)), lane };
        let deadline = Instant::now() + INIT_PATIENCE;
        while wanted() {
            match producer.producer.init_transactions(INIT_STEP) {
                Ok(()) => return Ok(producer),
                // The client goes on with what it has begun, and is asked again.
                Err(error) if is_unfinished(&error) && Instant::now() < deadline => {}
                Err(error) => return Err(producer.failed("init_transactions", &error)),
            }
        }
        Err(PublishError::other(format!("lane {lane}: the producer is not wanted any more")))
    }

    pub(super) fn begin(&self) -> Result<(), PublishError> {
        self.producer.begin_transaction().map_err(|error| self.failed("begin_transaction", &error))
    }

    /// Hands a record over; where the producer's queue is full, waits until there is room.
    pub(super) fn produce(&self, record: &OutboundRecord<'_>) -> Result<(), PublishError> {
        let headers = (!record.headers.is_empty()).then(|| {
            record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
                headers.insert(Header { key: &header.name, value: Some(&*header.value) })
            })
        });
        let mut outgoing = BaseRecord {
            topic: self.topic(record.topic),
            partition: Some(self.lane),
            key: Some(&*record.key),
            payload: record.value.as_deref(),
            timestamp: None,
            headers,
            delivery_opaque: (),
        };
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    outgoing = back;
                    self.turn()?;
                }
                Err((error, _)) => return Err(self.failed("producing a record", &error)),
            }
        }
    }

    /// Sends what lingers and waits until every record is acknowledged. `commit_transaction` would do it too, but 100 ms at a time.
    ///
    /// librdkafka has one request in flight per partition (`rktp_msgs_inflight`, which limits it, counts messages), and while it is told to
    /// flush it spins on what waits behind that one: a core is gone just when the brokers are slow. So after a while it is told only now
    /// and then, and when something was acknowledged.
    pub(super) fn drain(&self) -> Result<(), PublishError> {
        let began = Instant::now();
        let (mut waiting, mut told) = (i32::MAX, began);
        loop {
            let in_flight = self.producer.in_flight_count();
            if in_flight == 0 {
                return self.check_deliveries();
            }
            if began.elapsed() < FLUSH_STEADILY || in_flight < waiting || told.elapsed() > FLUSH_AGAIN {
                // SAFETY: the handle lives as long as the producer. The call waits for acknowledgements, a millisecond at the most, and
                // serves no events.
                unsafe { rdkafka::bindings::rd_kafka_flush(self.producer.client().native_ptr(), 1) };
                (waiting, told) = (in_flight, Instant::now());
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.producer.poll(Duration::ZERO);
            self.check_deliveries()?;
        }
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), PublishError> {
        // The timeout is ignored by librdkafka (#5456).
        self.producer
            .send_offsets_to_transaction(offsets, group, Timeout::Never)
            .map_err(|error| self.failed("send_offsets_to_transaction", &error))
    }

    pub(super) fn commit(&self) -> Result<(), PublishError> {
        self.producer.commit_transaction(Timeout::Never).map_err(|error| self.failed("commit_transaction", &error))
    }

    /// Serves the events that wait, without waiting for more.
    pub(super) fn serve(&self) {
        // Outside a transaction nothing is in flight, so what is counted are events.
        for _ in 0..MAX_EVENTS {
            if self.producer.in_flight_count() == 0 {
                break;
            }
            self.producer.poll(Duration::ZERO);
        }
    }

    pub(super) fn transport_errors(&self) -> u64 {
        self.producer.context().inner.transport_errors()
    }

    fn topic(&self, topic: OutTopic) -> &str {
        &self.topics[topic as usize]
    }

    /// poll(t) of the wrapper would spin for all of t.
    fn turn(&self) -> Result<(), PublishError> {
        self.producer.poll(Duration::ZERO);
        self.check_deliveries()?;
        std::thread::sleep(Duration::from_micros(100));
        Ok(())
    }

    fn check_deliveries(&self) -> Result<(), PublishError> {
        match self.producer.context().first_error() {
            None => Ok(()),
            Some(error) => Err(self.failed("delivering a record", &error)),
        }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> PublishError {
        let fatal = self.producer.client().fatal_error();
        let code = error.rdkafka_error_code();
        let codes = || code.into_iter().chain(fatal.as_ref().map(|(code, _)| *code));
        let kind = match () {
            () if codes().any(is_fenced) => PublishErrorKind::Fenced,
            () if codes().any(is_denied) => PublishErrorKind::Denied,
            () => PublishErrorKind::Other,
        };
        let mut message = format!("lane {}: {doing}: {error}", self.lane);
        if let Some((_, reason)) = fatal {
            message = format!("{message} ({reason})");
        }
        PublishError { kind, message }
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
}

fn is_unfinished(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_retriable())
}

/// One call of `init_transactions`: so long a lane that was given up may still fence its next owner.
const INIT_STEP: Duration = Duration::from_secs(5);

/// A broker's restart is to be outlived.
const INIT_PATIENCE: Duration = Duration::from_secs(60);

const MAX_EVENTS: usize = 1_000;

/// Most transactions are drained within this.
const FLUSH_STEADILY: Duration = Duration::from_millis(8);
const FLUSH_AGAIN: Duration = Duration::from_millis(5);

#[derive(Default)]
struct LaneContext {
    inner: LoggedContext,
    first_error: Mutex<Option<KafkaError>>,
}

impl LaneContext {
    fn first_error(&self) -> Option<KafkaError> {
        self.first_error.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl ClientContext for LaneContext {
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

impl ProducerContext for LaneContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.first_error.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            first.get_or_insert_with(|| error.clone());
        }
    }
}
