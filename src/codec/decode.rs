//! Records into deliveries. Every record becomes exactly one: a command, a tick, or a dead letter with the sentence that mends the sender.
//!
//! A record waits only for one thing: a schema id that has not been seen yet. [`Decoder::decode`] then names it, [`Decoder::learn`] asks
//! the registry, and decoding is tried again. A registry that is down is waited for; an id that it says it does not have is a dead letter.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant as Clock};

use serde_json::Value;

use super::framing::{self, Framed};
use super::json::Parsed;
use super::problems::Problems;
use super::records::{
    CreditCommand, CustomerLifecycleCommand, CustomerUpsertCommand, MerchantConfigCommand, RedeemCommand,
    ReservationCommand, ReversalCommand,
};
use super::registry::{self, RegistryClient, RegistryError};
use super::resolve::{self, WriterSchema};
use super::schemas::{self, OwnSchema};
use super::{content, envelope, from_json, json};
use crate::domain::command::{
    Body, Command, Content, ContentHash, DeadLetter, DeadLetterClass, Delivery, Envelope, Schedule,
};
use crate::domain::{CommandTopic, Instant, Seed, is_deceptive_in_id};
use crate::record::{InboundRecord, ORIGINAL_TIME, TRACEPARENT, lane_of};

/// A value beyond this is not decoded: nothing that a command says needs as much, and what it causes must fit into one record each.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;
const MAX_MERCHANT_BYTES: usize = 64;
/// W3C's first version has 55 characters; later ones may be longer.
const TRACEPARENT_BYTES: std::ops::RangeInclusive<usize> = 55..=128;
/// How long the registry's word that it does not have a schema is believed: a sender may register it a moment after its first record.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// So many ids that the registry does not have are remembered; a sender can make up four thousand million.
const MAX_UNKNOWN: usize = 10_000;
/// Ids are positive numbers of 32 bits; some registries answer any other one as if their address were wrong.
const MAX_SCHEMA_ID: u32 = i32::MAX.unsigned_abs();

/// Clones share what has been learned.
#[derive(Clone)]
pub struct Decoder {
    inner: Arc<Inner>,
}

/// The record can't be decoded before this schema has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsSchema {
    pub id: u32,
}

/// The registry could not be asked; the record waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RegistryUnavailable(pub String);

struct Inner {
    lanes: i32,
    registry: RegistryClient,
    learned: RwLock<HashMap<u32, Learned>>,
    /// Of the ids that are being asked for.
    turns: Mutex<HashMap<u32, Arc<tokio::sync::Mutex<()>>>>,
}

/// What a schema id of the registry means.
#[derive(Clone)]
pub(super) enum Learned {
    /// Exactly our schema of this topic: its datums are read as they are.
    Own(CommandTopic),
    /// Another one: its datums are rewritten as ours, if they can be.
    Other(Arc<WriterSchema>),
    /// Not an Avro schema that stands by itself.
    Unusable,
    /// The registry said that it does not have it.
    Unknown { since: Clock },
}

/// The command schemas of this build and of the releases before it, by their fingerprints.
pub(super) static BUILT_WITH: LazyLock<HashMap<[u8; 8], Learned>> = LazyLock::new(|| {
    let of_topic =
        |topic| schemas::released(topic).iter().copied().chain(std::iter::once(schemas::command(topic).text));
    // The own one comes last, and so counts where a released one is the same.
    let texts = CommandTopic::ALL.into_iter().flat_map(of_topic);
    let named = texts.flat_map(|text| {
        let fingerprints = [schemas::fingerprint(text), schemas::fingerprint_of_apache_avro(text)];
        fingerprints.into_iter().flatten().map(move |fingerprint| (fingerprint, meaning_of(text)))
    });
    named.collect()
});

enum Refusal {
    DeadLetter(DeadLetter),
    NeedsSchema(NeedsSchema),
}

impl Decoder {
    pub fn new(lanes: i32, registry: RegistryClient) -> Decoder {
        schemas::bound_allocations();
        Decoder { inner: Arc::new(Inner { lanes, registry, learned: RwLock::default(), turns: Mutex::default() }) }
    }

    /// Decodes a record as far as that is possible. `topic_id` is Kafka's own id of its topic.
    pub fn decode(&self, record: &InboundRecord, topic_id: &str) -> Result<Delivery, NeedsSchema> {
        self.decode_since(record, topic_id, Clock::now())
    }

