//! The domain's values as rows, both ways. Each `put` follows its composite type in the migrations, each `read` its statement's columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::StoreError;
use super::sql_types::{AsRow, Columns, RowAt, RowWriter, SqlError, Timestamptz};
use crate::domain::customer::{Customer, CustomerStatus, Identifier};
use crate::domain::{
    Account, CommandTopic, CustomerId, CustomerState, CustomerTier, Enrolment, Entry, EntryKind, Gender, Instant, Lot,
    LotId, LotShare, Memory, MemoryKey, MerchantId, Metric, OrderId, Position, TransactionId, UnitId, lookup_key,
};

/// The key by which a customer is found: `external_key`, `phone_key` or `email_key`.
pub(crate) fn identity_key(identifier: &Identifier) -> Uuid {
    let parts = [identifier.merchant_id.as_str(), identifier.kind.field(), &identifier.value];
    Uuid::from_bytes(lookup_key(&parts))
}

impl AsRow for (MemoryKey, Memory) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (MemoryKey(key), memory) = self;
        row.value(&Uuid::from_bytes(*key))?;
        row.value(&memory.kind().code())?;
        row.value(&postcard::to_stdvec(memory)?)
    }
}

pub(crate) fn read_memory(row: &Row) -> Result<(MemoryKey, Memory), StoreError> {
    let mut columns = Columns::of(row);
    let key = MemoryKey(columns.take::<Uuid>()?.into_bytes());
    let memory = postcard::from_bytes(columns.take()?)
        .map_err(|error| StoreError::corrupt(format!("what is remembered can't be read: {error}")))?;
    Ok((key, memory))
}

/// A customer's whole row. `row_at` is where it lies, for an update.
pub(super) struct CustomerRow<'a> {
    pub row_at: Option<RowAt>,
    pub state: &'a CustomerState,
}

impl AsRow for CustomerRow<'_> {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let customer = &self.state.customer;
        row.value(&self.row_at)?;
        row.value(&customer.customer_id.0)?;
        let mut keys = [None; 3];
        for identifier in customer.identifiers() {
            keys[identifier.kind as usize] = Some(identity_key(&identifier));
        }
        for key in keys {
            row.value(&key)?;
        }
        row.instant(customer.created_at)?;
        row.value(&customer.birth_date)?;
        row.value(&customer.status.code())?;
        row.value(&customer.notify_email)?;
        row.value(&customer.notify_phone)?;
        row.value(&customer.merchant_id.as_str())?;
        row.value(&customer.external_id)?;
        row.value(&customer.phone)?;
        row.value(&customer.email)?;
        row.value(&customer.first_name)?;
        row.value(&customer.last_name)?;
        row.value(&customer.name)?;
        row.value(&customer.registered_on)?;
        row.value(&customer.gender.map(Gender::name))?;
        row.value(&customer.language)?;
        row.value(&customer.brand_id)?;
        row.value(&customer.source_version)?;
        row.value(&stored_metrics(&customer.metrics).map(Json))?;
        row.value(&(!customer.metadata.is_empty()).then_some(Json(&customer.metadata)))?;
        row.value(&customer.incomplete)?;
        row.value(&customer.programme_id)?;
        let tier = customer.tier.as_ref();
        row.value(&tier.map(|tier| tier.tier_id.as_str()))?;
        row.value(&tier.map(|tier| Timestamptz(tier.since)))?;
        row.value(&tier.map(|tier| tier.is_manual))?;
        row.value(&customer.referrer_id.map(|id| id.0))?;
        row.value(&stored_cards(&customer.cards).map(Json))?;
        put_changing(row, self.state)
    }
}

/// What of a customer's row a credit or a redeem changes.
pub(super) struct CustomerAccountsRow<'a> {
    pub row_at: RowAt,
    pub state: &'a CustomerState,
}

