//! Reading a database: one snapshot, streamed, nothing interpreted.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, Json, ToSql, Type};
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::AuditError;
use super::facts::{
    AccountRow, ConfigVersion, CustomerFact, DecisionRow, EntryRow, Further, IdentifierRow, LaneRow, Ledger, LotFact,
    Name, Names, OrderRow, ParkedRow, RejectionFact, Share, Sums,
};
use super::since::Named;
use crate::domain::{CommandTopic, Frontier, Position};

/// So many rows are asked for by their ids at once.
const IDS_AT_ONCE: usize = 10_000;

/// The lanes as the snapshot has them.
#[derive(Debug, Default)]
pub struct Lanes {
    /// How many there are; 0 when no worker has ever run.
    pub count: i32,
    /// How many there were at first, where that was another number.
    pub grown_from: Option<i32>,
    pub rows: Vec<(i32, LaneRow)>,
    /// Lane and batch.
    pub outbox: Vec<(i32, i64)>,
}

impl Lanes {
    /// Adds those of another database.
    pub fn append(&mut self, other: Lanes) {
        self.count = self.count.max(other.count);
        self.grown_from = self.grown_from.or(other.grown_from);
        self.rows.extend(other.rows);
        self.outbox.extend(other.outbox);
    }
}

/// Reads the lane rows and the outbox.
pub async fn read_lanes(snapshot: &Transaction<'_>) -> Result<Lanes, AuditError> {
    let mut lanes = Lanes::default();
    for row in snapshot.query(include_str!("sql/lanes.sql"), &[]).await? {
        let Json(positions): Json<BTreeMap<String, i64>> = row.try_get("positions")?;
        let mut frontier = Frontier([0; CommandTopic::COUNT]);
        for (topic, position) in positions {
            let known = CommandTopic::from_name(&topic).ok_or(AuditError::UnknownTopic { topic })?;
            frontier.set(known, position);
        }
        let count: i32 = row.try_get("lanes")?;
        lanes.count = lanes.count.max(count);
        lanes.grown_from = lanes.grown_from.or(row.try_get("grown_from")?);
        let lane_row = LaneRow { batch: row.try_get("batch")?, lane_time: micros(row.try_get("lane_time")?), frontier };
        lanes.rows.push((row.try_get("lane")?, lane_row));
    }
    for row in snapshot.query(include_str!("sql/outbox.sql"), &[]).await? {
        lanes.outbox.push((row.try_get("lane")?, row.try_get("batch")?));
    }
    Ok(lanes)
}

/// Reads all other tables of the snapshot; or of them what is `named`, with the whole history of the customers that are.
pub async fn read(snapshot: &Transaction<'_>, named: Option<&Named>) -> Result<(Ledger, Names), AuditError> {
    // A plan that holds for some ids and for all rows alike would read all rows.
    snapshot.batch_execute("set local plan_cache_mode = force_custom_plan").await?;
    let mut names = Names::default();
    let names_of = &mut names;
    let keys = named.map(|named| named.keys.as_slice());
    let whom = named.map(|named| named.customers.as_slice());
    let chains: Option<Vec<Uuid>> = match whom {
        None => None,
        Some(_) => Some(rows(snapshot, include_str!("sql/chains.sql"), whom, |row| row.try_get(0)).await?),
    };
    let entries =
        rows(snapshot, include_str!("sql/entries.sql"), chains.as_deref(), |row| entry(row, names_of)).await?;
    let ordered: Option<Vec<Uuid>> = named.map(|_| entries.iter().filter_map(|entry| entry.order).collect());
    let configs = snapshot.query(include_str!("sql/configs.sql"), &[]).await?;
    let waiting = snapshot.query(include_str!("sql/parked.sql"), &[]).await?;
    let ledger = Ledger {
        decisions: rows(snapshot, include_str!("sql/decisions.sql"), keys, |row| decision(row, names_of)).await?,
        entries,
        customers: rows(snapshot, include_str!("sql/customers.sql"), whom, |row| customer(row, names_of)).await?,
        accounts: rows(snapshot, include_str!("sql/accounts.sql"), whom, |row| accounts(row, names_of)).await?.concat(),
        identifiers: rows(snapshot, include_str!("sql/identifiers.sql"), whom, identifier).await?,
        orders: rows(snapshot, include_str!("sql/orders.sql"), ordered.as_deref(), order).await?,
        configs: configs.iter().map(|row| config(row, names_of)).collect::<Result<_, _>>()?,
        parked: waiting.iter().map(|row| parked(row, names_of)).collect::<Result<_, _>>()?,
    };
    Ok((ledger, names))
}

