//! A merchant's configuration as rows, both ways: of any kind in one table, whose content is the object's own JSON.

use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::StoreError;
use super::rows::merchant_id;
use super::sql_types::{AsRow, Columns, JsonText, RowWriter, SqlError};
use crate::domain::{ConfigObject, MerchantId, ObjectKind};

impl AsRow for (MerchantId, ConfigObject) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (merchant_id, object) = self;
        row.value(&merchant_id.as_str())?;
        row.value(&object.kind().name())?;
        row.value(&object.id())?;
        row.value(&object.version())?;
        row.instant(object.effective_from())?;
        row.instant(object.recorded_at())?;
        row.value(&Json(object.content()))
    }
}

pub(crate) fn read_config_version(row: &Row) -> Result<(MerchantId, ConfigObject), StoreError> {
    let mut columns = Columns::of(row);
    let merchant_id = merchant_id(&mut columns)?;
    let (kind, id): (&str, String) = (columns.take()?, columns.take()?);
    let unreadable = |what: String| StoreError::corrupt(format!("{kind} {id:?} of merchant {merchant_id} {what}"));
    let known =
        ObjectKind::from_name(kind).ok_or_else(|| unreadable("is of a kind that this version lacks".to_owned()))?;
    let version = (columns.take()?, columns.instant()?, columns.instant()?);
    let JsonText(content) = columns.take()?;
    let object = ConfigObject::read(known, id.clone(), version, &mut serde_json::Deserializer::from_slice(content))
        .map_err(|error| unreadable(format!("can't be read: {error}")))?;
    match &object {
        ConfigObject::Settings(_, settings) if !settings.time_zone.is_known() => {
            Err(unreadable("have a time zone that is not in this binary's time zone database".to_owned()))
        }
        _ => Ok((merchant_id, object)),
    }
}
