//! Schemas grow by appending only: whoever has an old one, sender or listener, need not know of the new one. A listener must go on reading
//! with its old one, so what goes out can be read both ways. A worker reads commands with its own schema, the newest: so commands may have
//! further variants and words, which an old schema can't read.

use apache_avro::GenericSingleObjectWriter;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::Value;

use super::*;
use crate::codec::decode::BUILT_WITH;
use crate::record::OutTopic;

/// What went wrong between a schema and its successor, by path.
fn shrunk(old: &Value, new: &Value, path: &str, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{path}: {what}"));
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for key in ["type", "name", "namespace", "logicalType", "size"] {
                let are_texts = |value: Option<&Value>| value.is_none_or(Value::is_string);
                if are_texts(old.get(key)) && are_texts(new.get(key)) && old.get(key) != new.get(key) {
                    fault(&format!("{key} was {:?} and is {:?}", old.get(key), new.get(key)));
                }
            }
            if old.get("default") != new.get("default") {
                fault("has another default");
            }
            for (key, element) in [("items", "[]"), ("values", "{}")] {
                if let (Some(old), Some(new)) = (old.get(key), new.get(key)) {
                    shrunk(old, new, &format!("{path}{element}"), faults);
                }
            }
            if let (Some(old @ (Value::Object(_) | Value::Array(_))), Some(new)) = (old.get("type"), new.get("type")) {
                shrunk(old, new, path, faults);
            }
            if let (Some(Value::Array(old)), Some(Value::Array(new))) = (old.get("symbols"), new.get("symbols"))
                && !new.starts_with(old)
            {
                faults.push(format!("{path}: its symbols are not the old ones and more"));
            }
            if let (Some(Value::Array(old)), Some(Value::Array(new))) = (old.get("fields"), new.get("fields")) {
                for (place, field) in old.iter().enumerate() {
                    let name = field["name"].as_str().unwrap_or_default();
                    match new.get(place).filter(|new| new["name"] == field["name"]) {
                        Some(new) => shrunk(field, new, &format!("{path}.{name}"), faults),
                        None => faults.push(format!("{path}.{name}: is gone, or stands elsewhere")),
                    }
                }
                for field in new.iter().skip(old.len()).filter(|field| field.get("default").is_none()) {
                    faults.push(format!("{path}.{}: is new and has no default", field["name"]));
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (place, branch) in old.iter().enumerate() {
                match new.get(place) {
                    Some(new) => shrunk(branch, new, &format!("{path}|{place}"), faults),
                    None => faults.push(format!("{path}: a branch is gone")),
                }
            }
        }
        (old, new) if old != new => fault(&format!("was {old} and is {new}")),
        _ => {}
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Readers {
    /// With the new schema only.
    New,
    /// With either.
    NewAndOld,
}

fn faults(old: &Value, new: &Value, readers: Readers) -> Vec<String> {
    let mut faults = Vec::new();
    shrunk(old, new, "", &mut faults);
    let parsed = |schema: &Value| apache_avro::Schema::parse(schema).unwrap();
    let (old, new) = (parsed(old), parsed(new));
    let readable = match readers {
        Readers::New => SchemaCompatibility::can_read(&old, &new),
        Readers::NewAndOld => SchemaCompatibility::mutual_read(&old, &new),
    };
    if let Err(error) = readable {
        faults.push(format!("Avro says: {error}"));
    }
    faults
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A schema of before: without the last fields of its command.
fn without_last(topic: CommandTopic, fields: usize) -> String {
    let mut old = schemas::command(topic).json.clone();
    let of_command =
        old["fields"].as_array_mut().and_then(|fields| fields.iter_mut().find(|it| it["name"] == "command"));
    let own = of_command.and_then(|command| command["type"]["fields"].as_array_mut()).expect("a record's fields");
    own.truncate(own.len() - fields);
    old.to_string()
}

#[test]
fn every_schema_has_grown_by_appending() {
    for topic in CommandTopic::ALL {
        let own = schemas::command(topic);
        for released in schemas::released(topic) {
            assert_eq!(faults(&json(released), &own.json, Readers::New), [""; 0], "{}", own.full_name());
        }
    }
    let outgoing = [
        (OutTopic::Results, include_str!("../../../schemas/released/1/results.avsc")),
        (OutTopic::Events, include_str!("../../../schemas/released/1/events.avsc")),
        (OutTopic::Customers, include_str!("../../../schemas/released/1/customers.avsc")),
        (OutTopic::Journal, include_str!("../../../schemas/released/1/journal.avsc")),
    ];
    for (topic, old) in outgoing {
        let own = schemas::outgoing(topic).unwrap();
        assert_eq!(faults(&json(old), &own.json, Readers::NewAndOld), [""; 0], "{}", own.full_name());
    }
}

#[test]
fn what_is_no_growth_is_seen() {
    let old = schemas::command(CommandTopic::CustomerUpsert).json.clone();
    type Change = fn(&mut Vec<Value>);
    let changes: [(&str, Change); 6] = [
        ("stands elsewhere", |fields| fields.swap(0, 1)),
        ("stands elsewhere", |fields| drop(fields.remove(3))),
        ("no default", |fields| fields.push(serde_json::json!({"name": "more", "type": "string"}))),
        ("another default", |fields| fields[0]["default"] = "x".into()),
        ("and is", |fields| fields[6]["type"][1] = "long".into()),
        ("symbols", |fields| drop(fields[9]["type"]["symbols"].as_array_mut().unwrap().remove(0))),
    ];
    for (part, change) in changes {
        let mut new = old.clone();
        change(new["fields"][1]["type"]["fields"].as_array_mut().unwrap());
        let mut found = Vec::new();
        shrunk(&old, &new, "", &mut found);
        assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {found:?}");
    }
    let mut new = old.clone();
    new["fields"][0]["type"]["fields"][3]["type"][1]["logicalType"] = "timestamp-millis".into();
    let mut found = Vec::new();
    shrunk(&old, &new, "", &mut found);
    assert!(found.iter().any(|fault| fault.contains("logicalType")), "{found:?}");
}

#[test]
fn single_objects_of_this_schema_and_of_the_released_ones_are_understood() {
    let expected = command(&avro(CommandTopic::Credit, &credit()));
    let framed = |text: &str, datum: &[u8]| {
        let mut value = vec![0xC3, 0x01];
        value.extend(schemas::fingerprint(text).unwrap());
        value.extend(datum);
        value
    };
    let own = schemas::command(CommandTopic::Credit);
    let value = framed(own.text, &wire::datum(&credit()));
    assert_eq!(command(&record(CommandTopic::Credit, value)).content_hash, expected.content_hash);

    for topic in CommandTopic::ALL {
        for released in schemas::released(topic) {
            assert!(BUILT_WITH.contains_key(&schemas::fingerprint(released).unwrap()), "{}", topic.suffix());
        }
    }
    // As apache-avro's own writer frames it.
    let schema = apache_avro::Schema::parse_str(own.text).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut wire::datum(&credit()).as_slice()).unwrap();
    let mut theirs = Vec::new();
    let mut writer = GenericSingleObjectWriter::new_with_capacity(&schema, 256).unwrap();
    writer.write_value_ref(&value, &mut theirs).unwrap();
    assert_eq!(command(&record(CommandTopic::Credit, theirs)).content_hash, expected.content_hash);

    let (class, message) = dead_letter(&record(CommandTopic::Credit, b"\xC3\x01\0\0\0\0\0\0\0\0x".to_vec()));
    assert_eq!(class, DeadLetterClass::UnknownSchema);
    assert!(message.contains("fingerprint"), "{message}");
    let (class, _) = dead_letter(&record(CommandTopic::Credit, b"\xC3\x01\0\0".to_vec()));
    assert_eq!(class, DeadLetterClass::Undecodable);
    let other_topic = framed(schemas::command(CommandTopic::Redeem).text, b"");
    let (class, message) = dead_letter(&record(CommandTopic::Credit, other_topic));
    assert_eq!(class, DeadLetterClass::Undecodable);
    assert!(message.contains("RedeemCommand"), "{message}");
}

/// As Java's Avro and Python's fastavro compute them.
#[test]
fn fingerprints_are_those_of_other_libraries() {
    let of = |text| u64::from_be_bytes(schemas::fingerprint(text).unwrap());
    assert_eq!(of(schemas::command(CommandTopic::Credit).text), 0x74EF_815F_5CD6_ACB3);
    assert_eq!(of(schemas::command(CommandTopic::CustomerUpsert).text), 0x1213_0744_4BF3_4BFB);
    assert_eq!(of(schemas::command(CommandTopic::MerchantConfig).text), 0xE7F3_04ED_8567_677A);
}

/// It was decided when it was refused, and comes again after an upgrade: still the same command.
#[test]
fn a_command_that_is_malformed_is_the_same_with_a_longer_schema() {
    const APPENDED: usize = 15;
    let decoder = decoder();
    decoder.teach(50, &without_last(CommandTopic::CustomerUpsert, APPENDED));
    let old = |upsert: &sent::CustomerUpsertCommand| {
        let datum = wire::datum(upsert);
        // What was appended is at its default, each in one byte.
        let record = avro_as(50, CommandTopic::CustomerUpsert, &datum[..datum.len() - APPENDED]);
        match decoder.decode(&record, "t").expect("its schema is known").content {
            Content::Command(command) => command,
            other => panic!("not a command: {other:?}"),
        }
    };
    let of =
        |upsert: sent::CustomerUpsert| sent::CustomerUpsertCommand { envelope: envelope(), command: upsert.into() };
    let fine = of(sent::CustomerUpsert { email: Some("a@b.c".into()), active: Some(false), ..Default::default() });
    assert_eq!(old(&fine).content_hash, command(&avro(CommandTopic::CustomerUpsert, &fine)).content_hash);
    let malformed = of(sent::CustomerUpsert { first_name: Some("\0".into()), ..Default::default() });
    let now = command(&avro(CommandTopic::CustomerUpsert, &malformed));
    assert_eq!(now.problems.len(), 1);
    assert_eq!((&old(&malformed).body, old(&malformed).content_hash), (&now.body, now.content_hash));
    let other = of(sent::CustomerUpsert { name: Some("x".into()), ..(*malformed.command).clone() });
    assert_ne!(now.content_hash, command(&avro(CommandTopic::CustomerUpsert, &other)).content_hash);
}

/// What a lane decides it must be able to publish: whatever a sender may say, the answer is small.
#[test]
fn no_command_has_an_answer_that_is_too_large() {
    let many = |what: &str, count: usize| vec![what; count].join(",");
    let long = "k".repeat(60_000);
    let bodies = [
        format!(r#"{{"external_id":"a","name":"x","clear":[{}]}}"#, many("\"name\"", 30_000)),
        format!(r#"{{"external_id":"a","metrics":{{"{long}":{{"value":1,"scale":9}}}}}}"#),
        format!(
            r#"{{"external_id":"a","metadata":{{{}}}}}"#,
            (0..9_000).map(|n| format!("\"{n}\":\"\"")).collect::<Vec<_>>().join(",")
        ),
        format!(
            r#"{{"external_id":"a","metrics":{{{}}}}}"#,
            (0..90).map(|n| format!("\"{n:02000}\":{{\"value\":1,\"scale\":9}}")).collect::<Vec<_>>().join(",")
        ),
        format!(r#"{{"clear":[{}]}}"#, many("0", 100_000)),
    ];
    for body in bodies {
        let text = format!(r#"{{"envelope":{{"merchant_id":"{MERCHANT}","idempotency_key":"k"}},"command":{body}}}"#);
        assert!(text.len() < crate::codec::decode::MAX_VALUE_BYTES, "{}", text.len());
        let command = command(&record(CommandTopic::CustomerUpsert, text.clone().into_bytes()));
        let rejection = crate::domain::tests::rejection_of(command);
        let said: usize = rejection.fields.iter().map(|bad| bad.field.len() + bad.problem.len()).sum();
        assert!(rejection.message.len() + said < 50_000, "{} of {}", rejection.message.len() + said, text.len());
    }
}
