//! Postgres: the one write transaction of a batch, what it loads, and the outbox.
//!
//! A lane holds one connection for as long as it has its owner, and does one thing at a time on it: [`LaneConnection::begin`] (locks the
//! lane row, checks that the lane is still ours, loads what the plan names), [`LaneConnection::write`], [`LaneConnection::advance`],
//! [`LaneConnection::commit`]. Each is one round trip, or two, however much the batch touches: all statements are prepared, and those of
//! a round are sent without waiting for each other's answers.
//!
//! What this module does not do: it never retries, never decides what an error means for the lane, never reads a clock, and never looks
//! at what it stores. It relies on there being one writer per lane, and makes sure of it by the lane row.

pub(crate) mod config_rows;
mod connect;
mod databases;
pub(crate) mod decision_rows;
mod error;
mod growth;
mod lane;
pub(crate) mod load;
mod migrate;
pub mod outbox;
pub(crate) mod parked_rows;
mod replays;
mod rights;
pub(crate) mod rows;
pub(crate) mod sql_types;
mod statements;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::{Object, Pool};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::batch::LaneState;
use crate::config::{LaneRange, PostgresSettings};
use crate::domain::{CommandTopic, Frontier, Instant, Position};

pub use databases::Databases;
pub use error::{StoreError, StoreErrorKind};
pub use growth::{LockedLane, LockedLanes, other_lanes};
pub use lane::{LaneConnection, OutboxRow};
pub use outbox::OutboxValue;
pub use replays::{Replay, ReplayedRecord, Replays};

use sql_types::Timestamptz;

/// A database, by way of deadpool's connections: one for each lane, kept as long as the lane is, and one for each command in passing. So
/// `postgres.pool_size` must be the number of its lanes that one worker may come to hold, which is all of them, and two more.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    settings: PostgresSettings,
    needs: Needs,
    /// Set once the database was found to be in order: with its first connection, since it may be away before that.
    checked: Arc<OnceCell<()>>,
}

/// What must be so in a database before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Its tables need not be there yet.
    Nothing,
    /// It has the tables of this version.
    Tables,
    /// And the role has the rights of a worker.
    WorkerRights,
}

/// What a role of Postgres is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `run`, `skip`, `recover`, `dead-letters replay` and all that reads.
    Worker,
    /// `customer`, `lanes`, `audit`, `config export`, `dead-letters list`, reports.
    Reader,
}

/// What a lane's positions belong to. Whatever differs from Kafka's own answer halts the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneIdentity {
    pub lane: i32,
    /// How many there are.
    pub lanes: i32,
    pub cluster_id: String,
    pub consumer_group: String,
    /// Of the topics' names.
    pub topic_prefix: String,
    /// Kafka's own ids of the command topics; `None` of one that the lane has not had yet.
    pub topic_ids: [Option<String>; CommandTopic::COUNT],
}

impl Store {
    /// Connects, and makes sure that the database can be used at all. Nothing is migrated.
    pub async fn connect(settings: &PostgresSettings) -> Result<Store, StoreError> {
        let store = Store::new(settings, Needs::Nothing)?;
        drop(store.client().await?);
        Ok(store)
    }

    /// Asks nothing yet.
    fn new(settings: &PostgresSettings, needs: Needs) -> Result<Store, StoreError> {
        let pool = connect::pool(settings)?;
        Ok(Store { pool, settings: settings.clone(), needs, checked: Arc::default() })
    }

    /// The lanes whose rows it has; `None`: it has all.
    pub fn lanes(&self) -> Option<LaneRange> {
        self.settings.lanes
    }

    /// The same check as before its first use.
    pub async fn check_again(&self) -> Result<(), StoreError> {
        let client = self.pool.get().await.map_err(|error| connect::pool_error(error, &self.settings))?;
        self.check(&client).await
    }

