//! Serde straight into Avro's binary form, by the order of the fields.
//!
//! It needs no schema at run time and so costs a fraction of apache-avro's own, which looks every field up by name. What it takes for
//! granted, tests hold against apache-avro for every record: fields stand in the schema's order, a nullable union begins with null, an
//! enum's variants stand in the order of the symbols or branches.

use std::fmt;

use serde::ser::{self, Impossible, Serialize};

use super::binary::{put_bytes, put_length, put_long};

/// Appends a value's datum.
pub(super) fn append<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), Unsupported> {
    value.serialize(Datum(out))
}

/// The type has no place in our schemas.
#[derive(Debug)]
pub(super) struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type that none of our schemas has")
    }
}

impl std::error::Error for Unsupported {}

impl ser::Error for Unsupported {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unsupported
    }
}

struct Datum<'a>(&'a mut Vec<u8>);

/// Items of an array or map: one block, then its end.
struct Block<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

struct Fields<'a>(&'a mut Vec<u8>);

macro_rules! unsupported {
    ($($method:ident($($type:ty),*)),* $(,)?) => {
        $(fn $method(self, $(_: $type),*) -> Result<(), Unsupported> { Err(Unsupported) })*
    };
}

impl<'a> ser::Serializer for Datum<'a> {
    type Ok = ();
    type Error = Unsupported;
    type SerializeSeq = Block<'a>;
    type SerializeTuple = Impossible<(), Unsupported>;
    type SerializeTupleStruct = Impossible<(), Unsupported>;
    type SerializeTupleVariant = Impossible<(), Unsupported>;
    type SerializeMap = Block<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<(), Unsupported>;

    unsupported!(
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_bytes(&[u8]),
        serialize_unit(),
        serialize_unit_struct(&'static str),
    );

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unsupported> {
        self.0.push(u8::from(value));
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unsupported> {
        put_long(self.0, i64::from(value));
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unsupported> {
        put_long(self.0, value);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unsupported> {
        put_bytes(self.0, value.as_bytes());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unsupported> {
        self.0.push(0);
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Unsupported> {
        put_long(self.0, 1);
        value.serialize(Datum(self.0))
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Unsupported> {
        put_long(self.0, i64::from(index));
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Unsupported> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unsupported> {
        put_long(self.0, i64::from(index));
        value.serialize(Datum(self.0))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Block<'a>, Unsupported> {
        Block::begin(self.0, length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Block<'a>, Unsupported> {
        Block::begin(self.0, length)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Unsupported> {
        Ok(Fields(self.0))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unsupported> {
        Err(Unsupported)
    }
}

impl<'a> Block<'a> {
    fn begin(out: &'a mut Vec<u8>, length: Option<usize>) -> Result<Block<'a>, Unsupported> {
        let length = length.ok_or(Unsupported)?;
        put_length(out, length);
        Ok(Block { out, is_empty: length == 0 })
    }

    fn finish(self) {
        // The count of an empty block is its end already.
        if !self.is_empty {
            self.out.push(0);
        }
    }
}

impl ser::SerializeSeq for Block<'_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unsupported> {
        value.serialize(Datum(self.out))
    }

    fn end(self) -> Result<(), Unsupported> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeMap for Block<'_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Unsupported> {
        key.serialize(Datum(self.out))
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unsupported> {
        value.serialize(Datum(self.out))
    }

    fn end(self) -> Result<(), Unsupported> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &'static str, value: &T) -> Result<(), Unsupported> {
        value.serialize(Datum(self.0))
    }

    fn skip_field(&mut self, _: &'static str) -> Result<(), Unsupported> {
        Err(Unsupported)
    }

    fn end(self) -> Result<(), Unsupported> {
        Ok(())
    }
}
