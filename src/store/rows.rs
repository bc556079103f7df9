//! The domain's values as rows, both ways. Each `put` follows its composite type in the migrations, each `read` its statement's columns.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::StoreError;
use super::sql_types::{AsRow, Columns, RowWriter, SqlError, Timestamptz};
use crate::batch::EarnedOrder;
use crate::domain::config::{Expiry, Settings, SettingsVersion, UnitVersion, Zone};
use crate::domain::customer::{Customer, CustomerStatus, Identifier, IdentifierKind};
use crate::domain::{
    Account, CommandTopic, CustomerId, Entry, EntryKind, Lot, LotId, LotShare, MerchantId, OrderId, Position,
    TransactionId, UnitId,
};

impl AsRow for Identifier {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.merchant_id.as_str())?;
        row.value(&self.kind.code())?;
        row.value(&self.value)
    }
}

impl AsRow for (Identifier, CustomerId) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (identifier, customer_id) = self;
        identifier.put(row)?;
        row.value(&customer_id.0)
    }
}

pub(super) fn read_identity(row: &Row) -> Result<(Identifier, CustomerId), StoreError> {
    let mut columns = Columns::of(row);
    let identifier = Identifier {
        merchant_id: merchant_id(&mut columns)?,
        kind: columns.code(IdentifierKind::from_code)?,
        value: columns.take()?,
    };
    Ok((identifier, CustomerId(columns.take()?)))
}

impl AsRow for EarnedOrder {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.merchant_id.as_str())?;
        row.value(&self.order_id.as_str())?;
        row.value(&self.unit_id.as_str())
    }
}

impl AsRow for (EarnedOrder, TransactionId) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (order, transaction_id) = self;
        order.put(row)?;
        row.value(&transaction_id.0)
    }
}

pub(super) fn read_earned_order(row: &Row) -> Result<(EarnedOrder, TransactionId), StoreError> {
    let mut columns = Columns::of(row);
    let order = EarnedOrder {
        merchant_id: merchant_id(&mut columns)?,
        order_id: OrderId::new(columns.take::<&str>()?),
        unit_id: unit_id(&mut columns)?,
    };
    Ok((order, TransactionId(columns.take()?)))
}

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
        row.value(&settings.max_future_s)
    }
}

pub(super) fn read_settings_version(row: &Row) -> Result<(MerchantId, SettingsVersion), StoreError> {
    let mut columns = Columns::of(row);
    let merchant_id = merchant_id(&mut columns)?;
    let version = SettingsVersion {
        version: columns.take()?,
        effective_from: columns.instant()?,
        recorded_at: columns.instant()?,
        settings: Arc::new(Settings {
            name: columns.take()?,
            time_zone: zone(columns.take()?)?,
            match_by: match_by(&columns.take::<Vec<i16>>()?)?,
            max_age_s: columns.take()?,
            max_future_s: columns.take()?,
        }),
    };
    Ok((merchant_id, version))
}

fn zone(name: &str) -> Result<Zone, StoreError> {
    Zone::named(name).ok_or_else(|| {
        StoreError::corrupt(format!("a merchant's time zone {name:?} is not in this binary's time zone database"))
    })
}

fn match_by(codes: &[i16]) -> Result<Vec<IdentifierKind>, StoreError> {
    let kinds = codes.iter().map(|&code| IdentifierKind::from_code(code)).collect::<Option<Vec<_>>>();
    kinds.ok_or_else(|| StoreError::corrupt("match_by holds a code that this version does not know"))
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
        row.value(&version.min_amount)
    }
}

pub(super) fn read_unit_version(row: &Row) -> Result<(MerchantId, UnitId, UnitVersion), StoreError> {
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
    };
    Ok((merchant_id, unit_id, version))
}

impl AsRow for Customer {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.customer_id.0)?;
        row.value(&self.merchant_id.as_str())?;
        row.value(&self.version)?;
        row.value(&self.status.code())?;
        row.value(&self.external_id)?;
        row.value(&self.phone)?;
        row.value(&self.email)?;
        row.value(&self.first_name)?;
        row.value(&self.last_name)?;
        row.value(&self.birth_date)?;
        row.value(&self.notify_email)?;
        row.value(&self.notify_phone)?;
        row.instant(self.created_at)?;
        row.instant(self.updated_at)
    }
}

pub(crate) fn read_customer(row: &Row) -> Result<Customer, StoreError> {
    let mut columns = Columns::of(row);
    Ok(Customer {
        customer_id: CustomerId(columns.take()?),
        merchant_id: merchant_id(&mut columns)?,
        version: columns.take()?,
        status: columns.code(CustomerStatus::from_code)?,
        external_id: columns.take()?,
        phone: columns.take()?,
        email: columns.take()?,
        first_name: columns.take()?,
        last_name: columns.take()?,
        birth_date: columns.take()?,
        notify_email: columns.take()?,
        notify_phone: columns.take()?,
        created_at: columns.instant()?,
        updated_at: columns.instant()?,
    })
}

