//! One database becomes several: it was copied, and each copy lets go of the lanes that `postgres.lane_urls` gives to another.

use std::collections::BTreeMap;

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

/// By lane, of its own database.
type OwnLanes = BTreeMap<i32, (i64, String)>;

impl Databases {
    /// Deletes from each database the rows of lanes that are not in its range, in one transaction each. As often as one likes; for the
    /// tables' owner. Refuses where the lane's own database lacks what would be deleted. `done` gets each database's number of rows.
    pub async fn divide(settings: &[PostgresSettings], mut done: impl FnMut(LaneRange, u64)) -> Result<(), StoreError> {
        let (mut stores, mut own) = (Vec::new(), OwnLanes::new());
        for database in settings {
            // It is not as it should be yet: that is what this is for.
            let store = Store::open(database).await?;
            let Some(range) = store.lanes() else {
                let message = "postgres.url is one database for all lanes: set postgres.lane_urls to divide it";
                return Err(StoreError::new(StoreErrorKind::Fatal, message));
            };
            for row in store.client().await?.query(LANES, &[]).await? {
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
                    own.insert(lane, (row.try_get(1)?, row.try_get(2)?));
                }
            }
            stores.push((store, range));
        }
        for (store, range) in &stores {
            done(*range, store.keep_only(*range, &own).await?);
        }
        Ok(())
    }
}

impl Store {
    async fn keep_only(&self, range: LaneRange, own: &OwnLanes) -> Result<u64, StoreError> {
        // Not the pool's: its sessions are set for a lane's work, and would plan this badly.
        let mut client = self.plain_client().await?;
        let transaction = client.transaction().await?;
        let LaneRange { first, last, of } = range;
        let gone = "delete from lane where lane not between $1 and $2 or lanes <> $3
                    returning lane, lanes, batch, concat_ws(' ', cluster_id, consumer_group, topic_ids::text)";
        let gone = transaction.query(gone, &[&first, &last, &of]).await?;
        let mut rows = gone.len() as u64;
        for row in gone {
            let (lane, lanes, batch): (i32, i32, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let installation: String = row.try_get(3)?;
            let why = match own.get(&lane) {
                _ if lanes != of => {
                    format!("is one of {lanes} lanes, and postgres.lane_urls has {of}: correct the ranges")
                }
                None => "is not in its own database: copy the database there first".to_owned(),
                Some((_, other)) if *other != installation => {
                    "is another installation's than in its own database".to_owned()
                }
                Some((own, _)) if *own < batch => format!(
                    "is at batch {batch} there, and at {own} in its own database: it went on after the copy was made. Stop all workers, \
                     and copy the database again"
                ),
                Some(_) => continue,
            };
            let message = format!("nothing was deleted from the database of the lanes {range}: lane {lane} {why}");
            return Err(StoreError::new(StoreErrorKind::Fatal, message));
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
}
