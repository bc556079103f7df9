//! What must change for a merchant's configuration to be what a document says.
//!
//! A document is put before the worker's own decoder and rules, in memory, on top of what the database has. So it is read, refused and
//! normalised as its commands would be, and the difference is between what is and what they would make.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Document, Fields, settings_fields, settings_version, unit_fields};
use crate::cli::CliError;
use crate::codec::Decoder;
use crate::domain::command::{Body, Content};
use crate::domain::config::MerchantConfig;
use crate::domain::judge::{Moment, decide};
use crate::domain::{Book, CommandTopic, Instant, MerchantId, Position, Rejection, UnitId, lookup_key};
use crate::record::InboundRecord;

/// Who sends, in the envelope.
const SOURCE: &str = "config-apply";

#[derive(Debug, Default)]
pub struct Difference {
    /// In the order in which they are to be sent.
    pub changes: Vec<Change>,
    /// What the database has and the document does not name. It stays.
    pub left_alone: Vec<String>,
}

/// One command that is needed.
#[derive(Debug)]
pub struct Change {
    /// `settings`, or `unit points`.
    pub object: String,
    /// Field by field, for people.
    pub lines: Vec<String>,
    /// The version that the command is for: the document's word, or else the latest.
    expected: i64,
    latest: i64,
    command: Value,
}

impl Change {
    /// Why it must not be sent: the document was made for another version.
    pub fn conflict(&self) -> Option<String> {
        let Change { object, expected, latest, .. } = self;
        (expected != latest).then(|| {
            format!("{object}: the file was made for version {expected}, and somebody else has made version {latest}")
        })
    }

    /// The record's value. The same change of the same version has the same idempotency key, so that it can be sent again at any time.
    pub fn record(&self, merchant: &MerchantId) -> Vec<u8> {
        let content = json!([self.command, self.expected]).to_string();
        let key = format!("apply-{}", Uuid::from_bytes(lookup_key(&[content.as_str()])).simple());
        value(merchant, &key, &self.command, Some(self.expected))
    }
}

/// Compares a document with what its merchant has. The error names every field that is not right; nothing has been sent.
pub fn difference(document: &Document, config: &MerchantConfig, decoder: &Decoder) -> Result<Difference, CliError> {
    let merchant = MerchantId::new(document.merchant_id.as_str());
    let (units, made) = tried(document, &merchant, config, decoder)?;
    let mut difference = Difference::default();

    let (before, after) = (settings_fields(config), settings_fields(&made));
    let patch = differing(&before, &after);
    let is_first = config.is_empty() && document.settings.is_some();
    if !patch.is_empty() || is_first {
        let latest = settings_version(config);
        difference.changes.push(Change {
            object: "settings".to_owned(),
            lines: if patch.is_empty() { vec!["settings: new".to_owned()] } else { lines("settings", &before, &patch) },
            expected: document.versions.settings.unwrap_or(latest),
            latest,
            command: tagged("settings", clearing(patch)),
        });
    }
    let first = settings_fields(&MerchantConfig::default());
    let names = |field: &str| {
        let settings = document.settings.as_ref();
        settings.and_then(|settings| settings.get(field)).is_some_and(|value| !value.is_null())
    };
    let stay = before.iter().filter(|(field, value)| {
        first.get(*field) != Some(*value) && after.get(*field) == Some(*value) && !names(field.as_str())
    });
    difference.left_alone.extend(stay.map(|(field, _)| format!("settings.{field}")));

    for unit in &units {
        let Some(after) = made.latest_unit(unit).map(|version| unit_fields(unit, version)) else { continue };
        let latest = config.latest_unit(unit);
        let object = format!("unit {unit}");
        let lines = match latest {
            Some(version) => {
                let before = unit_fields(unit, version);
                lines(&object, &before, &differing(&before, &after))
            }
            None => vec![format!("{object}: new")],
        };
        if lines.is_empty() {
            continue;
        }
        let latest = latest.map_or(0, |version| version.version);
        let expected = document.versions.units.get(unit.as_str()).copied().unwrap_or(latest);
        difference.changes.push(Change { object, lines, expected, latest, command: tagged("unit", after) });
    }
    let others = config.units.keys().filter(|unit| !units.contains(unit));
    difference.left_alone.extend(others.map(|unit| format!("unit {unit}")));
    Ok(difference)
}

