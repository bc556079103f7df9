//! The schemas that this worker was built with: the only meaning of every datum that it reads or writes.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use serde::de::DeserializeOwned;

use crate::domain::CommandTopic;
use crate::record::{OutTopic, TopicNames};

/// One of our schemas, parsed once and kept for the process's life.
pub struct OwnSchema {
    pub text: &'static str,
    pub json: serde_json::Value,
    pub schema: &'static Schema,
    reader: GenericDatumReader<'static>,
    names: ResolvedSchema<'static>,
}

/// Memory that one length in a datum may ask for. It stands above the largest record and far below the library's default of 512 MB.
const MAX_ALLOCATION_BYTES: usize = 1024 * 1024;

static COMMANDS: LazyLock<[OwnSchema; CommandTopic::COUNT]> = LazyLock::new(|| {
    CommandTopic::ALL.map(|topic| {
        OwnSchema::parse(match topic {
            CommandTopic::MerchantConfig => include_str!("../../schemas/merchant-config.avsc"),
            CommandTopic::CustomerUpsert => include_str!("../../schemas/customer-upsert.avsc"),
            CommandTopic::CustomerLifecycle => include_str!("../../schemas/customer-lifecycle.avsc"),
            CommandTopic::Credit => include_str!("../../schemas/credit.avsc"),
            CommandTopic::Redeem => include_str!("../../schemas/redeem.avsc"),
            CommandTopic::Reservation => include_str!("../../schemas/reservation.avsc"),
            CommandTopic::Reversal => include_str!("../../schemas/reversal.avsc"),
            CommandTopic::Clock => include_str!("../../schemas/clock.avsc"),
        })
    })
});
static RESULTS: LazyLock<OwnSchema> = LazyLock::new(|| OwnSchema::parse(include_str!("../../schemas/results.avsc")));
static EVENTS: LazyLock<OwnSchema> = LazyLock::new(|| OwnSchema::parse(include_str!("../../schemas/events.avsc")));
static CUSTOMERS: LazyLock<OwnSchema> =
    LazyLock::new(|| OwnSchema::parse(include_str!("../../schemas/customers.avsc")));
static JOURNAL: LazyLock<OwnSchema> = LazyLock::new(|| OwnSchema::parse(include_str!("../../schemas/journal.avsc")));
static ENVELOPE: LazyLock<OwnSchema> = LazyLock::new(|| {
    let Schema::Record(credit) = command(CommandTopic::Credit).schema else { panic!("a command is a record") };
    let json = &command(CommandTopic::Credit).json["fields"][0]["type"];
    OwnSchema::of(&credit.fields[0].schema, "", json.clone())
});

macro_rules! of_releases {
    ($($release:literal)+, $schema:literal) => {
        &[$(include_str!(concat!("../../schemas/released/", $release, "/", $schema, ".avsc"))),+]
    };
}

/// The schemas of a topic's commands as the releases had them, the first one first. Senders may still use them.
pub fn released(topic: CommandTopic) -> &'static [&'static str] {
    match topic {
        CommandTopic::MerchantConfig => of_releases!("1", "merchant-config"),
        CommandTopic::CustomerUpsert => of_releases!("1", "customer-upsert"),
        CommandTopic::CustomerLifecycle => of_releases!("1", "customer-lifecycle"),
        CommandTopic::Credit => of_releases!("1", "credit"),
        CommandTopic::Redeem => of_releases!("1", "redeem"),
        CommandTopic::Reservation => of_releases!("1", "reservation"),
        CommandTopic::Reversal => of_releases!("1", "reversal"),
        CommandTopic::Clock => of_releases!("1", "clock"),
    }
}

/// By which Avro's single-object encoding names a schema: CRC-64-AVRO over its canonical form, as it stands before a datum.
pub fn fingerprint(text: &str) -> Option<[u8; 8]> {
    let mut json = serde_json::from_str(text).ok()?;
    reduce_logical_types(&mut json);
    Schema::parse(&json).ok()?.fingerprint::<Rabin>().bytes.try_into().ok()
}

/// The same as apache-avro has it, which forgets that a type without its logical type is a mere name.
pub fn fingerprint_of_apache_avro(text: &str) -> Option<[u8; 8]> {
    Schema::parse_str(text).ok()?.fingerprint::<Rabin>().bytes.try_into().ok()
}

