//! Every key of the settings, declared once: what it is called, what it takes, what it is when nobody sets it. The loader, its
//! errors and the commented default file are all made from this table.

use super::value::Kind;

/// One key of the settings.
#[derive(Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub default: Preset,
    /// What it does and why one would change it, for the default file.
    pub doc: &'static str,
    /// Its value never stands in an error or a log.
    pub secret: bool,
}

/// What a key is when neither the file nor the environment sets it.
#[derive(Debug, Clone, Copy)]
pub enum Preset {
    /// It must be set; the text is an example, in TOML.
    Required(&'static str),
    /// It or the section's other key of that name must be set, and not both; the text is an example, in TOML.
    RequiredUnless(&'static str, &'static str),
    /// In TOML.
    Value(&'static str),
    /// Found at the start: what it is, and an example in TOML.
    Found(&'static str, &'static str),
}

/// The name of the file that is read from the working directory when no other is named.
pub const DEFAULT_FILE: &str = "loyalty-worker.toml";

/// Sections with what they are about, in the order of the default file.
pub const SECTIONS: [(&str, &str); 7] = [
    ("kafka", "Where commands come from and results go."),
    ("postgres", "Where customers, accounts and the ledger are kept."),
    ("registry", "The schema registry, with Confluent's API, that the Avro schemas are looked up in."),
    ("output", "What is published for others."),
    ("worker", "How the worker takes its batches. The defaults suit most."),
    ("http", "/metrics, /live and /ready."),
    ("log", "What is written to standard error."),
];

pub const KEYS: [Key; 24] = [
    Key {
        section: "kafka",
        name: "bootstrap_servers",
        kind: Kind::Text { min: 1, max: 4096 },
        default: Preset::Required("\"127.0.0.1:9092\""),
        doc: "The brokers to begin with, as host:port, separated by commas.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "group",
        kind: Kind::Name { min: 1 },
        default: Preset::Value("\"loyalty-worker\""),
        doc: "The consumer group, and the stem of the transactional ids, `<group>.<lane>`. The lanes in the database are bound to it: all \
              workers of one installation have the same, two installations on one cluster have different ones.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "topic_prefix",
        kind: Kind::Name { min: 0 },
        default: Preset::Value("\"loyalty.\""),
        doc: "What every topic's name begins with: `loyalty.` makes loyalty.credit, loyalty.results and so on.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "client_id",
        kind: Kind::Text { min: 1, max: 249 },
        default: Preset::Found("the host's name", "\"loyalty-worker-0\""),
        doc: "What brokers and their logs call this worker. It should be the same after a restart: the pod's or the host's name.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "instance_id",
        kind: Kind::Text { min: 0, max: 249 },
        default: Preset::Found("kafka.client_id", "\"loyalty-worker-0\""),
        doc: "The name of this worker in its group (group.instance.id). A worker that crashes and is started again under the same name takes \
              its own lanes at once, without waiting for a session to end. Each worker needs a name of its own: of two with one name the \
              older ends. Empty: a new member at each start.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "development",
        kind: Kind::Flag,
        default: Preset::Value("false"),
        doc: "Allows topics that would lose commands with a single disk (min.insync.replicas below 2). For one broker on a desk, never \
              for production.",
        secret: false,
    },
    Key {
        section: "kafka",
        name: "properties",
        kind: Kind::Properties,
        default: Preset::Value("{}"),
        doc: "Passed to librdkafka as they are, for TLS and SASL above all: {\"security.protocol\" = \"SASL_SSL\"}. Those that the guarantees \
              rest on are refused. In the environment a dot is two underscores: LOYALTY_KAFKA__PROPERTIES__SASL__PASSWORD is \
              `sasl.password`.",
        secret: true,
    },
    Key {
        section: "postgres",
        name: "url",
        kind: Kind::PostgresUrl,
        default: Preset::RequiredUnless("lane_urls", "\"postgres://loyalty:secret@127.0.0.1:5432/loyalty\""),
        doc: "The database. Better set in the environment, for the password in it.",
        secret: true,
    },
    Key {
        section: "postgres",
        name: "lane_urls",
        kind: Kind::LaneUrls,
        default: Preset::Value("{}"),
        doc: "Several databases in place of postgres.url, each with a range of lanes: {\"0-15\" = \"postgres://loyalty:secret@db-1/loyalty\", \
              \"16-31\" = \"postgres://loyalty:secret@db-2/loyalty\"}. The ranges have every lane once, and are the same for all workers. A \
              merchant is where its lane is, so a range never changes without its rows: see docs/scaling.md. In the environment a range \
              has an underscore: LOYALTY_POSTGRES__LANE_URLS__0_15.",
        secret: true,
    },
    Key {
        section: "postgres",
        name: "pool_size",
        kind: Kind::Count { min: 3, max: 1000 },
        default: Preset::Value("40"),
        doc: "Connections that this worker opens at most, to each database. It needs one for each of its lanes, all of which this worker may \
              come to hold when the others are gone, and two more.",
        secret: false,
    },
    Key {
        section: "postgres",
        name: "tls",
        kind: Kind::Choice(&["disable", "verify-full"]),
        default: Preset::Value("\"disable\""),
        doc: "verify-full: speak TLS, and verify the server's certificate and its name. disable: over a network that is trusted only.",
        secret: false,
    },
    Key {
        section: "postgres",
        name: "tls_ca_file",
        kind: Kind::Text { min: 1, max: 4096 },
        default: Preset::Found("the system's authorities", "\"/etc/loyalty-worker/postgres-ca.pem\""),
        doc: "The authorities that may vouch for Postgres, in PEM, in place of the system's.",
        secret: false,
    },
    Key {
        section: "registry",
        name: "url",
        kind: Kind::HttpUrl,
        default: Preset::Required("\"http://127.0.0.1:8080/apis/ccompat/v7\""),
        doc: "The root of the registry's API. User and password may stand in it. With https:// its certificate is verified.",
        secret: true,
    },
    Key {
        section: "registry",
        name: "tls_ca_file",
        kind: Kind::Text { min: 1, max: 4096 },
        default: Preset::Found("the system's authorities", "\"/etc/loyalty-worker/registry-ca.pem\""),
        doc: "The authorities that may vouch for the registry, in PEM, in place of the system's.",
        secret: false,
    },
    Key {
        section: "output",
        name: "encoding",
        kind: Kind::Choice(&["avro", "json"]),
        default: Preset::Value("\"avro\""),
        doc: "How results, events and customers are written: as Avro in Confluent's wire format, or as JSON of the same shape. It may be \
              changed at any time: who reads both tells them by the first byte. The journal is always Avro.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "max_batch_commands",
        kind: Kind::Count { min: 1, max: 100_000 },
        default: Preset::Value("2000"),
        doc: "Commands that one batch takes at most. A batch is never waited for: it takes what is there.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "max_due_per_batch",
        kind: Kind::Count { min: 1, max: 100_000 },
        default: Preset::Value("500"),
        doc: "Customers with expired lots, whom nobody touched, and commands that have waited in vain: so many of each one batch settles at most.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "tick_interval_ms",
        kind: Kind::Millis { min: 100, max: 60_000 },
        default: Preset::Value("2000"),
        doc: "Milliseconds between two ticks of a lane. Ticks carry time into it while no commands come.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "silent_topic_patience_ms",
        kind: Kind::Millis { min: 100, max: 600_000 },
        default: Preset::Value("5000"),
        doc: "Milliseconds to wait for a topic that brings nothing although the broker holds more of it, before the lane goes on without it.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "max_unpublished_batches",
        kind: Kind::Count { min: 1, max: 64 },
        default: Preset::Value("2"),
        doc: "Batches that may be applied in Postgres and not yet published in Kafka. More of them overlap better and take longer to \
              recover. A batch of fewer commands than max_batch_commands waits for those before it in any case.",
        secret: false,
    },
    Key {
        section: "worker",
        name: "shutdown_timeout_ms",
        kind: Kind::Millis { min: 1000, max: 600_000 },
        default: Preset::Value("20000"),
        doc: "Milliseconds that a lane may take to publish what it has applied after SIGTERM. The group is left when \
              all lanes have ended, or all but those that hang, and after 6 s at the latest if any has; a lane that hangs in Postgres or \
              Kafka is ended at the end of this time.",
        secret: false,
    },
    Key {
        section: "http",
        name: "listen",
        kind: Kind::Address,
        default: Preset::Value("\"127.0.0.1:9464\""),
        doc: "Where to listen; port 0 takes a free one. In a container: 0.0.0.0:9464.",
        secret: false,
    },
    Key {
        section: "log",
        name: "format",
        kind: Kind::Choice(&["text", "json"]),
        default: Preset::Value("\"text\""),
        doc: "\"text\" for people, \"json\" for log collectors: one object per line.",
        secret: false,
    },
    Key {
        section: "log",
        name: "filter",
        kind: Kind::LogFilter,
        default: Preset::Value("\"info\""),
        doc: "error, warn, info, debug or trace, also per module: \"info,loyalty_worker::kafka=debug\". At info stands what an operator acts \
              on. Personal data is never logged, at no level.",
        secret: false,
    },
];

impl Key {
    /// `section.name`, as errors call it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that overrides it.
    pub fn variable(&self) -> String {
        format!("LOYALTY_{}__{}", self.section, self.name).to_uppercase()
    }

    pub fn find(section: &str, name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.section == section && key.name == name)
    }
}

/// The default file: every key with its explanation, commented out.
pub fn default_file() -> String {
    let mut text = String::from(
        "# The settings of loyalty-worker, all with their defaults. `loyalty-worker config default` prints this file.\n\
         #\n\
         # It is read from ./loyalty-worker.toml, or from where --config says. An environment variable overrides each key:\n\
         # LOYALTY_<SECTION>__<KEY>, with two underscores between them. Unknown keys stop the start.\n",
    );
    for (section, about) in SECTIONS {
        text.push_str(&format!("\n# {about}\n[{section}]\n"));
        for key in KEYS.iter().filter(|key| key.section == section) {
            text.push('\n');
            wrap(&mut text, key.doc);
            let (state, value) = match key.default {
                Preset::Required(example) => ("must be set".to_owned(), example),
                Preset::RequiredUnless(other, example) => (format!("must be set, unless {other} is"), example),
                Preset::Value(value) => (format!("default {value}"), value),
                Preset::Found(what, example) => (format!("default {what}"), example),
            };
            wrap(&mut text, &format!("{}; {state}.", key.kind.expectation()));
            wrap(&mut text, &format!("Environment: {}", variable_pattern(key)));
            text.push_str(&format!("#{} = {value}\n", key.name));
        }
    }
    text
}

fn variable_pattern(key: &Key) -> String {
    match key.kind {
        Kind::Properties => format!("{}__<PROPERTY>", key.variable()),
        Kind::LaneUrls => format!("{}__<FIRST>_<LAST>", key.variable()),
        _ => key.variable(),
    }
}

/// Appends a sentence as comment lines of at most 110 characters.
fn wrap(text: &mut String, sentence: &str) {
    let mut line = String::from("#");
    for word in sentence.split_whitespace() {
        if line.len() + word.len() >= 110 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