    /// What must be so before anything else is asked of it.
    async fn check(&self, client: &Client) -> Result<(), StoreError> {
        let encoding: String = client.query_one("show server_encoding", &[]).await?.try_get(0)?;
        if encoding != "UTF8" {
            let message = format!("the database's encoding is {encoding}; create it with encoding UTF8");
            return Err(StoreError::new(StoreErrorKind::Fatal, message));
        }
        self.check_lanes(client).await?;
        if self.needs == Needs::WorkerRights {
            let (role, missing) = rights::missing(client).await?;
            if !missing.is_empty() {
                let message = format!(
                    "the role {role} of {} lacks rights that a worker needs: {}. Run `loyalty-worker migrate --grant-to {role}` as the \
                     tables' owner",
                    self.settings.setting(),
                    missing.join(", ")
                );
                return Err(StoreError::new(StoreErrorKind::Fatal, message));
            }
        }
        let pending = if self.needs == Needs::Nothing { Vec::new() } else { migrate::pending(client).await? };
        if pending.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = pending.into_iter().map(|(name, _)| name).collect();
        let message =
            format!("the database lacks the migrations {}: run `loyalty-worker migrate` first", names.join(", "));
        Err(StoreError::new(StoreErrorKind::Fatal, message))
    }

    /// A lane that is in another database than its range says would begin anew in its own. So nothing is done before that is mended.
    async fn check_lanes(&self, client: &Client) -> Result<(), StoreError> {
        let Some(range) = self.lanes() else { return Ok(()) };
        let exists: bool = client.query_one("select to_regclass('lane') is not null", &[]).await?.try_get(0)?;
        if !exists {
            return Ok(());
        }
        let LaneRange { first, last, of } = range;
        let elsewhere = client.query_opt(include_str!("sql/lane_elsewhere.sql"), &[&first, &last, &of]).await?;
        let Some(row) = elsewhere else { return Ok(()) };
        let (lane, lanes): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
        let message = format!(
            "the database of the lanes {range} out of {of} in postgres.lane_urls has lane {lane} out of {lanes}: correct the ranges and \
             addresses"
        );
        Err(StoreError::new(StoreErrorKind::Fatal, message))
    }

