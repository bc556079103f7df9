//! What must change for a merchant's configuration to be what a document says.
//!
//! A document is put before the worker's own decoder and rules, in memory, on top of what the database has. So it is read, refused and
//! normalised as its commands would be, and the difference is between what is in force and what they would make. Like the commands, it
//! leaves what is scheduled to its time.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Document, Fields, list_of, object_fields, settings_fields, settings_version, unit_fields};
use crate::cli::CliError;
use crate::codec::Decoder;
use crate::domain::case::Moment;
use crate::domain::command::{Body, Content};
use crate::domain::config::MerchantConfig;
use crate::domain::config::objects::ObjectKind;
use crate::domain::decide::{Judged, judge};
use crate::domain::{Book, CommandTopic, Instant, MerchantId, Position, Rejection, UnitId, lookup_key};
use crate::record::{Headers, InboundRecord};

/// Who sends, in the envelope.
const SOURCE: &str = "config-apply";

#[derive(Debug, Default)]
pub struct Difference {
    /// In the order in which they are to be sent.
    pub changes: Vec<Change>,
    /// What is in force and the document does not name. It stays.
    pub left_alone: Vec<String>,
    /// What waits for its time. It still comes.
    pub scheduled: Vec<String>,
}

/// One command that is needed.
#[derive(Debug)]
pub struct Change {
    /// `settings`, `unit points`, `tier gold`.
    pub object: String,
    /// Field by field, for people.
    pub lines: Vec<String>,
    /// The version that the change is made for: the document's word, or else the one in force.
    made_for: i64,
    in_force: i64,
    /// What the command names. It is the one in force, unless others wait behind it.
    latest: i64,
    command: Value,
}

impl Change {
    /// Why it must not be sent: the document was made for another version.
    pub fn conflict(&self) -> Option<String> {
        let Change { object, made_for, in_force, .. } = self;
        (made_for != in_force).then(|| {
            format!("{object}: the file was made for version {made_for}, and version {in_force} is in force now")
        })
    }

    /// The record's value. The same change of the same version has the same idempotency key, so that it can be sent again at any time.
    pub fn record(&self, merchant: &MerchantId) -> Vec<u8> {
        let content = json!([self.command, self.latest]).to_string();
        let key = format!("apply-{}", Uuid::from_bytes(lookup_key(&[content.as_str()])).simple());
        value(merchant, &key, &self.command, Some(self.latest))
    }
}

/// Compares a document with what its merchant has now. The error names every field that is not right; nothing has been sent.
pub fn difference(
    document: &Document,
    config: &MerchantConfig,
    now: Instant,
    decoder: &Decoder,
) -> Result<Difference, CliError> {
    let merchant = MerchantId::new(document.merchant_id.as_str());
    let (Named { units, objects }, made) = tried(document, &merchant, config, now, decoder)?;
    let mut difference = Difference { scheduled: scheduled(config, now), ..Difference::default() };

    let object_changes = |is_wanted: fn(ObjectKind) -> bool| {
        let wanted = objects.iter().filter(move |(kind, _)| is_wanted(*kind));
        wanted.filter_map(|(kind, id)| object_change(document, config, &made, *kind, id, now)).collect::<Vec<_>>()
    };
    difference.changes.extend(object_changes(|kind| kind == ObjectKind::Tier));
    let (before, after) = (settings_fields(config, now), settings_fields(&made, now));
    let patch = differing(&before, &after);
    let is_first = config.is_empty() && document.settings.is_some();
    if !patch.is_empty() || is_first {
        let in_force = settings_version(config, now);
        difference.changes.push(Change {
            object: "settings".to_owned(),
            lines: if patch.is_empty() { vec!["settings: new".to_owned()] } else { lines("settings", &before, &patch) },
            made_for: document.versions.settings.unwrap_or(in_force),
            in_force,
            latest: config.latest_settings().map_or(0, |latest| latest.version),
            command: tagged("settings", clearing(patch)),
        });
    }
    let first = settings_fields(&MerchantConfig::default(), now);
    let names = |field: &str| {
        let settings = document.settings.as_ref();
        settings.and_then(|settings| settings.get(field)).is_some_and(|value| !value.is_null())
    };
    let stay = before.iter().filter(|(field, value)| {
        first.get(*field) != Some(*value) && after.get(*field) == Some(*value) && !names(field.as_str())
    });
    difference.left_alone.extend(stay.map(|(field, _)| format!("settings.{field}")));

    for unit in &units {
        let Some(after) = made.unit_at(unit, now).map(|version| unit_fields(unit, version)) else { continue };
        let in_force = config.unit_at(unit, now);
        let object = format!("unit {unit}");
        let lines = match in_force {
            Some(version) => {
                let before = unit_fields(unit, version);
                lines(&object, &before, &differing(&before, &after))
            }
            None => vec![format!("{object}: new")],
        };
        if lines.is_empty() {
            continue;
        }
        let in_force = in_force.map_or(0, |version| version.version);
        let made_for = document.versions.units.get(unit.as_str()).copied().unwrap_or(in_force);
        let latest = config.latest_unit(unit).map_or(0, |latest| latest.version);
        difference.changes.push(Change { object, lines, made_for, in_force, latest, command: tagged("unit", after) });
    }
    let others = config.units.keys().filter(|unit| !units.contains(unit));
    difference.left_alone.extend(others.map(|unit| format!("unit {unit}")));

    difference.changes.extend(object_changes(|kind| kind != ObjectKind::Tier));
    let all = ObjectKind::ALL.into_iter().flat_map(|kind| config.objects_of(kind).map(move |(id, _)| (kind, id)));
    let others = all.filter(|(kind, id)| !objects.iter().any(|named| (named.0, named.1.as_str()) == (*kind, *id)));
    difference.left_alone.extend(others.map(|(kind, id)| format!("{} {id}", kind.name())));
    Ok(difference)
}

