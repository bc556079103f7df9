//! A datum as JSON, for people: any schema, instants as RFC 3339.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::Name;
use serde_json::{Map, Value};

use super::binary::{Malformed, take, take_block, take_boolean, take_bytes, take_index, take_long, take_text};

/// How deep a value may be nested: a recursive schema must not exhaust the stack.
const MAX_DEPTH: u32 = 64;

/// Every field, as people read it.
pub(super) fn read(schema: &Schema, names: &HashMap<Name, &Schema>, mut datum: &[u8]) -> Result<Value, Malformed> {
    let value = value(schema, names, &mut datum, MAX_DEPTH)?;
    if datum.is_empty() { Ok(value) } else { Err(Malformed) }
}

fn value(schema: &Schema, names: &HashMap<Name, &Schema>, input: &mut &[u8], depth: u32) -> Result<Value, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    Ok(match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => take_boolean(input)?.into(),
        Schema::Int | Schema::Long => take_long(input)?.into(),
        Schema::TimestampMicros => instant(take_long(input)?),
        Schema::TimestampMillis => instant(take_long(input)?.saturating_mul(1000)),
        Schema::Float => f64::from(f32::from_le_bytes(taken(input)?)).into(),
        Schema::Double => f64::from_le_bytes(taken(input)?).into(),
        Schema::String => take_text(input)?.into(),
        Schema::Bytes => hex(take_bytes(input)?).into(),
        Schema::Fixed(fixed) => hex(take(input, fixed.size)?).into(),
        Schema::Enum(known) => known.symbols.get(take_index(input)?).ok_or(Malformed)?.as_str().into(),
        Schema::Union(union) => {
            let branch = union.variants().get(take_index(input)?).ok_or(Malformed)?;
            value(branch, names, input, depth)?
        }
        Schema::Array(array) => {
            let mut items = Vec::new();
            loop {
                match take_block(input)? {
                    0 => break Value::Array(items),
                    count => {
                        for _ in 0..count {
                            items.push(value(&array.items, names, input, depth)?);
                        }
                    }
                }
            }
        }
        Schema::Map(map) => {
            let mut entries = Map::new();
            loop {
                match take_block(input)? {
                    0 => break Value::Object(entries),
                    count => {
                        for _ in 0..count {
                            let key = take_text(input)?.to_owned();
                            entries.insert(key, value(&map.types, names, input, depth)?);
                        }
                    }
                }
            }
        }
        Schema::Record(record) => {
            let mut fields = Map::new();
            for field in &record.fields {
                fields.insert(field.name.clone(), value(&field.schema, names, input, depth)?);
            }
            Value::Object(fields)
        }
        Schema::Ref { name } => value(names.get(name).ok_or(Malformed)?, names, input, depth)?,
        _ => return Err(Malformed),
    })
}

fn instant(micros: i64) -> Value {
    crate::domain::Instant::from_micros(micros).to_string().into()
}

fn taken<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    take(input, N)?.try_into().map_err(|_| Malformed)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
