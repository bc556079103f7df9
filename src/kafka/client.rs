//! How every client of librdkafka is set up, what its errors mean, and where its log lines go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::{FailureKind, KafkaFailure};
use crate::config::KafkaSettings;
use crate::config::passthrough::without_rest;

/// The largest record, key and headers included, that the worker's producers accept. Outgoing topics accept batches a little
/// larger (see [`super::topics`]); a dead letter carries a command record and its reasons, so this is above what commands may have.
pub const MAX_OUTBOUND_RECORD_BYTES: usize = 2_000_000;

/// Whether librdkafka mends by itself what it reports: a connection that broke, also before the first broker was reached. Whoever reads goes
/// on, for as long as there is patience.
pub fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// Whether the bytes that a broker holds at a position can't be read, however often it is tried: a batch that is damaged, that unpacks to more
/// than `receive.message.max.bytes`, or whose form or compression librdkafka does not know.
pub fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::UnsupportedCompressionType
    )
}

/// Whether the brokers refuse a right.
pub fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}

/// How long a partition may be without a leader before that is an error.
const LEADER_PATIENCE: Duration = Duration::from_secs(10);
const LEADER_RECHECK: Duration = Duration::from_millis(50);

/// Asks the leader of a topic's partition, and asks again while the client does not know who that is: the topic was just made or got more
/// partitions, or a broker just came back. What the client remembers of that moment it would go on saying for minutes, so it is made to look
/// again.
pub fn with_leader<T>(
    consumer: &BaseConsumer<LoggedContext>,
    topic: &str,
    ask: impl Fn() -> KafkaResult<T>,
) -> KafkaResult<T> {
    let asked = Instant::now();
    loop {
        match ask() {
            Err(error) if is_without_leader(&error) && asked.elapsed() < LEADER_PATIENCE => {
                std::thread::sleep(LEADER_RECHECK);
                if let Err(error) = consumer.fetch_metadata(Some(topic), LEADER_PATIENCE) {
                    tracing::debug!("looking for the leaders of {topic}: {error}");
                }
            }
            answered => return answered,
        }
    }
}

/// Whether the client, or the broker that it asked, does not know who leads the partition.
fn is_without_leader(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}

/// A consumer outside the group's assignments, for commands that read ranges: read_committed, commits nothing, assigned by hand,
/// reports the end of a partition. Poll it with a timeout; dropping it takes 100 ms.
pub fn plain_consumer(
    settings: &KafkaSettings,
    client_id_suffix: &str,
) -> Result<BaseConsumer<LoggedContext>, KafkaFailure> {
    consumer_config(settings, &format!("{}-{client_id_suffix}", settings.client_id))
        .create_with_context(LoggedContext::default())
        .map_err(|error| KafkaFailure::of("making a consumer", &error))
}

/// The cluster's id, from the first broker that answers; or why none does, as far as they say it. Blocks, and makes a client of its own: an
/// administrator's is never polled, and so never hears why it is refused.
pub(super) fn first_contact(settings: &KafkaSettings, patience: Duration) -> Result<String, KafkaFailure> {
    let doing = "reaching the brokers";
    let client: BaseConsumer<LoggedContext> = admin_config(settings)
        .create_with_context(LoggedContext::default())
        .map_err(|error| KafkaFailure::of(doing, &error))?;
    let started = Instant::now();
    let mut refused: Option<Instant> = None;
    loop {
        // It subscribes to nothing: this only lets it speak.
        drop(client.poll(Duration::ZERO));
        if let Some(cluster_id) = client.client().fetch_cluster_id(CONTACT_STEP) {
            return Ok(cluster_id);
        }
        drop(client.poll(Duration::ZERO));
        let refusal = client.context().refusal();
        if refusal.is_some() {
            refused.get_or_insert_with(Instant::now);
        }
        let is_certain = refused.is_some_and(|since| since.elapsed() > REFUSED_FOR_GOOD);
        if is_certain || started.elapsed() > patience {
            let silent = || {
                let asked = format!("no broker answered at {} (kafka.bootstrap_servers)", settings.bootstrap_servers);
                match client.context().last_failure() {
                    Some(failure) => {
                        format!("{asked}, and what failed last was: {failure} (kafka.properties: security.protocol)")
                    }
                    None => asked,
                }
            };
            let kind = if is_certain { FailureKind::Denied } else { FailureKind::Unavailable };
            return Err(KafkaFailure::new(kind, doing, refusal.unwrap_or_else(silent)));
        }
    }
}

const CONTACT_STEP: Duration = Duration::from_secs(1);
/// A broker that starts may refuse at first whom it takes later.
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(5);

/// How often each client says that brokers are away.
const OUTAGE_REMINDER: Duration = Duration::from_secs(10);

/// Routes what librdkafka has to say to `tracing`, and counts failures of connections.
#[derive(Debug, Default)]
pub struct LoggedContext {
    transport_errors: AtomicU64,
    /// When an outage was last told.
    told: Mutex<Option<Instant>>,
    refusal: Mutex<Option<String>>,
    /// Why a connection failed last: often the only trace of two who speak different protocols.
    failure: Mutex<Option<String>>,
}

