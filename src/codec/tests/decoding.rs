//! Every way in which a record can be wrong, and what becomes of it.

use super::*;
use crate::codec::NeedsSchema;
use crate::record::Header;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn what_cannot_be_answered() {
    use DeadLetterClass::*;
    let credit_avro = avro(CommandTopic::Credit, &credit());
    let value = credit_avro.value.clone().unwrap();
    let without = |value: Option<Vec<u8>>| InboundRecord { value, ..credit_avro.clone() };
    let with_key = |key: Option<&str>| InboundRecord { key: key.map(Into::into), ..credit_avro.clone() };
    let mut elsewhere = credit_avro.clone();
    elsewhere.position.partition = (elsewhere.position.partition + 1) % LANES;
    let trailing = [value.as_slice(), &[0]].concat();
    let merchant = |name: &str| changed(|value| value["envelope"]["merchant_id"] = name.into());
    let cases = [
        (without(None), Undecodable, "The value is empty"),
        (without(Some(vec![])), Undecodable, "The value is empty"),
        (without(Some(vec![0, 0, 0])), Undecodable, "before the four bytes"),
        (without(Some(vec![0xC3, 0x01, 1, 2])), Undecodable, "ends before the eight bytes of the fingerprint"),
        (without(Some(b" []".into())), Undecodable, "no known encoding"),
        (without(Some(b"\n {}".into())), MissingMerchant, "merchant_id"),
        (merchant("a\u{1b}"), MissingMerchant, "merchant_id"),
        (merchant("a\u{200b}"), MissingMerchant, "merchant_id"),
        (merchant(" "), MissingMerchant, "merchant_id"),
        (without(Some(b"{".into())), Undecodable, "not valid JSON at byte 1"),
        (without(Some(b"{} {}".into())), Undecodable, "not valid JSON"),
        (without(Some(value[..value.len() - 1].into())), Undecodable, "not a datum"),
        (without(Some(trailing)), Undecodable, "not a datum"),
        (without(Some(vec![b'{'; 256 * 1024 + 1])), Undecodable, "256 KiB"),
        (avro_as(2, CommandTopic::Credit, &[]), Undecodable, "schema is that of loyalty.v1.CustomerUpsertCommand"),
        (without(Some(b"{}".into())), MissingMerchant, "merchant_id"),
        (merchant(""), MissingMerchant, "merchant_id"),
        (merchant("a\0"), MissingMerchant, "merchant_id"),
        (merchant(&"x".repeat(65)), MissingMerchant, "merchant_id"),
        (changed(|value| value["envelope"] = json!([])), MissingMerchant, "merchant_id"),
        (merchant("m-2"), WrongKey, "key"),
        (with_key(None), WrongKey, "key"),
        (with_key(Some("m-2")), WrongKey, "key"),
        (elsewhere, WrongPartition, "murmur2"),
    ];
    for (record, class, words) in cases {
        let (found, message) = dead_letter(&record);
        assert_eq!(found, class, "{message}");
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("m-1") && !message.contains("m-2"), "content in: {message}");
    }
}

#[test]
fn a_schema_that_nobody_asked_for_yet_is_asked_for() {
    let record = avro_as(99, CommandTopic::Credit, &wire::datum(&credit()));
    assert_eq!(decoder().decode(&record, "t").unwrap_err(), NeedsSchema { id: 99 });
}

#[tokio::test]
async fn a_registry_that_is_down_is_waited_for() {
    let decoder = decoder();
    let unavailable = decoder.learn(99).await.unwrap_err();
    assert!(unavailable.0.contains("schema 99"), "{unavailable}");
    let record = avro_as(99, CommandTopic::Credit, &wire::datum(&credit()));
    assert!(decoder.decode(&record, "t").is_err());
}

#[test]
fn a_dead_letter_names_the_schema_that_the_record_named() {
    let Content::DeadLetter(dead_letter) = content(&avro_as(3, CommandTopic::Credit, &[1])) else { panic!() };
    assert_eq!(dead_letter.schema_id, Some(3));
}

#[test]
fn a_tick_is_a_tick_whatever_its_bytes() {
    for value in [None, Some(vec![]), Some(vec![7; 9])] {
        let record = InboundRecord { value, ..record(CommandTopic::Clock, "") };
        assert!(matches!(content(&record), Content::Tick));
    }
}

