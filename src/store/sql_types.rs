//! Our values in Postgres' binary format, where the crates' own conversions do not fit: instants, and whole rows as parameters.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Row;
use tokio_postgres::types::{Field, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::StoreError;
use crate::domain::Instant;

pub(crate) type SqlError = Box<dyn std::error::Error + Send + Sync>;

/// A value that Postgres can't hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unstorable(pub &'static str);

/// A value in a row that this worker never writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub &'static str);

/// An instant as `timestamptz`: microseconds since 2000; [`Instant::BEGINNING`] is `-infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamptz(pub Instant);

/// 2000-01-01T00:00:00Z in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
const NEGATIVE_INFINITY: i64 = i64::MIN;
const INFINITY: i64 = i64::MAX;

/// Null among packed numbers.
const NO_NUMBER: i64 = i64::MIN;

/// What a row takes on the way, about. A batch's rows are megabytes, which would be copied each time that their room is doubled.
const USUAL_ROW_BYTES: usize = 256;

impl ToSql for Timestamptz {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
        let wire = if self.0 == Instant::BEGINNING {
            NEGATIVE_INFINITY
        } else if self.0.is_representable() {
            self.0.micros() - POSTGRES_EPOCH
        } else {
            return Err(Unstorable("an instant outside the years 1900 to 9999").into());
        };
        out.put_i64(wire);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl FromSql<'_> for Timestamptz {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, SqlError> {
        let wire =
            i64::from_be_bytes(raw.try_into().map_err(|_| Unreadable("a timestamptz that is not 8 bytes long"))?);
        let instant = match wire {
            NEGATIVE_INFINITY => Instant::BEGINNING,
            INFINITY => return Err(Unreadable("the timestamptz `infinity`").into()),
            // Postgres' greatest timestamptz is far below the limit of 64 bits.
            micros => Instant::from_micros(micros.saturating_add(POSTGRES_EPOCH)),
        };
        Ok(Timestamptz(instant))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// The text of a `json` as it is. Its `Debug`, which tokio-postgres may log, shows nothing of it.
pub(crate) struct JsonText<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for JsonText<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, SqlError> {
        Ok(JsonText(raw))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

/// A value that fills one row of a composite type of the migrations.
pub(crate) trait AsRow {
    /// Puts the fields, in the order of the type.
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError>;
}

impl<T: AsRow> AsRow for &T {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        T::put(self, row)
    }
}

impl<T: AsRow> AsRow for Arc<T> {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        T::put(self, row)
    }
}

/// Where a row lies (`ctid`). Good only within the transaction that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowAt {
    block: u32,
    item: u16,
}

impl ToSql for RowAt {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
        out.put_u32(self.block);
        out.put_u16(self.item);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }

    to_sql_checked!();
}

impl FromSql<'_> for RowAt {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, SqlError> {
        let [a, b, c, d, e, f] = *raw else { return Err(Unreadable("a tid that is not 6 bytes long").into()) };
        Ok(RowAt { block: u32::from_be_bytes([a, b, c, d]), item: u16::from_be_bytes([e, f]) })
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }
}

/// Rows as one parameter: an array of a composite type. Its `Debug`, which tokio-postgres may log, shows no values.
pub(crate) struct Rows<'a, T>(pub &'a [T]);

impl<T> fmt::Debug for Rows<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.0.len())
    }
}

impl<T: AsRow> ToSql for Rows<'_, T> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
        let (element, fields) = row_type(ty).ok_or("the parameter is not an array of a composite type")?;
        put_array_header(element, self.0.len(), out)?;
        out.reserve(self.0.len() * USUAL_ROW_BYTES);
        for row in self.0 {
            put_sized(out, |out| {
                out.put_i32(i32::try_from(fields.len())?);
                let mut writer = RowWriter { fields: fields.iter(), out };
                row.put(&mut writer)?;
                if writer.fields.next().is_some() {
                    Err("a row has fewer values than its type".into())
                } else {
                    Ok(IsNull::No)
                }
            })?;
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        row_type(ty).is_some()
    }

    to_sql_checked!();
}

fn row_type(ty: &Type) -> Option<(&Type, &[Field])> {
    let Kind::Array(element) = ty.kind() else { return None };
    let Kind::Composite(fields) = element.kind() else { return None };
    Some((element, fields))
}

/// Takes a row's values, one field after the other, and checks each against the field's type.
pub(crate) struct RowWriter<'a> {
    fields: std::slice::Iter<'a, Field>,
    out: &'a mut BytesMut,
}

impl<'a> RowWriter<'a> {
    pub fn value(&mut self, value: &dyn ToSql) -> Result<(), SqlError> {
        let ty = self.next_field()?;
        put_sized(self.out, |out| value.to_sql_checked(ty, out))
    }

    pub fn null(&mut self) -> Result<(), SqlError> {
        self.next_field()?;
        self.out.put_i32(-1);
        Ok(())
    }

    pub fn instant(&mut self, instant: Instant) -> Result<(), SqlError> {
        self.value(&Timestamptz(instant))
    }

