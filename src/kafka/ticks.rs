//! Ticks: what the owner of a lane writes to its clock partition, so that time passes in lanes where nothing else does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::KafkaFailure;
use super::client::{LoggedContext, producer_config};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::TopicNames;

/// Writes ticks for all lanes of the process. A tick that is lost is replaced by the next one.
pub struct TickWriter {
    producer: BaseProducer<TickContext>,
    topic: String,
    /// Events are served by one caller at a time; another one need not wait for that.
    serving: Mutex<()>,
}

impl TickWriter {
    /// Does not wait for a broker.
    pub fn new(settings: &KafkaSettings, names: &TopicNames) -> Result<TickWriter, KafkaFailure> {
        let mut config = producer_config(settings, &format!("{}-ticks", settings.client_id));
        // An old tick is worth nothing: the next one says the same, later.
        config.set("message.timeout.ms", "10000").set("delivery.report.only.error", "true");
        let producer = config
            .create_with_context(TickContext::default())
            .map_err(|error| KafkaFailure::of("making the producer of the ticks", &error))?;
        Ok(TickWriter { producer, topic: names.command(CommandTopic::Clock), serving: Mutex::new(()) })
    }

    /// Writes a tick to a lane's clock partition, without waiting for anything.
    pub fn write(&self, lane: i32, value: &[u8]) {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).partition(lane).payload(value);
        match self.producer.send(record) {
            Ok(()) => self.producer.context().sent(),
            Err((error, _)) => self.producer.context().failed(&error),
        }
        if let Ok(_only_one) = self.serving.try_lock() {
            for _ in 0..MAX_EVENTS {
                self.producer.poll(Duration::ZERO);
                if self.producer.in_flight_count() == 0 {
                    break;
                }
            }
        }
    }

    /// How many ticks could not be written.
    pub fn failures(&self) -> u64 {
        self.producer.context().failures.load(Ordering::Relaxed)
    }
}

/// More are left for the next tick.
const MAX_EVENTS: usize = 16;

#[derive(Default)]
struct TickContext {
    inner: LoggedContext,
    failures: AtomicU64,
    /// One line says that ticks fail, not one per lane and tick.
    told: AtomicBool,
    sent_since_failure: AtomicU64,
}

impl TickContext {
    fn failed(&self, error: &KafkaError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.sent_since_failure.store(0, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("ticks can't be written, so idle lanes stand still: {error}");
        }
    }

    /// Long after the last failure, the next one is told again.
    fn sent(&self) {
        if self.sent_since_failure.fetch_add(1, Ordering::Relaxed) == 1_000 {
            self.told.store(false, Ordering::Relaxed);
        }
    }
}

impl ClientContext for TickContext {
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

impl ProducerContext for TickContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed(error);
        }
    }
}
