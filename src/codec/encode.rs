//! What a batch decided, as the records that are published: all bytes are made before the commit, so that nothing can fail after it.
//!
//! The order is: results in the order of the commands, events in theirs, customers' states, dead letters, and last the journal.

use std::collections::{BTreeMap, HashMap};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use super::decode::original_time;
use super::registry::{self, RegistryClient, RegistryError};
use super::to_wire::{self, Topics};
use super::wire::{Journal, JournalRange};
use super::{framing, schemas, serializer};
use crate::batch::{ChangeSet, ChangedCustomer};
use crate::config::Encoding;
use crate::domain::Outcome;
use crate::domain::command::DeadLetter;
use crate::domain::{CommandTopic, CustomerChange, CustomerState, Event, Instant, Position, RULES_VERSION};
use crate::record::{InboundRecord, OutTopic, OutboundHeader, OutboundRecord, OutboundRecords, TopicNames};

/// No record may be larger: its topic takes twice as much (see `kafka::topic_checks`), and a batch that can't be published would stop its
/// lane. What the rules bound stays below, also as JSON, where a control character takes six bytes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// A dead letter keeps the sender's key up to so much, which is longer than any merchant's.
const MAX_KEPT_KEY: usize = 1024;

/// Knows the registry's ids of our outgoing schemas, and how each record is to be written.
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
    /// How many bytes its records will take, about; more is taken where they do.
    pub room: usize,
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

/// An outgoing schema as the registry numbers it. JSON has its shape, and not its number.
#[derive(Debug, Clone)]
struct Labelled {
    topic: OutTopic,
    id: u32,
    name: String,
    encoding: Encoding,
}

impl Encoder {
    /// Registers the outgoing schemas and remembers their ids, also where JSON goes out: there the journal alone is Avro, but the
    /// setting may be another one tomorrow.
    pub async fn register(
        registry: &RegistryClient,
        names: &TopicNames,
        encoding: Encoding,
    ) -> Result<Encoder, RegistryError> {
        let registry = registry.clone();
        let names = names.clone();
        registry::blocking("to register schemas", move || {
            Encoder::with_ids(encoding, |topic, text| registry.register(&schemas::subject(&names.out(topic)), text))
        })
        .await
    }