    /// The same with every answer of the registry since then believed: those that a batch waited for.
    pub fn decode_since(&self, record: &InboundRecord, topic_id: &str, since: Clock) -> Result<Delivery, NeedsSchema> {
        let position = record.position;
        let content = if position.topic == CommandTopic::Clock {
            Content::Tick
        } else {
            match self.command(record, since) {
                Ok(command) => Content::Command(Box::new(command)),
                Err(Refusal::DeadLetter(dead_letter)) => Content::DeadLetter(dead_letter),
                Err(Refusal::NeedsSchema(needed)) => return Err(needed),
            }
        };
        let seed = Seed::of_record(topic_id, position.partition, position.offset, record.timestamp);
        Ok(Delivery { position, timestamp: record.timestamp, seed, content })
    }

    /// Asks the registry for a schema, unless it is known by now. Afterwards the records that needed it decode, one way or another.
    ///
    /// A request goes on when its caller has stopped waiting: a caller that returns, or another lane that needs the same schema, waits for
    /// that request's answer. Requests for other schemas run in parallel.
    pub async fn learn(&self, id: u32) -> Result<(), RegistryUnavailable> {
        let since = Clock::now();
        let turn = self.turn(id).lock_owned().await;
        if self.learned(id, since).is_some() {
            return Ok(());
        }
        let decoder = self.clone();
        let ask = move || {
            let _until_it_is_answered = turn;
            let learned = match decoder.inner.registry.schema_by_id(id) {
                Ok(text) => meaning_of(&text),
                Err(RegistryError::NotFound { .. }) => Learned::Unknown { since: Clock::now() },
                Err(error) => return Err(error),
            };
            decoder.remember(id, learned);
            Ok(())
        };
        registry::blocking("for a schema", ask).await.map_err(|error| RegistryUnavailable(error.to_string()))
    }

