//! What must change for a merchant's configuration to be what a document says.
//!
//! A document is put before the worker's own decoder and rules, in memory, on top of what the database has. So it is read, refused and
//! normalised as its commands would be, and the difference is between what is in force and what they would make. Like the commands, it
//! leaves what is scheduled to its time.

use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Document, Fields, fields, in_force, settings_fields, version_at};
use crate::cli::CliError;
use crate::codec::Decoder;
use crate::domain::case::Moment;
use crate::domain::command::Content;
use crate::domain::config::MerchantConfig;
use crate::domain::decide::decide;
use crate::domain::{Book, CommandTopic, Instant, MerchantId, ObjectKind, Position, Rejection, lookup_key};
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
    pub kind: ObjectKind,
    pub id: String,
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
    /// `settings`, `unit points`, `tier gold`.
    pub fn object(&self) -> String {
        called(self.kind, &self.id)
    }

    /// Why it must not be sent: the document was made for another version.
    pub fn conflict(&self) -> Option<String> {
        let Change { made_for, in_force, .. } = self;
        (made_for != in_force).then(|| {
            let object = self.object();
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

/// The order in which commands are tried and sent: tiers come first, since settings and programmes name them, and units before programmes.
fn order() -> impl Iterator<Item = ObjectKind> {
    let others = ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Tier);
    std::iter::once(ObjectKind::Tier).chain(others)
}

/// Compares a document with what its merchant has now. The error names every field that is not right; nothing has been sent.
pub fn difference(
    document: &Document,
    config: &MerchantConfig,
    now: Instant,
    decoder: &Decoder,
) -> Result<Difference, CliError> {
    let merchant = MerchantId::new(document.merchant_id.as_str());
    let (named, made) = tried(document, &merchant, config, now, decoder)?;
    let scheduled = config.scheduled(now).into_iter();
    let mut difference = Difference {
        scheduled: scheduled.map(|it| format!("{} from {}", called(it.kind(), it.id()), it.effective_from())).collect(),
        ..Difference::default()
    };
    for kind in order() {
        if kind == ObjectKind::Settings {
            difference.changes.extend(settings_change(document, config, &made, now));
        }
        let ids = named.iter().filter(|(named, id)| *named == kind && !id.is_empty()).map(|(_, id)| id);
        difference.changes.extend(ids.filter_map(|id| object_change(document, config, &made, kind, id, now)));
    }
    difference.left_alone = settings_left(document, config, &made, now);
    let mut all: Vec<(ObjectKind, String)> = Vec::new();
    for object in config.objects().filter(|object| object.kind() != ObjectKind::Settings) {
        let name = (object.kind(), object.id().to_owned());
        if !named.contains(&name) && !all.contains(&name) {
            all.push(name);
        }
    }
    difference.left_alone.extend(all.into_iter().map(|(kind, id)| called(kind, &id)));
    Ok(difference)
}

/// An object's name for people.
fn called(kind: ObjectKind, id: &str) -> String {
    format!("{} {id}", kind.name()).trim_end().to_owned()
}

/// The command for settings that differ, or are the first.
fn settings_change(
    document: &Document,
    config: &MerchantConfig,
    made: &MerchantConfig,
    now: Instant,
) -> Option<Change> {
    let (before, after) = (settings_fields(config, now), settings_fields(made, now));
    let patch = differing(&before, &after);
    let is_first = config.is_empty() && !document.parts(ObjectKind::Settings).is_empty();
    if patch.is_empty() && !is_first {
        return None;
    }
    let in_force = version_at(config, ObjectKind::Settings, "", now);
    Some(Change {
        kind: ObjectKind::Settings,
        id: String::new(),
        lines: if patch.is_empty() { vec!["settings: new".to_owned()] } else { lines("settings", &before, &patch) },
        made_for: document.version(ObjectKind::Settings, "").unwrap_or(in_force),
        in_force,
        latest: config.latest(ObjectKind::Settings, "").map_or(0, |latest| latest.version()),
        command: tagged(ObjectKind::Settings, clearing(patch)),
    })
}

/// Settings that are in force and that the document does not name.
fn settings_left(document: &Document, config: &MerchantConfig, made: &MerchantConfig, now: Instant) -> Vec<String> {
    let (before, after) = (settings_fields(config, now), settings_fields(made, now));
    let first = settings_fields(&MerchantConfig::default(), now);
    let names = |field: &str| {
        let settings = document.parts(ObjectKind::Settings).first();
        settings.and_then(|settings| settings.get(field)).is_some_and(|value| !value.is_null())
    };
    let stay = before.iter().filter(|(field, value)| {
        first.get(*field) != Some(*value) && after.get(*field) == Some(*value) && !names(field.as_str())
    });
    stay.map(|(field, _)| format!("settings.{field}")).collect()
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
    let after = fields(&in_force(made, kind, id, now)?.content());
    let before = in_force(config, kind, id, now);
    let object = called(kind, id);
    let lines = match &before {
        Some(before) => {
            let before = fields(&before.content());
            lines(&object, &before, &differing(&before, &after))
        }
        None => vec![format!("{object}: new")],
    };
    let in_force = before.map_or(0, |before| before.version());
    let made_for = document.version(kind, id).unwrap_or(in_force);
    let latest = config.latest(kind, id).map_or(0, |latest| latest.version());
    let command = tagged(kind, after);
    (!lines.is_empty()).then_some(Change { kind, id: id.to_owned(), lines, made_for, in_force, latest, command })
}

/// The document's commands, applied to a copy of what there is: what they name, in the document's order, and what they make.
fn tried(
    document: &Document,
    merchant: &MerchantId,
    config: &MerchantConfig,
    now: Instant,
    decoder: &Decoder,
) -> Result<(Vec<(ObjectKind, String)>, MerchantConfig), CliError> {
    let mut trial = Trial { decoder, merchant, now, book: Book::default(), tried: 0 };
    trial.book.configs.insert(merchant.clone(), config.clone());
    let (mut named, mut wrong) = (Vec::new(), Vec::new());
    for kind in order() {
        for (index, part) in document.parts(kind).iter().enumerate() {
            let place = match kind {
                ObjectKind::Settings => "settings".to_owned(),
                kind => format!("{}[{index}]", kind.list()),
            };
            let id_field = format!("{}_id", kind.name());
            let name = (kind, part.get(&id_field).and_then(Value::as_str).unwrap_or_default().to_owned());
            match trial.judge(&place, kind, part) {
                Ok(()) if named.contains(&name) => wrong.push(format!("{place}.{id_field}: {} is there twice", name.1)),
                Ok(()) => named.push(name),
                Err(CliError::Usage(problem)) => wrong.push(problem),
                Err(other) => return Err(other),
            }
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
    fn judge(&mut self, place: &str, kind: ObjectKind, part: &Value) -> Result<(), CliError> {
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
            Content::Command(command) => command,
            Content::DeadLetter(letter) => return Err(CliError::Usage(format!("{place}: {}", letter.message))),
            Content::Tick => unreachable!("the clock's topic is another"),
        };
        let mut answered = Ok(());
        decide(&mut self.book, command, moment, |outcome| {
            answered = outcome.decision.verdict.as_ref().map(|_| ()).map_err(|rejection| refused(place, rejection));
        });
        answered
    }
}

fn refused(place: &str, rejection: &Rejection) -> CliError {
    if rejection.fields.is_empty() {
        let (code, message) = (rejection.code.name(), &rejection.message);
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

fn tagged(kind: ObjectKind, mut fields: Fields) -> Value {
    fields.insert("type".to_owned(), kind.name().into());
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
