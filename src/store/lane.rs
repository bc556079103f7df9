//! A lane's own connection: taking the lane over, its outbox, and the frame of its transactions.

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::outbox::OutboxValue;
use super::sql_types::{Columns, RowAt};
use super::statements::Statements;
use super::{LaneIdentity, StoreError, StoreErrorKind};
use crate::batch::LaneState;
use crate::domain::{CommandTopic, CustomerId, Frontier, IdMap, MerchantId};
use crate::fail_point;
use crate::record::OutboundRecords;

/// A connection of the pool that one lane has to itself, with its statements prepared. A step that fails rolls its transaction back. The
/// connection goes back to the pool when it is dropped, unless something was left open on it: then it is closed, and Postgres rolls back.
pub struct LaneConnection {
    /// `None` only while it is dropped.
    client: Option<Object>,
    /// The process id of its session on the server.
    backend: i32,
    statements: Statements,
    pub(super) phase: Phase,
    /// Where the open transaction found its customers' rows.
    pub(super) found_at: IdMap<CustomerId, RowAt>,
}

/// Where the connection is in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    /// A step is under way. Where it stays so, its future was dropped or the connection is dead: only a rollback leads on.
    Busy,
    /// A transaction has begun, and its lane row is locked.
    Begun,
    /// It has written what the batch changed.
    Written,
    /// It has written everything.
    Advanced,
}

/// One applied batch that is not known to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub batch: i64,
    pub before: Frontier,
    pub after: Frontier,
    pub records: OutboundRecords,
}

impl LaneConnection {
    pub(super) async fn new(client: Object) -> Result<LaneConnection, StoreError> {
        let row = client.query_one(include_str!("sql/lane_session.sql"), &[]).await?;
        let (backend, forced): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
        if forced {
            tracing::warn!(
                "synchronous_commit is off for this role or database: a crash of Postgres would lose what was published. The lane's \
                 session sets it on; reset it where it was set"
            );
        }
        let statements = Statements::prepare(&client).await?;
        Ok(LaneConnection { client: Some(client), backend, statements, phase: Phase::Idle, found_at: IdMap::default() })
    }

    /// The process id of its session on the server, for the question what blocks it.
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// Makes the lane ours: the previous owner can't commit any more, and finds `owner` in the row. `None` when the lane has no row. Waits
    /// for a transaction of the previous owner only so long as a healthy one may take; longer is an error to come back from.
    /// A topic that the lane has not had yet is its own from now on, by this id.
    pub async fn take_over(
        &mut self,
        lane: i32,
        owner: &str,
        topic_ids: &[String; CommandTopic::COUNT],
    ) -> Result<Option<(LaneIdentity, LaneState)>, StoreError> {
        self.enter(Phase::Idle)?;
        let taken = self.raise_epoch(lane, owner, topic_ids).await;
        self.leave(taken, Phase::Idle).await
    }

    async fn raise_epoch(
        &self,
        lane: i32,
        owner: &str,
        topic_ids: &[String; CommandTopic::COUNT],
    ) -> Result<Option<(LaneIdentity, LaneState)>, StoreError> {
        let (client, statements) = self.parts();
        client.batch_execute("begin isolation level read committed; set local lock_timeout = '10s'").await?;
        let row = client.query_opt(&statements.lane_take_over, &[&lane, &owner, &by_topic(topic_ids)]).await?;
        let taken = row.map(|row| read_lane(lane, &row)).transpose()?;
        client.batch_execute("commit").await?;
        Ok(taken)
    }

    /// Every batch in the outbox, in order.
    pub async fn unpublished(&mut self, lane: i32) -> Result<Vec<OutboxRow>, StoreError> {
        let (client, statements) = self.parts();
        let rows = client.query(&statements.outbox_unpublished, &[&lane]).await?;
        rows.iter().map(read_outbox_row).collect()
    }

    /// Every merchant that has any configuration, of all lanes of this database.
    pub async fn known_merchants(&mut self) -> Result<Vec<MerchantId>, StoreError> {
        let (client, statements) = self.parts();
        let rows = client.query(&statements.merchants, &[]).await?;
        rows.iter().map(|row| Ok(MerchantId::new(row.try_get::<_, &str>(0)?))).collect()
    }

    /// How many commands of the lane wait for their customer.
    pub async fn parked_count(&mut self, lane: i32) -> Result<i64, StoreError> {
        let (client, statements) = self.parts();
        Ok(client.query_one(&statements.parked_count, &[&lane]).await?.try_get(0)?)
    }

