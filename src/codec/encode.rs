//! What a batch decided, as the records that are published: all bytes are made before the commit, so that nothing can fail after it.
//!
//! The order is: results in the order of the commands, events in theirs, customers' states, dead letters, and last the journal.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::registry::{self, RegistryClient, RegistryError};
use super::to_wire::{self, Topics};
use super::wire::{Journal, JournalRange};
use super::{framing, schemas, serializer};
use crate::batch::{ChangeSet, ChangedCustomer, Outcome};
use crate::domain::command::DeadLetter;
use crate::domain::{CommandTopic, CustomerChange, CustomerState, Event, Instant, Position, RULES_VERSION};
use crate::record::{Header, InboundRecord, OutTopic, OutboundRecord, TopicNames};

/// No record may be larger: brokers take 1 MiB by default, and a batch that can't be published would stop its lane.
pub const MAX_RECORD_BYTES: usize = 900 * 1024;
/// A dead letter keeps the sender's headers up to so much.
const MAX_KEPT_HEADERS: usize = 32 * 1024;
/// And its key; longer than any merchant's.
const MAX_KEPT_KEY: usize = 1024;

/// Knows the registry's ids of our outgoing schemas.
#[derive(Debug, Clone)]
pub struct Encoder {
    results: Labelled,
    events: Labelled,
    customers: Labelled,
    journal: Labelled,
}

/// Everything that one batch's records are made from.
pub struct EncodeInput<'a> {
    pub changes: &'a ChangeSet,
    pub lane: i32,
    pub names: &'a TopicNames,
    /// The consumer group, which dead letters name.
    pub group: &'a str,
    /// What the batch consumed, for the dead letters' original bytes.
    pub records: &'a [InboundRecord],
    pub journal: &'a JournalBatch,
}

/// What one batch consumed, and the hash of what it decided: enough to do it again.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalBatch {
    pub lane: i32,
    pub batch: i64,
    pub lane_time_before: Instant,
    /// Topic, Kafka's id of it, and the offsets [from, to).
    pub ranges: Vec<(CommandTopic, String, i64, i64)>,
    pub due_settled: usize,
    pub skipped: Vec<Position>,
    /// Every setting that can change an outcome.
    pub settings: BTreeMap<String, String>,
    pub outcomes_hash: [u8; 32],
}

/// The batch can't be published, so it must not be committed either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("a record for {topic:?} caused by {cause} would have {bytes} bytes, more than a broker takes")]
    TooLarge { topic: OutTopic, cause: String, bytes: usize },
    #[error("the batch names {0:?} as a dead letter but did not consume it")]
    NotConsumed(Position),
    #[error("a record for {0:?} holds a type that no schema has")]
    Unsupported(OutTopic),
}

/// An outgoing schema as the registry numbers it.
#[derive(Debug, Clone)]
struct Labelled {
    id: u32,
    name: String,
}

impl Encoder {
    /// Registers the outgoing schemas and remembers their ids.
    pub async fn register(registry: &RegistryClient, names: &TopicNames) -> Result<Encoder, RegistryError> {
        let registry = registry.clone();
        let names = names.clone();
        registry::blocking("to register schemas", move || {
            Encoder::with_ids(|topic, text| registry.register(&schemas::subject(&names.out(topic)), text))
        })
        .await
    }

