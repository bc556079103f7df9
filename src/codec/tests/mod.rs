mod decoding;
mod encoding;
mod encodings_agree;
mod evolution;
mod resolving;
mod shapes;

use std::collections::BTreeMap;

use super::decode::Decoder;
use super::registry::RegistryClient;
use super::{framing, schemas, wire};
use crate::config::RegistrySettings;
use crate::domain::command::{Body, Command, Content, DeadLetterClass};
use crate::domain::{CommandTopic, Instant, Position};
use crate::record::{Headers, InboundRecord, lane_of};

/// What senders write.
mod sent {
    pub use crate::codec::records::*;
    pub use crate::domain::command::*;
    pub use crate::domain::config::*;
    pub use crate::domain::customer::IdentifierKind;
    pub use crate::domain::{Gender, Metric, ProfileField};
}

pub const LANES: i32 = 8;
pub const MERCHANT: &str = "m-1";

/// A decoder that knows our schemas as ids 1 to 5, in the order of the topics, and has no registry.
pub fn decoder() -> Decoder {
    let decoder = Decoder::new(LANES, RegistryClient::new(&RegistrySettings::at("http://127.0.0.1:1")).unwrap());
    for topic in CommandTopic::ALL {
        decoder.teach(id_of(topic), schemas::command(topic).text);
    }
    decoder
}

pub fn id_of(topic: CommandTopic) -> u32 {
    topic.index() as u32 + 1
}

pub fn record(topic: CommandTopic, value: impl Into<Vec<u8>>) -> InboundRecord {
    InboundRecord {
        position: Position { topic, partition: lane_of(MERCHANT.as_bytes(), LANES), offset: 7 },
        timestamp: Instant::from_millis(1_700_000_000_000),
        key: Some(MERCHANT.into()),
        value: Some(value.into()),
        headers: Headers::default(),
    }
}

pub fn avro<T: serde::Serialize>(topic: CommandTopic, command: &T) -> InboundRecord {
    avro_as(id_of(topic), topic, &wire::datum(command))
}

pub fn avro_as(id: u32, topic: CommandTopic, datum: &[u8]) -> InboundRecord {
    record(topic, framing::confluent(id, Vec::new(), |out| out.extend_from_slice(datum)))
}

pub fn content(record: &InboundRecord) -> Content {
    decoder().decode(record, "topic-id").expect("its schema is known").content
}

#[track_caller]
pub fn command(record: &InboundRecord) -> Command {
    match content(record) {
        Content::Command(command) => *command,
        other => panic!("not a command: {other:?}"),
    }
}

#[track_caller]
pub fn dead_letter(record: &InboundRecord) -> (DeadLetterClass, String) {
    match content(record) {
        Content::DeadLetter(dead_letter) => (dead_letter.class, dead_letter.message),
        other => panic!("not a dead letter: {other:?}"),
    }
}

/// The bad fields as `path: problem`.
#[track_caller]
pub fn problems(record: &InboundRecord) -> Vec<String> {
    let problems = command(record).problems;
    assert!(!problems.is_empty(), "nothing is wrong with it");
    problems.into_iter().map(|bad| format!("{}: {}", bad.field, bad.problem)).collect()
}

pub fn envelope() -> sent::Envelope {
    sent::Envelope {
        merchant_id: MERCHANT.into(),
        idempotency_key: "k-1".into(),
        customer: Some(sent::CustomerRef { kind: sent::RefKind::Phone, value: "+49123".into() }),
        occurred_at: Some(Instant::from_micros(1_700_000_000_000_000)),
        source: Some("till".into()),
        attributes: BTreeMap::from([("shop".into(), "7".into()), ("b".into(), "ä".into())]),
    }
}

pub fn credit() -> sent::CreditCommand {
    sent::CreditCommand {
        envelope: envelope(),
        command: sent::CreditBody::CreditAmount(sent::CreditAmount {
            unit: "points".into(),
            amount: 1276,
            order_id: Some("o-1".into()),
            reason: None,
            title: None,
            expires_at: Some(Instant::from_micros(1_800_000_000_000_000)),
            skip_notifications: true,
        }),
    }
}

pub const CREDIT_JSON: &str = r#"{
    "envelope": {
        "merchant_id": "m-1", "idempotency_key": "k-1", "customer": {"kind": "phone", "value": "+49123"},
        "occurred_at": "2023-11-14T22:13:20Z", "source": "till", "attributes": {"shop": "7", "b": "ä"}
    },
    "command": {
        "type": "amount", "unit": "points", "amount": 1276, "order_id": "o-1",
        "expires_at": "2027-01-15T09:00:00+01:00", "skip_notifications": true
    }
}"#;

/// [`CREDIT_JSON`] after a change.
pub fn changed(change: impl FnOnce(&mut serde_json::Value)) -> InboundRecord {
    let mut value = serde_json::from_str(CREDIT_JSON).unwrap();
    change(&mut value);
    record(CommandTopic::Credit, serde_json::to_vec(&value).unwrap())
}

/// A unit at its schema's defaults.
fn bare_unit() -> sent::Unit {
    sent::Unit {
        unit_id: "points".into(),
        name: "Points".into(),
        scale: 0,
        expiry_days: None,
        min_held: 0,
        min_amount: 1,
        description: None,
        kind: sent::UnitKind::Points,
        currency: None,
        brand_id: None,
        value: None,
        rounding: sent::Rounding::Floor,
        step: 1,
        attributes: BTreeMap::new(),
    }
}
