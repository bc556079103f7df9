//! What a command says, read off its datum by one walk along our schema: what is wrong with its texts and instants, and the hash that makes
//! two commands the same.
//!
//! The hash is SHA-256 over what was said, not over how it was written: each field that does not have its schema's default, as a name and a
//! value, in the schema's order; maps sorted, enums by their symbols, variants by their names, identifiers and orders as they are compared.
//! So JSON and Avro give the same hash, and so does a schema with one more field, as long as that field is at its default. Merchant,
//! idempotency key and source say who asks and are left out.
//!
//! Only what would poison a later step is a problem here (U+0000, halves of surrogate pairs, instants outside the range that Postgres and
//! RFC 3339 hold); the rules judge the rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use apache_avro::Schema;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::binary::{Malformed, take_block, take_boolean, take_index, take_long, take_text};
use super::from_json;
use super::problems::Problems;
use super::schemas::{self, OwnSchema};
use crate::domain::command::{ContentHash, RefKind};
use crate::domain::values::ids::OrderId;
use crate::domain::{CommandTopic, Instant, NO_CHARACTER, parse_customer_id};

/// Postgres' text can't hold it.
pub(super) const NUL: &str = "must not contain U+0000";

/// A schema, made ready for the walk.
enum Node {
    Null,
    Boolean,
    Long,
    Instant,
    Text(Form),
    Word(&'static [String]),
    List(Box<Node>),
    Map(Box<Node>),
    Record(Vec<Field>),
    /// A union of null and one other.
    Optional(Box<Node>),
    /// A union of records, by their names.
    Variants(Vec<(String, Node)>),
}

struct Field {
    name: &'static str,
    /// Its default as a datum.
    default: Option<Vec<u8>>,
    node: Node,
}

/// What a text is compared as, and whether it may be any text here.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    /// Says who asks: no part of the content, and checked elsewhere.
    Asker,
    /// Of a map whose entries are checked elsewhere.
    Label,
    Identifier(RefKind),
    /// An identifier of the kind that stands before it.
    Reference,
    /// A customer's id or the code of one of its cards.
    Referral,
    Order,
}

impl Form {
    fn of(record: &str, field: &str) -> Form {
        match (record, field) {
            ("Envelope", "merchant_id" | "idempotency_key" | "source") => Form::Asker,
            ("Envelope", "attributes") => Form::Label,
            ("CustomerRef", "value") => Form::Reference,
            ("CustomerUpsert", "external_id") => Form::Identifier(RefKind::ExternalId),
            ("CustomerUpsert", "phone") => Form::Identifier(RefKind::Phone),
            ("CustomerUpsert", "email") => Form::Identifier(RefKind::Email),
            ("CustomerUpsert", "referral_code") => Form::Referral,
            (_, "order_id") => Form::Order,
            _ => Form::Plain,
        }
    }
}

/// By the topics.
static COMMANDS: LazyLock<[Node; CommandTopic::COUNT]> = LazyLock::new(|| {
    CommandTopic::ALL.map(|topic| {
        let own = schemas::command(topic);
        Node::of_part(own, own.schema, Form::Plain)
    })
});

impl Node {
    fn of_part(own: &'static OwnSchema, schema: &'static Schema, form: Form) -> Node {
        let part = |schema| Box::new(Node::of_part(own, schema, form));
        match own.follow(schema) {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int | Schema::Long => Node::Long,
            Schema::TimestampMicros => Node::Instant,
            Schema::String => Node::Text(form),
            Schema::Enum(known) => Node::Word(&known.symbols),
            Schema::Array(array) => Node::List(part(&array.items)),
            Schema::Map(map) => Node::Map(part(&map.types)),
            Schema::Record(record) => Node::Record(
                record
                    .fields
                    .iter()
                    .map(|field| {
                        let default = field.default.as_ref().map(|default| {
                            from_json::write_part(own, &field.schema, default, &mut Problems::default())
                                .expect("a default of our schemas is of its field's type")
                        });
                        let form = Form::of(record.name.name(), &field.name);
                        Field { name: &field.name, default, node: Node::of_part(own, &field.schema, form) }
                    })
                    .collect(),
            ),
            Schema::Union(union) => match union.variants() {
                [Schema::Null, other] => Node::Optional(part(other)),
                variants => Node::Variants(
                    variants
                        .iter()
                        .map(|variant| {
                            let name = own.follow(variant).name().map(|name| name.name().to_owned());
                            (name.unwrap_or_default(), Node::of_part(own, variant, form))
                        })
                        .collect(),
                ),
            },
            other => panic!("our schemas have no {other:?}"),
        }
    }
}

