//! The audit's own structs against the published schemas.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::json;

use super::super::schemas::{DecodeFault, Decoder, Schemas};
use super::*;

const RESULTS: (u32, &str) = (1, include_str!("../../../schemas/results.avsc"));
const EVENTS: (u32, &str) = (2, include_str!("../../../schemas/events.avsc"));
const CUSTOMERS: (u32, &str) = (3, include_str!("../../../schemas/customers.avsc"));
const JOURNAL: (u32, &str) = (4, include_str!("../../../schemas/journal.avsc"));
/// The journal's schema, grown by a record that the audit does not know.
const GROWN: u32 = 5;

fn schemas() -> Schemas {
    let parse = |(id, text)| (id, Schema::parse_str(text).expect("the schema is valid"));
    let grown = (GROWN, &*grown_journal());
    Schemas::known([RESULTS, EVENTS, CUSTOMERS, JOURNAL, grown].map(parse))
}

fn grown_journal() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(JOURNAL.1).expect("the schema is JSON");
    let inner = json!({ "type": "record", "name": "New", "fields": [{ "name": "a", "type": "string" }] });
    schema["fields"].as_array_mut().expect("it has fields").push(json!({ "name": "new", "type": inner }));
    schema.to_string()
}

/// A record of Confluent's framing, from JSON that names every field that has no default.
fn framed((id, schema): (u32, &str), record: serde_json::Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("the schema is valid");
    let value = Value::try_from(record).and_then(|value| value.resolve(&schema)).expect("the record fits its schema");
    let datum = GenericDatumWriter::builder(&schema).build().expect("the schema is complete");
    let datum = datum.write_value_to_vec(value).expect("the record can be written");
    [&[0], id.to_be_bytes().as_slice(), &datum].concat()
}

/// The same record in JSON: its instants are texts.
fn as_json(mut record: serde_json::Value) -> Vec<u8> {
    write_instants(&mut record);
    record.to_string().into_bytes()
}

fn write_instants(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_i64() {
                    Some(micros) if name.ends_with("_at") || name == "since" => {
                        *field = json!(jiff::Timestamp::from_microsecond(micros).expect("in range").to_string());
                    }
                    _ => write_instants(field),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(write_instants),
        _ => {}
    }
}

fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    Decoder::new(&schemas()).decode(Some(value)).map_err(|fault| match fault {
        DecodeFault::Unreadable(reason) => reason,
        DecodeFault::Fatal(error) => error.to_string(),
    })
}

fn topic_of(name: &str) -> Option<CommandTopic> {
    crate::record::TopicNames::new("loyalty.").command_of(name)
}

const ID: &str = "00000000-0000-0000-0000-00000000000a";

fn entry() -> serde_json::Value {
    json!({
        "transaction_id": ID, "seq": 3, "kind": "redeem_amount", "direction": "debit", "unit": "points", "amount": 30,
        "balance_before": 100, "balance_after": 70, "lots": [{ "lot_id": ID, "amount": 30 }], "lots_total": 1,
        "occurred_at": 5, "recorded_at": 6
    })
}

fn position(offset: i64) -> serde_json::Value {
    json!({ "topic": "loyalty.credit", "partition": 1, "offset": offset })
}

fn result() -> serde_json::Value {
    json!({
        "result_id": ID, "command": position(7), "merchant_id": "shop", "idempotency_key": "k", "command_kind": "credit.amount",
        "customer_id": ID, "status": "accepted", "duplicate": true, "original": position(5), "effect": "applied",
        "occurred_at": 5, "decided_at": 6, "config_version": 2, "customer_version": 4, "transactions": [entry()],
        "balances": [{
            "unit": "points", "available": 70, "pending": 0, "held": 0, "debt": 0, "balance": 70, "lifetime_earned": 100
        }],
        "attributes": { "a": "b" }
    })
}

#[test]
fn a_result_becomes_a_fact() {
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let wire = decode(&framed(RESULTS, result())).expect("it can be decoded");
    let fact = context.result(9, wire).expect("it is a fact");
    let credit = |offset| Position { topic: CommandTopic::Credit, partition: 1, offset };
    assert_eq!((fact.offset, fact.command, fact.original), (9, credit(7), Some(credit(5))));
    assert_eq!((fact.effect, fact.customer_version, fact.customer), (4, Some(4), Some(Uuid::from_u128(10))));
    // select lookup_key('shop', 'k')
    assert_eq!(fact.key.to_string(), "88eb5910-eadd-538b-3336-9a241caeb3db");
    assert_eq!((fact.entries[0].kind, fact.entries[0].seq, fact.entries[0].lots[0].amount), (2, 3, 30));
    assert_eq!(*fact.balances, [(Name::of("points"), 70)]);
    assert_eq!(names.text(Name::of("points")), "points");
}