impl AsRow for Account {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.customer_id.0)?;
        row.value(&self.unit_id.as_str())?;
        row.value(&self.merchant_id.as_str())?;
        row.value(&self.entries)?;
        row.value(&self.available)?;
        row.value(&self.pending)?;
        row.value(&self.held)?;
        row.value(&self.debt)?;
        row.value(&self.lifetime_earned)?;
        row.value(&self.lifetime_redeemed)?;
        row.value(&self.next_due.map(Timestamptz))?;
        row.array(self.lots.iter().map(|lot| lot.lot_id.0))?;
        row.array(self.lots.iter().map(|lot| lot.amount))?;
        row.array(self.lots.iter().map(|lot| lot.remaining))?;
        row.array(self.lots.iter().map(|lot| Timestamptz(lot.issued_at)))?;
        row.array(self.lots.iter().map(|lot| lot.expires_at.map(Timestamptz)))
    }
}

pub(crate) fn read_account(row: &Row) -> Result<Account, StoreError> {
    let mut columns = Columns::of(row);
    Ok(Account {
        customer_id: CustomerId(columns.take()?),
        unit_id: unit_id(&mut columns)?,
        merchant_id: merchant_id(&mut columns)?,
        entries: columns.take()?,
        available: columns.take()?,
        pending: columns.take()?,
        held: columns.take()?,
        debt: columns.take()?,
        lifetime_earned: columns.take()?,
        lifetime_redeemed: columns.take()?,
        next_due: columns.take::<Option<Timestamptz>>()?.map(|due| due.0),
        lots: read_lots(&mut columns)?,
    })
}

fn read_lots(columns: &mut Columns<'_>) -> Result<Vec<Lot>, StoreError> {
    let ids: Vec<Uuid> = columns.take()?;
    let amounts: Vec<i64> = columns.take()?;
    let remaining: Vec<i64> = columns.take()?;
    let issued_at: Vec<Timestamptz> = columns.take()?;
    let expires_at: Vec<Option<Timestamptz>> = columns.take()?;
    if [amounts.len(), remaining.len(), issued_at.len(), expires_at.len()] != [ids.len(); 4] {
        return Err(StoreError::corrupt("an account's lot arrays are not of one length"));
    }
    let lot = |index: usize| Lot {
        lot_id: LotId(ids[index]),
        amount: amounts[index],
        remaining: remaining[index],
        issued_at: issued_at[index].0,
        expires_at: expires_at[index].map(|at| at.0),
    };
    Ok((0..ids.len()).map(lot).collect())
}

impl AsRow for Entry {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.customer_id.0)?;
        row.value(&self.unit_id.as_str())?;
        row.value(&self.seq)?;
        row.value(&self.transaction_id.0)?;
        row.value(&self.merchant_id.as_str())?;
        row.value(&self.kind.code())?;
        row.value(&self.amount)?;
        row.value(&self.balance_after)?;
        row.array(self.lots.iter().map(|share| share.lot_id.0))?;
        row.array(self.lots.iter().map(|share| share.amount))?;
        row.value(&self.unit_version)?;
        row.value(&self.order_id)?;
        row.value(&self.reason)?;
        row.value(&self.title)?;
        row.value(&self.cause.map(|cause| cause.topic.code()))?;
        row.value(&self.cause.map(|cause| cause.partition))?;
        row.value(&self.cause.map(|cause| cause.offset))?;
        row.instant(self.occurred_at)?;
        row.instant(self.recorded_at)
    }
}

pub(crate) fn read_entry(row: &Row) -> Result<Entry, StoreError> {
    let mut columns = Columns::of(row);
    let customer_id = CustomerId(columns.take()?);
    let unit_id = unit_id(&mut columns)?;
    let seq = columns.take()?;
    Ok(Entry {
        customer_id,
        unit_id,
        seq,
        transaction_id: TransactionId(columns.take()?),
        merchant_id: merchant_id(&mut columns)?,
        kind: columns.code(EntryKind::from_code)?,
        amount: columns.take()?,
        balance_after: columns.take()?,
        lots: read_lot_shares(&mut columns)?,
        unit_version: columns.take()?,
        order_id: columns.take()?,
        reason: columns.take()?,
        title: columns.take()?,
        cause: read_cause(&mut columns)?,
        occurred_at: columns.instant()?,
        recorded_at: columns.instant()?,
    })
}

fn read_lot_shares(columns: &mut Columns<'_>) -> Result<Vec<LotShare>, StoreError> {
    let ids: Vec<Uuid> = columns.take()?;
    let amounts: Vec<i64> = columns.take()?;
    if ids.len() != amounts.len() {
        return Err(StoreError::corrupt("an entry's lot arrays are not of one length"));
    }
    Ok(ids.into_iter().zip(amounts).map(|(id, amount)| LotShare { lot_id: LotId(id), amount }).collect())
}

fn read_cause(columns: &mut Columns<'_>) -> Result<Option<Position>, StoreError> {
    let topic: Option<i16> = columns.take()?;
    let partition: Option<i32> = columns.take()?;
    let offset: Option<i64> = columns.take()?;
    match (topic.map(CommandTopic::from_code), partition, offset) {
        (None, None, None) => Ok(None),
        (Some(Some(topic)), Some(partition), Some(offset)) => Ok(Some(Position { topic, partition, offset })),
        _ => Err(StoreError::corrupt("an entry's cause is no position")),
    }
}

fn merchant_id(columns: &mut Columns<'_>) -> Result<MerchantId, StoreError> {
    Ok(MerchantId::new(columns.take::<&str>()?))
}

fn unit_id(columns: &mut Columns<'_>) -> Result<UnitId, StoreError> {
    Ok(UnitId::new(columns.take::<&str>()?))
}
