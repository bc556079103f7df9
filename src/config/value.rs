//! What a key takes: the kinds of values, how they are read from the file and from the environment, and how an error words it.

use std::collections::BTreeMap;

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text {
        min: usize,
        max: usize,
    },
    /// A part of names in Kafka.
    Name {
        min: usize,
    },
    Count {
        min: i64,
        max: i64,
    },
    Millis {
        min: i64,
        max: i64,
    },
    Flag,
    Choice(&'static [&'static str]),
    Address,
    PostgresUrl,
    HttpUrl,
    LogFilter,
    /// A table of text values.
    Properties,
    /// A table of ranges of lanes and the addresses of their databases. What is wrong in it, `lane_urls` says.
    LaneUrls,
}

/// A value as it was written, before it is known to be right.
#[derive(Debug, Clone)]
pub enum Written {
    Text(String),
    Integer(i64),
    Flag(bool),
    Table(BTreeMap<String, String>),
    /// Something else, by the name of its type.
    Other(&'static str),
    /// From the environment: text that stands for any of the others.
    Variable(String),
}

/// A value that is right for its kind.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    Table(BTreeMap<String, String>),
}

impl Kind {
    /// The value, or `None` when it is not of this kind.
    pub fn read(self, written: &Written) -> Option<Value> {
        match self {
            Kind::Count { min, max } | Kind::Millis { min, max } => {
                let number = match written {
                    Written::Integer(number) => *number,
                    Written::Variable(text) => text.trim().parse().ok()?,
                    _ => return None,
                };
                (min..=max).contains(&number).then_some(Value::Number(number))
            }
            Kind::Flag => match written {
                Written::Flag(flag) => Some(Value::Flag(*flag)),
                Written::Variable(text) => text.trim().parse().ok().map(Value::Flag),
                _ => None,
            },
            Kind::Properties | Kind::LaneUrls => match written {
                Written::Table(table) => Some(Value::Table(table.clone())),
                _ => None,
            },
            Kind::Text { .. }
            | Kind::Name { .. }
            | Kind::Choice(_)
            | Kind::Address
            | Kind::PostgresUrl
            | Kind::HttpUrl
            | Kind::LogFilter => match written {
                Written::Text(text) | Written::Variable(text) if self.accepts(text) => Some(Value::Text(text.clone())),
                _ => None,
            },
        }
    }

    /// What is expected, as a phrase.
    pub fn expectation(self) -> String {
        match self {
            Kind::Text { min, max } => format!("Text of {min} to {max} characters"),
            Kind::Name { min } => format!("Text of {min} to 200 characters out of letters, digits, `.`, `_` and `-`"),
            Kind::Count { min, max } => format!("A whole number from {min} to {max}"),
            Kind::Millis { min, max } => format!("A whole number of milliseconds from {min} to {max}"),
            Kind::Flag => "true or false".to_owned(),
            Kind::Choice(choices) => format!("One of {}", choices.join(", ")),
            Kind::Address => "An address and port such as 127.0.0.1:9464".to_owned(),
            Kind::PostgresUrl => {
                "postgres://user:password@host:port/database, without sslmode: postgres.tls says that; an @ in a name or password is %40"
                    .to_owned()
            }
            Kind::HttpUrl => "An address that begins with http:// or https://".to_owned(),
            Kind::LogFilter => "A filter such as info or info,loyalty_worker=debug".to_owned(),
            Kind::Properties => "A table of librdkafka's properties".to_owned(),
            Kind::LaneUrls => "A table of ranges of lanes and the addresses of their databases".to_owned(),
        }
    }

    /// How the environment says one entry of a table, behind the table's variable; `None`: it is no table.
    pub fn example_entry(self) -> Option<&'static str> {
        match self {
            Kind::Properties => Some("SECURITY__PROTOCOL=SASL_SSL"),
            Kind::LaneUrls => Some("0_15=postgres://loyalty:secret@db-1/loyalty"),
            _ => None,
        }
    }

    pub fn accepts(self, text: &str) -> bool {
        match self {
            Kind::Text { min, max } => {
                (min..=max).contains(&text.chars().count()) && !text.contains(char::is_control) && text.trim() == text
            }
            Kind::Name { min } => {
                (min..=200).contains(&text.len())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            }
            Kind::Choice(choices) => choices.contains(&text),
            Kind::Address => text.parse::<std::net::SocketAddr>().is_ok(),
            Kind::PostgresUrl => {
                (text.starts_with("postgres://") || text.starts_with("postgresql://"))
                    && text.parse::<tokio_postgres::Config>().is_ok_and(|config| config.get_hosts().iter().all(is_host))
            }
            Kind::HttpUrl => {
                ["http://", "https://"]
                    .iter()
                    .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
                    && !text.contains(char::is_whitespace)
            }
            Kind::LogFilter => {
                let is_level = |level: &str| {
                    ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_ascii_lowercase().as_str())
                };
                // A word by itself would be taken for a module's name: a level that is misspelt would switch all other lines off.
                let is_directive = |part: &str| is_level(part.rsplit_once('=').map_or(part, |(_, level)| level).trim());
                text.split(',').map(str::trim).all(is_directive)
                    && tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
            }
            Kind::Count { .. } | Kind::Millis { .. } | Kind::Flag | Kind::Properties | Kind::LaneUrls => false,
        }
    }
}

impl Written {
    /// As an error shows it; never called for a secret.
    pub fn shown(&self) -> String {
        match self {
            Written::Text(text) | Written::Variable(text) => {
                let short: String = text.chars().take(60).collect();
                format!("{short:?}")
            }
            Written::Integer(number) => number.to_string(),
            Written::Flag(flag) => flag.to_string(),
            Written::Table(_) => "a table".to_owned(),
            Written::Other(kind) => format!("a value of the type {kind}"),
        }
    }
}

/// A host that would hold a part of a password or of the query is none: it is shown in errors.
fn is_host(host: &tokio_postgres::config::Host) -> bool {
    match host {
        tokio_postgres::config::Host::Tcp(name) => !name.contains(['@', '&', '=']),
        tokio_postgres::config::Host::Unix(_) => true,
    }
}

/// Whether a property's name says that its value is secret.
pub(super) fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    ["password", "passphrase", "secret", "token", "key.pem", "jaas", "sasl.oauthbearer.config"]
        .iter()
        .any(|word| property.contains(word))
}

impl Value {
    /// In TOML, with passwords masked.
    pub fn shown(&self) -> String {
        let text = |text: &str| toml::Value::String(super::without_password(text)).to_string();
        match self {
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Text(value) => text(value),
            Value::Table(table) => {
                let entry = |(name, value): (&String, &String)| {
                    let value = if is_secret(name) { "\"***\"".to_owned() } else { text(value) };
                    format!("{name:?} = {value}")
                };
                let entries: Vec<String> = table.iter().map(entry).collect();
                if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
            }
        }
    }

    /// These state which kind the key was declared with; the loader has checked it.
    pub fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => unreachable!("declared as text, read as {other:?}"),
        }
    }

    pub fn count(self) -> usize {
        match self {
            Value::Number(number) => usize::try_from(number).expect("counts are declared with a minimum of 0 or more"),
            other => unreachable!("declared as a count, read as {other:?}"),
        }
    }

    pub fn millis(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.count() as u64)
    }

    pub fn flag(self) -> bool {
        match self {
            Value::Flag(flag) => flag,
            other => unreachable!("declared as a flag, read as {other:?}"),
        }
    }

    pub fn table(self) -> BTreeMap<String, String> {
        match self {
            Value::Table(table) => table,
            other => unreachable!("declared as a table, read as {other:?}"),
        }
    }
}