    /// The lock under which a schema is requested. Locks that are not held any more are removed.
    fn turn(&self, id: u32) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(id).or_default().clone()
    }

    /// Teaches a schema without a registry, for tests and tools.
    pub fn teach(&self, id: u32, text: &str) {
        self.remember(id, meaning_of(text));
    }

    fn remember(&self, id: u32, meaning: Learned) {
        let mut learned = self.inner.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.len() >= MAX_UNKNOWN {
            learned.retain(|_, known| !matches!(known, Learned::Unknown { since } if since.elapsed() >= UNKNOWN_FOR));
        }
        learned.insert(id, meaning);
    }

    fn learned(&self, id: u32, believed: Clock) -> Option<Learned> {
        if id > MAX_SCHEMA_ID {
            return Some(Learned::Unknown { since: believed });
        }
        let learned = self.inner.learned.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()?;
        match learned {
            Learned::Unknown { since } if since < believed && since.elapsed() >= UNKNOWN_FOR => None,
            learned => Some(learned),
        }
    }

    fn command(&self, record: &InboundRecord, since: Clock) -> Result<Command, Refusal> {
        let value = record.value.as_deref().unwrap_or_default();
        if value.len() > MAX_VALUE_BYTES {
            return Err(undecodable("The value has more than 256 KiB. Send smaller commands."));
        }
        let mut command = match framing::split(value).map_err(undecodable)? {
            Framed::Confluent { schema_id, datum } => {
                self.avro(record, schema_id, datum, since).map_err(|refusal| refusal.of_schema(schema_id))?
            }
            Framed::SingleObject { fingerprint, datum } => self.single_object(record, fingerprint, datum)?,
            Framed::Json(text) => self.json(record, text)?,
        };
        command.traceparent = traceparent(record);
        command.original_time = original_time(record);
        Ok(command)
    }

    fn avro(&self, record: &InboundRecord, schema_id: u32, datum: &[u8], since: Clock) -> Result<Command, Refusal> {
        match self.learned(schema_id, since) {
            None => Err(Refusal::NeedsSchema(NeedsSchema { id: schema_id })),
            Some(Learned::Own(of)) => self.of_own(record, of, datum),
            Some(Learned::Other(writer)) => self.of_other(record, &writer, datum),
            Some(Learned::Unusable) => {
                Err(undecodable("The schema is not an Avro schema that is complete without references."))
            }
            Some(Learned::Unknown { .. }) => Err(dead_letter(
                DeadLetterClass::UnknownSchema,
                "The schema registry does not have the schema that the value names. Register it before sending.",
            )),
        }
    }

    /// Without a registry: the schemas that the worker was built with are known by their fingerprints, the released ones before them too.
    fn single_object(&self, record: &InboundRecord, fingerprint: [u8; 8], datum: &[u8]) -> Result<Command, Refusal> {
        match BUILT_WITH.get(&fingerprint) {
            Some(Learned::Own(of)) => self.of_own(record, *of, datum),
            Some(Learned::Other(writer)) => self.of_other(record, writer, datum),
            Some(Learned::Unusable | Learned::Unknown { .. }) | None => Err(dead_letter(
                DeadLetterClass::UnknownSchema,
                "The value names a schema by a fingerprint that is of none of this worker's schemas. Send Avro in Confluent's wire \
                 format, with the schema in the registry, or let a newer worker read it.",
            )),
        }
    }

    fn of_own(&self, record: &InboundRecord, of: CommandTopic, datum: &[u8]) -> Result<Command, Refusal> {
        let own = schemas::command(record.position.topic);
        if of == record.position.topic {
            return self.of_datum(record, own, datum);
        }
        Err(undecodable(format!(
            "The schema is that of {}, but the topic takes {}. Send the command to its own topic.",
            schemas::command(of).full_name(),
            own.full_name()
        )))
    }

    fn of_other(&self, record: &InboundRecord, writer: &WriterSchema, datum: &[u8]) -> Result<Command, Refusal> {
        let own = schemas::command(record.position.topic);
        let rewritten = resolve::rewrite(writer, own, datum).map_err(|_| {
            let theirs = writer.full_name();
            if theirs.as_deref() == Some(own.full_name().as_str()) {
                return if resolve::is_datum(writer, own, datum) {
                    undecodable(format!(
                        "The schema is a version of {} that Avro can't resolve to this worker's: a type is another, a symbol is \
                         unknown, or a field without a default is missing.",
                        own.full_name()
                    ))
                } else {
                    undecodable("The value is not a datum of the schema that it names.")
                };
            }
            let theirs = theirs.unwrap_or_else(|| "no record".to_owned());
            undecodable(format!("The schema is that of {theirs}, but the topic takes {}.", own.full_name()))
        })?;
        self.of_datum(record, own, &rewritten)
    }

    fn json(&self, record: &InboundRecord, text: &[u8]) -> Result<Command, Refusal> {
        let topic = record.position.topic;
        let Parsed { value, repeated } =
            json::parse(text).map_err(|problem| undecodable(format!("The value {problem}.")))?;
        let merchant = value.pointer("/envelope/merchant_id").and_then(Value::as_str).unwrap_or_default();
        self.check_merchant(record, merchant)?;
        let own = schemas::command(topic);
        let mut problems = Problems::default();
        let value = if own.has_commands() { value } else { serde_json::json!({ "envelope": value["envelope"] }) };
        repeated.iter().for_each(|path| problems.add(path, "stands more than once in its object"));
        let datum = from_json::write(own, &value, &mut problems);
        let hash_of_json = || content::of_json(topic, &value);
        match datum {
            Some(datum) if problems.is_empty() => self.of_datum(record, own, &datum),
            Some(datum) => {
                let command = self.of_form(record, own, &datum, problems)?;
                Ok(Command { content_hash: hash_of_json(), ..command })
            }
            None => {
                // What is well-formed of the envelope still says whose command it is, and how to answer it.
                let envelope = envelope::checked(envelope::lenient(&value["envelope"]), &mut problems);
                Ok(command(topic, envelope, None, problems, hash_of_json()))
            }
        }
    }

    /// Reads a datum of our schema, whatever it was before.
    fn of_datum(&self, record: &InboundRecord, own: &'static OwnSchema, datum: &[u8]) -> Result<Command, Refusal> {
        self.of_form(record, own, datum, Problems::default())
    }

    /// The same of one that has problems already.
    fn of_form(
        &self,
        record: &InboundRecord,
        own: &'static OwnSchema,
        datum: &[u8],
        mut problems: Problems,
    ) -> Result<Command, Refusal> {
        let no_datum = || undecodable("The value is not a datum of the schema that it names.");
        let topic = record.position.topic;
        let content::Read { hash, mended } = content::read(topic, datum, &mut problems).map_err(|_| no_datum())?;
        let datum = mended.as_deref().unwrap_or(datum);
        let mut schedule = Schedule::default();
        let (envelope, body) = match topic {
            CommandTopic::CustomerUpsert => {
                let read: CustomerUpsertCommand = own.read(datum).ok_or_else(no_datum)?;
                (read.envelope, Some(Body::CustomerUpsert(read.command)))
            }
            CommandTopic::CustomerLifecycle => {
                (own.read::<CustomerLifecycleCommand>(datum).ok_or_else(no_datum)?.envelope, None)
            }
            CommandTopic::Reservation => (own.read::<ReservationCommand>(datum).ok_or_else(no_datum)?.envelope, None),
            CommandTopic::Reversal => (own.read::<ReversalCommand>(datum).ok_or_else(no_datum)?.envelope, None),
            CommandTopic::Credit => {
                let read: CreditCommand = own.read(datum).ok_or_else(no_datum)?;
                (read.envelope, Some(read.command.into()))
            }
            CommandTopic::Redeem => {
                let read: RedeemCommand = own.read(datum).ok_or_else(no_datum)?;
                (read.envelope, Some(read.command.into()))
            }
            CommandTopic::MerchantConfig => {
                let read: MerchantConfigCommand = own.read(datum).ok_or_else(no_datum)?;
                let MerchantConfigCommand { envelope, effective_from, command, expected_version } = read;
                schedule = Schedule { effective_from, expected_version };
                (envelope, Some(command.into()))
            }
            CommandTopic::Clock => return Err(no_datum()),
        };
        self.check_merchant(record, envelope.merchant_id.as_str())?;
        let envelope = envelope::checked(envelope, &mut problems);
        Ok(Command { schedule, ..command(topic, envelope, body, problems, hash) })
    }

    /// Whether the record stands where its merchant's commands belong: only then does the lane own all that it can touch.
    fn check_merchant(&self, record: &InboundRecord, merchant: &str) -> Result<(), Refusal> {
        if merchant.trim().is_empty() || merchant.len() > MAX_MERCHANT_BYTES || merchant.contains(is_deceptive_in_id) {
            return Err(dead_letter(
                DeadLetterClass::MissingMerchant,
                "The command has no envelope.merchant_id of 1 to 64 bytes without control or invisible characters, so it \
                 can't be answered.",
            ));
        }
        if record.key.as_deref() != Some(merchant.as_bytes()) {
            return Err(dead_letter(
                DeadLetterClass::WrongKey,
                "The record's key is not the command's merchant_id. Send the merchant_id as the key, as plain UTF-8.",
            ));
        }
        if lane_of(merchant.as_bytes(), self.inner.lanes) != record.position.partition {
            return Err(dead_letter(
                DeadLetterClass::WrongPartition,
                format!(
                    "The record is not on its merchant's partition of {}. Let the sender choose partitions by murmur2 over \
                     the key (librdkafka: partitioner=murmur2_random) and never by itself.",
                    self.inner.lanes
                ),
            ));
        }
        Ok(())
    }
}

