//! A merchant's configuration as one JSON document. What its parts hold is what the commands hold: only the codec knows their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codec::{config_command, wire};
use crate::domain::config::objects::{Object, ObjectKind, ObjectVersion};
use crate::domain::config::{MerchantConfig, Settings, UnitVersion};
use crate::domain::{Instant, MerchantId, UnitId};

/// The fields of a command, by their names.
pub type Fields = Map<String, Value>;

/// A document as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub merchant_id: String,
    pub settings: Option<Value>,
    #[serde(default)]
    pub units: Vec<Value>,
    #[serde(default)]
    pub tiers: Vec<Value>,
    #[serde(default)]
    pub cards: Vec<Value>,
    #[serde(default)]
    pub programmes: Vec<Value>,
    #[serde(default)]
    pub versions: Versions,
}

impl Document {
    /// Its objects of a kind.
    pub fn objects(&self, kind: ObjectKind) -> &[Value] {
        match kind {
            ObjectKind::Tier => &self.tiers,
            ObjectKind::Card => &self.cards,
            ObjectKind::Programme => &self.programmes,
        }
    }
}

/// Where a document has its objects of a kind.
pub fn list_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Tier => "tiers",
        ObjectKind::Card => "cards",
        ObjectKind::Programme => "programmes",
    }
}

/// The versions that were in force when a document was made; 0 for settings that nobody has sent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    pub settings: Option<i64>,
    #[serde(default)]
    pub units: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cards: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programmes: BTreeMap<String, i64>,
}

impl Versions {
    pub fn object(&self, kind: ObjectKind, id: &str) -> Option<i64> {
        let of_kind = match kind {
            ObjectKind::Tier => &self.tiers,
            ObjectKind::Card => &self.cards,
            ObjectKind::Programme => &self.programmes,
        };
        of_kind.get(id).copied()
    }
}

/// A document as it is written. Its units and objects keep the order of the schema.
#[derive(Serialize)]
struct Written<'a> {
    merchant_id: &'a str,
    settings: Fields,
    units: Vec<wire::Unit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<PlainObject>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cards: Vec<PlainObject>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programmes: Vec<PlainObject>,
    versions: Versions,
}

/// An object's fields, without the name of its kind.
#[derive(Serialize)]
#[serde(untagged)]
enum PlainObject {
    Tier(wire::Tier),
    Card(wire::Card),
    Programme(wire::Programme),
}

impl PlainObject {
    fn of(id: &str, object: &Object) -> PlainObject {
        match config_command::object(id, object) {
            wire::ConfigBody::Tier(tier) => PlainObject::Tier(tier),
            wire::ConfigBody::Card(card) => PlainObject::Card(card),
            wire::ConfigBody::Programme(programme) => PlainObject::Programme(programme),
            wire::ConfigBody::Settings(_) | wire::ConfigBody::Unit(_) => unreachable!("an object is neither"),
        }
    }
}

/// What time it is for a configuration: by this machine's clock, or later, if the brokers' has been ahead of it. What was made without an
/// `effective_from` is in force.
pub fn now(config: &MerchantConfig) -> Instant {
    let settings = config.settings.iter().map(|version| version.recorded_at);
    let units = config.units.values().flatten().map(|version| version.recorded_at);
    let objects = config.objects.values().flat_map(BTreeMap::values).flatten().map(|version| version.recorded_at);
    let clock = Instant::from_micros(jiff::Timestamp::now().as_microsecond());
    settings.chain(units).chain(objects).fold(clock, Ord::max)
}

/// What of a merchant's configuration is in force. Settings that are as they are at first are left out.
pub fn written(merchant: &MerchantId, config: &MerchantConfig, now: Instant) -> serde_json::Result<String> {
    let first = settings_fields(&MerchantConfig::default(), now);
    let in_force = config.units.keys().filter_map(|unit| Some((unit, config.unit_at(unit, now)?)));
    let in_force: Vec<(&UnitId, &Arc<UnitVersion>)> = in_force.collect();
    let objects = |kind| -> Vec<(&str, &Arc<ObjectVersion>)> {
        let ids = config.objects_of(kind).map(|(id, _)| id);
        ids.filter_map(|id| Some((id, config.object_at(kind, id, now)?))).collect()
    };
    let plain = |kind| objects(kind).into_iter().map(|(id, version)| PlainObject::of(id, &version.object)).collect();
    let versions = |kind| objects(kind).into_iter().map(|(id, version)| (id.to_owned(), version.version)).collect();
    serde_json::to_string_pretty(&Written {
        merchant_id: merchant.as_str(),
        settings: settings_fields(config, now)
            .into_iter()
            .filter(|(name, value)| first.get(name) != Some(value))
            .collect(),
        units: in_force.iter().map(|(unit, version)| config_command::unit(unit, version)).collect(),
        tiers: plain(ObjectKind::Tier),
        cards: plain(ObjectKind::Card),
        programmes: plain(ObjectKind::Programme),
        versions: Versions {
            tiers: versions(ObjectKind::Tier),
            cards: versions(ObjectKind::Card),
            programmes: versions(ObjectKind::Programme),
            settings: Some(settings_version(config, now)),
            units: in_force.iter().map(|(unit, version)| (unit.to_string(), version.version)).collect(),
        },
    })
}

/// The settings in force, or those that hold while there are none, as the fields of a command.
pub fn settings_fields(config: &MerchantConfig, now: Instant) -> Fields {
    let in_force = config.settings_at(now).map(|version| config_command::settings(&version.settings));
    let mut fields = fields(&in_force.unwrap_or_else(|| config_command::settings(&Settings::default())));
    // They say something of other fields, and no version holds them.
    fields.remove("preset");
    fields.remove("clear");
    fields
}

pub fn settings_version(config: &MerchantConfig, now: Instant) -> i64 {
    config.settings_at(now).map_or(0, |version| version.version)
}

/// A unit as the fields of a command.
pub fn unit_fields(unit: &UnitId, version: &UnitVersion) -> Fields {
    fields(&config_command::unit(unit, version))
}

/// A tier, a card or a programme as the fields of a command.
pub fn object_fields(id: &str, object: &Object) -> Fields {
    fields(&PlainObject::of(id, object))
}

fn fields(command: &impl Serialize) -> Fields {
    match serde_json::to_value(command) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => unreachable!("a command is a record, and the keys of its maps are texts"),
    }
}