fn reduce_logical_types(node: &mut serde_json::Value) {
    match node {
        serde_json::Value::Object(object) if object.contains_key("logicalType") && object["type"] != "fixed" => {
            *node = object["type"].take();
        }
        serde_json::Value::Object(object) => object.values_mut().for_each(reduce_logical_types),
        serde_json::Value::Array(items) => items.iter_mut().for_each(reduce_logical_types),
        _ => {}
    }
}

/// The schema of a topic's commands.
pub fn command(topic: CommandTopic) -> &'static OwnSchema {
    &COMMANDS[topic.index()]
}

/// The schema of an outgoing topic. Dead letters have none: they carry the original bytes.
pub fn outgoing(topic: OutTopic) -> Option<&'static OwnSchema> {
    match topic {
        OutTopic::Results => Some(&RESULTS),
        OutTopic::Events => Some(&EVENTS),
        OutTopic::Customers => Some(&CUSTOMERS),
        OutTopic::Journal => Some(&JOURNAL),
        OutTopic::DeadLetters => None,
    }
}

/// Every schema with the registry's subject for it, `<topic>-value`.
pub fn subjects(names: &TopicNames) -> Vec<(String, &'static OwnSchema)> {
    let commands = CommandTopic::ALL.into_iter().map(|topic| (subject(&names.command(topic)), command(topic)));
    let outgoing = OutTopic::ALL
        .into_iter()
        .filter_map(|topic| outgoing(topic).map(|schema| (subject(&names.out(topic)), schema)));
    commands.chain(outgoing).collect()
}

/// The registry's name for what a topic's values look like.
pub fn subject(topic_name: &str) -> String {
    format!("{topic_name}-value")
}

/// The part of a command that all share, by itself: what of it is well-formed is read even where the rest is not.
pub(super) fn envelope() -> &'static OwnSchema {
    &ENVELOPE
}

/// Lowers the library's cap on what a length in a datum can allocate. It holds for the process, and the first call wins.
pub(super) fn bound_allocations() {
    apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
}

impl OwnSchema {
    fn parse(text: &'static str) -> OwnSchema {
        let json = serde_json::from_str(text).expect("schemas are part of the build and tested");
        let schema = Schema::parse_str(text).expect("schemas are part of the build and tested");
        OwnSchema::of(Box::leak(Box::new(schema)), text, json)
    }

    fn of(schema: &'static Schema, text: &'static str, json: serde_json::Value) -> OwnSchema {
        let names = ResolvedSchema::new(schema).expect("our schemas name only what they define");
        let reader = GenericDatumReader::builder(schema)
            .human_readable(false)
            .build()
            .expect("our schemas name only what they define");
        OwnSchema { text, json, schema, reader, names }
    }

    /// The record's full name, for example `loyalty.v1.Result`.
    pub fn full_name(&self) -> String {
        self.schema.name().map(|name| name.fullname(None)).unwrap_or_default()
    }

    /// Whether its topic has any command; else all that is known of what it holds is the envelope.
    pub(super) fn has_commands(&self) -> bool {
        matches!(self.schema, Schema::Record(record) if record.lookup.contains_key("command"))
    }

    /// Whether a registered text means the same, byte for byte of every datum. Parsed JSON is compared, so that the registry may format
    /// it as it likes; Avro's canonical form is not enough, since it leaves out logical types.
    pub fn is_same(&self, other: &serde_json::Value) -> bool {
        self.json == *other
    }

    /// Reads one datum of exactly this schema. `None`: it is not one, or bytes are left over.
    pub fn read<T: DeserializeOwned>(&self, mut datum: &[u8]) -> Option<T> {
        let value = self.reader.read_deser(&mut datum).ok()?;
        datum.is_empty().then_some(value)
    }

    /// The schema that a reference stands for, or the schema itself.
    pub(super) fn follow(&'static self, schema: &'static Schema) -> &'static Schema {
        match schema {
            Schema::Ref { name } => self.names.get_names().get(name).copied().unwrap_or(schema),
            schema => schema,
        }
    }
}
