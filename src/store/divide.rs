//! One database becomes several: it was copied, and each copy lets go of the lanes that `postgres.lane_urls` gives to another.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::migrate::ADVISORY_LOCK;
use super::{Databases, Store, StoreError, StoreErrorKind};
use crate::config::{LaneRange, PostgresSettings};
use crate::record::lane_of;

/// What belongs to a merchant, those first that are found by what follows.
const OF_MERCHANTS: [&str; 5] = [
    "delete from earned_order o using entry e, customer c
     where e.transaction_id = o.transaction_id and c.customer_id = e.customer_id and c.merchant_id = any ($1)",
    "delete from entry e using customer c where c.customer_id = e.customer_id and c.merchant_id = any ($1)",
    "delete from customer where merchant_id = any ($1)",
    "delete from settings_version where merchant_id = any ($1)",
    "delete from unit_version where merchant_id = any ($1)",
];

/// What belongs to a lane, or to its partitions.
const OF_LANES: [&str; 4] = [
    "delete from decision where \"partition\" not between $1 and $2",
    "delete from outbox where lane not between $1 and $2",
    "delete from skipped_record where \"partition\" not between $1 and $2",
    "delete from replayed_record where \"partition\" not between $1 and $2",
];

/// A lane's row as far as two copies of it may be compared: how far it has come, and in what installation; and whether lanes have grown.
const LANES: &str =
    "select lane, batch, concat_ws(' ', cluster_id, consumer_group, topic_ids::text), grown_from from lane";

/// How many rows there are of each partition or merchant. None of them is ever deleted, so that a copy which is whole has as many or more.
const COUNTS: &str = "
    select 'customer', null::int, merchant_id, count(*) from customer group by merchant_id
    union all
    select 'settings_version', null, merchant_id, count(*) from settings_version group by merchant_id
    union all
    select 'unit_version', null, merchant_id, count(*) from unit_version group by merchant_id
    union all
    select 'entry', null, merchant_id, count(*) from entry join customer using (customer_id) group by merchant_id
    union all
    select 'earned_order', null, merchant_id, count(*)
    from earned_order join entry using (transaction_id) join customer using (customer_id) group by merchant_id
    union all
    select 'decision', \"partition\", null, count(*) from decision group by \"partition\"
    union all
    select 'skipped_record', \"partition\", null, count(*) from skipped_record group by \"partition\"
    union all
    select 'replayed_record', \"partition\", null, count(*) from replayed_record group by \"partition\"";

/// By table and by merchant or partition: the lane, and how many rows.
type Counts = BTreeMap<(String, String), (i32, i64)>;

/// What the lanes have in their own databases.
#[derive(Default)]
struct Own {
    lanes: BTreeMap<i32, (i64, String)>,
    counts: Counts,
}

impl Databases {
    /// Deletes from each database the rows of lanes that are not in its range, in one transaction each. As often as one likes; for the
    /// tables' owner. Refuses where the lane's own database lacks what would be deleted. `done` gets each database's number of rows.
    pub async fn divide(settings: &[PostgresSettings], mut done: impl FnMut(LaneRange, u64)) -> Result<(), StoreError> {
        let (mut parts, mut own) = (Vec::new(), Own::default());
        for database in settings {
            // It is not as it should be yet: that is what this is for.
            let store = Store::open(database).await?;
            let Some(range) = store.lanes() else {
                let message = "postgres.url is one database for all lanes: set postgres.lane_urls to divide it";
                return Err(StoreError::new(StoreErrorKind::Fatal, message));
            };
            // Not the pool's: its sessions are set for a lane's work, and would plan this badly.
            let client = store.plain_client().await?;
            be_alone(&client, range).await?;
            for row in client.query(LANES, &[]).await? {
                let lane: i32 = row.try_get(0)?;
                // What is left of a key says where its command stood, and not whose it was: a merchant who has moved would be forgotten.
                if let Some(first) = row.try_get::<_, Option<i32>>(3)? {
                    let message = format!(
                        "the lanes have grown, there were {first} at first: decisions of that time do not say any more which lane their \
                         merchant is in now, so the database can't be divided. Nothing was deleted"
                    );
                    return Err(StoreError::new(StoreErrorKind::Fatal, message));
                }
                if range.has(lane) {
                    own.lanes.insert(lane, (row.try_get(1)?, row.try_get(2)?));
                }
            }
            let (kept, others) = counts(&client, range).await?;
            own.counts.extend(kept);
            parts.push((client, range, others));
        }
        for (client, range, others) in &mut parts {
            done(*range, keep_only(client, *range, others, &own).await?);
        }
        Ok(())
    }
}