/// The command for an object that is new or differs.
fn object_change(
    document: &Document,
    config: &MerchantConfig,
    made: &MerchantConfig,
    kind: ObjectKind,
    id: &str,
    now: Instant,
) -> Option<Change> {
    let after = object_fields(id, &made.object_at(kind, id, now)?.object);
    let object = format!("{} {id}", kind.name());
    let in_force = config.object_at(kind, id, now);
    let lines = match in_force {
        Some(version) => {
            let before = object_fields(id, &version.object);
            lines(&object, &before, &differing(&before, &after))
        }
        None => vec![format!("{object}: new")],
    };
    let in_force = in_force.map_or(0, |version| version.version);
    let made_for = document.versions.object(kind, id).unwrap_or(in_force);
    let latest = config.object_versions(kind, id).last().map_or(0, |latest| latest.version);
    let command = tagged(kind.name(), after);
    (!lines.is_empty()).then_some(Change { object, lines, made_for, in_force, latest, command })
}

fn scheduled(config: &MerchantConfig, now: Instant) -> Vec<String> {
    let settings = config.settings_after(now);
    let settings = settings.iter().map(|version| format!("settings from {}", version.effective_from));
    let units = config.units.keys().flat_map(|unit| {
        let waiting = config.unit_after(unit, now);
        waiting.into_iter().map(move |version| format!("unit {unit} from {}", version.effective_from))
    });
    let ids = ObjectKind::ALL.into_iter().flat_map(|kind| config.objects_of(kind).map(move |(id, _)| (kind, id)));
    let objects = ids.flat_map(|(kind, id)| {
        let waiting = config.object_after(kind, id, now);
        waiting.into_iter().map(move |version| format!("{} {id} from {}", kind.name(), version.effective_from))
    });
    settings.chain(units).chain(objects).collect()
}

/// What a document names, in its order.
#[derive(Default)]
struct Named {
    units: Vec<UnitId>,
    objects: Vec<(ObjectKind, String)>,
}

/// The document's commands, applied to a copy of what there is: what they name, and what they make. Tiers come first, since settings and
/// programmes name them, and units before the programmes.
fn tried(
    document: &Document,
    merchant: &MerchantId,
    config: &MerchantConfig,
    now: Instant,
    decoder: &Decoder,
) -> Result<(Named, MerchantConfig), CliError> {
    let mut trial = Trial { decoder, merchant, now, book: Book::default(), tried: 0 };
    trial.book.configs.insert(merchant.clone(), config.clone());
    let settings = document.settings.iter().map(|settings| ("settings".to_owned(), "settings", settings));
    let units = document.units.iter().enumerate().map(|(index, unit)| (format!("units[{index}]"), "unit", unit));
    let objects = |kind: ObjectKind| {
        let parts = document.objects(kind).iter().enumerate();
        parts.map(move |(index, part)| (format!("{}[{index}]", list_of(kind)), kind.name(), part))
    };
    let (tiers, cards, programmes) =
        (objects(ObjectKind::Tier), objects(ObjectKind::Card), objects(ObjectKind::Programme));
    let parts = tiers.chain(settings).chain(units).chain(cards).chain(programmes);
    let (mut named, mut seen, mut wrong) = (Named::default(), BTreeSet::new(), Vec::new());
    for (place, kind, part) in parts {
        match trial.judge(&place, kind, part) {
            Ok(Body::Unit(unit)) if !seen.insert((kind, unit.unit_id.to_string())) => {
                wrong.push(format!("{place}.unit_id: {} is there twice", unit.unit_id));
            }
            Ok(Body::Object(object)) if !seen.insert((kind, object.id.clone())) => {
                wrong.push(format!("{place}.{kind}_id: {} is there twice", object.id));
            }
            Ok(Body::Unit(unit)) => named.units.push(unit.unit_id),
            Ok(Body::Object(object)) => named.objects.push((object.object.kind(), object.id)),
            Ok(_) => {}
            Err(CliError::Usage(problem)) => wrong.push(problem),
            Err(other) => return Err(other),
        }
    }
    if !wrong.is_empty() {
        return Err(CliError::Usage(format!("the file is not right, and nothing was sent:\n  {}", wrong.join("\n  "))));
    }
    Ok((named, trial.book.configs.remove(merchant).unwrap_or_default()))
}