/// What the walk found.
pub(super) struct Read {
    pub hash: ContentHash,
    /// The datum with something harmless in the place of each problem, if there are any.
    pub mended: Option<Vec<u8>>,
}

/// Walks a whole datum of the topic's schema. An error: it is none.
pub(super) fn read(topic: CommandTopic, datum: &[u8], problems: &mut Problems) -> Result<Read, Malformed> {
    let mut said = Said(Vec::with_capacity(512));
    said.text(topic.suffix());
    let mut walk =
        Walk { datum, input: datum, said, path: Vec::new(), reference: None, problems, replaced: Vec::new() };
    walk.value(&COMMANDS[topic.index()], None)?;
    if !walk.input.is_empty() {
        return Err(Malformed);
    }
    let mended = (!walk.replaced.is_empty()).then(|| {
        let mut mended = datum.to_vec();
        for place in walk.replaced.into_iter().rev() {
            // One byte of zero stands for null, for zero and for the empty text.
            mended.splice(place, [0]);
        }
        mended
    });
    Ok(Read { hash: walk.said.hash(), mended })
}

/// The hash of JSON that has not the form of a command.
pub(super) fn of_json(topic: CommandTopic, value: &Value) -> ContentHash {
    let mut said = Said(Vec::with_capacity(512));
    said.text("malformed");
    said.text(topic.suffix());
    said.json(value, &mut Vec::new());
    said.hash()
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Place(usize),
}

struct Walk<'a, 'p> {
    datum: &'a [u8],
    input: &'a [u8],
    said: Said,
    path: Vec<Step<'a>>,
    /// The kind of the reference whose value comes next.
    reference: Option<RefKind>,
    problems: &'p mut Problems,
    /// Where problems stand, in their order.
    replaced: Vec<Range<usize>>,
}