    /// An array, from an iterator, so that packed lots need no vectors of their own.
    pub fn array<T: ToSql>(&mut self, items: impl ExactSizeIterator<Item = T>) -> Result<(), SqlError> {
        let ty = self.next_field()?;
        let Kind::Array(element) = ty.kind() else { return Err("an array for a field that is none".into()) };
        put_sized(self.out, |out| {
            put_array_header(element, items.len(), out)?;
            for item in items {
                put_sized(out, |out| item.to_sql_checked(element, out))?;
            }
            Ok(IsNull::No)
        })
    }

    /// Values of `N` numbers each, one after the other: see the function `number_at` in the migrations.
    pub fn packed<const N: usize>(&mut self, values: impl Iterator<Item = [Option<i64>; N]>) -> Result<(), SqlError> {
        let ty = self.next_field()?;
        if *ty != Type::BYTEA {
            return Err("packed values for a field that is no bytea".into());
        }
        put_sized(self.out, |out| {
            for value in values {
                if value.contains(&Some(NO_NUMBER)) {
                    return Err(Unstorable("the number that stands for null").into());
                }
                let numbers = value.map(|number| number.unwrap_or(NO_NUMBER).to_be_bytes());
                out.put_slice(numbers.as_flattened());
            }
            Ok(IsNull::No)
        })
    }

    fn next_field(&mut self) -> Result<&'a Type, SqlError> {
        let ty = self.fields.next().ok_or("a row has more values than its type")?.type_();
        self.out.put_u32(ty.oid());
        Ok(ty)
    }
}

/// One dimension, or none when empty. The flag for nulls is only checked for being 0 or 1.
fn put_array_header(element: &Type, len: usize, out: &mut BytesMut) -> Result<(), SqlError> {
    out.put_i32(i32::from(len > 0));
    out.put_i32(0);
    out.put_u32(element.oid());
    if len > 0 {
        out.put_i32(i32::try_from(len)?);
        out.put_i32(1);
    }
    Ok(())
}

/// The value after its length, or the length -1 for null.
fn put_sized(out: &mut BytesMut, put: impl FnOnce(&mut BytesMut) -> Result<IsNull, SqlError>) -> Result<(), SqlError> {
    let at = out.len();
    out.put_i32(-1);
    if let IsNull::No = put(out)? {
        let len = i32::try_from(out.len() - at - 4)?;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

/// Reads a row's columns one after the other, in the order of its statement.
pub(crate) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    pub fn of(row: &'a Row) -> Self {
        Columns { row, next: 0 }
    }

    pub fn take<T: FromSql<'a>>(&mut self) -> Result<T, StoreError> {
        let column = self.next;
        self.next += 1;
        Ok(self.row.try_get(column)?)
    }

    pub fn instant(&mut self) -> Result<Instant, StoreError> {
        Ok(self.take::<Timestamptz>()?.0)
    }

    /// Values of `N` numbers each.
    pub fn packed<const N: usize>(
        &mut self,
    ) -> Result<impl ExactSizeIterator<Item = [Option<i64>; N]> + use<'a, N>, StoreError> {
        self.packed_or_none::<N>()?.ok_or_else(|| StoreError::corrupt("packed values are null"))
    }

    pub fn packed_or_none<const N: usize>(
        &mut self,
    ) -> Result<Option<impl ExactSizeIterator<Item = [Option<i64>; N]> + use<'a, N>>, StoreError> {
        let Some(bytes) = self.take::<Option<&[u8]>>()? else { return Ok(None) };
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (values, incomplete) = numbers.as_chunks::<N>();
        if !rest.is_empty() || !incomplete.is_empty() {
            return Err(StoreError::corrupt("packed values are incomplete"));
        }
        let number = |bytes: [u8; 8]| Some(i64::from_be_bytes(bytes)).filter(|number| *number != NO_NUMBER);
        Ok(Some(values.iter().map(move |value| value.map(number))))
    }

    /// A number that stands for one of our own words.
    pub fn code<T>(&mut self, word: impl Fn(i16) -> Option<T>) -> Result<T, StoreError> {
        let column = self.next;
        let code = self.take()?;
        word(code).ok_or_else(|| {
            let name = self.row.columns()[column].name();
            StoreError::corrupt(format!("column {name} holds the code {code}, which this version does not know"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_their_microseconds_and_the_beginning() {
        for instant in
            [Instant::BEGINNING, Instant::EARLIEST, Instant::EPOCH, Instant::from_micros(-1), Instant::LATEST]
        {
            let mut wire = BytesMut::new();
            Timestamptz(instant).to_sql(&Type::TIMESTAMPTZ, &mut wire).unwrap();
            assert_eq!(Timestamptz::from_sql(&Type::TIMESTAMPTZ, &wire).unwrap().0, instant);
        }
        let beyond = Timestamptz(Instant::from_micros(Instant::LATEST.micros() + 1));
        let refused = beyond.to_sql(&Type::TIMESTAMPTZ, &mut BytesMut::new()).err().unwrap();
        assert!(refused.is::<Unstorable>());
        assert!(Timestamptz::from_sql(&Type::TIMESTAMPTZ, &i64::MAX.to_be_bytes()).is_err());
    }
}
