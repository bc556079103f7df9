//! Schemas grow by appending only: whoever has an old one, sender or listener, need not know of the new one. A listener must go on reading
//! with its old one, so what goes out can be read both ways. A worker reads commands with its own schema, the newest: so commands may have
//! further variants and words, which an old schema can't read.

use apache_avro::GenericSingleObjectWriter;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::Value;

use super::*;
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

fn first_released(topic: CommandTopic) -> &'static str {
    let [first, ..] = schemas::released(topic);
    first
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
        (OutTopic::Results, include_str!("../../../schemas/released/2/results.avsc")),
        (OutTopic::Events, include_str!("../../../schemas/released/2/events.avsc")),
        (OutTopic::Customers, include_str!("../../../schemas/released/2/customers.avsc")),
        (OutTopic::Journal, include_str!("../../../schemas/released/2/journal.avsc")),
        (OutTopic::Results, include_str!("../../../schemas/released/3/results.avsc")),
        (OutTopic::Events, include_str!("../../../schemas/released/3/events.avsc")),
        (OutTopic::Customers, include_str!("../../../schemas/released/3/customers.avsc")),
        (OutTopic::Journal, include_str!("../../../schemas/released/3/journal.avsc")),
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

    // An upsert as the first release had it: nine fields.
    let old = apache_avro::Schema::parse_str(first_released(CommandTopic::CustomerUpsert)).unwrap();
    let upsert = wire::CustomerUpsert { email: Some("a@b.c".into()), active: Some(false), ..Default::default() };
    let upsert = wire::CustomerUpsertCommand { envelope: envelope(), command: upsert };
    let mut datum = wire::datum(&upsert);
    datum.truncate(datum.len() - 15); // what has been appended since, each in one byte
    let value = framed(first_released(CommandTopic::CustomerUpsert), &datum);
    let now = command(&avro(CommandTopic::CustomerUpsert, &upsert));
    assert_eq!(command(&record(CommandTopic::CustomerUpsert, value)).content_hash, now.content_hash);

    // As apache-avro's own writer frames it.
    let reader = GenericDatumReader::builder(&old).build().unwrap();
    let value = reader.read_value(&mut datum.as_slice()).unwrap();
    let mut theirs = Vec::new();
    let mut writer = GenericSingleObjectWriter::new_with_capacity(&old, 256).unwrap();
    writer.write_value_ref(&value, &mut theirs).unwrap();
    assert_eq!(command(&record(CommandTopic::CustomerUpsert, theirs)).content_hash, now.content_hash);

    // Settings as the second release had them.
    let settings = wire::Settings { name: Some("Cafe".into()), ..Default::default() };
    let command_of_config = wire::MerchantConfigCommand {
        envelope: wire::Envelope { customer: None, ..envelope() },
        effective_from: None,
        command: wire::ConfigBody::Settings(settings),
        expected_version: None,
    };
    let mut datum = wire::datum(&command_of_config);
    datum.truncate(datum.len() - 6); // what has been appended since; a null of it takes the place of expected_version's
    let [_, second, _] = schemas::released(CommandTopic::MerchantConfig);
    let now = command(&avro(CommandTopic::MerchantConfig, &command_of_config));
    let then = command(&record(CommandTopic::MerchantConfig, framed(second, &datum)));
    assert_eq!((then.body, then.content_hash), (now.body, now.content_hash));

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
    let [.., third] = schemas::released(CommandTopic::Credit);
    assert_eq!(of(third), 0x52C9_7CEF_EE54_8C92);
    assert_eq!(of(first_released(CommandTopic::CustomerUpsert)), 0xCDAC_C7CB_D2E5_79F6);
    assert_eq!(of(first_released(CommandTopic::MerchantConfig)), 0x2AF3_80FB_0BF4_6156);
}

/// It was decided when it was refused, and comes again after an upgrade: still the same command.
#[test]
fn a_command_that_is_malformed_is_the_same_with_a_longer_schema() {
    let upsert = wire::CustomerUpsert { first_name: Some("\0".into()), ..Default::default() };
    let upsert = wire::CustomerUpsertCommand { envelope: envelope(), command: upsert };
    let datum = wire::datum(&upsert);
    let text = first_released(CommandTopic::CustomerUpsert);
    let mut old = [&[0xC3, 0x01], schemas::fingerprint(text).unwrap().as_slice()].concat();
    old.extend(&datum[..datum.len() - 15]);
    let (old, new) = (record(CommandTopic::CustomerUpsert, old), avro(CommandTopic::CustomerUpsert, &upsert));
    assert_eq!(problems(&old), problems(&new));
    assert_eq!(command(&old).content_hash, command(&new).content_hash);
    let other = wire::CustomerUpsert { name: Some("x".into()), ..upsert.command.clone() };
    let other = wire::CustomerUpsertCommand { command: other, ..upsert };
    assert_ne!(command(&old).content_hash, command(&avro(CommandTopic::CustomerUpsert, &other)).content_hash);
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