impl Refusal {
    fn of_schema(self, id: u32) -> Refusal {
        match self {
            Refusal::DeadLetter(dead_letter) => Refusal::DeadLetter(DeadLetter { schema_id: Some(id), ..dead_letter }),
            needed @ Refusal::NeedsSchema(_) => needed,
        }
    }
}

fn meaning_of(text: &str) -> Learned {
    let Ok(json) = serde_json::from_str::<Value>(text) else { return Learned::Unusable };
    if let Some(topic) = CommandTopic::ALL.into_iter().find(|topic| schemas::command(*topic).is_same(&json)) {
        return Learned::Own(topic);
    }
    match WriterSchema::parse(&json) {
        Some(writer) => Learned::Other(Arc::new(writer)),
        None => Learned::Unusable,
    }
}

fn command(
    topic: CommandTopic,
    envelope: Envelope,
    body: Option<Body>,
    problems: Problems,
    content_hash: ContentHash,
) -> Command {
    Command {
        topic,
        envelope,
        schedule: Schedule::default(),
        body,
        problems: problems.into_found(),
        content_hash,
        traceparent: None,
        original_time: None,
    }
}

fn traceparent(record: &InboundRecord) -> Option<Arc<str>> {
    let header = record.headers.get(TRACEPARENT)?;
    let text = std::str::from_utf8(&header.value).ok()?;
    let is_plain = TRACEPARENT_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    // Version, trace and parent. The version ff and ids of zeros are what W3C calls invalid.
    let parts: Vec<&str> = text.splitn(4, '-').collect();
    let is_id = |part: usize, digits: usize| {
        parts.get(part).is_some_and(|id| {
            id.len() == digits
                && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                && id.bytes().any(|b| b != b'0')
        })
    };
    let has_version = parts.first().is_some_and(|version| {
        version.len() == 2 && *version != "ff" && version.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    // What a later version writes behind its flags is its own.
    let flags = parts.get(3).copied().unwrap_or_default();
    let (known, rest) = flags.split_at_checked(2).unwrap_or_default();
    let has_flags = known.len() == 2
        && known.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && (rest.is_empty() || parts[0] != "00" && rest.starts_with('-'));
    let is_plain = is_plain && has_version && is_id(1, 32) && is_id(2, 16) && has_flags;
    is_plain.then(|| text.into())
}

/// When the record came first, if it was sent again and says so. Whatever is not an instant that a command may name is no such thing.
pub(super) fn original_time(record: &InboundRecord) -> Option<Instant> {
    let header = record.headers.get(ORIGINAL_TIME)?;
    Instant::from_rfc3339(std::str::from_utf8(&header.value).ok()?)
}

fn undecodable(message: impl Into<String>) -> Refusal {
    dead_letter(DeadLetterClass::Undecodable, message)
}

fn dead_letter(class: DeadLetterClass, message: impl Into<String>) -> Refusal {
    Refusal::DeadLetter(DeadLetter { class, message: message.into(), schema_id: None })
}