/// Has the database for itself until the client is dropped. One that two addresses lead to would lose to each range what the other keeps:
/// everything.
async fn be_alone(client: &Client, range: LaneRange) -> Result<(), StoreError> {
    client.batch_execute("set lock_timeout = '5s'").await?;
    let locked = client.execute("select pg_advisory_lock($1)", &[&ADVISORY_LOCK]).await;
    locked.map(drop).map_err(StoreError::from).map_err(|error| {
        if !error.is_busy() {
            return error;
        }
        let message = format!(
            "nothing was deleted: the database of the lanes {range} is another range's too, by another address, or somebody migrates or \
             divides it. Each range needs a database of its own: correct postgres.lane_urls"
        );
        StoreError::new(StoreErrorKind::Fatal, message)
    })
}

/// What a database has of its own lanes, and of others.
async fn counts(client: &Client, range: LaneRange) -> Result<(Counts, Counts), StoreError> {
    let mut counts = Counts::new();
    for row in client.query(COUNTS, &[]).await? {
        let (lane, whose) = match (row.try_get::<_, Option<i32>>(1)?, row.try_get::<_, Option<&str>>(2)?) {
            (Some(partition), _) => (partition, format!("partition {partition}")),
            (None, merchant) => {
                let merchant = merchant.unwrap_or_default();
                (lane_of(merchant.as_bytes(), range.of), format!("merchant {merchant}"))
            }
        };
        counts.insert((row.try_get(0)?, whose), (lane, row.try_get(3)?));
    }
    Ok(counts.into_iter().partition(|(_, (lane, _))| range.has(*lane)))
}

async fn keep_only(client: &mut Client, range: LaneRange, others: &Counts, own: &Own) -> Result<u64, StoreError> {
    let refused = |why: &str| {
        let message = format!("nothing was deleted from the database of the lanes {range}: {why}");
        StoreError::new(StoreErrorKind::Fatal, message)
    };
    let transaction = client.transaction().await?;
    let LaneRange { first, last, of } = range;
    let gone = "delete from lane where lane not between $1 and $2 or lanes <> $3
                returning lane, lanes, batch, concat_ws(' ', cluster_id, consumer_group, topic_ids::text)";
    let gone = transaction.query(gone, &[&first, &last, &of]).await?;
    let mut rows = gone.len() as u64;
    for row in gone {
        let (lane, lanes, batch): (i32, i32, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let installation: String = row.try_get(3)?;
        let why = match own.lanes.get(&lane) {
            _ if lanes != of => {
                format!("is one of {lanes} lanes, and postgres.lane_urls has {of}: correct the ranges")
            }
            None => "is not in its own database: copy the database there first".to_owned(),
            Some((_, other)) if *other != installation => {
                "is another installation's than in its own database".to_owned()
            }
            Some((own, _)) if *own < batch => format!(
                "is at batch {batch} there, and at {own} in its own database: it went on after the copy was made. Stop all workers, and \
                 copy the database again"
            ),
            Some(_) => continue,
        };
        return Err(refused(&format!("lane {lane} {why}")));
    }
    for (of_what, (lane, has)) in others {
        let kept = own.counts.get(of_what).map_or(0, |(_, kept)| *kept);
        if kept < *has {
            let (table, whose) = of_what;
            return Err(refused(&format!(
                "it has {has} rows in {table} of {whose}, and lane {lane}'s own database has {kept}: that is not a whole copy, or older \
                 than this. Copy the database again"
            )));
        }
    }
    let known = transaction.query(include_str!("sql/merchants.sql"), &[]).await?;
    let known = known.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
    let is_others = |merchant: &&str| !range.has(lane_of(merchant.as_bytes(), of));
    let merchants: Vec<&str> = known.into_iter().filter(is_others).collect();
    for statement in OF_MERCHANTS {
        rows += transaction.execute(statement, &[&merchants]).await?;
    }
    for statement in OF_LANES {
        rows += transaction.execute(statement, &[&first, &last]).await?;
    }
    transaction.commit().await?;
    Ok(rows)
}
