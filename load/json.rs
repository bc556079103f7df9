//! Commands as JSON, the way a sender without a schema registry would write them: what has nothing to say is left out.

use serde_json::{Map, Value, json};

use super::command::{Body, CARD_STAMPS, Command, Identifier, Reference, UnknownCustomer};
use super::timeline::Timeline;

pub fn encode(command: &Command, timeline: &mut Timeline) -> String {
    let mut envelope = Map::new();
    envelope.insert("merchant_id".into(), json!(&*command.merchant));
    envelope.insert("idempotency_key".into(), json!(command.key));
    match &command.customer {
        None => {}
        Some(Reference::CustomerId(value)) => {
            envelope.insert("customer".into(), json!({"kind": "customer_id", "value": value}));
        }
        Some(Reference::By(kind, value)) => {
            envelope.insert("customer".into(), json!({"kind": kind.name(), "value": value}));
        }
    }
    if let Some(time) = command.occurred_at {
        envelope.insert("occurred_at".into(), rfc3339(timeline.instant(time)));
    }
    put(&mut envelope, "source", command.source.map(Value::from));

    let mut root = Map::new();
    root.insert("envelope".into(), Value::Object(envelope));
    let mut body = Map::new();
    match &command.body {
        Body::Settings { name, time_zone, match_by, max_age_s, unknown_customer } => {
            put(&mut body, "type", Some("settings".into()));
            put(&mut body, "name", name.map(Value::from));
            put(&mut body, "time_zone", time_zone.map(Value::from));
            put(&mut body, "match_by", match_by.map(|kinds| kinds.map(Identifier::name).to_vec().into()));
            put(&mut body, "max_age_s", max_age_s.map(Value::from));
            let (word, park_s) = match unknown_customer {
                None => (None, None),
                Some(UnknownCustomer::Enrol) => (Some("enrol"), None),
                Some(UnknownCustomer::Park { seconds }) => (Some("park"), Some(*seconds)),
            };
            put(&mut body, "unknown_customer", word.map(Value::from));
            put(&mut body, "park_s", park_s.map(Value::from));
        }
        Body::Unit { unit, name, scale, effective_from, rules } => {
            put(&mut root, "effective_from", effective_from.map(|time| rfc3339(timeline.instant(time))));
            put(&mut body, "type", Some("unit".into()));
            put(&mut body, "unit_id", Some((*unit).into()));
            put(&mut body, "name", Some((*name).into()));
            put(&mut body, "scale", Some((*scale).into()));
            put(&mut body, "expiry_days", rules.expiry_days.map(Value::from));
            put(&mut body, "min_held", Some(rules.min_held.into()));
            put(&mut body, "min_amount", Some(rules.min_amount.into()));
        }
        Body::Card { card, initial } => {
            put(&mut body, "type", Some("card".into()));
            put(&mut body, "card_id", Some((*card).into()));
            put(&mut body, "name", Some((*card).into()));
            put(&mut body, "stamps_required", Some(CARD_STAMPS.into()));
            put(&mut body, "initial_stamps", Some((*initial).into()));
        }
        Body::Upsert(profile) => {
            for kind in Identifier::ALL {
                put(&mut body, kind.name(), profile.identifiers[kind as usize].clone().map(Value::from));
            }
            put(&mut body, "first_name", profile.first_name.clone().map(Value::from));
            put(&mut body, "last_name", profile.last_name.clone().map(Value::from));
            put(&mut body, "birth_date", profile.birth_date.clone().map(Value::from));
            put(&mut body, "active", profile.active.map(Value::from));
            put(&mut body, "notify_email", profile.notify_email.map(Value::from));
            put(&mut body, "notify_phone", profile.notify_phone.map(Value::from));
            put(&mut body, "card_id", profile.card.map(Value::from));
        }
        Body::Credit { unit, amount, order, expires_at } => {
            put(&mut body, "type", Some("amount".into()));
            put(&mut body, "unit", Some((*unit).into()));
            put(&mut body, "amount", Some((*amount).into()));
            put(&mut body, "order_id", order.clone().map(Value::from));
            put(&mut body, "expires_at", expires_at.map(|time| rfc3339(timeline.instant(time))));
        }
        Body::Redeem { unit, amount, order } => {
            put(&mut body, "type", Some("amount".into()));
            put(&mut body, "unit", Some((*unit).into()));
            put(&mut body, "amount", Some((*amount).into()));
            put(&mut body, "order_id", order.clone().map(Value::from));
        }
    }
    if command.unknown_field {
        put(&mut body, "colour", Some("green".into()));
    }
    root.insert("command".into(), Value::Object(body));
    Value::Object(root).to_string()
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

fn rfc3339(micros: i64) -> Value {
    jiff::Timestamp::from_microsecond(micros).map_or(Value::Null, |at| at.to_string().into())
}
