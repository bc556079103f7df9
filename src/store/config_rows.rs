//! A merchant's configuration as rows, both ways, in the same manner as [`super::rows`].

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::StoreError;
use super::rows::{merchant_id, unit_id};
use super::sql_types::{AsRow, Columns, RowWriter, SqlError};
use crate::domain::config::{
    Expiry, KeyForm, MerchantStatus, MoneyValue, OnMatch, PhoneFormat, Rounding, Settings, SettingsVersion, UnitKind,
    UnitVersion, UnknownCustomer, Zone,
};
use crate::domain::customer::IdentifierKind;
use crate::domain::{MerchantId, ProfileField, UnitId};

impl AsRow for (MerchantId, Arc<SettingsVersion>) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (merchant_id, version) = self;
        let settings = &version.settings;
        row.value(&merchant_id.as_str())?;
        row.value(&version.version)?;
        row.instant(version.effective_from)?;
        row.instant(version.recorded_at)?;
        row.value(&settings.name)?;
        row.value(&&*settings.time_zone.name)?;
        row.array(settings.match_by.iter().map(|kind| kind.code()))?;
        row.value(&settings.max_age_s)?;
        row.value(&settings.max_future_s)?;
        row.value(&settings.email)?;
        row.value(&settings.phone)?;
        row.value(&Json(&settings.social))?;
        row.value(&settings.status.code())?;
        row.value(&settings.on_match.code())?;
        row.array(settings.required_fields.iter().map(|field| field.code()))?;
        row.value(&settings.phone_format.code())?;
        row.value(&settings.allow_no_identifier)?;
        row.value(&settings.profile_change_needs_active)?;
        row.value(&settings.key_form.code())?;
        row.value(&settings.unknown_customer.code())?;
        row.value(&settings.park_s)?;
        row.value(&settings.base_tier_id)?;
        row.value(&settings.wallet_url_apple)?;
        row.value(&settings.wallet_url_google)
    }
}

pub(crate) fn read_settings_version(row: &Row) -> Result<(MerchantId, SettingsVersion), StoreError> {
    let mut columns = Columns::of(row);
    let merchant_id = merchant_id(&mut columns)?;
    let version = SettingsVersion {
        version: columns.take()?,
        effective_from: columns.instant()?,
        recorded_at: columns.instant()?,
        settings: Arc::new(Settings {
            name: columns.take()?,
            time_zone: zone(columns.take()?)?,
            match_by: codes("match_by", &columns.take::<Vec<i16>>()?, IdentifierKind::from_code)?,
            max_age_s: columns.take()?,
            max_future_s: columns.take()?,
            email: columns.take()?,
            phone: columns.take()?,
            social: columns.take::<Json<_>>()?.0,
            status: columns.code(MerchantStatus::from_code)?,
            on_match: columns.code(OnMatch::from_code)?,
            required_fields: codes("required_fields", &columns.take::<Vec<i16>>()?, ProfileField::from_code)?,
            phone_format: columns.code(PhoneFormat::from_code)?,
            allow_no_identifier: columns.take()?,
            profile_change_needs_active: columns.take()?,
            key_form: columns.code(KeyForm::from_code)?,
            unknown_customer: columns.code(UnknownCustomer::from_code)?,
            park_s: columns.take()?,
            base_tier_id: columns.take()?,
            wallet_url_apple: columns.take()?,
            wallet_url_google: columns.take()?,
        }),
    };
    Ok((merchant_id, version))
}

fn zone(name: &str) -> Result<Zone, StoreError> {
    Zone::named(name).ok_or_else(|| {
        StoreError::corrupt(format!("a merchant's time zone {name:?} is not in this binary's time zone database"))
    })
}

fn codes<T>(column: &str, codes: &[i16], word: impl Fn(i16) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let words = codes.iter().map(|&code| word(code)).collect::<Option<Vec<_>>>();
    words.ok_or_else(|| StoreError::corrupt(format!("{column} holds a code that this version does not know")))
}

impl AsRow for (MerchantId, UnitId, Arc<UnitVersion>) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (merchant_id, unit_id, version) = self;
        let expiry_days = match version.expiry {
            Expiry::Never => None,
            Expiry::Days(days) => Some(i32::from(days)),
        };
        row.value(&merchant_id.as_str())?;
        row.value(&unit_id.as_str())?;
        row.value(&version.version)?;
        row.instant(version.effective_from)?;
        row.instant(version.recorded_at)?;
        row.value(&version.name)?;
        row.value(&i16::from(version.scale))?;
        row.value(&expiry_days)?;
        row.value(&version.min_held)?;
        row.value(&version.min_amount)?;
        row.value(&version.description)?;
        row.value(&version.kind.code())?;
        row.value(&version.currency)?;
        row.value(&version.brand_id)?;
        let value = version.value.as_ref();
        row.value(&value.map(|value| value.numerator))?;
        row.value(&value.map(|value| value.denominator))?;
        row.value(&value.map(|value| value.currency.as_str()))?;
        row.value(&version.rounding.code())?;
        row.value(&version.step)?;
        row.value(&Json(&version.attributes))
    }
}

pub(crate) fn read_unit_version(row: &Row) -> Result<(MerchantId, UnitId, UnitVersion), StoreError> {
    let mut columns = Columns::of(row);
    let out_of_range = |what: &str| StoreError::corrupt(format!("a unit's {what} is out of range"));
    let merchant_id = merchant_id(&mut columns)?;
    let unit_id = unit_id(&mut columns)?;
    let version = UnitVersion {
        version: columns.take()?,
        effective_from: columns.instant()?,
        recorded_at: columns.instant()?,
        name: columns.take()?,
        scale: u8::try_from(columns.take::<i16>()?).map_err(|_| out_of_range("scale"))?,
        expiry: match columns.take::<Option<i32>>()? {
            None => Expiry::Never,
            Some(days) => Expiry::Days(u16::try_from(days).map_err(|_| out_of_range("expiry"))?),
        },
        min_held: columns.take()?,
        min_amount: columns.take()?,
        description: columns.take()?,
        kind: columns.code(UnitKind::from_code)?,
        currency: columns.take()?,
        brand_id: columns.take()?,
        value: read_value(&mut columns)?,
        rounding: columns.code(Rounding::from_code)?,
        step: columns.take()?,
        attributes: columns.take::<Json<_>>()?.0,
    };
    Ok((merchant_id, unit_id, version))
}

fn read_value(columns: &mut Columns<'_>) -> Result<Option<MoneyValue>, StoreError> {
    match (columns.take()?, columns.take()?, columns.take()?) {
        (None::<i64>, None::<i64>, None::<String>) => Ok(None),
        (Some(numerator), Some(denominator), Some(currency)) => {
            Ok(Some(MoneyValue { numerator, denominator, currency }))
        }
        _ => Err(StoreError::corrupt("a unit's value in money is incomplete")),
    }
}
