//! A merchant's configuration as one JSON document. What its parts hold is what the commands hold.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::config::MerchantConfig;
use crate::domain::config::{ConfigContent, Settings};
use crate::domain::{ConfigObject, Instant, MerchantId, ObjectKind};

/// The fields of a command, by their names.
pub type Fields = Map<String, Value>;

/// A document as it is read.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Document {
    pub merchant_id: String,
    /// Its objects in their order, by kind.
    parts: BTreeMap<ObjectKind, Vec<Value>>,
    versions: Versions,
}

#[derive(Deserialize)]
struct Written {
    merchant_id: String,
    #[serde(default)]
    versions: BTreeMap<String, VersionsOfKind>,
    #[serde(flatten)]
    parts: Map<String, Value>,
}

/// The versions that were in force when a document was made; 0 for settings that nobody has sent.
type Versions = BTreeMap<ObjectKind, VersionsOfKind>;

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum VersionsOfKind {
    Settings(i64),
    Others(BTreeMap<String, i64>),
}

impl TryFrom<Written> for Document {
    type Error = String;

    fn try_from(Written { merchant_id, versions, parts }: Written) -> Result<Document, String> {
        let kind_of = |name: &str| {
            let known = ObjectKind::ALL.into_iter().find(|kind| kind.list() == name);
            known.ok_or_else(|| {
                format!("unknown field `{name}`, expected one of {}", ObjectKind::ALL.map(ObjectKind::list).join(", "))
            })
        };
        let mut document = Document { merchant_id, parts: BTreeMap::new(), versions: Versions::new() };
        for (name, part) in parts {
            let kind = kind_of(&name)?;
            let objects = match (kind, part) {
                (_, Value::Null) => Vec::new(),
                (ObjectKind::Settings, settings) => vec![settings],
                (_, Value::Array(objects)) => objects,
                _ => return Err(format!("{name} must be a list")),
            };
            document.parts.insert(kind, objects);
        }
        for (name, of_kind) in versions {
            let kind = kind_of(&name)?;
            if matches!(of_kind, VersionsOfKind::Settings(_)) != (kind == ObjectKind::Settings) {
                return Err(format!("versions.{name} must be as `config export` writes it"));
            }
            document.versions.insert(kind, of_kind);
        }
        Ok(document)
    }
}

impl Document {
    pub fn parts(&self, kind: ObjectKind) -> &[Value] {
        self.parts.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The version that an object had when the document was made, if it says that.
    pub fn version(&self, kind: ObjectKind, id: &str) -> Option<i64> {
        match self.versions.get(&kind)? {
            VersionsOfKind::Settings(version) => Some(*version),
            VersionsOfKind::Others(versions) => versions.get(id).copied(),
        }
    }
}

/// What time it is for a configuration: by this machine's clock, or later, if the brokers' has been ahead of it. What was made without an
/// `effective_from` is in force.
pub fn now(config: &MerchantConfig) -> Instant {
    let clock = Instant::from_micros(jiff::Timestamp::now().as_microsecond());
    config.objects().map(|object| object.recorded_at()).fold(clock, Ord::max)
}

/// What of a merchant's configuration is in force. Settings that are as they are at first are left out, and kinds of which there is none.
pub fn written(merchant: &MerchantId, config: &MerchantConfig, now: Instant) -> serde_json::Result<String> {
    let first = settings_fields(&MerchantConfig::default(), now);
    let settings = settings_fields(config, now);
    let settings: Fields = settings.into_iter().filter(|(name, value)| first.get(name) != Some(value)).collect();
    let mut versions: BTreeMap<&str, VersionsOfKind> = BTreeMap::new();
    versions.insert("settings", VersionsOfKind::Settings(version_at(config, ObjectKind::Settings, "", now)));

    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut text);
    let mut document = serializer.serialize_map(None)?;
    document.serialize_entry("merchant_id", merchant.as_str())?;
    document.serialize_entry("settings", &settings)?;
    for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Settings) {
        let objects = config.in_force(kind, now);
        if objects.is_empty() && kind != ObjectKind::Unit {
            continue;
        }
        document.serialize_entry(kind.list(), &objects.iter().map(ConfigObject::content).collect::<Vec<_>>())?;
        let of_kind = objects.iter().map(|object| (object.id().to_owned(), object.version())).collect();
        versions.insert(kind.list(), VersionsOfKind::Others(of_kind));
    }
    document.serialize_entry("versions", &versions)?;
    document.end()?;
    Ok(String::from_utf8(text).expect("JSON is written as UTF-8"))
}

/// The settings in force, or those that hold while there are none, as the fields of a command.
pub fn settings_fields(config: &MerchantConfig, now: Instant) -> Fields {
    match config.settings_at(now) {
        Some(version) => fields(&ConfigContent::Settings(&version.content)),
        None => fields(&ConfigContent::Settings(&Settings::default())),
    }
}

/// The version of an object that is in force; 0 for none.
pub fn version_at(config: &MerchantConfig, kind: ObjectKind, id: &str, now: Instant) -> i64 {
    in_force(config, kind, id, now).map_or(0, |object| object.version())
}

/// An object as it is in force.
pub fn in_force(config: &MerchantConfig, kind: ObjectKind, id: &str, now: Instant) -> Option<ConfigObject> {
    config.in_force(kind, now).into_iter().find(|object| object.id() == id)
}

/// What an object says, as the fields of a command.
pub fn fields(content: &ConfigContent<'_>) -> Fields {
    match serde_json::to_value(content) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => unreachable!("a command is a record, and the keys of its maps are texts"),
    }
}