    /// Commits the batch. After any error its effect is unknown, and recovery finds out: so all of them are of the kind `Transient`.
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        // COMMIT after a statement that failed answers as if all were well, and rolls back. Hence the phase.
        self.enter(Phase::Advanced)?;
        let (client, _) = self.parts();
        // A time-out would end a COMMIT that waits for a synchronous standby with a warning, as if the standby had it.
        client.batch_execute("set local statement_timeout = 0; commit").await.map_err(|error| {
            let error = StoreError::from(error);
            StoreError::new(StoreErrorKind::Transient, format!("whether the batch was committed is unknown: {error}"))
        })?;
        self.phase = Phase::Idle;
        fail_point::reached("after-commit");
        Ok(())
    }

    /// Gives the batch up, if there is one.
    pub async fn rollback(&mut self) -> Result<(), StoreError> {
        if self.phase == Phase::Idle {
            return Ok(());
        }
        self.phase = Phase::Busy;
        let (client, _) = self.parts();
        client.batch_execute("rollback").await?;
        self.phase = Phase::Idle;
        Ok(())
    }

    /// Deletes what is known to be published from the outbox, by itself. [`LaneConnection::advance`] does it in passing.
    pub async fn forget_published(&mut self, lane: i32, through: i64) -> Result<(), StoreError> {
        fail_point::reached("before-outbox-delete");
        let (client, statements) = self.parts();
        client.execute(&statements.outbox_forget, &[&lane, &through]).await?;
        Ok(())
    }

    pub(super) fn parts(&self) -> (&Object, &Statements) {
        (self.client.as_ref().expect("only drop takes the client"), &self.statements)
    }

    /// Begins a step, which is busy until its end says otherwise.
    pub(super) fn enter(&mut self, expected: Phase) -> Result<(), StoreError> {
        if self.phase != expected {
            let message = format!("the lane's connection is {:?} instead of {expected:?}: drop it", self.phase);
            return Err(StoreError::new(StoreErrorKind::Transient, message));
        }
        self.phase = Phase::Busy;
        Ok(())
    }

    /// Ends a step. After an error nothing stays open, least of all the lock on the lane row: it may be another owner's by now.
    pub(super) async fn leave<T>(&mut self, result: Result<T, StoreError>, next: Phase) -> Result<T, StoreError> {
        match &result {
            Ok(_) => self.phase = next,
            // Where this fails too, the connection is dead or stays busy, and goes when it is dropped.
            Err(_) => drop(self.rollback().await),
        }
        result
    }
}

impl Drop for LaneConnection {
    fn drop(&mut self) {
        if self.phase != Phase::Idle
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

pub(super) fn read_lane(lane: i32, row: &Row) -> Result<(LaneIdentity, LaneState), StoreError> {
    let mut columns = Columns::of(row);
    let identity = LaneIdentity {
        lane,
        lanes: columns.take()?,
        cluster_id: columns.take()?,
        consumer_group: columns.take()?,
        topic_prefix: columns.take()?,
        topic_ids: of_topics(&columns.take::<ByTopic<Option<String>>>()?.0),
    };
    let state = LaneState {
        epoch: columns.take()?,
        batch: columns.take()?,
        lane_time: columns.instant()?,
        due_pending: columns.take()?,
        frontier: frontier(&mut columns)?,
    };
    Ok((identity, state))
}

fn read_outbox_row(row: &Row) -> Result<OutboxRow, StoreError> {
    let mut columns = Columns::of(row);
    let batch = columns.take()?;
    let before = frontier(&mut columns)?;
    let after = frontier(&mut columns)?;
    let records = OutboxValue::decode(columns.take()?)
        .map_err(|damaged| StoreError::corrupt(format!("the outbox row of batch {batch}: {damaged}")))?;
    Ok(OutboxRow { batch, before, after, records })
}

/// A value for each topic, by its name without the prefix.
type ByTopic<T> = Json<BTreeMap<String, T>>;

pub(super) fn by_topic<T: Clone + Serialize>(values: &[T; CommandTopic::COUNT]) -> ByTopic<T> {
    Json(CommandTopic::ALL.iter().map(|topic| topic.suffix().to_owned()).zip(values.iter().cloned()).collect())
}

/// A topic that was not there yet when this was written has nothing, or begins at 0.
fn of_topics<T: Clone + Default>(values: &BTreeMap<String, T>) -> [T; CommandTopic::COUNT] {
    CommandTopic::ALL.map(|topic| values.get(topic.suffix()).cloned().unwrap_or_default())
}

fn frontier(columns: &mut Columns<'_>) -> Result<Frontier, StoreError> {
    Ok(Frontier(of_topics(&columns.take::<ByTopic<i64>>()?.0)))
}
