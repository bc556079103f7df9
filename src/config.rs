//! The worker's settings: one TOML file, every key of which an environment variable overrides.

use std::collections::BTreeMap;
use std::time::Duration;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kafka: KafkaSettings,
    pub postgres: PostgresSettings,
    pub registry: RegistrySettings,
    pub worker: WorkerSettings,
    pub http: HttpSettings,
    pub log: LogSettings,
}

#[derive(Debug, Clone)]
pub struct KafkaSettings {
    pub bootstrap_servers: String,
    /// The consumer group; also the stem of the transactional ids, `<group>.<lane>`.
    pub group: String,
    pub topic_prefix: String,
    /// Stable over restarts: the pod's or host's name.
    pub client_id: String,
    /// Allows what can lose data on a production cluster: a single replica.
    pub development: bool,
    /// Passed to librdkafka as they are; those that the guarantees rest on are refused.
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`; never logged.
    pub url: String,
    pub pool_size: usize,
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings").field("url", &"***").field("pool_size", &self.pool_size).finish()
    }
}

#[derive(Debug, Clone)]
pub struct RegistrySettings {
    pub url: String,
}

#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Commands that one batch takes at most.
    pub max_batch_commands: usize,
    /// Accounts that time settles in one batch at most.
    pub max_due_per_batch: usize,
    /// How often a lane's owner writes a tick.
    pub tick_interval: Duration,
    /// A topic that has been silent for so long, though the broker holds more of it, is passed over.
    pub silent_topic_patience: Duration,
    /// Applied batches that may wait for their publication.
    pub max_unpublished_batches: usize,
}

#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub listen: String,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub json: bool,
    /// As `tracing`'s EnvFilter has it, for example `info`.
    pub filter: String,
}