impl AsRow for CustomerAccountsRow<'_> {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let customer = &self.state.customer;
        row.value(&self.row_at)?;
        row.value(&customer.customer_id.0)?;
        put_changing(row, self.state)
    }
}

/// For accounts and lots see the views `account` and `lot`.
fn put_changing(row: &mut RowWriter<'_>, state: &CustomerState) -> Result<(), SqlError> {
    let CustomerState { customer, accounts } = state;
    row.array(accounts.iter().map(|account| account.unit_id.as_str()))?;
    row.value(&customer.version)?;
    row.instant(customer.updated_at)?;
    row.value(&state.next_due().map(Timestamptz))?;
    row.packed(accounts.iter().map(account_numbers))?;
    let lots = (1..).zip(accounts).flat_map(|(place, account)| account.lots.iter().map(move |lot| (place, lot)));
    row.packed(lots.map(|(place, lot)| lot_numbers(place, lot)))
}

fn account_numbers(account: &Account) -> [Option<i64>; 10] {
    let last_entry = account.last_entry.map(|entry| halves(entry.0));
    [
        Some(account.entries),
        last_entry.map(|(high, _)| high),
        last_entry.map(|(_, low)| low),
        Some(account.available),
        Some(account.pending),
        Some(account.held),
        Some(account.debt),
        Some(account.lifetime_earned),
        Some(account.lifetime_redeemed),
        account.next_due.map(Instant::micros),
    ]
}

fn lot_numbers(place: i64, lot: &Lot) -> [Option<i64>; 7] {
    let (high, low) = halves(lot.lot_id.0);
    [
        Some(place),
        Some(high),
        Some(low),
        Some(lot.amount),
        Some(lot.remaining),
        Some(lot.issued_at.micros()),
        lot.expires_at.map(Instant::micros),
    ]
}

pub(crate) fn read_customer(columns: &mut Columns<'_>) -> Result<CustomerState, StoreError> {
    let customer = Customer {
        customer_id: CustomerId(columns.take()?),
        version: columns.take()?,
        created_at: columns.instant()?,
        updated_at: columns.instant()?,
        birth_date: columns.take()?,
        status: columns.code(CustomerStatus::from_code)?,
        notify_email: columns.take()?,
        notify_phone: columns.take()?,
        merchant_id: merchant_id(columns)?,
        external_id: columns.take()?,
        phone: columns.take()?,
        email: columns.take()?,
        first_name: columns.take()?,
        last_name: columns.take()?,
        name: columns.take()?,
        registered_on: columns.take()?,
        gender: columns.take::<Option<&str>>()?.and_then(Gender::from_name),
        language: columns.take()?,
        brand_id: columns.take()?,
        source_version: columns.take()?,
        metrics: columns
            .take::<Option<Json<StoredMetrics>>>()?
            .map_or_else(BTreeMap::new, |stored| read_metrics(stored.0)),
        metadata: columns.take::<Option<Json<_>>>()?.map(|stored| stored.0).unwrap_or_default(),
        incomplete: columns.take()?,
        programme_id: columns.take()?,
        tier: read_tier(columns)?,
        referrer_id: columns.take::<Option<Uuid>>()?.map(CustomerId),
        cards: columns.take::<Option<Json<Vec<StoredCard>>>>()?.map_or_else(Vec::new, |stored| read_cards(stored.0)),
    };
    let unit_ids: Vec<&str> = columns.take()?;
    let numbers = columns.packed::<10>()?;
    if numbers.len() != unit_ids.len() {
        return Err(StoreError::corrupt("a customer's accounts are not as many as their units"));
    }
    let incomplete = || StoreError::corrupt("an account or a lot lacks a number");
    let accounts = unit_ids.into_iter().zip(numbers).map(|(unit, numbers)| read_account(unit, numbers));
    let mut accounts = accounts.collect::<Option<Vec<Account>>>().ok_or_else(incomplete)?;
    for numbers in columns.packed::<7>()? {
        let (place, lot) = read_lot(numbers).ok_or_else(incomplete)?;
        let account = usize::try_from(place - 1).ok().and_then(|index| accounts.get_mut(index));
        account.ok_or_else(|| StoreError::corrupt("a lot belongs to no account"))?.lots.push(lot);
    }
    Ok(CustomerState { customer, accounts })
}

