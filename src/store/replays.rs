//! The memory of which records an operator has sent again. A record is entered before it is sent and stays only if what was sent is
//! acknowledged: [`Replays::begin`], send, [`Replay::done`].

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;

use super::sql_types::Columns;
use super::{Store, StoreError};
use crate::domain::Instant;

/// Longer than a send may take. Meanwhile the session says nothing, and the server must not take it for dead.
const WHILE_IT_IS_SENT: &str = "set local idle_in_transaction_session_timeout = '120s'";

/// A record that was sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedRecord {
    /// Where it stood; the topic's full name.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The last time.
    pub at: Instant,
    pub times: i32,
    /// Where it stands since, in the same topic.
    pub new_partition: i32,
    pub new_offset: i64,
}

/// A connection for replays, one after the other.
pub struct Replays {
    client: Object,
}

/// One replay under way: an open transaction. Dropped, nothing is remembered of it.
pub struct Replay<'a> {
    transaction: Transaction<'a>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

impl Store {
    pub async fn replays(&self) -> Result<Replays, StoreError> {
        Ok(Replays { client: self.client().await? })
    }

    /// Every record that was ever sent again.
    pub async fn replayed(&self) -> Result<Vec<ReplayedRecord>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(include_str!("sql/replayed.sql"), &[]).await?;
        rows.iter().map(read_replayed).collect()
    }
}

fn read_replayed(row: &Row) -> Result<ReplayedRecord, StoreError> {
    let mut columns = Columns::of(row);
    Ok(ReplayedRecord {
        topic: columns.take()?,
        partition: columns.take()?,
        offset: columns.take()?,
        at: columns.instant()?,
        times: columns.take()?,
        new_partition: columns.take()?,
        new_offset: columns.take()?,
    })
}

impl Replays {
    /// Enters a record, by where it stood. `None` when it was sent again before, unless that is wanted `again`.
    pub async fn begin<'a>(
        &'a mut self,
        topic: &'a str,
        partition: i32,
        offset: i64,
        again: bool,
    ) -> Result<Option<Replay<'a>>, StoreError> {
        let transaction = self.client.transaction().await?;
        transaction.batch_execute(WHILE_IT_IS_SENT).await?;
        let statement = transaction.prepare_cached(include_str!("sql/replay_begin.sql")).await?;
        let entered = transaction.execute(&statement, &[&topic, &partition, &offset, &again]).await?;
        Ok((entered == 1).then_some(Replay { transaction, topic, partition, offset }))
    }
}

impl Replay<'_> {
    /// Remembers where the record stands now.
    pub async fn done(self, new_partition: i32, new_offset: i64) -> Result<(), StoreError> {
        let Replay { transaction, topic, partition, offset } = self;
        let statement = transaction.prepare_cached(include_str!("sql/replay_done.sql")).await?;
        transaction.execute(&statement, &[&topic, &partition, &offset, &new_partition, &new_offset]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
