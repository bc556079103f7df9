//! A datum of another version of a schema, rewritten as one of ours, by Avro's rules: fields and branches by name, defaults for what the
//! writer does not know, what we do not know left out, int widened to long.
//!
//! apache-avro's own resolution is not used: it takes the first branch of a union that happens to fit a record's fields, whatever the
//! record's name, so that one command could become another; and it reads a datum that ends early as nulls.

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordField, RecordSchema, ResolvedSchema, UuidSchema};

use super::binary::{Malformed, put_bytes, put_length, put_long};
use super::binary::{take, take_block, take_boolean, take_bytes, take_index, take_long, take_text};
use super::from_json;
use super::problems::Problems;
use super::schemas::OwnSchema;

/// A schema that some sender wrote with. It lives as long as the process: each is parsed once per id, and the registry bounds their number.
pub(super) struct WriterSchema {
    pub(super) root: &'static Schema,
    pub(super) names: ResolvedSchema<'static>,
}

impl WriterSchema {
    /// `None` if it is no Avro schema, or not complete without references.
    pub(super) fn parse(json: &serde_json::Value) -> Option<WriterSchema> {
        let root: &'static Schema = Box::leak(Box::new(Schema::parse(json).ok()?));
        Some(WriterSchema { root, names: ResolvedSchema::new(root).ok()? })
    }

    pub(super) fn full_name(&self) -> Option<String> {
        self.root.name().map(|name| name.fullname(None))
    }
}

/// How deep a value may be nested: a recursive schema must not exhaust the stack.
const MAX_DEPTH: u32 = 64;

/// Rewrites one datum. An error means that it is not of the writer's schema, or that this schema can't become ours.
pub(super) fn rewrite(writer: &WriterSchema, own: &'static OwnSchema, mut datum: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(datum.len());
    Resolution { writer, own }.value(writer.root, own.schema, &mut datum, &mut out, MAX_DEPTH)?;
    if datum.is_empty() { Ok(out) } else { Err(Malformed) }
}

/// Whether the bytes have the form of the writer's schema, whatever may become of them.
pub(super) fn is_datum(writer: &WriterSchema, own: &'static OwnSchema, mut datum: &[u8]) -> bool {
    Resolution { writer, own }.skip(writer.root, &mut datum, MAX_DEPTH).is_ok() && datum.is_empty()
}

struct Resolution<'w> {
    writer: &'w WriterSchema,
    own: &'static OwnSchema,
}

