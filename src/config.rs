//! The worker's settings: one TOML file, every key of which an environment variable overrides. [`keys`] declares them all;
//! a key that is not declared, or a value that is not right, stops the start with its name and place.

mod keys;
mod lane_urls;
mod load;
pub mod passthrough;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use keys::{DEFAULT_FILE, KEYS, Key, Preset, default_file};
pub use lane_urls::LaneRange;
pub use load::{ConfigError, Origin, Problem};
pub use value::Kind;

/// All settings, checked. Their `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kafka: KafkaSettings,
    /// One database, or several in the order of their lanes.
    pub postgres: Vec<PostgresSettings>,
    pub registry: RegistrySettings,
    pub output: OutputSettings,
    pub worker: WorkerSettings,
    pub http: HttpSettings,
    pub log: LogSettings,
}

#[derive(Clone)]
pub struct KafkaSettings {
    pub bootstrap_servers: String,
    /// The consumer group; also the stem of the transactional ids, `<group>.<lane>`.
    pub group: String,
    pub topic_prefix: String,
    /// Stable over restarts: the pod's or host's name.
    pub client_id: String,
    /// The name of the static member of the group; `None`: a new member at each start.
    pub instance_id: Option<String>,
    /// Allows what can lose data on a production cluster: a single replica.
    pub development: bool,
    /// Passed to librdkafka as they are; those that the guarantees rest on are refused.
    pub properties: BTreeMap<String, String>,
}

/// Properties are shown by name: a password may stand among them.
impl std::fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group", &self.group)
            .field("topic_prefix", &self.topic_prefix)
            .field("client_id", &self.client_id)
            .field("instance_id", &self.instance_id)
            .field("development", &self.development)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

/// One database.
#[derive(Clone)]
pub struct PostgresSettings {
    /// Whose rows it has; `None`: it has all.
    pub lanes: Option<LaneRange>,
    /// `postgres://user:password@host:port/database`; never logged.
    pub url: String,
    pub pool_size: usize,
    /// Speak TLS, and verify who answers.
    pub verify_full: bool,
    /// The authorities to trust, in PEM; the system's when `None`.
    pub tls_ca_file: Option<String>,
}

impl PostgresSettings {
    /// The setting that names the database.
    pub fn setting(&self) -> String {
        self.lanes.map_or_else(|| "postgres.url".to_owned(), |lanes| format!("postgres.lane_urls ({lanes})"))
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("lanes", &self.lanes)
            .field("url", &"***")
            .field("pool_size", &self.pool_size)
            .field("verify_full", &self.verify_full)
            .field("tls_ca_file", &self.tls_ca_file)
            .finish()
    }
}

#[derive(Clone)]
pub struct RegistrySettings {
    pub url: String,
    /// The authorities to trust, in PEM; the system's when `None`.
    pub tls_ca_file: Option<String>,
}

impl RegistrySettings {
    /// An address, with the system's authorities.
    pub fn at(url: &str) -> RegistrySettings {
        RegistrySettings { url: url.to_owned(), tls_ca_file: None }
    }
}

/// A registry's address may hold a password.
impl std::fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrySettings")
            .field("url", &without_password(&self.url))
            .field("tls_ca_file", &self.tls_ca_file)
            .finish()
    }
}

#[derive(Debug, Clone)]
pub struct OutputSettings {
    pub encoding: Encoding,
}

/// How results, events and customers are written. The journal is the worker's own, and always Avro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Avro,
    Json,
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
    /// How long lanes that hang may go on after an order to stop.
    pub shutdown_timeout: Duration,
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

