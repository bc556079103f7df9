//! JSON into a datum of our schema, by walking the schema. JSON of the same shape, that is: a variant is named by a `type` field beside
//! its own fields, an instant is an RFC 3339 text, a field with a default may be left out. All bad fields are found, not only the first.

use apache_avro::Schema;
use apache_avro::schema::{RecordField, RecordSchema, UnionSchema};
use serde_json::{Map, Value};

use super::binary::{put_bytes, put_length, put_long};
use super::problems::Problems;
use super::schemas::OwnSchema;
use crate::domain::Instant;

/// Writes a JSON value as a datum. In the place of each field that is a problem stands null, or else the least value of its type. `None` where
/// a variant is not known.
pub(super) fn write(own: &'static OwnSchema, value: &Value, problems: &mut Problems) -> Option<Vec<u8>> {
    write_part(own, own.schema, value, problems)
}

/// The same for a part of the schema.
pub(super) fn write_part(
    own: &'static OwnSchema,
    schema: &'static Schema,
    value: &Value,
    problems: &mut Problems,
) -> Option<Vec<u8>> {
    let mut walk = Walk { own, out: Vec::new(), path: String::new(), problems, is_complete: true };
    walk.value(schema, value);
    walk.is_complete.then_some(walk.out)
}

/// Whether a value has this schema's form.
pub(super) fn fits(own: &'static OwnSchema, schema: &'static Schema, value: &Value) -> bool {
    let mut problems = Problems::default();
    write_part(own, schema, value, &mut problems);
    problems.is_empty()
}

/// The name that a variant has in JSON: its record's, without the topic's family that some begin with.
pub(super) fn variant_name(record: &str) -> String {
    let own = ["Credit", "Redeem"].iter().find_map(|family| record.strip_prefix(family)).unwrap_or(record);
    let mut name = String::with_capacity(own.len() + 4);
    for c in own.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

struct Walk<'a> {
    own: &'static OwnSchema,
    out: Vec<u8>,
    path: String,
    problems: &'a mut Problems,
    /// Whether a datum can stand for the value.
    is_complete: bool,
}