impl<'w> Resolution<'w> {
    fn value(
        &self,
        writer: &'w Schema,
        reader: &'static Schema,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let writer = self.follow(writer)?;
        let reader = self.own.follow(reader);
        if let Schema::Union(union) = writer {
            let branch = union.variants().get(take_index(input)?).ok_or(Malformed)?;
            return self.value(branch, reader, input, out, depth);
        }
        match (writer, reader) {
            (writer, Schema::Union(union)) => {
                let branches = union.variants();
                let index = branches
                    .iter()
                    .position(|branch| is_same_kind(writer, self.own.follow(branch)))
                    .or_else(|| branches.iter().position(|branch| is_widening(writer, branch)))
                    .ok_or(Malformed)?;
                put_length(out, index);
                self.value(writer, &branches[index], input, out, depth)?;
            }
            (Schema::Null, Schema::Null) => {}
            (Schema::Boolean, Schema::Boolean) => out.push(u8::from(take_boolean(input)?)),
            (Schema::Int, Schema::Int) => put_long(out, i64::from(take_int(input)?)),
            (Schema::Int, Schema::Long) => put_long(out, i64::from(take_int(input)?)),
            (Schema::Long, Schema::Long) => put_long(out, take_long(input)?),
            // A long without a logical type is taken at its word; milliseconds are converted.
            (Schema::TimestampMicros | Schema::Long, Schema::TimestampMicros) => put_long(out, take_long(input)?),
            (Schema::TimestampMillis, Schema::TimestampMicros) => {
                put_long(out, take_long(input)?.checked_mul(1000).ok_or(Malformed)?);
            }
            (Schema::String | Schema::Bytes | Schema::Uuid(UuidSchema::String), Schema::String) => {
                put_bytes(out, take_text(input)?.as_bytes());
            }
            (Schema::Enum(theirs), Schema::Enum(ours)) => {
                let symbol = theirs.symbols.get(take_index(input)?).ok_or(Malformed)?;
                put_length(out, ours.symbols.iter().position(|known| known == symbol).ok_or(Malformed)?);
            }
            (Schema::Array(theirs), Schema::Array(ours)) => loop {
                let count = take_block(input)?;
                put_long(out, count.cast_signed());
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    self.value(&theirs.items, &ours.items, input, out, depth)?;
                }
            },
            (Schema::Map(theirs), Schema::Map(ours)) => loop {
                let count = take_block(input)?;
                put_long(out, count.cast_signed());
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    put_bytes(out, take_text(input)?.as_bytes());
                    self.value(&theirs.types, &ours.types, input, out, depth)?;
                }
            },
            (Schema::Record(theirs), Schema::Record(ours)) if theirs.name.name() == ours.name.name() => {
                self.record(theirs, ours, input, out, depth)?;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// The writer's fields come in the writer's order, so they wait until all are read.
    fn record(
        &self,
        theirs: &'w RecordSchema,
        ours: &'static RecordSchema,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Malformed> {
        let mut values: Vec<Option<Vec<u8>>> = vec![None; ours.fields.len()];
        for field in &theirs.fields {
            match ours.lookup.get(&field.name) {
                Some(&place) => {
                    let mut value = Vec::new();
                    self.value(&field.schema, &ours.fields[place].schema, input, &mut value, depth)?;
                    values[place] = Some(value);
                }
                None => self.skip(&field.schema, input, depth)?,
            }
        }
        for (field, value) in ours.fields.iter().zip(values) {
            match value {
                Some(value) => out.extend_from_slice(&value),
                None => self.default_of(field, out)?,
            }
        }
        Ok(())
    }

    fn default_of(&self, field: &'static RecordField, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let default = field.default.as_ref().ok_or(Malformed)?;
        let mut problems = Problems::default();
        let datum = from_json::write_part(self.own, &field.schema, default, &mut problems);
        if !problems.is_empty() {
            return Err(Malformed);
        }
        out.extend_from_slice(&datum.ok_or(Malformed)?);
        Ok(())
    }

    fn skip(&self, schema: &'w Schema, input: &mut &[u8], depth: u32) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        match self.follow(schema)? {
            Schema::Null => {}
            Schema::Boolean => {
                take_boolean(input)?;
            }
            Schema::Float => {
                take(input, 4)?;
            }
            Schema::Double => {
                take(input, 8)?;
            }
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                take(input, fixed.size)?;
            }
            Schema::String
            | Schema::Bytes
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::String | UuidSchema::Bytes)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => {
                take_bytes(input)?;
            }
            Schema::Union(union) => {
                let branch = union.variants().get(take_index(input)?).ok_or(Malformed)?;
                self.skip(branch, input, depth)?;
            }
            Schema::Array(array) => {
                self.skip_blocks(input, |resolution, input| resolution.skip(&array.items, input, depth))?;
            }
            Schema::Map(map) => self.skip_blocks(input, |resolution, input| {
                take_bytes(input)?;
                resolution.skip(&map.types, input, depth)
            })?,
            Schema::Record(record) => {
                for field in &record.fields {
                    self.skip(&field.schema, input, depth)?;
                }
            }
            Schema::Ref { .. } => return Err(Malformed),
            // All that is left is written as a varint.
            _ => {
                take_long(input)?;
            }
        }
        Ok(())
    }

    fn skip_blocks(
        &self,
        input: &mut &[u8],
        skip_item: impl Fn(&Self, &mut &[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        loop {
            let count = take_block(input)?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                skip_item(self, input)?;
            }
        }
    }

    fn follow(&self, schema: &'w Schema) -> Result<&'w Schema, Malformed> {
        match schema {
            Schema::Ref { name } => self.writer.names.get_names().get(name).copied().ok_or(Malformed),
            schema => Ok(schema),
        }
    }
}

fn take_int(input: &mut &[u8]) -> Result<i32, Malformed> {
    i32::try_from(take_long(input)?).map_err(|_| Malformed)
}

/// Whether a branch is the one that the writer means. Named types are told apart by their names.
fn is_same_kind(writer: &Schema, branch: &Schema) -> bool {
    match (writer, branch) {
        (Schema::Record(theirs), Schema::Record(ours)) => theirs.name.name() == ours.name.name(),
        (Schema::Enum(theirs), Schema::Enum(ours)) => theirs.name.name() == ours.name.name(),
        (Schema::Null, Schema::Null)
        | (Schema::Boolean, Schema::Boolean)
        | (Schema::Int, Schema::Int)
        | (Schema::Long, Schema::Long)
        | (Schema::String, Schema::String)
        | (Schema::TimestampMicros, Schema::TimestampMicros)
        | (Schema::Array(_), Schema::Array(_))
        | (Schema::Map(_), Schema::Map(_)) => true,
        _ => false,
    }
}

fn is_widening(writer: &Schema, branch: &Schema) -> bool {
    matches!(
        (writer, branch),
        (Schema::Int, Schema::Long)
            | (Schema::Long | Schema::TimestampMillis, Schema::TimestampMicros)
            | (Schema::Bytes | Schema::Uuid(UuidSchema::String), Schema::String)
    )
}