#[test]
fn a_rejected_result_becomes_a_fact() {
    let mut record = result();
    record["status"] = json!("rejected");
    record["effect"] = json!(null);
    record["rejection"] =
        json!({ "code": "unknown_unit", "message": "No.", "fields": [{ "field": "unit", "problem": "p" }] });
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let fact = context.result(9, decode(&framed(RESULTS, record)).expect("it can be decoded")).expect("it is a fact");
    assert!(!fact.accepted);
    let rejection = RejectionFact { code: Name::of("unknown_unit"), message: Name::of("No.") };
    assert_eq!((fact.effect, fact.rejection), (0, Some(rejection)));
}

fn event() -> serde_json::Value {
    json!({
        "event_id": ID, "type": "points.redeemed", "merchant_id": "shop", "customer_id": ID, "version": 2, "index": 0, "count": 1,
        "occurred_at": 5, "recorded_at": 6, "cause": position(7),
        "notify": { "email": true, "phone": false, "to_email": "a@b.example" },
        "skip_notifications": false, "changed": ["email"], "entry": entry(), "balances": []
    })
}

#[test]
fn an_event_becomes_a_fact() {
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let fact = context.event(1, decode(&framed(EVENTS, event())).expect("it can be decoded")).expect("it is a fact");
    assert_eq!((fact.version, fact.kind), (2, Name::of("points.redeemed")));
    assert_eq!(fact.entry.map(|entry| entry.amount), Some(30));
    assert_eq!(names.text(Name::of("a@b.example")), "?", "personal data is not kept");
}

fn state() -> serde_json::Value {
    json!({
        "customer_id": ID, "merchant_id": "shop", "phone": "+49123", "notify_email": true, "notify_phone": false, "status": "active",
        "version": 2, "created_at": 1, "updated_at": 2,
        "accounts": [{
            "unit": "points", "available": 70, "pending": 0, "held": 0, "debt": 0, "balance": 70, "lifetime_earned": 100,
            "lifetime_redeemed": 30, "lots": [{ "lot_id": ID, "amount": 100, "remaining": 70, "issued_at": 1, "expires_at": 9 }],
            "lots_total": 1
        }]
    })
}

#[test]
fn a_state_becomes_a_fact() {
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let fact = context.state(1, decode(&framed(CUSTOMERS, state())).expect("it can be decoded"));
    assert_eq!((fact.profile.phone, fact.profile.email), (Some(Name::of("+49123")), None));
    let lot = LotFact { lot: Uuid::from_u128(10), amount: 100, remaining: 70, issued_at: 1, expires_at: Some(9) };
    assert_eq!(*fact.accounts[0].lots, [lot]);
}

#[test]
fn what_a_customer_belongs_to_becomes_a_fact() {
    let card = |stamps: i64| {
        json!({
            "card_id": "coffee", "name": "Coffee", "code": "0Z", "stamps": stamps, "stamps_required": 5, "enrolled_at": 7,
            "rewards": [{ "reward_id": "r", "name": "n", "stamps": 1, "reached": true }]
        })
    };
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let mut fact = |member: serde_json::Value| {
        let mut record = state();
        record.as_object_mut().expect("an object").extend(member.as_object().expect("an object").clone());
        let [avro, json] = [framed(CUSTOMERS, record.clone()), as_json(record)];
        let fact = context.state(1, decode(&avro).expect("it can be decoded"));
        assert_eq!(fact, context.state(1, decode(&json).expect("it can be decoded")));
        fact
    };
    let tier = |tier: &str| json!({ "tier": { "tier_id": tier, "name": "Gold", "since": 1, "manual": true } });
    let found = fact(json!({ "cards": [card(3)] }));
    assert_eq!(*found.stamps, [(Name::of("coffee"), 3)]);
    let further: Vec<_> = [
        json!({}),
        json!({ "cards": [card(3)] }),
        json!({ "programme_id": "club" }),
        json!({ "referrer_id": ID }),
        tier("gold"),
        tier("tin"),
    ]
    .into_iter()
    .map(|member| fact(member).profile.further)
    .collect();
    let distinct: std::collections::BTreeSet<_> = further.iter().collect();
    assert_eq!(distinct.len(), further.len(), "{further:?}");
    assert_eq!(fact(json!({ "cards": [card(4)] })).profile.further, further[1], "stamps are the account's");

    let mut record = event();
    record["card"] = card(1);
    record["reward"] = json!({ "reward_id": "r", "name": "n", "stamps": 1, "reached": true });
    record["tier"] = json!({ "from": "a", "to": "b", "reason": "manual" });
    let [avro, json] = [framed(EVENTS, record.clone()), as_json(record)];
    let event = context.event(1, decode(&avro).expect("it can be decoded")).expect("it is a fact");
    assert_eq!(event, context.event(1, decode(&json).expect("it can be decoded")).expect("it is a fact"));
    let mut record = result();
    record["cards"] = json!([card(1)]);
    record["tier_id"] = json!("gold");
    let [avro, json] = [framed(RESULTS, record.clone()), as_json(record)];
    let result = context.result(1, decode(&avro).expect("it can be decoded")).expect("it is a fact");
    assert_eq!(result, context.result(1, decode(&json).expect("it can be decoded")).expect("it is a fact"));
}