/// The rows of a table; with `ids`, of those only.
async fn rows<T>(
    snapshot: &Transaction<'_>,
    sql: &str,
    ids: Option<&[Uuid]>,
    mut fact: impl FnMut(&Row) -> Result<T, tokio_postgres::Error>,
) -> Result<Vec<T>, AuditError> {
    let statement = snapshot.prepare(sql).await?;
    let portions: Vec<Option<&[Uuid]>> = match ids {
        None => vec![None],
        Some(ids) => ids.chunks(IDS_AT_ONCE).map(Some).collect(),
    };
    let mut facts = Vec::new();
    for ids in portions {
        let parameters: [&(dyn ToSql + Sync); 1] = [&ids];
        let mut stream = pin!(snapshot.query_raw(&statement, parameters).await?);
        while let Some(row) = stream.try_next().await? {
            facts.push(fact(&row)?);
        }
    }
    Ok(facts)
}

fn decision(row: &Row, names: &mut Names) -> Result<DecisionRow, tokio_postgres::Error> {
    let code: Option<&str> = row.try_get(4)?;
    let message: Option<&str> = row.try_get(5)?;
    Ok(DecisionRow {
        position: position(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
        effect: row.try_get(3)?,
        rejection: code
            .map(|code| RejectionFact { code: names.keep(code), message: Name::of(message.unwrap_or_default()) }),
        customer: row.try_get(6)?,
        customer_version: row.try_get(7)?,
        config_version: row.try_get(8)?,
        entries: row.try_get::<_, Option<Vec<Uuid>>>(9)?.unwrap_or_default().into(),
        occurred_at: micros(row.try_get(10)?),
        decided_at: micros(row.try_get(11)?),
    })
}

fn entry(row: &Row, names: &mut Names) -> Result<EntryRow, tokio_postgres::Error> {
    let transaction = row.try_get(3)?;
    let amount = row.try_get(7)?;
    let lots: Option<&[u8]> = row.try_get(9)?;
    let lots: Box<[Share]> = match lots.map(numbers) {
        Some(lots) => lots.chunks(3).map(share).collect(),
        None => [Share { lot: transaction, amount }].into(),
    };
    let cause_topic: Option<i16> = row.try_get(11)?;
    let cause_partition: Option<i32> = row.try_get(12)?;
    let cause_offset: Option<i64> = row.try_get(13)?;
    Ok(EntryRow {
        customer: row.try_get(0)?,
        unit: names.keep(row.try_get(1)?),
        seq: row.try_get(2)?,
        transaction,
        previous: row.try_get(4)?,
        merchant: names.keep(row.try_get(5)?),
        kind: row.try_get(6)?,
        amount,
        balance_after: row.try_get(8)?,
        lots,
        order: row.try_get(10)?,
        cause: cause_topic.map(|topic| position(topic, cause_partition.unwrap_or(-1), cause_offset.unwrap_or(-1))),
        occurred_at: micros(row.try_get(14)?),
        recorded_at: micros(row.try_get(15)?),
    })
}

fn customer(row: &Row, names: &mut Names) -> Result<CustomerFact, tokio_postgres::Error> {
    let personal =
        |column: usize| Ok::<_, tokio_postgres::Error>(row.try_get::<_, Option<&str>>(column)?.map(Name::of));
    Ok(CustomerFact {
        customer: row.try_get(0)?,
        merchant: names.keep(row.try_get(1)?),
        version: row.try_get(2)?,
        status: names.keep(row.try_get(3)?),
        external_id: personal(4)?,
        phone: personal(5)?,
        email: personal(6)?,
        first_name: personal(7)?,
        last_name: personal(8)?,
        birth_date: personal(9)?,
        notify_email: row.try_get(10)?,
        notify_phone: row.try_get(11)?,
        created_at: micros(row.try_get(12)?),
        updated_at: micros(row.try_get(13)?),
        further: further(row)?.name(),
    })
}

fn further(row: &Row) -> Result<Further, tokio_postgres::Error> {
    #[derive(serde::Deserialize)]
    struct Metric {
        value: i64,
        scale: i32,
    }
    #[derive(serde::Deserialize)]
    struct Card {
        card_id: String,
        enrolled_at: i64,
    }
    type Metrics = Json<BTreeMap<String, Metric>>;
    let metrics = row.try_get::<_, Option<Metrics>>(20)?.map(|metrics| metrics.0).unwrap_or_default();
    let metadata = row.try_get::<_, Option<Json<_>>>(21)?;
    let (customer, since, is_manual) = (row.try_get(0)?, row.try_get::<_, Option<At>>(25)?, row.try_get(26)?);
    let cards = row.try_get::<_, Option<Json<Vec<Card>>>>(28)?.map(|cards| cards.0).unwrap_or_default();
    Ok(Further {
        texts: [row.try_get(14)?, row.try_get(15)?, row.try_get(16)?, row.try_get(17)?, row.try_get(18)?],
        source_version: row.try_get(19)?,
        metrics: metrics.into_iter().map(|(key, metric)| (key, (metric.value, metric.scale))).collect(),
        metadata: metadata.map(|metadata| metadata.0).unwrap_or_default(),
        incomplete: row.try_get(22)?,
        programme: row.try_get(23)?,
        tier: row
            .try_get::<_, Option<String>>(24)?
            .zip(since.zip(is_manual))
            .map(|(tier, (since, is_manual))| (tier, micros(since), is_manual)),
        referrer: row.try_get(27)?,
        cards: cards
            .into_iter()
            .zip(0..)
            .map(|(card, place)| (card.card_id, card_code(customer, place), card.enrolled_at))
            .collect(),
    })
}

/// The customer's id in Crockford's base 32, then the card's place; written down here a second time on purpose.
fn card_code(customer: Uuid, place: u128) -> String {
    let base_32 = |mut number: u128, digits: usize| {
        let mut text = vec!['0'; digits];
        for digit in text.iter_mut().rev() {
            *digit = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".as_bytes()[(number % 32) as usize].into();
            number /= 32;
        }
        text.into_iter().collect::<String>()
    };
    base_32(customer.as_u128(), 26) + &base_32(place, 2)
}

/// The accounts of a customer, with the instant before which nobody looks at any of them.
fn accounts(row: &Row, names: &mut Names) -> Result<Vec<AccountRow>, tokio_postgres::Error> {
    let customer = row.try_get(0)?;
    let merchant = names.keep(row.try_get(1)?);
    let next_due = row.try_get::<_, Option<At>>(2)?.map(micros);
    let units: Vec<&str> = row.try_get(3)?;
    let accounts = numbers(row.try_get(4)?);
    let lots = numbers(row.try_get(5)?);
    let account = |(place, unit): (usize, &str)| {
        let number = |at: usize| accounts.get(place * 10 + at).copied().flatten();
        let own = lots.chunks(7).filter(|lot| lot[0] == i64::try_from(place + 1).ok());
        AccountRow {
            customer,
            unit: names.keep(unit),
            merchant,
            entries: number(0).unwrap_or(-1),
            last_entry: number(1).zip(number(2)).map(|(high, low)| uuid(high, low)),
            sums: Sums {
                available: number(3).unwrap_or(-1),
                pending: number(4).unwrap_or(-1),
                held: number(5).unwrap_or(-1),
                debt: number(6).unwrap_or(-1),
                lifetime_earned: number(7).unwrap_or(-1),
                lifetime_redeemed: number(8).unwrap_or(-1),
            },
            next_due,
            lots: own.map(lot).collect(),
        }
    };
    Ok(units.into_iter().enumerate().map(account).collect())
}

/// What is packed: eight bytes for a number, the least one where there is none.
fn numbers(packed: &[u8]) -> Vec<Option<i64>> {
    let (numbers, _) = packed.as_chunks::<8>();
    numbers.iter().map(|bytes| Some(i64::from_be_bytes(*bytes)).filter(|number| *number != i64::MIN)).collect()
}

/// Numbers that are not there become a lot that can't be: the checks then find that nothing made it.
fn lot(numbers: &[Option<i64>]) -> LotFact {
    let number = |place: usize| numbers.get(place).copied().flatten();
    LotFact {
        lot: uuid(number(1).unwrap_or(0), number(2).unwrap_or(0)),
        amount: number(3).unwrap_or(0),
        remaining: number(4).unwrap_or(0),
        issued_at: number(5).unwrap_or(0),
        expires_at: number(6),
    }
}

fn share(numbers: &[Option<i64>]) -> Share {
    let number = |place: usize| numbers.get(place).copied().flatten().unwrap_or(0);
    Share { lot: uuid(number(0), number(1)), amount: number(2) }
}

fn uuid(high: i64, low: i64) -> Uuid {
    Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned())
}

