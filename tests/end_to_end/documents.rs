//! What the documents teach: each example of docs/commands.md is sent as it stands there and answered as it stands there, nothing that a
//! sender may say is left out. The commands to type are run in [`crate::typed`].

use std::collections::BTreeSet;
use std::fs;

use loyalty_worker::domain::command::KINDS;
use loyalty_worker::domain::{Effect, RejectionCode};
use serde_json::Value;

use crate::support::Installation;
use crate::support::published::{Published, Record};
use crate::support::stack::root;
use crate::support::topics::{ByHand, Position};

/// A line to send, and what is said of it: each the part that must be there.
pub struct Example {
    /// Where it stands, for who mends it.
    line: usize,
    topic: String,
    merchant: String,
    command: Value,
    result: Value,
    /// It waits for its customer, and the result comes when the rest has been sent.
    later: bool,
    events: Option<Value>,
    customer: Option<Value>,
}

impl Example {
    /// As a line for `send`.
    pub fn to_send(&self) -> String {
        let mut line = self.command.clone();
        line["topic"] = self.topic.as_str().into();
        line.to_string()
    }
}

#[test]
fn the_examples_are_answered_as_they_say() {
    let installation = Installation::new("documents");
    let worker = installation.worker();
    let (topics, mut answers) = (installation.topics(), Published::answers(&installation));
    let mut events = Published::of(&installation, &["events"]);
    let mut faults = Vec::new();
    let mut answered: Vec<(Example, Position, Value)> = Vec::new();
    let mut waiting = Vec::new();
    for example in examples() {
        let value = example.command.to_string().into_bytes();
        let record =
            ByHand { key: Some(example.merchant.as_bytes()), value: Some(&value), headers: &[], partition: None };
        let position = topics.write(&example.topic, record);
        if example.later {
            // Between topics no order is kept: sent at once, what it waits for could come before it.
            events.await_record(&format!("line {}: that it waits", example.line), |record| {
                record.json["type"] == "command.parked" && is_caused_by(record, &position, &installation.prefix)
            });
            waiting.push((example, position));
            continue;
        }
        let answer = answers.await_answer(&position);
        assert!(!answer.is_dead_letter(), "line {}: {answer:?}", example.line);
        compare(&example.result, &answer.json, &format!("line {}: result", example.line), &mut faults);
        answered.push((example, position, answer.json));
    }
    for (example, position) in waiting {
        let answer = answers.await_answer(&position);
        compare(&example.result, &answer.json, &format!("line {}: later", example.line), &mut faults);
        answered.push((example, position, answer.json));
    }
    worker.finish();

    let published = Published::of(&installation, &["events", "customers"]).all();
    for (example, position, result) in &answered {
        let events: Vec<Value> = published
            .iter()
            .filter(|record| is_caused_by(record, position, &installation.prefix))
            .map(|record| record.json.clone())
            .collect();
        let is_rejected = result["status"] == "rejected";
        if is_rejected && !events.is_empty() {
            faults.push(format!("line {}: was rejected, and caused {events:?}", example.line));
        }
        if let Some(expected) = &example.events {
            compare(expected, &Value::Array(events), &format!("line {}: events", example.line), &mut faults);
        }
        if let Some(expected) = &example.customer {
            let is_state = |record: &&Record| {
                record.topic == "customers"
                    && record.json["customer_id"] == result["customer_id"]
                    && record.json["version"] == result["customer_version"]
            };
            match published.iter().find(is_state) {
                Some(state) => {
                    compare(expected, &state.json, &format!("line {}: customer", example.line), &mut faults);
                }
                None => faults.push(format!("line {}: no state of this customer and version", example.line)),
            }
        }
    }
    assert!(faults.is_empty(), "docs/commands.md says what is not so:\n{}", faults.join("\n"));

    let told = |field: &str| -> BTreeSet<&str> {
        answered.iter().filter_map(|(_, _, result)| result[field].as_str()).collect()
    };
    let (kinds, effects) = (told("command_kind"), told("effect"));
    let kinds: Vec<&str> = KINDS.iter().copied().filter(|kind| !kinds.contains(kind)).collect();
    let effects: Vec<&str> = Effect::ALL.into_iter().map(Effect::name).filter(|name| !effects.contains(name)).collect();
    assert!(kinds.is_empty() && effects.is_empty(), "there is no example of {kinds:?} {effects:?}");
    // It takes nine million commands until an account is full.
    let shown: BTreeSet<&str> =
        answered.iter().filter_map(|(_, _, result)| result["rejection"]["code"].as_str()).collect();
    let codes = RejectionCode::ALL.into_iter().filter(|code| *code != RejectionCode::AmountOverflow);
    let unshown: Vec<&str> = codes.map(RejectionCode::name).filter(|code| !shown.contains(code)).collect();
    assert!(unshown.is_empty(), "no example is rejected with {unshown:?}");
    installation.assert_audit_holds();
}

#[test]
fn the_table_of_rejections_has_all_codes_in_their_order() {
    let text = document("docs/commands.md");
    let (_, section) = text.split_once("\n## Rejections\n").expect("a section on rejections");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let codes: Vec<&str> = rows.map(|(code, _)| code).collect();
    assert_eq!(codes, RejectionCode::ALL.map(RejectionCode::name));
}