    /// With ids from elsewhere, for tests and tools.
    pub fn with_ids<E>(
        encoding: Encoding,
        mut id_of: impl FnMut(OutTopic, &'static str) -> Result<u32, E>,
    ) -> Result<Encoder, E> {
        let mut label = |topic, encoding| {
            let schema = schemas::outgoing(topic).expect("only dead letters have no schema");
            Ok(Labelled { topic, id: id_of(topic, schema.text)?, name: schema.full_name(), encoding })
        };
        Ok(Encoder {
            results: label(OutTopic::Results, encoding)?,
            events: label(OutTopic::Events, encoding)?,
            customers: label(OutTopic::Customers, encoding)?,
            journal: label(OutTopic::Journal, Encoding::Avro)?,
        })
    }

    /// All records of one batch, in the order in which they are published.
    pub fn encode(&self, batch: &EncodeInput<'_>) -> Result<OutboundRecords, EncodeError> {
        let topics = Topics::new(batch.names);
        let ChangeSet { outcomes, events, rows, dead_letters, .. } = batch.changes;
        let mut out = Out { records: OutboundRecords::with_room(batch.room), room: Vec::new() };
        for outcome in outcomes {
            self.result(&mut out, outcome, &topics)?;
        }
        for event in events {
            self.event(&mut out, event, &topics)?;
        }
        for changed in rows.customers.iter().filter(|row| row.change > CustomerChange::NextDue) {
            self.customer(&mut out, changed)?;
        }
        if !dead_letters.is_empty() {
            let consumed: HashMap<Position, &InboundRecord> =
                batch.records.iter().map(|record| (record.position, record)).collect();
            for (position, reason) in dead_letters {
                let original = consumed.get(position).ok_or(EncodeError::NotConsumed(*position))?;
                dead_letter(&mut out, original, reason, batch.group, &topics);
            }
        }
        self.journal(&mut out, batch, &topics)?;
        Ok(out.records)
    }

    fn result(&self, out: &mut Out, outcome: &Outcome, topics: &Topics) -> Result<(), EncodeError> {
        let envelope = &outcome.command.envelope;
        let record = to_wire::result(outcome, topics);
        let value = out.value(&self.results, &record, || format!("{:?}", outcome.position))?;
        let mut room = Uuid::encode_buffer();
        let customer = record.customer_id.map(|id| &*id.0.hyphenated().encode_lower(&mut room));
        let mut headers = Vec::with_capacity(8);
        headers.push(OutboundHeader::new("type", outcome.command.kind()));
        headers.push(OutboundHeader::new("merchant", envelope.merchant_id.as_str()));
        headers.push(OutboundHeader::new("status", to_wire::status(outcome)));
        if let Err(rejection) = &outcome.decision.verdict {
            headers.push(OutboundHeader::new("code", rejection.code.name()));
        }
        headers.extend(envelope.source.as_deref().map(|source| OutboundHeader::new("source", source)));
        headers.extend(customer.map(|id| OutboundHeader::new("customer-id", id)));
        headers.push(OutboundHeader::new("schema", &self.results.name));
        headers.extend(outcome.command.traceparent.as_deref().map(|trace| OutboundHeader::new("traceparent", trace)));
        out.push(OutTopic::Results, envelope.merchant_id.as_str(), value, headers);
        Ok(())
    }

    fn event(&self, out: &mut Out, event: &Event, topics: &Topics) -> Result<(), EncodeError> {
        let record = to_wire::event(event, topics);
        let value = out.value(&self.events, &record, || format!("event {}", event.event_id))?;
        let (mut room, mut id_room) = (Uuid::encode_buffer(), Uuid::encode_buffer());
        let customer = event.customer_id.map(|id| &*id.0.hyphenated().encode_lower(&mut room));
        let id = &*event.event_id.0.hyphenated().encode_lower(&mut id_room);
        let source = cloud_source(event.merchant_id.as_str());
        let mut headers = Vec::with_capacity(10);
        // A CloudEvent in binary mode (https://github.com/cloudevents/spec, the Kafka protocol binding). It has no ce_time: thousands of
        // events wait in memory, and occurred_at is in each.
        headers.push(OutboundHeader::new("ce_specversion", "1.0"));
        headers.push(OutboundHeader::new("ce_id", id));
        headers.push(OutboundHeader::new("ce_type", event.fact.event_type().name()));
        headers.push(OutboundHeader::new("ce_source", &source));
        headers.extend(customer.map(|id| OutboundHeader::new("ce_subject", id)));
        headers.push(OutboundHeader::new("content-type", media_type(self.events.encoding)));
        headers.push(OutboundHeader::new("merchant", event.merchant_id.as_str()));
        headers.extend(event.source.as_deref().map(|source| OutboundHeader::new("source", source)));
        headers.push(OutboundHeader::new("schema", &self.events.name));
        headers.extend(event.traceparent.as_deref().map(|trace| OutboundHeader::new("traceparent", trace)));
        out.push(OutTopic::Events, event.merchant_id.as_str(), value, headers);
        Ok(())
    }

    fn customer(&self, out: &mut Out, changed: &ChangedCustomer) -> Result<(), EncodeError> {
        let CustomerState { customer, accounts } = &*changed.state;
        let record = to_wire::customer_state(customer, accounts, changed.membership.as_deref());
        let value = out.value(&self.customers, &record, || format!("customer {}", customer.customer_id))?;
        let mut room = Uuid::encode_buffer();
        let id = &*customer.customer_id.0.hyphenated().encode_lower(&mut room);
        let key = [customer.merchant_id.as_str(), id].join("/");
        out.push(OutTopic::Customers, &key, value, vec![OutboundHeader::new("schema", &self.customers.name)]);
        Ok(())
    }

    fn journal(&self, out: &mut Out, batch: &EncodeInput<'_>, topics: &Topics) -> Result<(), EncodeError> {
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
        let value = out.value(&self.journal, &record, || format!("batch {}", journal.batch))?;
        let headers = vec![OutboundHeader::new("schema", &self.journal.name)];
        out.push(OutTopic::Journal, &batch.lane.to_string(), value, headers);
        Ok(())
    }
}

/// What stands as it is in a URI: RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Avro => "application/avro",
        Encoding::Json => "application/json",
    }
}