/// Commands that are judged, and never sent.
struct Trial<'a> {
    decoder: &'a Decoder,
    merchant: &'a MerchantId,
    now: Instant,
    book: Book,
    tried: i64,
}

impl Trial<'_> {
    fn judge(&mut self, place: &str, kind: &'static str, part: &Value) -> Result<Body, CliError> {
        let command = match part {
            Value::Object(fields) if fields.contains_key("type") => {
                return Err(CliError::Usage(format!("{place}.type: is not a field of this command")));
            }
            Value::Object(fields) => tagged(kind, fields.clone()),
            other => other.clone(),
        };
        self.tried += 1;
        let record = InboundRecord {
            // The decoder knows of one lane, so every merchant's is this.
            position: Position { topic: CommandTopic::MerchantConfig, partition: 0, offset: self.tried },
            timestamp: self.now,
            key: Some(self.merchant.as_str().as_bytes().to_vec()),
            value: Some(value(self.merchant, &format!("trial-{}", self.tried), &command, None)),
            headers: Headers::default(),
        };
        let Ok(delivery) = self.decoder.decode(&record, "") else { unreachable!("JSON names no schema") };
        let moment = Moment {
            position: delivery.position,
            seed: delivery.seed,
            record_time: delivery.timestamp,
            lane_time: delivery.timestamp,
            place: 0,
        };
        let command = match delivery.content {
            Content::Command(command) => *command,
            Content::DeadLetter(letter) => return Err(CliError::Usage(format!("{place}: {}", letter.message))),
            Content::Tick => unreachable!("the clock's topic is another"),
        };
        let Judged::Answered(answer) = judge(&mut self.book, &command, moment, None) else {
            unreachable!("configuration waits for nobody")
        };
        match &answer.decision.verdict {
            Ok(_) => Ok(command.body),
            Err(rejection) => Err(refused(place, rejection)),
        }
    }
}

fn refused(place: &str, rejection: &Rejection) -> CliError {
    if rejection.fields.is_empty() {
        let (code, message) = (rejection.code.code(), &rejection.message);
        return CliError::Failed(format!("{place}: {code}: {message} Nothing was sent."));
    }
    let problems = rejection.fields.iter().map(|bad| format!("{}: {}", in_file(place, &bad.field), bad.problem));
    CliError::Usage(problems.collect::<Vec<_>>().join("\n  "))
}

/// Where a command's field stands in the document.
fn in_file(place: &str, field: &str) -> String {
    match (field.strip_prefix("command"), field.strip_prefix("envelope.")) {
        (Some(rest), _) => format!("{place}{rest}"),
        (None, Some(field)) => field.to_owned(),
        (None, None) => format!("{place}: {field}"),
    }
}

fn value(merchant: &MerchantId, key: &str, command: &Value, expected: Option<i64>) -> Vec<u8> {
    let envelope = json!({ "merchant_id": merchant.as_str(), "idempotency_key": key, "source": SOURCE });
    json!({ "envelope": envelope, "command": command, "expected_version": expected }).to_string().into_bytes()
}

fn tagged(kind: &str, mut fields: Fields) -> Value {
    fields.insert("type".to_owned(), kind.into());
    Value::Object(fields)
}

/// The fields of `after` that are not so in `before`.
fn differing(before: &Fields, after: &Fields) -> Fields {
    let differ = after.iter().filter(|(field, value)| before.get(*field) != Some(*value));
    differ.map(|(field, value)| (field.clone(), value.clone())).collect()
}

/// The settings' command that makes this difference: null would keep what it shall empty.
fn clearing(patch: Fields) -> Fields {
    let (emptied, mut fields): (Fields, Fields) = patch.into_iter().partition(|(_, value)| value.is_null());
    if !emptied.is_empty() {
        fields.insert("clear".to_owned(), emptied.into_iter().map(|(field, _)| Value::String(field)).collect());
    }
    fields
}

fn lines(object: &str, before: &Fields, patch: &Fields) -> Vec<String> {
    let old = |field: &str| before.get(field).map_or_else(|| "null".to_owned(), shown);
    patch.iter().map(|(field, value)| format!("{object}.{field}: {} -> {}", old(field), shown(value))).collect()
}

/// A text as it is, where it can be told from the rest of the line; all else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