#[test]
fn all_bad_fields_are_named() {
    let record = changed(|value| {
        value["surplus"] = 1.into();
        value["envelope"]["colour"] = "red".into();
        value["envelope"]["customer"] = json!({"kind": "name", "value": 3, "x": null});
        value["command"]["amount"] = json!(12.5);
        value["command"]["expires_at"] = "tomorrow".into();
        value["command"]["skip_notifications"] = Value::Null;
        value["command"]["extra"] = json!({"deep": 1});
        value["command"].as_object_mut().unwrap().remove("unit");
    });
    assert_eq!(
        problems(&record),
        [
            "envelope.customer.kind: must be one of customer_id, external_id, phone, email, card_code",
            "envelope.customer.value: must be a text",
            "envelope.customer.x: is not a field of this command",
            "envelope.colour: is not a field of this command",
            "command.unit: is required",
            "command.amount: must be an integer of 64 bits",
            "command.expires_at: must be an RFC 3339 instant of the years 1900 to 9999, for example 2026-01-31T12:00:00Z",
            "command.skip_notifications: must be true or false",
            "command.extra: is not a field of this command",
            "surplus: is not a field of this command",
        ]
    );
    let command = command(&record);
    assert_eq!(command.kind(), "credit");
    assert_eq!(command.envelope.customer, None);
    assert_eq!(command.envelope.idempotency_key.as_str(), "k-1");
    assert_eq!(command.envelope.source.as_deref(), Some("till"));
    assert_eq!(command.envelope.occurred_at, Some(Instant::from_millis(1_700_000_000_000)));
}

#[test]
fn the_variant_must_be_known() {
    let unknown = ["command.type: must be one of amount"];
    let missing = changed(|value| drop(value["command"].as_object_mut().expect("an object").remove("type")));
    assert_eq!(problems(&missing), ["command.type: is missing: it must be one of amount"]);
    assert_eq!(problems(&changed(|value| value["command"]["type"] = "purchase".into())), unknown);
    assert_eq!(problems(&changed(|value| value["command"]["type"] = 1.into())), unknown);
    assert_eq!(
        problems(&changed(|value| value["command"] = json!({}))),
        ["command.type: is missing: it must be one of amount"]
    );
    assert_eq!(problems(&changed(|value| value["command"] = 1.into())), ["command: must be an object"]);
}

#[test]
fn an_envelope_without_a_key_is_judged_as_an_empty_one() {
    let record = changed(|value| {
        value["envelope"].as_object_mut().unwrap().remove("idempotency_key");
    });
    assert_eq!(problems(&record), ["envelope.idempotency_key: is required"]);
    assert_eq!(command(&record).envelope.idempotency_key.as_str(), "");
}

#[test]
fn what_would_poison_the_database_is_malformed_in_both_encodings() {
    let nul = "must not contain U+0000";
    let years = "must lie in the years 1900 to 9999";
    let mut wire = credit();
    wire.envelope.idempotency_key = "k\0".into();
    wire.envelope.source = Some("\0".into());
    wire.envelope.occurred_at = Some(Instant::from_micros(i64::MAX));
    wire.envelope.customer.as_mut().unwrap().value = "\0".into();
    wire.envelope.attributes = BTreeMap::from([("a\0".into(), "".into()), ("b".into(), "\0".into())]);
    let sent::CreditBody::CreditAmount(amount) = &mut wire.command;
    amount.unit = "\0".into();
    amount.title = Some("\0".into());
    amount.expires_at = Some(Instant::from_micros(Instant::EARLIEST.micros() - 1));
    let expected = [
        format!("envelope.idempotency_key: {nul}"),
        format!("envelope.customer.value: {nul}"),
        format!("envelope.occurred_at: {years}"),
        format!("envelope.source: {nul}"),
        format!("envelope.attributes.a\u{FFFD}: {nul}"),
        format!("envelope.attributes.b: {nul}"),
        format!("command.unit: {nul}"),
        format!("command.title: {nul}"),
        format!("command.expires_at: {years}"),
    ];
    let record = avro(CommandTopic::Credit, &wire);
    assert_eq!(problems(&record), expected);
    let envelope = command(&record).envelope;
    assert_eq!((envelope.source, envelope.occurred_at, envelope.attributes), (None, None, BTreeMap::new()));

    let json = changed(|value| {
        value["command"]["title"] = "\0".into();
        value["command"]["expires_at"] = "1899-12-31T23:59:59Z".into();
    });
    assert_eq!(problems(&json), [format!("command.title: {nul}"), format!("command.expires_at: {years}")]);
}

#[test]
fn the_envelope_is_bounded() {
    let record = changed(|value| {
        value["envelope"]["source"] = "x".repeat(65).into();
        value["envelope"]["attributes"] = json!({"": "", "k": "ä".repeat(501), "fine": "ä".repeat(500)});
    });
    assert_eq!(
        problems(&record),
        [
            "envelope.source: must have 1 to 64 characters, not only spaces",
            "envelope.attributes.: must have a name of 1 to 64 characters",
            "envelope.attributes.k: must have at most 500 characters",
        ]
    );
    let many: Value = (0..51).map(|n| (n.to_string(), Value::from(""))).collect::<serde_json::Map<_, _>>().into();
    let record = changed(|value| value["envelope"]["attributes"] = many);
    assert_eq!(problems(&record), ["envelope.attributes: must have at most 50 entries"]);
}

#[test]
fn the_answer_does_not_outgrow_the_question() {
    let record = changed(|value| {
        for n in 0..10_000 {
            value["command"][format!("\0{n}")] = 1.into();
        }
    });
    let problems = problems(&record);
    assert_eq!(problems.len(), 100);
    assert!(problems[99].ends_with("and 9900 more problems that are not listed"), "{}", problems[99]);
    assert!(!problems.concat().contains('\0'));
}

