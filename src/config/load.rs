//! Reads the settings: the defaults, over them the file, over it the environment. Whatever is wrong is named, all of it at once,
//! with where it stands; the value of a secret never is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{DEFAULT_FILE, KEYS, Key, Preset};
use super::lane_urls;
use super::passthrough::check_passthrough;
use super::value::{Kind, Value, Written};

/// Settings that the worker can't start with.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{path} cannot be read: {error}", path = .path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{origin} is not TOML: {message}")]
    Syntax { origin: Origin, message: String },
    #[error("{origin}: there is no setting {key}{}", did_you_mean(.nearest))]
    Unknown { key: String, origin: Origin, nearest: Option<String> },
    #[error("{origin}: {key} is not right. Expected: {expected}{}", but_found(.found))]
    Wrong {
        key: String,
        origin: Origin,
        expected: String,
        /// `None` for a secret.
        found: Option<String>,
    },
    #[error(
        "{} must be set: in {} as `{} = {}` under [{}], or as {} in the environment",
        .key.path(), .file.display(), .key.name, example(.key), .key.section, .key.variable()
    )]
    Missing { key: &'static Key, file: PathBuf },
    /// A table with something wrong in it.
    #[error("{origin}: {key}: {why}")]
    Refused { key: String, origin: Origin, why: String },
    #[error("{origin}: {key} is set, and so is {other}: only one of them may be")]
    Both { key: String, other: String, origin: Origin },
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File { path: PathBuf, line: usize },
    Environment { variable: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Origin::Environment { variable } => write!(f, "the environment's {variable}"),
        }
    }
}

/// The value of every key.
pub(super) struct Values(BTreeMap<(&'static str, &'static str), Value>);

impl Values {
    pub(super) fn take(&mut self, section: &'static str, name: &'static str) -> Option<Value> {
        self.0.remove(&(section, name))
    }
}

/// Loads all values; those with a [`Preset::Found`] default that nobody set are absent, and those in whose place another is set.
pub(super) fn load(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Values, ConfigError> {
    let mut loader = Loader { written: BTreeMap::new(), problems: Vec::new() };
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(file) {
        Ok(text) => loader.file(file, &text),
        Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => loader.problems.push(Problem::Unreadable { path: file.to_owned(), error }),
    }
    for (variable, text) in environment {
        loader.variable(variable, text);
    }
    loader.finish(file)
}

struct Loader {
    written: BTreeMap<(&'static str, &'static str), (Written, Origin)>,
    problems: Vec<Problem>,
}

impl Loader {
    fn file(&mut self, path: &Path, text: &str) {
        let origin_at = |offset: usize| Origin::File {
            path: path.to_owned(),
            line: text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1,
        };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                // Only the parser's own words: its full display quotes the line, which may hold a password.
                let origin = origin_at(error.span().map_or(0, |span| span.start));
                self.problems.push(Problem::Syntax { origin, message: error.message().to_owned() });
                return;
            }
        };
        for (section, content) in &table {
            let origin = origin_at(section.span().start);
            let section = section.get_ref().as_ref();
            let Some(keys) = content.get_ref().as_table() else {
                self.unknown(section.to_owned(), origin);
                continue;
            };
            if !KEYS.iter().any(|key| key.section == section) {
                self.unknown(section.to_owned(), origin);
                continue;
            }
            for (name, value) in keys {
                let origin = origin_at(name.span().start);
                let name = name.get_ref().as_ref();
                match Key::find(section, name) {
                    Some(key) => {
                        self.written.insert((key.section, key.name), (written(value.get_ref()), origin));
                    }
                    None => self.unknown(format!("{section}.{name}"), origin),
                }
            }
        }
    }

    /// Takes the variables that name a key. Others that begin with LOYALTY_ are left alone, since Kubernetes makes such for a service of
    /// that name, unless they are a key's but for an underscore.
    fn variable(&mut self, variable: String, text: String) {
        let Some(rest) = variable.strip_prefix("LOYALTY_") else { return };
        let origin = Origin::Environment { variable: variable.clone() };
        if let Some(property) = rest.strip_prefix("KAFKA__PROPERTIES__") {
            let property = property.to_lowercase().replace("__", ".");
            if let Some(why) = refused(&property, &text) {
                self.problems.push(Problem::Refused { key: "kafka.properties".to_owned(), origin, why });
            } else {
                self.insert(("kafka", "properties"), origin, property, text);
            }
            return;
        }
        if let Some(range) = rest.strip_prefix("POSTGRES__LANE_URLS__") {
            return self.insert(("postgres", "lane_urls"), origin, range.replace('_', "-"), text);
        }
        if let Some(key) = KEYS.iter().find(|key| key.variable() == variable) {
            if let Some(entry) = key.kind.example_entry() {
                let why = format!("the environment sets a table's entries one by one, such as {variable}__{entry}");
                self.problems.push(Problem::Refused { key: key.path(), origin, why });
            } else {
                self.written.insert((key.section, key.name), (Written::Variable(text), origin));
            }
        } else if rest.contains("__") {
            self.unknown(rest.to_lowercase().replacen("__", ".", 1), origin);
        } else if let Some(key) = KEYS.iter().find(|key| key.variable().replace("__", "_") == variable) {
            let nearest = Some(key.variable());
            self.problems.push(Problem::Unknown { key: variable, origin, nearest });
        }
    }

    /// Adds to a table. Where the file's value is none, that is reported.
    fn insert(&mut self, id: (&'static str, &'static str), origin: Origin, name: String, text: String) {
        let table = self.written.entry(id).or_insert_with(|| (Written::Table(BTreeMap::new()), origin));
        if let (Written::Table(table), _) = table {
            table.insert(name, text);
        }
    }

    fn unknown(&mut self, key: String, origin: Origin) {
        let nearest = KEYS
            .iter()
            .map(Key::path)
            .map(|path| (distance(&path, &key), path))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, path)| match &origin {
                Origin::File { .. } => path,
                Origin::Environment { .. } => format!("LOYALTY_{}", path.replacen('.', "__", 1).to_uppercase()),
            });
        self.problems.push(Problem::Unknown { key, origin, nearest });
    }

    fn finish(mut self, file: &Path) -> Result<Values, ConfigError> {
        let mut values = BTreeMap::new();
        // An empty table is as good as none.
        let is_set = |written: &Written| !matches!(written, Written::Table(table) if table.is_empty());
        let set: BTreeSet<_> =
            self.written.iter().filter(|(_, (written, _))| is_set(written)).map(|(id, _)| *id).collect();
        for key in &KEYS {
            let id = (key.section, key.name);
            let instead = match key.default {
                Preset::RequiredUnless(other, _) => {
                    Key::find(key.section, other).filter(|_| set.contains(&(key.section, other)))
                }
                _ => None,
            };
            match self.written.remove(&id) {
                Some((written, origin)) => {
                    if let Some(other) = instead {
                        let (key, other, origin) = (key.path(), other.path(), origin.clone());
                        self.problems.push(Problem::Both { key, other, origin });
                    }
                    for why in refusals(key, &written, &origin) {
                        self.problems.push(Problem::Refused { key: key.path(), origin: origin.clone(), why });
                    }
                    match key.kind.read(&written) {
                        Some(value) => {
                            values.insert(id, value);
                        }
                        None => self.problems.push(Problem::Wrong {
                            key: key.path(),
                            origin,
                            expected: key.kind.expectation(),
                            found: (!key.secret).then(|| written.shown()),
                        }),
                    }
                }
                None => match key.default {
                    Preset::Value(toml) => {
                        values.insert(id, preset(key, toml));
                    }
                    Preset::RequiredUnless(..) if instead.is_some() => {}
                    Preset::Required(_) | Preset::RequiredUnless(..) => {
                        self.problems.push(Problem::Missing { key, file: file.to_owned() })
                    }
                    Preset::Found(..) => {}
                },
            }
        }
        if self.problems.is_empty() { Ok(Values(values)) } else { Err(ConfigError { problems: self.problems }) }
    }
}