    /// Applies the migrations that are missing, and names them. Two that migrate at once do it one after the other.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        // Not given back: its session holds a lock, and ends with it.
        let mut client = Object::take(self.client().await?);
        // A migration may take long, and waits for those of others.
        client.batch_execute("set statement_timeout = 0; set lock_timeout = 0").await?;
        migrate::migrate(&mut client).await
    }

    /// Gives a role the rights of a worker's or of a reader's part, and no other; as often as one likes. For the tables' owner.
    pub async fn grant(&self, role: &str, part: Part) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let names = client.query_one(include_str!("sql/grant_names.sql"), &[&role]).await?;
        if names.try_get(3)? {
            let message =
                format!("{role} owns the tables: it has all rights, and would lose those that the others have not");
            return Err(StoreError::new(StoreErrorKind::Fatal, message));
        }
        let statements = match part {
            Part::Worker => include_str!("sql/grant_worker.sql"),
            Part::Reader => include_str!("sql/grant_reader.sql"),
        };
        let names: [String; 3] = [names.try_get(0)?, names.try_get(1)?, names.try_get(2)?];
        let placeholders = [":\"role\"", ":\"schema\"", ":\"database\""].into_iter().zip(&names);
        let statements = placeholders.fold(statements.to_owned(), |text, (name, value)| text.replace(name, value));
        // It revokes first: nobody may meet the moment between.
        let transaction = client.transaction().await?;
        transaction.batch_execute(&statements).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The migrations that are missing. A worker doesn't run before there are none.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let client = self.client().await?;
        let pending = migrate::pending(&client).await?;
        Ok(pending.into_iter().map(|(name, _)| name.to_owned()).collect())
    }

    /// A connection for one lane, with its statements prepared.
    pub async fn lane_connection(&self) -> Result<LaneConnection, StoreError> {
        LaneConnection::new(self.client().await?).await
    }

    /// Writes a lane's row with its start positions. False when it has one, which stays as it is.
    pub async fn register_lane(
        &self,
        identity: &LaneIdentity,
        start: &Frontier,
        lane_time: Instant,
    ) -> Result<bool, StoreError> {
        let client = self.client().await?;
        register(&client, identity, start, lane_time).await
    }

    /// Whose each registered lane is.
    pub async fn known_lanes(&self) -> Result<Vec<LaneIdentity>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(include_str!("sql/lanes.sql"), &[]).await?;
        rows.iter().map(|row| Ok(lane::read_lane(row.try_get("lane")?, row)?.0)).collect()
    }

    /// A lane's row as it is, without becoming its owner.
    pub async fn lane(&self, lane: i32) -> Result<Option<(LaneIdentity, LaneState)>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(include_str!("sql/lane.sql")).await?;
        let row = client.query_opt(&statement, &[&lane]).await?;
        row.map(|row| lane::read_lane(lane, &row)).transpose()
    }

    /// Writes why a lane stands still and at which record (topic and offset), or that it does not any more. For people and for `skip`: the
    /// worker itself never reads it.
    pub async fn note_halt(
        &self,
        lane: i32,
        reason: Option<&str>,
        record: Option<(&str, i64)>,
    ) -> Result<(), StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(include_str!("sql/lane_halted.sql")).await?;
        let (topic, offset) = record.unzip();
        client.execute(&statement, &[&lane, &reason, &topic, &offset]).await?;
        Ok(())
    }

    /// The sessions that hold what a session of the server waits for, each in words for a log.
    pub async fn blockers(&self, backend: i32) -> Result<Vec<String>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(include_str!("sql/blockers.sql"), &[&backend]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The lanes that stand still, and why.
    pub async fn halted_lanes(&self) -> Result<BTreeMap<i32, String>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(include_str!("sql/lanes_halted.sql"), &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// How many commands wait for their customer, in the lanes where any do.
    pub async fn parked_by_lane(&self) -> Result<BTreeMap<i32, i64>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(include_str!("sql/parked_by_lane.sql"), &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Gives a record up: it becomes a dead letter instead of a command. False when it was given up before.
    pub async fn skip(&self, topic: &str, partition: i32, offset: i64, reason: &str) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(include_str!("sql/skip.sql")).await?;
        Ok(client.execute(&statement, &[&topic, &partition, &offset, &reason]).await? == 1)
    }

    /// The record that a lane is halted at: topic and offset.
    pub async fn halted_at(&self, lane: i32) -> Result<Option<(String, i64)>, StoreError> {
        let client = self.client().await?;
        let row = client.query_opt("select halted_topic, halted_offset from lane where lane = $1", &[&lane]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(row.try_get::<_, Option<String>>(0)?.zip(row.try_get::<_, Option<i64>>(1)?))
    }

    /// Takes a skip back. False when there is none, or its lane has passed it. The lane's epoch rises, so that an owner that has read the
    /// skip reads them again.
    pub async fn unskip(&self, position: Position, topic: &str, owner: &str) -> Result<bool, StoreError> {
        let Position { topic: of, partition, offset } = position;
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let raised = "update lane set epoch = epoch + 1, owner = $4 where lane = $1 and coalesce((positions ->> $2)::bigint, 0) <= $3";
        let ahead = transaction.execute(raised, &[&partition, &of.suffix(), &offset, &owner]).await?;
        let deleted = transaction
            .execute(
                r#"delete from skipped_record where topic = $1 and "partition" = $2 and "offset" = $3"#,
                &[&topic, &partition, &offset],
            )
            .await?;
        if ahead == 0 || deleted == 0 {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The records of a lane's partitions that were given up: topic, offset and reason.
    pub async fn skipped(&self, lane: i32) -> Result<Vec<(String, i64, String)>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(include_str!("sql/skipped.sql")).await?;
        let rows = client.query(&statement, &[&lane]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// One connection for what is no lane's work, with nothing set in its session.
    pub async fn plain_client(&self) -> Result<Client, StoreError> {
        connect::client(&self.settings).await
    }

    /// A connection for single statements. It is given back when it is dropped, so nothing may be left open on it.
    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        let client = self.pool.get().await.map_err(|error| connect::pool_error(error, &self.settings))?;
        self.checked.get_or_try_init(|| self.check(&client)).await?;
        Ok(client)
    }
}

async fn register(
    client: &Client,
    identity: &LaneIdentity,
    start: &Frontier,
    lane_time: Instant,
) -> Result<bool, StoreError> {
    let inserted = client
        .execute(
            include_str!("sql/lane_register.sql"),
            &[
                &identity.lane,
                &identity.lanes,
                &identity.cluster_id,
                &identity.consumer_group,
                &Timestamptz(lane_time),
                &identity.topic_prefix,
                &lane::by_topic(&identity.topic_ids),
                &lane::by_topic(&start.0),
            ],
        )
        .await?;
    Ok(inserted == 1)
}