fn read_tier(columns: &mut Columns<'_>) -> Result<Option<CustomerTier>, StoreError> {
    match (columns.take()?, columns.take()?, columns.take()?) {
        (None::<String>, None::<Timestamptz>, None::<bool>) => Ok(None),
        (Some(tier_id), Some(Timestamptz(since)), Some(is_manual)) => {
            Ok(Some(CustomerTier { tier_id, since, is_manual }))
        }
        _ => Err(StoreError::corrupt("a customer's tier is incomplete")),
    }
}

/// A card as `customer.cards` holds it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCard {
    card_id: String,
    /// Microseconds since 1970.
    enrolled_at: i64,
}

fn stored_cards(cards: &[Enrolment]) -> Option<Vec<StoredCard>> {
    let stored = |Enrolment { card_id, enrolled_at }: &Enrolment| StoredCard {
        card_id: card_id.clone(),
        enrolled_at: enrolled_at.micros(),
    };
    (!cards.is_empty()).then(|| cards.iter().map(stored).collect())
}

fn read_cards(stored: Vec<StoredCard>) -> Vec<Enrolment> {
    let read =
        |StoredCard { card_id, enrolled_at }| Enrolment { card_id, enrolled_at: Instant::from_micros(enrolled_at) };
    stored.into_iter().map(read).collect()
}

/// Metrics as `customer.metrics` holds them.
type StoredMetrics = BTreeMap<String, StoredMetric>;

#[derive(Debug, Serialize, Deserialize)]
struct StoredMetric {
    value: i64,
    scale: i32,
}

fn stored_metrics(metrics: &BTreeMap<String, Metric>) -> Option<StoredMetrics> {
    let stored = |(key, metric): (&String, &Metric)| {
        let Metric { value, scale } = *metric;
        (key.clone(), StoredMetric { value, scale })
    };
    (!metrics.is_empty()).then(|| metrics.iter().map(stored).collect())
}

fn read_metrics(stored: StoredMetrics) -> BTreeMap<String, Metric> {
    let read = |(key, StoredMetric { value, scale })| (key, Metric { value, scale });
    stored.into_iter().map(read).collect()
}

fn read_account(unit: &str, numbers: [Option<i64>; 10]) -> Option<Account> {
    let [entries, high, low, available, pending, held, debt, lifetime_earned, lifetime_redeemed, next_due] = numbers;
    Some(Account {
        unit_id: UnitId::new(unit),
        entries: entries?,
        last_entry: high.zip(low).map(|(high, low)| TransactionId(uuid_of(high, low))),
        available: available?,
        pending: pending?,
        held: held?,
        debt: debt?,
        lifetime_earned: lifetime_earned?,
        lifetime_redeemed: lifetime_redeemed?,
        next_due: next_due.map(Instant::from_micros),
        lots: Vec::new(),
    })
}

fn read_lot([place, high, low, amount, remaining, issued_at, expires_at]: [Option<i64>; 7]) -> Option<(i64, Lot)> {
    let lot = Lot {
        lot_id: LotId(uuid_of(high?, low?)),
        amount: amount?,
        remaining: remaining?,
        issued_at: Instant::from_micros(issued_at?),
        expires_at: expires_at.map(Instant::from_micros),
    };
    Some((place?, lot))
}

/// A UUID as two numbers that hold its bits.
fn halves(id: Uuid) -> (i64, i64) {
    let (high, low) = id.as_u64_pair();
    (high.cast_signed(), low.cast_signed())
}

fn uuid_of(high: i64, low: i64) -> Uuid {
    Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned())
}