impl LoggedContext {
    fn outage_is_news(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|told| told.elapsed() > OUTAGE_REMINDER);
        if is_news {
            *told = Some(Instant::now());
        }
        is_news
    }

    /// Why brokers would not have us, as librdkafka last said it, with the properties to look at. Only a client that is polled hears it.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a connection failed last, as librdkafka said it. Only a client that is polled hears it.
    fn last_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_failure(&self, line: &str) {
        // The thread's name stands before it.
        let failure = line.split_once("]: ").map_or(line, |(_, failure)| failure);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(without_rest(failure).to_owned());
    }

    fn keep_refusal(&self, code: RDKafkaErrorCode, reason: &str) {
        let properties = match code {
            RDKafkaErrorCode::Authentication => "sasl.mechanism, sasl.username and sasl.password",
            _ => "security.protocol and ssl.ca.location",
        };
        let refusal = format!("{} (kafka.properties: {properties})", without_rest(reason));
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// How many failures of connections have been seen. librdkafka keeps back repetitions of the same one for 30 s.
    pub fn transport_errors(&self) -> u64 {
        self.transport_errors.load(Ordering::Relaxed)
    }
}

impl ClientContext for LoggedContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match (level, facility) {
            // A connection that broke; where that is an error, `error` says it again. Properties of the other kind of client are
            // named at every start (CONFWARN), which tells nobody anything.
            (_, "FAIL") => {
                self.transport_errors.fetch_add(1, Ordering::Relaxed);
                self.keep_failure(line);
                tracing::debug!(target: "librdkafka", facility, "{line}");
            }
            (_, "CONFWARN") => tracing::debug!(target: "librdkafka", facility, "{line}"),
            // Said for every partition many times a second while a broker is away, and put right by librdkafka itself.
            (_, "METADATAUPDATE" | "GETPID") => tracing::debug!(target: "librdkafka", facility, "{line}"),
            (RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical, _) => {
                tracing::error!(target: "librdkafka", facility, "{}", without_rest(line));
            }
            (RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning, _) => {
                tracing::warn!(target: "librdkafka", facility, "{}", without_rest(line));
            }
            (RDKafkaLogLevel::Notice, _) => tracing::info!(target: "librdkafka", facility, "{line}"),
            (RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug, _) => {
                tracing::debug!(target: "librdkafka", facility, "{line}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if let Some(code @ (RDKafkaErrorCode::SSL | RDKafkaErrorCode::Authentication)) = code {
            self.keep_refusal(code, reason);
        }
        match code {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::SSL,
            ) => {
                self.transport_errors.fetch_add(1, Ordering::Relaxed);
                // While a broker is away librdkafka says so with every attempt, dozens of times a second.
                if self.outage_is_news() {
                    tracing::warn!(target: "librdkafka", "{error}: {}", without_rest(reason));
                }
            }
            _ => tracing::warn!(target: "librdkafka", "{error}: {reason}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::trace!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }
}

impl ConsumerContext for LoggedContext {}

/// Consumers A and B and the plain ones. `client_id` decides the group's order of members, so A's is the pod's name itself.
pub(super) fn consumer_config(settings: &KafkaSettings, client_id: &str) -> ClientConfig {
    config(
        settings,
        client_id,
        &[
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "1000"),
            ("fetch.wait.max.ms", "20"),
            ("fetch.queue.backoff.ms", "10"),
            // Per queue, soft: one more fetch response may pass it.
            ("queued.max.messages.kbytes", "512"),
            ("fetch.max.bytes", "16777216"),
            // Also the most that a compressed batch may unpack to. A larger one can't be read, and halts its lane.
            ("receive.message.max.bytes", "33554432"),
        ],
        &[
            ("group.id", &settings.group),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "range"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
            // One compressed fetch passes every limit of a queue, so it must be small.
            ("max.partition.fetch.bytes", "262144"),
            ("check.crcs", "true"),
        ],
    )
}

/// What all producers have in common: no loss, no duplicate by a retry, one partitioner.
pub(super) fn producer_config(settings: &KafkaSettings, client_id: &str) -> ClientConfig {
    any_producer_config(settings, client_id, "0")
}

fn any_producer_config(settings: &KafkaSettings, client_id: &str, linger_ms: &str) -> ClientConfig {
    config(
        settings,
        client_id,
        &[("linger.ms", linger_ms), ("compression.type", "lz4"), ("retry.backoff.ms", "10")],
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "50000"),
            ("partitioner", "murmur2_random"),
            ("message.max.bytes", &MAX_OUTBOUND_RECORD_BYTES.to_string()),
        ],
    )
}

/// Nothing waits so long: the drain flushes. It only keeps the records of a transaction together until all of them are handed over. Sent
/// as they come they make dozens of small batches, and librdkafka's broker thread spins on a whole core while any wait behind another.
const TRANSACTION_LINGER_MS: &str = "100";

/// A lane's transactional producer. 60 s: with 15 s, a broker's restart is taken for a fencing.
pub(super) fn transactional_config(settings: &KafkaSettings, lane: i32) -> ClientConfig {
    let mut config =
        any_producer_config(settings, &format!("{}-lane-{lane}", settings.client_id), TRANSACTION_LINGER_MS);
    config
        .set("batch.size", MAX_OUTBOUND_RECORD_BYTES.to_string())
        .set("transactional.id", format!("{}.{lane}", settings.group))
        .set("transaction.timeout.ms", "60000")
        // Successes need no report: the drain waits for the count of records in flight.
        .set("delivery.report.only.error", "true");
    config
}

pub(super) fn admin_config(settings: &KafkaSettings) -> ClientConfig {
    config(settings, &format!("{}-admin", settings.client_id), &[], &[])
}

fn config(
    settings: &KafkaSettings,
    client_id: &str,
    defaults: &[(&str, &str)],
    fixed: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    // Not from the `log` crate, which nobody sets up here. Lost connections are told at this level.
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("reconnect.backoff.ms", "10");
    config.set("socket.keepalive.enable", "true");
    for (key, value) in defaults {
        config.set(*key, *value);
    }
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
    for (key, value) in fixed {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", &settings.bootstrap_servers);
    config.set("client.id", client_id);
    config
}