impl<'a> Walk<'a, '_> {
    fn at(&self) -> usize {
        self.datum.len() - self.input.len()
    }

    /// `begin`: where the value begins with the branch of its union, if it is optional.
    fn value(&mut self, node: &'a Node, begin: Option<usize>) -> Result<(), Malformed> {
        let begin = begin.unwrap_or_else(|| self.at());
        match node {
            Node::Null => {}
            Node::Boolean => {
                let value = take_boolean(&mut self.input)?;
                self.said.number(i64::from(value));
            }
            Node::Long => {
                let value = take_long(&mut self.input)?;
                self.said.number(value);
            }
            Node::Instant => {
                let value = take_long(&mut self.input)?;
                self.said.number(value);
                if !Instant::from_micros(value).is_representable() {
                    self.problem("must lie in the years 1900 to 9999", begin);
                }
            }
            Node::Text(form) => self.text(*form, begin)?,
            Node::Word(symbols) => {
                let symbol = symbols.get(take_index(&mut self.input)?).ok_or(Malformed)?;
                self.reference = RefKind::from_name(symbol).or(self.reference);
                self.said.text(symbol);
            }
            Node::List(item) => self.list(item)?,
            Node::Map(value) => self.map(value)?,
            Node::Record(fields) => self.record(fields)?,
            Node::Optional(some) => match take_index(&mut self.input)? {
                0 => self.said.null(),
                1 => self.value(some, Some(begin))?,
                _ => return Err(Malformed),
            },
            Node::Variants(variants) => {
                let (name, variant) = variants.get(take_index(&mut self.input)?).ok_or(Malformed)?;
                self.said.text(name);
                self.value(variant, None)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, fields: &'a [Field]) -> Result<(), Malformed> {
        for Field { name, default, node } in fields {
            let (begin, before) = (self.at(), self.said.0.len());
            self.said.text(name);
            self.path.push(Step::Name(name));
            self.value(node, None)?;
            self.path.pop();
            let is_default = default.as_deref() == Some(&self.datum[begin..self.at()]);
            if is_default || is_asker(node) {
                self.said.0.truncate(before);
            }
        }
        self.said.end();
        Ok(())
    }

    fn list(&mut self, item: &'a Node) -> Result<(), Malformed> {
        let mut place = 0;
        loop {
            let count = take_block(&mut self.input)?;
            if count == 0 {
                self.said.end();
                return Ok(());
            }
            for _ in 0..count {
                self.said.more();
                self.path.push(Step::Place(place));
                self.value(item, None)?;
                self.path.pop();
                place += 1;
            }
        }
    }

    fn map(&mut self, value: &'a Node) -> Result<(), Malformed> {
        let outer = std::mem::take(&mut self.said.0);
        let mut entries = BTreeMap::new();
        loop {
            let count = take_block(&mut self.input)?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let key = take_text(&mut self.input)?;
                self.path.push(Step::Name(key));
                self.value(value, None)?;
                self.path.pop();
                // Of a key that stands twice the last counts, as for whoever reads the map.
                entries.insert(key, std::mem::take(&mut self.said.0));
            }
        }
        self.said.0 = outer;
        for (key, value) in entries {
            self.said.more();
            self.said.text(key);
            self.said.0.extend_from_slice(&value);
        }
        self.said.end();
        Ok(())
    }

    fn text(&mut self, form: Form, begin: usize) -> Result<(), Malformed> {
        let text = take_text(&mut self.input)?;
        if form != Form::Label && text.contains('\0') {
            self.problem(NUL, begin);
        } else if !matches!(form, Form::Label | Form::Asker) && text.contains(NO_CHARACTER) {
            self.problem("must be Unicode text: half of a surrogate pair is no character", begin);
        }
        match form {
            Form::Plain | Form::Asker | Form::Label => self.said.text(text),
            Form::Identifier(kind) => self.said.text(&kind.compared(text)),
            Form::Reference => {
                let kind = self.reference.take();
                self.said.text(&kind.map_or_else(|| text.to_owned(), |kind| kind.compared(text)));
            }
            Form::Referral => {
                let kind = if parse_customer_id(text).is_some() { RefKind::CustomerId } else { RefKind::CardCode };
                self.said.text(&kind.compared(text));
            }
            Form::Order => self.said.text(OrderId::from(text.to_owned()).as_str()),
        }
        Ok(())
    }

    fn problem(&mut self, problem: &str, begin: usize) {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Name(name) if path.is_empty() => path.push_str(name),
                Step::Name(name) => path.extend([".", name]),
                Step::Place(place) => path.push_str(&format!("[{place}]")),
            }
        }
        self.problems.add(&path, problem);
        // A key that is wrong is answered as it was sent.
        if path != "envelope.idempotency_key" {
            self.replaced.push(begin..self.at());
        }
    }
}

fn is_asker(node: &Node) -> bool {
    match node {
        Node::Optional(some) => is_asker(some),
        node => matches!(node, Node::Text(Form::Asker)),
    }
}

/// Collected first and digested once: many small updates cost more than the digest.
struct Said(Vec<u8>);

impl Said {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// Where something else could stand.
    fn null(&mut self) {
        self.0.extend_from_slice(&[0xFF; 9]);
    }

    /// Another item follows.
    fn more(&mut self) {
        self.0.push(1);
    }

    /// The end of a record, a list or a map. No name is empty.
    fn end(&mut self) {
        self.0.extend_from_slice(&[0; 8]);
    }

    /// Every value by its path, in the order of the keys. The fields that say who asks are left out, as in a command.
    fn json<'v>(&mut self, value: &'v Value, path: &mut Vec<&'v str>) {
        match value {
            Value::Null => self.0.push(0),
            Value::Bool(flag) => self.0.extend_from_slice(&[1, u8::from(*flag)]),
            Value::Number(number) => {
                self.0.push(2);
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.0.push(3);
                self.text(text);
            }
            Value::Array(items) => {
                self.0.push(4);
                for item in items {
                    self.more();
                    path.push("[]");
                    self.json(item, path);
                    path.pop();
                }
                self.end();
            }
            Value::Object(fields) => {
                self.0.push(5);
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort_unstable();
                for name in names {
                    if path.as_slice() == ["envelope"] && Form::of("Envelope", name) == Form::Asker {
                        continue;
                    }
                    self.more();
                    self.text(name);
                    path.push(name);
                    self.json(&fields[name], path);
                    path.pop();
                }
                self.end();
            }
        }
    }

    fn hash(self) -> ContentHash {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(&self.0)[..16]);
        ContentHash(half)
    }
}