#[test]
fn everything_that_a_schema_has_is_named() {
    let commands = ["merchant-config", "customer-upsert", "credit", "redeem"];
    let outgoing = ["results", "events", "customers"];
    let mut faults = Vec::new();
    for (path, schemas) in [("docs/commands.md", &commands[..]), ("docs/events.md", &outgoing[..])] {
        let text = document(path);
        for schema in schemas {
            let avro: Value = serde_json::from_str(&document(&format!("schemas/{schema}.avsc"))).expect("JSON");
            let mut names = BTreeSet::new();
            collect_names(&avro, &mut names);
            assert!(names.len() > 10, "schemas/{schema}.avsc: {names:?}");
            let missing = names.into_iter().filter(|name| !text.contains(&format!("`{name}`")));
            faults.extend(missing.map(|name| format!("{path} does not say `{name}` of schemas/{schema}.avsc")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The event that docs/events.md shows in JSON has the fields of one, and no others.
#[test]
fn the_event_in_json_is_whole() {
    let text = document("docs/events.md");
    let shown = blocks(&text).into_iter().find(|block| block.language == "json").expect("an event in JSON");
    let event: Value = serde_json::from_str(&shown.text).expect("JSON");
    let avro: Value = serde_json::from_str(&document("schemas/events.avsc")).expect("JSON");
    let fields =
        avro["fields"].as_array().expect("a record").iter().map(|field| field["name"].as_str().expect("a name"));
    let shown = event.as_object().expect("an object").keys().map(String::as_str);
    assert_eq!(shown.collect::<BTreeSet<_>>(), fields.collect::<BTreeSet<_>>());
}

// ---- reading a document ----

pub fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block.
pub struct Block<'a> {
    /// What stands behind the fence.
    pub language: &'a str,
    /// The fence's.
    pub line: usize,
    pub text: String,
}

pub fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in (1..).zip(document.lines()) {
        open = match (open.take(), line.strip_prefix("```")) {
            (None, Some(language)) => Some(Block { language, line: number, text: String::new() }),
            (None, None) => None,
            (Some(block), Some(_)) => {
                found.push(block);
                None
            }
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                Some(block)
            }
        };
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

pub fn examples() -> Vec<Example> {
    let text = document("docs/commands.md");
    let mut found: Vec<Example> = Vec::new();
    for Block { language, line, text } in blocks(&text) {
        let Some(what) = language.strip_prefix("json ") else { continue };
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("line {line}: {error}"));
        if what == "send" {
            assert_eq!(text.lines().count(), 1, "line {line}: `send` takes one line");
            found.push(example(line, value));
            continue;
        }
        let example = found.last_mut().unwrap_or_else(|| panic!("line {line}: nothing has been sent yet"));
        let before = match what {
            "result" | "later" => {
                example.later = what == "later";
                std::mem::replace(&mut example.result, value)
            }
            "events" => example.events.replace(value).unwrap_or_default(),
            "customer" => example.customer.replace(value).unwrap_or_default(),
            other => panic!("line {line}: there are no blocks of {other}"),
        };
        assert!(before.is_null(), "line {line}: this is said twice");
    }
    let silent: Vec<usize> = found.iter().filter(|example| example.result.is_null()).map(|one| one.line).collect();
    assert!(found.len() > 40 && silent.is_empty(), "{} examples, without results at {silent:?}", found.len());
    found
}

/// As `send` reads its line.
fn example(line: usize, mut command: Value) -> Example {
    let topic = command.as_object_mut().and_then(|fields| fields.remove("topic"));
    let topic = topic.as_ref().and_then(Value::as_str).unwrap_or_else(|| panic!("line {line}: no topic")).to_owned();
    let merchant = command["envelope"]["merchant_id"].as_str().unwrap_or_else(|| panic!("line {line}: no merchant"));
    let merchant = merchant.to_owned();
    Example { line, topic, merchant, command, result: Value::Null, later: false, events: None, customer: None }
}

/// The names of a schema's fields, and the words of its lists of words.
fn collect_names<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| collect_names(branch, names)),
        Value::Object(parts) => {
            for field in parts.get("fields").and_then(Value::as_array).into_iter().flatten() {
                names.extend(field["name"].as_str());
                collect_names(&field["type"], names);
            }
            let symbols = parts.get("symbols").and_then(Value::as_array).into_iter().flatten();
            names.extend(symbols.filter_map(Value::as_str));
            ["type", "items", "values"].iter().filter_map(|part| parts.get(*part)).for_each(|part| {
                collect_names(part, names);
            });
        }
        _ => {}
    }
}

// ---- comparing ----

fn is_caused_by(record: &Record, position: &Position, prefix: &str) -> bool {
    let cause = &record.json["cause"];
    record.topic == "events"
        && cause["topic"].as_str().and_then(|topic| topic.strip_prefix(prefix)) == Some(&*position.topic)
        && cause["partition"] == position.partition
        && cause["offset"] == position.offset
}

/// An object must have what is expected of it, a list each item and no other, and everything else must be the same.
fn compare(expected: &Value, found: &Value, path: &str, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, expected) in expected {
                match found.get(name) {
                    Some(found) => compare(expected, found, &format!("{path}.{name}"), faults),
                    None => faults.push(format!("{path} has no {name}")),
                }
            }
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
            for (index, (expected, item)) in expected.iter().zip(items).enumerate() {
                compare(expected, item, &format!("{path}[{index}]"), faults);
            }
        }
        _ if expected == found => {}
        _ => faults.push(format!("{path} is {found}, not {expected}")),
    }
}