    /// With ids from elsewhere, for tests and tools.
    pub fn with_ids<E>(mut id_of: impl FnMut(OutTopic, &'static str) -> Result<u32, E>) -> Result<Encoder, E> {
        let mut label = |topic| {
            let schema = schemas::outgoing(topic).expect("only dead letters have no schema");
            Ok(Labelled { id: id_of(topic, schema.text)?, name: schema.full_name() })
        };
        Ok(Encoder {
            results: label(OutTopic::Results)?,
            events: label(OutTopic::Events)?,
            customers: label(OutTopic::Customers)?,
            journal: label(OutTopic::Journal)?,
        })
    }

    /// All records of one batch, in the order in which they are published.
    pub fn encode(&self, batch: &EncodeInput<'_>) -> Result<Vec<OutboundRecord>, EncodeError> {
        let topics = Topics::new(batch.names);
        let ChangeSet { outcomes, events, rows, dead_letters, .. } = batch.changes;
        let mut records =
            Vec::with_capacity(outcomes.len() + events.len() + rows.customers.len() + dead_letters.len() + 1);
        for outcome in outcomes {
            records.push(self.result(outcome, &topics)?);
        }
        for event in events {
            records.push(self.event(event, &topics)?);
        }
        for ChangedCustomer { state, .. } in rows.customers.iter().filter(|row| row.change > CustomerChange::NextDue) {
            let CustomerState { customer, accounts } = state;
            let state = to_wire::customer_state(customer, accounts);
            let key = format!("{}/{}", customer.merchant_id, customer.customer_id);
            let cause = || format!("customer {}", customer.customer_id);
            let value = value(OutTopic::Customers, &self.customers, 512, &state, cause)?;
            let headers = vec![header("schema", self.customers.name.as_str())];
            records.push(OutboundRecord { topic: OutTopic::Customers, key: key.into(), value: Some(value), headers });
        }
        if !dead_letters.is_empty() {
            let consumed: HashMap<Position, &InboundRecord> =
                batch.records.iter().map(|record| (record.position, record)).collect();
            for (position, reason) in dead_letters {
                let original = consumed.get(position).ok_or(EncodeError::NotConsumed(*position))?;
                records.push(dead_letter(original, reason, batch.group, &topics));
            }
        }
        records.push(self.journal(batch, &topics)?);
        Ok(records)
    }

    fn result(&self, outcome: &Outcome, topics: &Topics) -> Result<OutboundRecord, EncodeError> {
        let envelope = &outcome.command.envelope;
        let record = to_wire::result(outcome, topics);
        let value = value(OutTopic::Results, &self.results, 512, &record, || format!("{:?}", outcome.position))?;
        let mut headers = Vec::with_capacity(8);
        headers.push(header("type", outcome.command.body.kind()));
        headers.push(header("merchant", envelope.merchant_id.as_str()));
        headers.push(header("status", to_wire::status(outcome)));
        if let Err(rejection) = &outcome.decision.verdict {
            headers.push(header("code", rejection.code.code()));
        }
        headers.extend(envelope.source.as_deref().map(|source| header("source", source)));
        headers.extend(record.customer_id.map(|id| header("customer-id", id.to_string())));
        headers.push(header("schema", self.results.name.as_str()));
        headers.extend(outcome.command.traceparent.as_deref().map(|trace| header("traceparent", trace)));
        let key = envelope.merchant_id.as_str().into();
        Ok(OutboundRecord { topic: OutTopic::Results, key, value: Some(value), headers })
    }

    fn event(&self, event: &Event, topics: &Topics) -> Result<OutboundRecord, EncodeError> {
        let record = to_wire::event(event, topics);
        let value = value(OutTopic::Events, &self.events, 512, &record, || format!("event {}", event.event_id))?;
        let mut headers = Vec::with_capacity(7);
        headers.push(header("type", event.fact.type_name()));
        headers.push(header("merchant", event.merchant_id.as_str()));
        headers.extend(event.source.as_deref().map(|source| header("source", source)));
        headers.extend(event.customer_id.map(|id| header("customer-id", id.to_string())));
        headers.push(header("event-id", event.event_id.to_string()));
        headers.push(header("schema", self.events.name.as_str()));
        headers.extend(event.traceparent.as_deref().map(|trace| header("traceparent", trace)));
        let key = event.merchant_id.as_str().into();
        Ok(OutboundRecord { topic: OutTopic::Events, key, value: Some(value), headers })
    }

    fn journal(&self, batch: &EncodeInput<'_>, topics: &Topics) -> Result<OutboundRecord, EncodeError> {
        let journal = batch.journal;
        let record = Journal {
            lane: journal.lane,
            batch: journal.batch,
            lane_time_before: to_wire::micros(journal.lane_time_before),
            ranges: journal
                .ranges
                .iter()
                .map(|(topic, topic_id, from, to)| JournalRange {
                    topic: topics.name(*topic).into(),
                    topic_id: topic_id.into(),
                    from: *from,
                    to: *to,
                })
                .collect(),
            due_settled: to_wire::count(journal.due_settled),
            skipped: journal.skipped.iter().map(|position| topics.position(*position)).collect(),
            code_version: env!("CARGO_PKG_VERSION").into(),
            rules_version: RULES_VERSION,
            settings: journal.settings.iter().map(|(key, value)| (key.into(), value.into())).collect(),
            outcomes_hash: journal.outcomes_hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        };
        let cause = || format!("batch {}", journal.batch);
        let value = value(OutTopic::Journal, &self.journal, 512, &record, cause)?;
        let key = batch.lane.to_string().into();
        let headers = vec![header("schema", self.journal.name.as_str())];
        Ok(OutboundRecord { topic: OutTopic::Journal, key, value: Some(value), headers })
    }
}

fn value<T: Serialize>(
    topic: OutTopic,
    schema: &Labelled,
    capacity: usize,
    record: &T,
    cause: impl FnOnce() -> String,
) -> Result<Vec<u8>, EncodeError> {
    let mut written = Ok(());
    let value = framing::confluent(schema.id, capacity, |out| written = serializer::append(out, record));
    written.map_err(|_| EncodeError::Unsupported(topic))?;
    if value.len() > MAX_RECORD_BYTES {
        return Err(EncodeError::TooLarge { topic, cause: cause(), bytes: value.len() });
    }
    Ok(value)
}

/// The record as it came, with where and why. What a broker would refuse to take back is left out and named; the original stays where
/// it is, until its topic's retention has passed.
fn dead_letter(record: &InboundRecord, reason: &DeadLetter, group: &str, topics: &Topics) -> OutboundRecord {
    let InboundRecord { position, key, value, headers, .. } = record;
    let mut omitted = Vec::new();
    let kept_headers: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    let mut out: Vec<Header> = Vec::with_capacity(headers.len() + 8);
    if kept_headers > MAX_KEPT_HEADERS {
        omitted.push("headers");
    } else {
        out.extend(headers.iter().cloned());
    }
    let key = key.clone().unwrap_or_default();
    let key = if key.len() > MAX_KEPT_KEY {
        omitted.push("key");
        Vec::new()
    } else {
        key
    };
    let value = value.clone().filter(|value| {
        let fits = value.len() <= MAX_RECORD_BYTES;
        if !fits {
            omitted.push("value");
        }
        fits
    });
    out.push(header("__connect.errors.topic", topics.name(position.topic)));
    out.push(header("__connect.errors.partition", position.partition.to_string()));
    out.push(header("__connect.errors.offset", position.offset.to_string()));
    out.push(header("__connect.errors.class.name", reason.class.code()));
    out.push(header("__connect.errors.exception.message", reason.message.as_str()));
    out.extend(reason.schema_id.map(|id| header("loyalty.schema-id", id.to_string())));
    out.push(header("loyalty.group", group));
    if !omitted.is_empty() {
        out.push(header("loyalty.omitted", omitted.join(",")));
    }
    OutboundRecord { topic: OutTopic::DeadLetters, key, value, headers: out }
}

fn header(name: &str, value: impl Into<Vec<u8>>) -> Header {
    Header { name: name.to_owned(), value: value.into() }
}