/// A declared default, read as the file would be.
fn preset(key: &Key, toml: &str) -> Value {
    let value = DeValue::parse(toml).expect("defaults are declared in TOML; a test loads them all");
    key.kind.read(&written(value.get_ref())).expect("defaults are of their key's kind; a test loads them all")
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.as_ref().to_owned()),
        DeValue::Boolean(flag) => Written::Flag(*flag),
        DeValue::Integer(number) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
            Ok(number) => Written::Integer(number),
            Err(_) => Written::Other("integer beyond 64 bits"),
        },
        DeValue::Table(table) => {
            table_of_text(table).map_or(Written::Other("table with other than text"), Written::Table)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) => Written::Other(value.type_str()),
    }
}

/// Properties may be written as numbers and booleans too: librdkafka takes text for all.
fn table_of_text(table: &DeTable<'_>) -> Option<BTreeMap<String, String>> {
    table
        .iter()
        .map(|(name, value)| {
            let text = match value.get_ref() {
                DeValue::String(text) => text.as_ref().to_owned(),
                DeValue::Integer(number) => number.as_str().to_owned(),
                DeValue::Boolean(flag) => flag.to_string(),
                _ => return None,
            };
            Some((name.get_ref().as_ref().to_owned(), text))
        })
        .collect()
}

/// What is wrong within a table. The environment's properties have been tried already, each with its variable's name.
fn refusals(key: &Key, written: &Written, origin: &Origin) -> Vec<String> {
    match (written, key.kind, origin) {
        (Written::Table(properties), Kind::Properties, Origin::File { .. }) => {
            properties.iter().filter_map(|(property, value)| refused(property, value)).collect()
        }
        (Written::Table(urls), Kind::LaneUrls, _) => lane_urls::ranges(urls).err().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Why a property can't be passed through. Each is tried by itself, so that what is wrong has a name and a place.
fn refused(property: &str, value: &str) -> Option<String> {
    check_passthrough(&BTreeMap::from([(property.to_owned(), value.to_owned())])).err()
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(nearest) => format!(". Did you mean {nearest}?"),
        None => ". `loyalty-worker config default` prints all settings".to_owned(),
    }
}

fn but_found(found: &Option<String>) -> String {
    found.as_ref().map_or(String::new(), |found| format!("; found: {found}"))
}

fn example(key: &Key) -> &'static str {
    match key.default {
        Preset::Required(example) | Preset::Value(example) => example,
        Preset::RequiredUnless(_, example) | Preset::Found(_, example) => example,
    }
}

/// Levenshtein's: how many letters lie between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