/// A CloudEvent's source is a reference to a URI.
fn cloud_source(merchant: &str) -> String {
    format!("/merchants/{}", utf8_percent_encode(merchant, RESERVED))
}

/// Where the records go, and the room in which the next value is made.
struct Out {
    records: OutboundRecords,
    room: Vec<u8>,
}

impl Out {
    fn value<T: Serialize>(
        &mut self,
        schema: &Labelled,
        record: &T,
        cause: impl FnOnce() -> String,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut room = std::mem::take(&mut self.room);
        let unsupported = EncodeError::Unsupported(schema.topic);
        let value = match schema.encoding {
            Encoding::Avro => {
                let mut written = Ok(());
                let value = framing::confluent(schema.id, room, |out| written = serializer::append(out, record));
                written.map_err(|_| unsupported)?;
                value
            }
            Encoding::Json => {
                room.clear();
                serde_json::to_writer(&mut room, record).map_err(|_| unsupported)?;
                room
            }
        };
        if value.len() > MAX_RECORD_BYTES {
            return Err(EncodeError::TooLarge { topic: schema.topic, cause: cause(), bytes: value.len() });
        }
        Ok(value)
    }

    /// Adds a record. The room of its value is used again.
    fn push(&mut self, topic: OutTopic, key: &str, value: Vec<u8>, headers: Vec<OutboundHeader<'_>>) {
        let record =
            OutboundRecord { topic, key: key.as_bytes().into(), value: Some(value.as_slice().into()), headers };
        self.records.push(&record);
        self.room = value;
    }
}

/// The record as it came, with where and why. What a broker would refuse to take back is left out and named; the original stays where
/// it is, until its topic's retention has passed.
fn dead_letter(out: &mut Out, record: &InboundRecord, reason: &DeadLetter, group: &str, topics: &Topics) {
    let InboundRecord { position, timestamp, key, value, headers } = record;
    let mut omitted = Vec::new();
    let mut all: Vec<OutboundHeader<'_>> = Vec::with_capacity(headers.kept.len() + 9);
    all.extend(headers.kept.iter().map(|header| OutboundHeader::new(&header.name, &header.value)));
    if headers.are_cut {
        omitted.push("headers");
    }
    let key = key.as_deref().unwrap_or_default();
    let key = if key.len() > MAX_KEPT_KEY {
        omitted.push("key");
        &[]
    } else {
        key
    };
    let value = value.as_deref().filter(|value| {
        let fits = value.len() <= MAX_RECORD_BYTES;
        if !fits {
            omitted.push("value");
        }
        fits
    });
    let (partition, offset) = (position.partition.to_string(), position.offset.to_string());
    // A record that was sent again, and in vain, still came when it came first.
    let came = original_time(record).unwrap_or(*timestamp).to_string();
    let (schema_id, omitted) = (reason.schema_id.map(|id| id.to_string()), omitted.join(","));
    all.push(OutboundHeader::new("__connect.errors.topic", topics.name(position.topic)));
    all.push(OutboundHeader::new("__connect.errors.partition", &partition));
    all.push(OutboundHeader::new("__connect.errors.offset", &offset));
    all.push(OutboundHeader::new("__connect.errors.class.name", reason.class.name()));
    all.push(OutboundHeader::new("__connect.errors.exception.message", &reason.message));
    all.extend(schema_id.as_ref().map(|id| OutboundHeader::new("loyalty.schema-id", id)));
    all.push(OutboundHeader::new("loyalty.group", group));
    all.push(OutboundHeader::new("loyalty.original-time", &came));
    if !omitted.is_empty() {
        all.push(OutboundHeader::new("loyalty.omitted", &omitted));
    }
    let topic = OutTopic::DeadLetters;
    out.records.push(&OutboundRecord { topic, key: key.into(), value: value.map(Into::into), headers: all });
}