fn journal() -> serde_json::Value {
    json!({
        "lane": 1, "batch": 4, "lane_time_before": 5,
        "ranges": [{ "topic": "loyalty.redeem", "topic_id": "x", "from": 3, "to": 8 }],
        "due_settled": 0, "skipped": [position(3)], "code_version": "0.1.0", "rules_version": 1, "settings": { "a": "b" },
        "outcomes_hash": "00"
    })
}

#[test]
fn a_journal_record_becomes_a_fact() {
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let fact =
        context.journal(1, decode(&framed(JOURNAL, journal())).expect("it can be decoded")).expect("it is a fact");
    assert_eq!((fact.batch, fact.ranges), (4, [None, None, None, None, Some((3, 8)), None, None, None]));
}

#[test]
fn a_record_of_a_later_schema_becomes_a_fact() {
    let mut record = journal();
    record["new"] = json!({ "a": "b" });
    let wire: JournalWire = decode(&framed((GROWN, &grown_journal()), record)).expect("it can be decoded");
    assert_eq!((wire.batch, wire.ranges.len()), (4, 1));
}

#[test]
fn json_becomes_the_same_facts() {
    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let mut rejected = result();
    rejected["rejection"] = json!({ "code": "c", "message": "m", "fields": [{ "field": "f", "problem": "p" }] });
    for record in [result(), rejected] {
        let fact = |value: Vec<u8>| context.result(9, decode(&value).expect("it can be decoded"));
        let [avro, json] = [framed(RESULTS, record.clone()), as_json(record)].map(fact);
        assert_eq!(avro.expect("it is a fact"), json.expect("it is a fact"));
    }
    let fact = |value: Vec<u8>| context.event(9, decode(&value).expect("it can be decoded"));
    let [avro, json] = [framed(EVENTS, event()), as_json(event())].map(fact);
    assert_eq!(avro.expect("it is a fact"), json.expect("it is a fact"));
    let fact = |value: Vec<u8>| context.state(9, decode(&value).expect("it can be decoded"));
    let [avro, json] = [framed(CUSTOMERS, state()), as_json(state())].map(fact);
    assert_eq!(avro, json);
    let last: Micros = serde_json::from_str("\"9999-12-31T23:59:59.999999Z\"").expect("the last instant that there is");
    assert_eq!(last.0, crate::domain::Instant::LATEST.micros());
}

#[test]
fn what_can_not_be_understood_is_said_and_not_guessed() {
    let reason = |value: &[u8]| decode::<ResultWire>(value).err().expect("it can't be decoded");
    let good = framed(RESULTS, result());
    // Without its last byte alone it would be the same: a union that ends before it has begun is read as null.
    assert!(reason(&good[..good.len() - 2]).contains("not what its schema 1 says"));
    assert_eq!(reason(&[good.as_slice(), &[0]].concat()), "bytes are left over behind it");
    assert_eq!(reason(b"7"), "it is neither in Confluent's framing nor a JSON object");
    let personal = reason(br#"{"result_id":"Ada"}"#);
    assert!(
        personal.starts_with("its JSON is not what it should be at byte 1") && !personal.contains("Ada"),
        "{personal}"
    );
    let text = as_json(result());
    assert!(reason(&[text.as_slice(), b"{}"].concat()).contains("its JSON is not what it should be"));
    assert_eq!(reason(&good[..3]), "it ends within its framing");

    let mut names = Names::default();
    let mut context = Context { names: &mut names, topic_of: &topic_of };
    let mut refused = |field: &str, value: serde_json::Value| {
        let mut record = result();
        record[field] = value;
        context.result(0, decode(&framed(RESULTS, record)).expect("it can be decoded")).expect_err("it is no fact")
    };
    assert_eq!(refused("status", json!("maybe")), "its status is maybe");
    assert_eq!(refused("effect", json!("none")), "its effect is none");
    let elsewhere = json!({ "topic": "other.credit", "partition": 1, "offset": 1 });
    assert!(refused("command", elsewhere).contains("other.credit"));
    let mut credit = entry();
    credit["direction"] = json!("credit");
    assert_eq!(refused("transactions", json!([credit])), "its entry of kind redeem_amount is a credit");
}