#[test]
fn the_trace_is_passed_through_if_it_is_one() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with = |value: &[u8]| {
        let headers = [Header { name: "traceparent".into(), value: value.into() }];
        command(&InboundRecord { headers: headers.into_iter().collect(), ..changed(|_| {}) }).traceparent
    };
    assert_eq!(with(trace.as_bytes()).as_deref(), Some(trace));
    assert_eq!(with(b"short"), None);
    assert_eq!(with(&[0xFF; 55]), None);
    assert_eq!(with(&[b'x'; 129]), None);
}

#[test]
fn a_record_that_was_sent_again_says_when_it_came_first() {
    let with = |value: &[u8]| {
        let headers = [Header { name: "loyalty.original-time".into(), value: value.into() }];
        command(&InboundRecord { headers: headers.into_iter().collect(), ..changed(|_| {}) })
    };
    let again = with(b"2023-11-14T22:00:00.25Z");
    assert_eq!(again.original_time, Some(Instant::from_millis(1_699_999_200_250)));
    // The header is no part of what the command says.
    let first = command(&changed(|_| {}));
    assert_eq!(first.original_time, None);
    assert_eq!((again.content_hash, again.envelope), (first.content_hash, first.envelope));
    let not_instants: [&[u8]; 5] = [b"", b"1699999200", b"yesterday", b"1899-12-31T23:59:59Z", &[0xFF; 20]];
    for other in not_instants {
        assert_eq!(with(other).original_time, None, "{other:?}");
    }
    // What is wrong with a command makes no difference.
    let headers = [Header { name: "loyalty.original-time".into(), value: b"2023-11-14T22:00:00Z".into() }];
    let malformed = command(&InboundRecord {
        headers: headers.into_iter().collect(),
        ..changed(|value| value["surplus"] = 1.into())
    });
    assert_eq!(malformed.original_time, Some(Instant::from_millis(1_699_999_200_000)));
}

proptest! {
    #[test]
    fn any_datum_decodes_to_something(id in 1_u32..=4, datum in prop::collection::vec(any::<u8>(), 0..200), topic in 0..4_usize) {
        let record = avro_as(id, CommandTopic::ALL[topic], &datum);
        let _ = content(&record);
    }

    #[test]
    fn a_damaged_datum_decodes_to_something(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut datum = wire::datum(&credit());
        let place = place.index(datum.len());
        datum[place] = byte;
        let _ = content(&avro_as(3, CommandTopic::Credit, &datum));
    }

    #[test]
    fn any_bytes_decode_to_something(value in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decoder().decode(&record(CommandTopic::Credit, value), "t");
    }

    #[test]
    fn damaged_json_decodes_to_something(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = CREDIT_JSON.as_bytes().to_vec();
        let place = place.index(text.len());
        text[place] = byte;
        let _ = decoder().decode(&record(CommandTopic::Credit, text), "t");
    }

    #[test]
    fn json_with_anything_for_a_field_decodes_to_something(field in 0..4_usize, text in ".{0,20}", number in any::<i64>()) {
        let record = changed(|value| {
            let place = ["/envelope/occurred_at", "/command/amount", "/command/unit", "/envelope/customer"][field];
            *value.pointer_mut(place).unwrap() = if number % 2 == 0 { number.into() } else { text.into() };
        });
        let _ = command(&record);
    }
}

#[test]
fn what_the_grammar_allows_and_no_field_takes_is_a_bad_field() {
    let text = |command: &str| {
        format!(
            r#"{{"envelope":{{"merchant_id":"m-1","idempotency_key":"k-1"}},"command":{{"type":"amount",{command}}}}}"#
        )
    };
    let of = |command: &str| problems(&InboundRecord { value: Some(text(command).into_bytes()), ..changed(|_| {}) });
    assert_eq!(
        of(r#""unit":"points","amount":1e400,"reason":"thanks \ud83d""#),
        [
            "command.amount: must be an integer of 64 bits",
            "command.reason: must be Unicode text: half of a surrogate pair is no character"
        ]
    );
    assert_eq!(
        of(r#""unit":"points","amount":1,"amount":1000"#),
        ["command.amount: stands more than once in its object"]
    );
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let marked = [b"\xef\xbb\xbf", CREDIT_JSON.as_bytes()].concat();
    let decoded = command(&record(CommandTopic::Credit, marked));
    assert_eq!(
        decoded.content_hash,
        command(&record(CommandTopic::Credit, CREDIT_JSON.as_bytes().to_vec())).content_hash
    );
}

#[test]
fn a_trace_that_w3c_calls_invalid_is_dropped() {
    let traced = |text: &str| {
        let header = Header { name: "traceparent".into(), value: text.as_bytes().to_vec() };
        command(&InboundRecord { headers: [header].into_iter().collect(), ..changed(|_| {}) }).traceparent
    };
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(traced(good).as_deref(), Some(good));
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert_eq!(traced(later).as_deref(), Some(later));
    for bad in [
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
    ] {
        assert_eq!(traced(bad), None, "{bad}");
    }
}