fn identifier(row: &Row) -> Result<IdentifierRow, tokio_postgres::Error> {
    Ok(IdentifierRow { customer: row.try_get(0)?, key: row.try_get(1)?, due: row.try_get(2)? })
}

fn order(row: &Row) -> Result<OrderRow, tokio_postgres::Error> {
    Ok(OrderRow { order: row.try_get(0)?, transaction: row.try_get(1)? })
}

fn config(row: &Row, names: &mut Names) -> Result<ConfigVersion, tokio_postgres::Error> {
    Ok(ConfigVersion {
        merchant: names.keep(row.try_get(0)?),
        object: names.keep(row.try_get(1)?),
        id: row.try_get::<_, Option<&str>>(2)?.map(|unit| names.keep(unit)),
        version: row.try_get(3)?,
    })
}

fn parked(row: &Row, names: &mut Names) -> Result<ParkedRow, tokio_postgres::Error> {
    Ok(ParkedRow {
        lane: row.try_get(0)?,
        command: placed(CommandTopic::from_name(row.try_get(1)?), row.try_get(2)?, row.try_get(3)?),
        merchant: names.keep(row.try_get(4)?),
        is_met: row.try_get(5)?,
    })
}

fn micros(at: At) -> i64 {
    at.0
}

/// Microseconds since 1970. A library's type of instants may end before Postgres' does, and before the greatest that a command may name.
struct At(i64);

/// 2000-01-01T00:00:00Z, from which Postgres counts.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl FromSql<'_> for At {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<At, Box<dyn std::error::Error + Sync + Send>> {
        Ok(At(i64::from_be_bytes(raw.try_into()?).saturating_add(POSTGRES_EPOCH)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A position in the database's numbers. A number that stands for no topic becomes a position that can't be: the checks then find that
/// nothing answers it.
fn position(topic: i16, partition: i32, offset: i64) -> Position {
    placed(CommandTopic::from_code(topic), partition, offset)
}

/// A topic that is unknown here is no topic's.
fn placed(topic: Option<CommandTopic>, partition: i32, offset: i64) -> Position {
    match topic {
        Some(topic) => Position { topic, partition, offset },
        None => Position { topic: CommandTopic::Clock, partition: -1, offset },
    }
}