/// The document's commands, applied to a copy of what there is: the units that they name, in their order, and what they make.
fn tried(
    document: &Document,
    merchant: &MerchantId,
    config: &MerchantConfig,
    decoder: &Decoder,
) -> Result<(Vec<UnitId>, MerchantConfig), CliError> {
    let mut trial = Trial { decoder, merchant, book: Book::default(), tried: 0 };
    trial.book.configs.insert(merchant.clone(), config.clone());
    let settings = document.settings.iter().map(|settings| ("settings".to_owned(), "settings", settings));
    let units = document.units.iter().enumerate().map(|(index, unit)| (format!("units[{index}]"), "unit", unit));
    let (mut named, mut seen, mut wrong) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (place, kind, part) in settings.chain(units) {
        match trial.judge(&place, kind, part) {
            Ok(Body::Unit(unit)) if !seen.insert(unit.unit_id.clone()) => {
                wrong.push(format!("{place}.unit_id: {} is there twice", unit.unit_id));
            }
            Ok(Body::Unit(unit)) => named.push(unit.unit_id),
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
            // Behind every schedule: what would change is the latest version.
            timestamp: Instant::LATEST,
            key: Some(self.merchant.as_str().as_bytes().to_vec()),
            value: Some(value(self.merchant, &format!("trial-{}", self.tried), &command, None)),
            headers: Vec::new(),
        };
        let Ok(delivery) = self.decoder.decode(&record, "") else { unreachable!("JSON names no schema") };
        let moment = Moment {
            position: delivery.position,
            seed: delivery.seed,
            record_time: delivery.timestamp,
            lane_time: delivery.timestamp,
        };
        let command = match delivery.content {
            Content::Command(command) => *command,
            Content::DeadLetter(letter) => return Err(CliError::Usage(format!("{place}: {}", letter.message))),
            Content::Tick => unreachable!("the clock's topic is another"),
        };
        match &decide(&mut self.book, &command, moment).decision.verdict {
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
mod tests {
    use super::*;
    use crate::cli::config::document::written;
    use crate::codec::RegistryClient;
    use crate::config::RegistrySettings;

    fn decoder() -> Decoder {
        Decoder::new(1, RegistryClient::new(&RegistrySettings::at("http://127.0.0.1:1")).unwrap())
    }

    fn document(value: &Value) -> Document {
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
    }

    fn against(config: &MerchantConfig, file: &Value) -> Result<Difference, CliError> {
        difference(&document(file), config, &decoder())
    }

    /// What a merchant has when this file's commands were accepted.
    fn applied(config: &MerchantConfig, file: &Value) -> MerchantConfig {
        let made = tried(&document(file), &MerchantId::new("cafe"), config, &decoder());
        made.unwrap_or_else(|error| panic!("{file}: {error}")).1
    }

    fn cafe() -> MerchantConfig {
        let file = json!({
            "merchant_id": "cafe",
            "settings": { "time_zone": "Europe/Berlin", "email": "hello@cafe.example" },
            "units": [
                { "unit_id": "points", "name": "Points", "expiry_days": 180 },
                { "unit_id": "gift", "name": "Gift card", "kind": "money", "currency": "EUR", "scale": 2 },
            ],
        });
        applied(&MerchantConfig::default(), &file)
    }

    fn points(expiry_days: Value) -> Value {
        json!({ "unit_id": "points", "name": "Points", "expiry_days": expiry_days })
    }

    #[test]
    fn the_difference_is_told_field_by_field() {
        // settings, units, what is told, what is left alone
        let cases: [(Value, Value, &[&str], &[&str]); 10] = [
            (json!(null), json!([]), &[], &["settings.email", "settings.time_zone", "unit gift", "unit points"]),
            (
                json!({ "time_zone": "UTC" }),
                json!([points(json!(180))]),
                &["settings.time_zone: Europe/Berlin -> UTC"],
                &["settings.email", "unit gift"],
            ),
            // Null keeps.
            (
                json!({ "email": null, "name": "Cafe" }),
                json!([]),
                &["settings.name: null -> Cafe"],
                &["settings.email", "settings.time_zone", "unit gift", "unit points"],
            ),
            (
                json!({ "clear": ["email", "phone"] }),
                json!([]),
                &["settings.email: hello@cafe.example -> null"],
                &["settings.time_zone", "unit gift", "unit points"],
            ),
            // As it would be stored.
            (
                json!({ "email": " Hello@CAFE.example" }),
                json!([]),
                &[],
                &["settings.time_zone", "unit gift", "unit points"],
            ),
            (
                json!({ "max_age_s": 60, "social": { "web": "cafe.example" }, "required_fields": ["name"] }),
                json!([]),
                &[
                    "settings.max_age_s: 259200 -> 60",
                    "settings.required_fields: [] -> [\"name\"]",
                    "settings.social: {} -> {\"web\":\"cafe.example\"}",
                ],
                &["settings.email", "settings.time_zone", "unit gift", "unit points"],
            ),
            // What a preset stands for, and what stands beside it.
            (
                json!({ "preset": "rewrd", "key_form": "any" }),
                json!([]),
                &[
                    "settings.match_by: [\"external_id\",\"phone\",\"email\"] -> [\"phone\"]",
                    "settings.profile_change_needs_active: false -> true",
                ],
                &["settings.email", "settings.time_zone", "unit gift", "unit points"],
            ),
            (
                json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
                json!([points(json!(365))]),
                &["unit points.expiry_days: 180 -> 365"],
                &["unit gift"],
            ),
            // A unit is whole: what is left out is at its default.
            (
                json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
                json!([{ "unit_id": "points", "name": "Dots" }]),
                &["unit points.expiry_days: 180 -> null", "unit points.name: Points -> Dots"],
                &["unit gift"],
            ),
            (
                json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
                json!([{ "unit_id": "stars", "name": "Stars" }, points(json!(180))]),
                &["unit stars: new"],
                &["unit gift"],
            ),
        ];
        let config = cafe();
        for (settings, units, told, left) in cases {
            let file = json!({ "merchant_id": "cafe", "settings": settings, "units": units });
            let found = against(&config, &file).unwrap_or_else(|error| panic!("{file}: {error}"));
            let lines: Vec<&str> = found.changes.iter().flat_map(|change| &change.lines).map(String::as_str).collect();
            assert_eq!(lines, told, "{file}");
            assert_eq!(found.left_alone, left, "{file}");
        }
    }

    #[test]
    fn what_is_not_right_is_named_where_it_stands() {
        let gift = json!({ "unit_id": "gift", "name": "Gift card", "kind": "money", "currency": "EUR", "scale": 3 });
        // settings, units, exit code, what is told
        let cases: [(Value, Value, u8, &[&str]); 9] = [
            (json!({ "tme_zone": "UTC" }), json!([]), 2, &["settings.tme_zone: is not a field"]),
            (json!({ "max_age_s": "60" }), json!([]), 2, &["settings.max_age_s: must be an integer"]),
            (json!({ "time_zone": "Asia/Kobe" }), json!([]), 2, &["settings.time_zone: must be an IANA time zone"]),
            (json!({ "type": "settings" }), json!([]), 2, &["settings.type: is not a field"]),
            (json!([]), json!([]), 2, &["settings: must be an object"]),
            (json!({}), json!([{ "unit_id": "points" }]), 2, &["units[0].name: is required"]),
            // All of it is told at once.
            (
                json!({ "match_by": [] }),
                json!([points(json!(0)), points(json!("x"))]),
                2,
                &[
                    "settings.match_by: must name at least one identifier",
                    "units[0].expiry_days: must be from 1 to 3650",
                    "units[1].expiry_days: must be an integer",
                ],
            ),
            (json!({}), json!([points(json!(1)), points(json!(2))]), 2, &["units[1].unit_id: points is there twice"]),
            (json!({}), json!([gift]), 1, &["units[0]: protected_field: A unit's scale can't change"]),
        ];
        let config = cafe();
        for (settings, units, code, told) in cases {
            let file = json!({ "merchant_id": "cafe", "settings": settings, "units": units });
            let error = against(&config, &file).expect_err("it is not right");
            let text = error.to_string();
            assert_eq!(error.code(), code, "{file}: {text}");
            assert!(told.iter().all(|part| text.contains(part)), "{file}: {text}");
            assert!(text.to_lowercase().contains("nothing was sent"), "{text}");
        }
        let nobody = against(&config, &json!({ "merchant_id": "", "settings": {} })).expect_err("nobody");
        assert!(nobody.to_string().contains("merchant_id of 1 to 64 bytes"), "{nobody}");
    }

    #[test]
    fn the_same_change_of_the_same_version_is_the_same_command() {
        let file = json!({ "merchant_id": "cafe", "settings": { "time_zone": "UTC" }, "units": [points(json!(365))] });
        let merchant = MerchantId::new("cafe");
        let records = |config: &MerchantConfig| -> Vec<Value> {
            let found = against(config, &file).expect("it is right");
            let records = found.changes.iter().map(|change| change.record(&merchant));
            records.map(|record| serde_json::from_slice(&record).expect("JSON")).collect()
        };
        let config = cafe();
        let first = records(&config);
        assert_eq!(first[0]["command"], json!({ "type": "settings", "time_zone": "UTC" }));
        assert_eq!((&first[0]["expected_version"], &first[1]["expected_version"]), (&json!(1), &json!(1)));
        assert_eq!(
            (&first[1]["command"]["type"], &first[1]["command"]["expiry_days"], &first[1]["command"]["step"]),
            (&json!("unit"), &json!(365), &json!(1))
        );
        assert_eq!(records(&config), first);

        // The same change once more, after it was made and taken back.
        let there = applied(&config, &file);
        let mut back = file.clone();
        back["settings"]["time_zone"] = json!("Europe/Berlin");
        back["units"][0] = points(json!(180));
        assert_eq!(records(&there), Vec::<Value>::new());
        let again = records(&applied(&there, &back));
        assert_eq!(again[0]["command"], first[0]["command"]);
        assert_eq!(again[0]["expected_version"], 3);
        assert_ne!(again[0]["envelope"]["idempotency_key"], first[0]["envelope"]["idempotency_key"]);
    }

    #[test]
    fn what_is_emptied_is_cleared_by_the_command() {
        let settings = json!({ "clear": ["email", "phone"], "name": "Cafe" });
        let file = json!({ "merchant_id": "cafe", "settings": settings });
        let found = against(&cafe(), &file).expect("it is right");
        let commands: Vec<&Value> = found.changes.iter().map(|change| &change.command).collect();
        assert_eq!(commands, [&json!({ "type": "settings", "clear": ["email"], "name": "Cafe" })]);
        assert!(against(&applied(&cafe(), &file), &file).expect("it is right").changes.is_empty());
    }

    #[test]
    fn a_file_of_another_version_is_a_conflict_only_where_it_changes_something() {
        let conflicts = |settings: Value, days: i64| -> Vec<String> {
            let mut file = json!({ "merchant_id": "cafe", "settings": settings, "units": [points(json!(days))] });
            file["versions"] = json!({ "settings": 0, "units": { "points": 1 } });
            let found = against(&cafe(), &file).expect("it is right");
            found.changes.iter().filter_map(Change::conflict).collect()
        };
        let told = conflicts(json!({ "time_zone": "UTC" }), 365);
        assert_eq!(told, ["settings: the file was made for version 0, and somebody else has made version 1"]);
        assert_eq!(conflicts(json!({ "time_zone": "Europe/Berlin" }), 365), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_says_all_that_the_merchant_has() {
        let config = cafe();
        let merchant = MerchantId::new("cafe");
        let text = written(&merchant, &config).expect("it can be written");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["settings"], json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }));
        assert_eq!(file["versions"], json!({ "settings": 1, "units": { "gift": 1, "points": 1 } }));
        assert!(text.find("unit_id") < text.find("expiry_days"), "the schema's order: {text}");
        let found = against(&config, &file).expect("it is right");
        assert!(found.changes.is_empty() && found.left_alone.is_empty(), "{found:?}");
        assert_eq!(applied(&MerchantConfig::default(), &file), config);
    }

    #[test]
    fn a_merchants_first_settings_need_no_fields() {
        let file = json!({ "merchant_id": "cafe", "settings": {} });
        let lines = |config: &MerchantConfig| -> Vec<String> {
            let found = against(config, &file).expect("it is right");
            found.changes.into_iter().flat_map(|change| change.lines).collect()
        };
        assert_eq!(lines(&MerchantConfig::default()), ["settings: new"]);
        let units = json!({ "merchant_id": "cafe", "units": [points(json!(1))] });
        assert_eq!(lines(&applied(&MerchantConfig::default(), &units)), Vec::<String>::new());
    }
}
