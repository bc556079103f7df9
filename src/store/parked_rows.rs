//! Commands that wait, as rows, both ways: as they were understood, so that neither their records nor a schema are needed later.

use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::StoreError;
use super::rows::identity_key;
use super::sql_types::{AsRow, Columns, JsonText, RowWriter, SqlError};
use crate::domain::Parked;

impl AsRow for Parked {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&Uuid::from_bytes(self.seed.digest))?;
        // The lane: a command that begins to wait stands in its partition. The row may move with the merchant later, its record stays.
        row.value(&self.position.partition)?;
        row.value(&self.place)?;
        row.instant(self.deadline)?;
        row.value(&identity_key(&self.awaits))?;
        row.value(&Uuid::from_bytes(self.key_hash().0))?;
        row.value(&self.command.envelope.merchant_id.as_str())?;
        row.value(&Json(self))
    }
}

pub(crate) fn read_parked(row: &Row) -> Result<Parked, StoreError> {
    let mut columns = Columns::of(row);
    // It changes when the lanes grow; the content does not.
    let place = columns.take()?;
    let content: JsonText<'_> = columns.take()?;
    let parked: Parked = serde_json::from_slice(content.0).map_err(|error| {
        // Where and not what: the error's own words may quote an identifier.
        let (class, column) = (error.classify(), error.column());
        StoreError::corrupt(format!(
            "the command at place {place}, which waits, can't be read: {class:?} at byte {column}"
        ))
    })?;
    Ok(Parked { place, ..parked })
}