impl Settings {
    /// Loads the settings from the file (`path`, or [`DEFAULT_FILE`] in the working directory if there is one) and the environment,
    /// which goes before it.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Settings, ConfigError> {
        let mut values = load::load(path, environment)?;
        let client_id = values.take("kafka", "client_id").map_or_else(host_name, value::Value::text);
        let instance_id = values.take("kafka", "instance_id").map_or_else(|| client_id.clone(), value::Value::text);
        let mut ca_file = |section| values.take(section, "tls_ca_file").map(value::Value::text);
        let (postgres_ca_file, registry_ca_file) = (ca_file("postgres"), ca_file("registry"));
        let url = values.take("postgres", "url").map(value::Value::text);
        let mut get = |section, name| values.take(section, name).expect("the loader gives every declared key a value");
        let lane_urls = lane_urls::ranges(&get("postgres", "lane_urls").table()).expect("the loader has checked them");
        let pool_size = get("postgres", "pool_size").count();
        let verify_full = get("postgres", "tls").text() == "verify-full";
        let database = |(lanes, url)| {
            let tls_ca_file = postgres_ca_file.clone();
            PostgresSettings { lanes, url, pool_size, verify_full, tls_ca_file }
        };
        // One of the two is empty.
        let urls = url.map(|url| (None, url)).into_iter();
        let urls = urls.chain(lane_urls.into_iter().map(|(lanes, url)| (Some(lanes), url)));
        Ok(Settings {
            postgres: urls.map(database).collect(),
            registry: RegistrySettings { url: get("registry", "url").text(), tls_ca_file: registry_ca_file },
            output: OutputSettings {
                encoding: if get("output", "encoding").text() == "json" { Encoding::Json } else { Encoding::Avro },
            },
            worker: WorkerSettings {
                max_batch_commands: get("worker", "max_batch_commands").count(),
                max_due_per_batch: get("worker", "max_due_per_batch").count(),
                tick_interval: get("worker", "tick_interval_ms").millis(),
                silent_topic_patience: get("worker", "silent_topic_patience_ms").millis(),
                max_unpublished_batches: get("worker", "max_unpublished_batches").count(),
                shutdown_timeout: get("worker", "shutdown_timeout_ms").millis(),
            },
            http: HttpSettings { listen: get("http", "listen").text() },
            log: LogSettings { json: get("log", "format").text() == "json", filter: get("log", "filter").text() },
            kafka: KafkaSettings {
                bootstrap_servers: get("kafka", "bootstrap_servers").text(),
                group: get("kafka", "group").text(),
                topic_prefix: get("kafka", "topic_prefix").text(),
                development: get("kafka", "development").flag(),
                properties: get("kafka", "properties").table(),
                client_id,
                instance_id: Some(instance_id).filter(|id| !id.is_empty()),
            },
        })
    }
}

/// The settings as a file would have them, with all that was not set, and with passwords masked.
pub fn shown(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<String, ConfigError> {
    let environment: Vec<(String, String)> = environment.collect();
    let settings = Settings::load(path, environment.iter().cloned())?;
    let mut values = load::load(path, environment.into_iter())?;
    let mut text = String::new();
    for (section, _) in keys::SECTIONS {
        text.push_str(&format!("{}[{section}]\n", if text.is_empty() { "" } else { "\n" }));
        for key in KEYS.iter().filter(|key| key.section == section) {
            let name = key.name;
            match (values.take(key.section, name), key.default) {
                (Some(value), _) => text.push_str(&format!("{name} = {}\n", value.shown())),
                (None, _) if name == "client_id" => {
                    text.push_str(&format!("{name} = {:?}\n", settings.kafka.client_id))
                }
                (None, _) if name == "instance_id" => {
                    text.push_str(&format!(
                        "{name} = {:?}\n",
                        settings.kafka.instance_id.as_deref().unwrap_or_default()
                    ));
                }
                (None, Preset::Found(what, _)) => text.push_str(&format!("# {name}: {what}\n")),
                (None, _) => {}
            }
        }
    }
    Ok(text)
}

/// An address with its password masked, and secret parameters of its query too. Where a password has characters that an address may not
/// have, more than the password may be masked, and never less.
pub fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let (scheme, rest) = url.split_at(start);
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let has_odd_query = query.is_some_and(|query| query.contains('@'));
    let shown = match address.rsplit_once('@') {
        // The password may have a `?`.
        None if has_odd_query => return format!("{scheme}***"),
        None => address.to_owned(),
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{login}@{host}"),
        },
    };
    let query = query.map_or_else(String::new, |query| {
        if has_odd_query {
            return "?***".to_owned();
        }
        let shown = query.split('&').map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if value::is_secret(name) => format!("{name}=***"),
            _ => parameter.to_owned(),
        });
        format!("?{}", shown.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}{shown}{query}")
}

/// Of this machine or container.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "loyalty-worker".to_owned())
}
