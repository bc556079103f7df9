//! Senders with other versions of a schema.

use super::*;
use serde_json::{Value, json};

/// What a datum means that was written with this change of our schema.
fn written_with(topic: CommandTopic, change: impl FnOnce(&mut Value), datum: impl FnOnce(&mut Vec<u8>)) -> Content {
    let decoder = decoder();
    let mut schema = schemas::command(topic).json.clone();
    change(&mut schema);
    decoder.teach(50, &schema.to_string());
    let mut bytes = Vec::new();
    datum(&mut bytes);
    decoder.decode(&avro_as(50, topic, &bytes), "t").unwrap().content
}

#[track_caller]
fn accepted(content: Content) -> Command {
    match content {
        Content::Command(command) if command.problems.is_empty() => *command,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(content: Content) -> String {
    match content {
        Content::DeadLetter(dead_letter) => {
            assert_eq!(dead_letter.class, DeadLetterClass::Undecodable);
            dead_letter.message
        }
        other => panic!("{other:?}"),
    }
}

fn fields(schema: &mut Value) -> &mut Vec<Value> {
    schema["fields"][1]["type"][0]["fields"].as_array_mut().unwrap()
}

fn config(command: sent::ConfigBody) -> sent::MerchantConfigCommand {
    sent::MerchantConfigCommand { envelope: envelope(), effective_from: None, command, expected_version: None }
}

fn unit() -> sent::Unit {
    sent::Unit { scale: 2, expiry_days: Some(9), ..bare_unit() }
}

#[test]
fn the_same_schema_formatted_otherwise_is_ours() {
    let expected = command(&avro(CommandTopic::Credit, &credit()));
    let content = written_with(CommandTopic::Credit, |_| {}, |out| *out = wire::datum(&credit()));
    assert_eq!(accepted(content).content_hash, expected.content_hash);
}

#[test]
fn another_text_of_the_same_form() {
    let expected = command(&avro(CommandTopic::Credit, &credit()));
    let change = |schema: &mut Value| schema["doc"] = "Another sentence.".into();
    let command = accepted(written_with(CommandTopic::Credit, change, |out| *out = wire::datum(&credit())));
    assert_eq!(command.body, expected.body);
    assert_eq!(command.envelope, expected.envelope);
    assert_eq!(command.content_hash, expected.content_hash);
}

/// Dispatched by the writer's index, or by the first record that fits, this would be settings.
#[test]
fn a_union_in_another_order_is_told_by_names() {
    let swap = |schema: &mut Value| schema["fields"][2]["type"].as_array_mut().unwrap().swap(0, 1);
    let ours = wire::datum(&config(sent::ConfigBody::Unit(unit().into())));
    let mut theirs = ours.clone();
    let branch = wire::datum(&envelope()).len() + 1;
    assert_eq!(theirs[branch], 2, "the index of the second branch");
    theirs[branch] = 0;
    let command = accepted(written_with(CommandTopic::MerchantConfig, swap, |out| *out = theirs));
    assert_eq!(command.kind(), "merchant-config.unit");
    let expected = super::command(&avro(CommandTopic::MerchantConfig, &config(sent::ConfigBody::Unit(unit().into()))));
    assert_eq!(command.body, expected.body);
    assert_eq!(command.content_hash, expected.content_hash);
}

#[test]
fn a_branch_that_we_do_not_know_is_refused() {
    let rename = |schema: &mut Value| schema["fields"][2]["type"][0]["name"] = "Preferences".into();
    let settings = config(sent::ConfigBody::Settings(Default::default()));
    refused(written_with(CommandTopic::MerchantConfig, rename, |out| *out = wire::datum(&settings)));
}

#[test]
fn a_field_more_is_left_out_and_one_less_takes_its_default() {
    let expected = command(&avro(CommandTopic::Credit, &credit()));
    let more = |schema: &mut Value| {
        fields(schema).push(json!({"name": "colour", "type": ["null", {"type": "array", "items": "string"}]}));
    };
    let content = written_with(CommandTopic::Credit, more, |out| {
        *out = wire::datum(&credit());
        out.extend_from_slice(&[2, 2, 6, b'r', b'e', b'd', 0]);
    });
    assert_eq!(accepted(content).content_hash, expected.content_hash);

    let less = |schema: &mut Value| {
        fields(schema).pop();
    };
    let content = written_with(CommandTopic::Credit, less, |out| {
        *out = wire::datum(&credit());
        out.pop();
    });
    let Some(Body::CreditAmount(amount)) = accepted(content).body else { panic!() };
    assert!(!amount.skip_notifications);
    assert_eq!(amount.amount, 1276);
}

#[test]
fn an_int_is_widened_and_milliseconds_are_converted() {
    let change = |schema: &mut Value| {
        let fields = fields(schema);
        fields[1]["type"] = "int".into();
        fields[5]["type"] = json!([{"type": "long", "logicalType": "timestamp-millis"}, "null"]);
    };
    let content = written_with(CommandTopic::Credit, change, |out| {
        *out = wire::datum(&envelope());
        out.push(0);
        crate::codec::binary::put_bytes(out, b"points");
        crate::codec::binary::put_long(out, 5);
        out.extend_from_slice(&[0, 0, 0]);
        out.push(0);
        crate::codec::binary::put_long(out, 1_800_000_000_000);
        out.push(0);
    });
    let Some(Body::CreditAmount(amount)) = accepted(content).body else { panic!() };
    assert_eq!((amount.amount, amount.expires_at), (5, Some(Instant::from_millis(1_800_000_000_000))));
}

/// apache-avro's own resolution reads a missing end as nulls.
#[test]
fn a_datum_that_ends_early_is_refused() {
    let change = |schema: &mut Value| schema["doc"] = "Another sentence.".into();
    let whole = wire::datum(&credit());
    for length in 0..whole.len() {
        refused(written_with(CommandTopic::Credit, change, |out| *out = whole[..length].to_vec()));
    }
    refused(written_with(CommandTopic::Credit, change, |out| *out = [whole.as_slice(), &[0]].concat()));
}

#[test]
fn another_record_is_refused_by_its_name() {
    let change = |schema: &mut Value| schema["name"] = "Payment".into();
    let message = refused(written_with(CommandTopic::Credit, change, |out| *out = wire::datum(&credit())));
    assert!(message.contains("loyalty.v1.Payment"), "{message}");
    let message = refused(written_with(CommandTopic::Credit, |schema| *schema = "string".into(), |out| out.push(0)));
    assert!(message.contains("no record"), "{message}");
}

#[test]
fn a_recursive_schema_does_not_exhaust_the_stack() {
    let change = |schema: &mut Value| {
        fields(schema).push(json!({"name": "next", "type": {"type": "record", "name": "Link", "fields": [
            {"name": "next", "type": ["null", "Link"]}
        ]}}));
    };
    refused(written_with(CommandTopic::Credit, change, |out| {
        *out = wire::datum(&credit());
        out.extend_from_slice(&[2; 100_000]);
        out.push(0);
    }));
}

#[test]
fn what_is_no_avro_schema_is_said_so() {
    let decoder = decoder();
    decoder.teach(51, r#"{"type": "object"}"#);
    let content = decoder.decode(&avro_as(51, CommandTopic::Credit, &[]), "t").unwrap().content;
    assert!(refused(content).contains("not an Avro schema"));
}