impl Walk<'_> {
    fn value(&mut self, schema: &'static Schema, value: &Value) {
        match (self.own.follow(schema), value) {
            (Schema::Null, Value::Null) => {}
            (Schema::Boolean, Value::Bool(value)) => self.out.push(u8::from(*value)),
            (Schema::String, Value::String(text)) => put_bytes(&mut self.out, text.as_bytes()),
            (Schema::Int, Value::Number(_)) => match value.as_i64().and_then(|long| i32::try_from(long).ok()) {
                Some(int) => put_long(&mut self.out, i64::from(int)),
                None => self.bad(schema, "must be an integer of 32 bits"),
            },
            (Schema::Long, Value::Number(_)) => match value.as_i64() {
                Some(long) => put_long(&mut self.out, long),
                None => self.bad(schema, "must be an integer of 64 bits"),
            },
            // Whether a command may name it is judged as of Avro's.
            (Schema::TimestampMicros, Value::String(text)) => match Instant::written_as_rfc3339(text) {
                Some(at) => put_long(&mut self.out, at.micros()),
                None => self.bad(schema, INSTANT),
            },
            (Schema::Enum(known), Value::String(text)) => {
                match known.symbols.iter().position(|symbol| symbol == text) {
                    Some(index) => put_length(&mut self.out, index),
                    None => self.bad(schema, format!("must be one of {}", known.symbols.join(", "))),
                }
            }
            (Schema::Array(array), Value::Array(items)) => self.list(&array.items, items),
            (Schema::Map(map), Value::Object(entries)) => {
                self.count(entries.len());
                for (key, entry) in entries {
                    put_bytes(&mut self.out, key.as_bytes());
                    self.below(".", key, |walk| walk.value(&map.types, entry));
                }
                put_length(&mut self.out, 0);
            }
            (Schema::Record(record), Value::Object(fields)) => self.record(record, fields, false),
            (Schema::Union(union), value) => self.union(union, value),
            (_, _) => self.bad(schema, expected(self.own.follow(schema))),
        }
    }

    /// A word that is unknown is left out: the word in its place could be a problem of another kind. Everything else stays, so that those
    /// behind it keep their numbers.
    fn list(&mut self, schema: &'static Schema, items: &[Value]) {
        let keeps_bad = !matches!(self.own.follow(schema), Schema::Enum(_));
        let before = std::mem::take(&mut self.out);
        let mut kept = 0;
        for (index, item) in items.iter().enumerate() {
            let (length, problems) = (self.out.len(), self.problems.count());
            self.below("", &format!("[{index}]"), |walk| walk.value(schema, item));
            if keeps_bad || self.problems.count() == problems {
                kept += 1;
            } else {
                self.out.truncate(length);
            }
        }
        let items = std::mem::replace(&mut self.out, before);
        self.count(kept);
        self.out.extend_from_slice(&items);
        put_length(&mut self.out, 0);
    }

    fn record(&mut self, record: &'static RecordSchema, fields: &Map<String, Value>, is_variant: bool) {
        for field in &record.fields {
            self.below(".", &field.name, |walk| walk.field(field, fields.get(&field.name)));
        }
        for name in fields.keys() {
            let is_tag = is_variant && name == "type";
            if !is_tag && !record.lookup.contains_key(name) {
                self.below(".", name, |walk| walk.problem("is not a field of this command"));
            }
        }
    }

    fn field(&mut self, field: &'static RecordField, value: Option<&Value>) {
        match (value, &field.default) {
            (Some(value), _) => self.value(&field.schema, value),
            // Avro's defaults of the types that our schemas use look the same as the JSON that a sender would write.
            (None, Some(default)) => self.value(&field.schema, default),
            (None, None) => self.bad(&field.schema, "is required"),
        }
    }

    fn union(&mut self, union: &'static UnionSchema, value: &Value) {
        if union.is_nullable() {
            for (index, branch) in union.variants().iter().enumerate() {
                if matches!(branch, Schema::Null) == value.is_null() {
                    let (length, problems) = (self.out.len(), self.problems.count());
                    put_length(&mut self.out, index);
                    self.value(branch, value);
                    if self.problems.count() > problems {
                        self.out.truncate(length);
                        self.null(union);
                    }
                    return;
                }
            }
        }
        let Value::Object(fields) = value else {
            self.is_complete = false;
            return self.problem("must be an object");
        };
        let names = || union.variants().iter().filter_map(|branch| branch.name()).map(|name| variant_name(name.name()));
        let wanted = fields.get("type").and_then(Value::as_str);
        let index = names().position(|name| Some(name.as_str()) == wanted);
        match index.map(|index| (index, self.own.follow(&union.variants()[index]))) {
            Some((index, Schema::Record(record))) => {
                put_length(&mut self.out, index);
                self.record(record, fields, true);
            }
            _ => {
                self.is_complete = false;
                let known = names().collect::<Vec<String>>().join(", ");
                let problem = match fields.get("type") {
                    None => format!("is missing: it must be one of {known}"),
                    Some(_) => format!("must be one of {known}"),
                };
                self.below(".", "type", |walk| walk.problem(problem));
            }
        }
    }

    /// A field that is a problem, and what stands in its place.
    fn bad(&mut self, schema: &'static Schema, problem: impl Into<String>) {
        self.problem(problem);
        self.least(schema);
    }

    fn null(&mut self, union: &'static UnionSchema) {
        let place = union.variants().iter().position(|branch| matches!(branch, Schema::Null)).unwrap_or(0);
        put_length(&mut self.out, place);
    }

    /// The least value of a type: false, zero, the empty text or list, the first word.
    fn least(&mut self, schema: &'static Schema) {
        match self.own.follow(schema) {
            Schema::Null => {}
            Schema::Record(record) => record.fields.iter().for_each(|field| match &field.default {
                Some(default) => self.value(&field.schema, default),
                None => self.least(&field.schema),
            }),
            Schema::Union(union) if union.is_nullable() => self.null(union),
            Schema::Union(_) => self.is_complete = false,
            // One byte of zero stands for all of these.
            _ => self.out.push(0),
        }
    }

    fn count(&mut self, items: usize) {
        if items > 0 {
            put_length(&mut self.out, items);
        }
    }

    fn below(&mut self, separator: &str, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push_str(separator);
        }
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }

    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.add(&self.path, problem);
    }
}

const INSTANT: &str = "must be an RFC 3339 instant of the years 1900 to 9999, for example 2026-01-31T12:00:00Z";

fn expected(schema: &Schema) -> &'static str {
    match schema {
        Schema::Null => "must be null",
        Schema::Boolean => "must be true or false",
        Schema::Int | Schema::Long => "must be an integer",
        Schema::String | Schema::Enum(_) => "must be a text",
        Schema::TimestampMicros => INSTANT,
        Schema::Array(_) => "must be a list",
        Schema::Map(_) | Schema::Record(_) => "must be an object",
        _ => "can't be sent as JSON",
    }
}