impl AsRow for Entry {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&self.transaction_id.0)?;
        row.value(&self.previous.map(|entry| entry.0))?;
        row.value(&self.customer_id.0)?;
        row.value(&self.seq)?;
        row.value(&self.amount)?;
        row.value(&self.balance_after)?;
        row.value(&self.unit_version)?;
        row.instant(self.occurred_at)?;
        row.instant(self.recorded_at)?;
        row.value(&self.cause.map(|cause| cause.offset))?;
        row.value(&self.cause.map(|cause| cause.partition))?;
        row.value(&self.cause.map(|cause| cause.topic.code()))?;
        row.value(&self.kind.code())?;
        row.value(&self.unit_id.as_str())?;
        if self.lots == [own_lot(self.transaction_id, self.amount)] {
            row.null()?;
        } else {
            // See the view `entry_lot`.
            row.packed(self.lots.iter().map(|share| {
                let (high, low) = halves(share.lot_id.0);
                [Some(high), Some(low), Some(share.amount)]
            }))?;
        }
        row.value(&self.order_id.as_ref().map(OrderId::as_str))?;
        row.value(&self.reason)?;
        row.value(&self.title)
    }
}

/// What an earning makes. Most entries have this and nothing else, and do not store it.
fn own_lot(transaction_id: TransactionId, amount: i64) -> LotShare {
    LotShare { lot_id: LotId(transaction_id.0), amount }
}

pub(crate) fn read_entry(row: &Row) -> Result<Entry, StoreError> {
    let mut columns = Columns::of(row);
    let transaction_id = TransactionId(columns.take()?);
    let previous = columns.take::<Option<Uuid>>()?.map(TransactionId);
    let customer_id = CustomerId(columns.take()?);
    let seq = columns.take()?;
    let amount = columns.take()?;
    Ok(Entry {
        transaction_id,
        previous,
        customer_id,
        seq,
        amount,
        balance_after: columns.take()?,
        unit_version: columns.take()?,
        occurred_at: columns.instant()?,
        recorded_at: columns.instant()?,
        cause: read_cause(&mut columns)?,
        kind: columns.code(EntryKind::from_code)?,
        unit_id: unit_id(&mut columns)?,
        lots: read_lot_shares(&mut columns)?.unwrap_or_else(|| vec![own_lot(transaction_id, amount)]),
        order_id: columns.take::<Option<String>>()?.map(OrderId::from),
        reason: columns.take()?,
        title: columns.take()?,
    })
}

fn read_lot_shares(columns: &mut Columns<'_>) -> Result<Option<Vec<LotShare>>, StoreError> {
    let Some(shares) = columns.packed_or_none::<3>()? else { return Ok(None) };
    let share =
        |[high, low, amount]: [Option<i64>; 3]| Some(LotShare { lot_id: LotId(uuid_of(high?, low?)), amount: amount? });
    let shares = shares.map(share).collect::<Option<Vec<_>>>();
    shares.map(Some).ok_or_else(|| StoreError::corrupt("an entry's lot lacks a number"))
}

fn read_cause(columns: &mut Columns<'_>) -> Result<Option<Position>, StoreError> {
    let offset: Option<i64> = columns.take()?;
    let partition: Option<i32> = columns.take()?;
    let topic: Option<i16> = columns.take()?;
    match (topic.map(CommandTopic::from_code), partition, offset) {
        (None, None, None) => Ok(None),
        (Some(Some(topic)), Some(partition), Some(offset)) => Ok(Some(Position { topic, partition, offset })),
        _ => Err(StoreError::corrupt("an entry's cause is no position")),
    }
}

pub(super) fn merchant_id(columns: &mut Columns<'_>) -> Result<MerchantId, StoreError> {
    Ok(MerchantId::new(columns.take::<&str>()?))
}

pub(super) fn unit_id(columns: &mut Columns<'_>) -> Result<UnitId, StoreError> {
    Ok(UnitId::new(columns.take::<&str>()?))
}
