//! More lanes than before. All rows are locked and written first, then Kafka gets the partitions, and only then this commits: what is
//! refused or fails on the way has changed nothing here, and a worker that comes meanwhile waits.

use tokio_postgres::{Client, Transaction};

use super::lane::read_lane;
use super::{LaneIdentity, StoreError, StoreErrorKind, register};
use crate::batch::LaneState;
use crate::domain::{CommandTopic, Frontier, Instant};
use crate::record::lane_of;

/// A batch that is under way is waited for. Kafka may take longer than a server allows a session to say nothing. All that waits is joined
/// with the merchants at once, which are many, unlike what a batch names.
const WHILE_TOPICS_GROW: &str =
    "set local lock_timeout = '10s'; set local idle_in_transaction_session_timeout = '180s';
    set local enable_hashjoin = on";

/// All lanes of the database: nobody else can take or move one. Dropped, nothing has changed.
pub struct LockedLanes<'a> {
    transaction: Transaction<'a>,
    /// In their order.
    pub lanes: Vec<LockedLane>,
}

/// A lane's row, and what it has left to do.
pub struct LockedLane {
    pub identity: LaneIdentity,
    pub state: LaneState,
    /// Why it stands still, if it does.
    pub halted: Option<String>,
    /// Batches that are in the outbox.
    pub in_outbox: i64,
}

impl<'a> LockedLanes<'a> {
    pub async fn lock(client: &'a mut Client) -> Result<LockedLanes<'a>, StoreError> {
        let transaction = client.transaction().await?;
        transaction.batch_execute(WHILE_TOPICS_GROW).await?;
        let mut lanes = Vec::new();
        for row in transaction.query(include_str!("sql/lanes_lock.sql"), &[]).await? {
            let (identity, state) = read_lane(row.try_get("lane")?, &row)?;
            lanes.push(LockedLane { identity, state, halted: row.try_get("halted")?, in_outbox: 0 });
        }
        // A statement of its own: the one before may have waited for a batch, and did not see its row.
        let in_outbox = "select lane, count(*) from outbox group by lane";
        for row in transaction.query(in_outbox, &[]).await? {
            let (number, batches): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.identity.lane == number) {
                lane.in_outbox = batches;
            }
        }
        Ok(LockedLanes { transaction, lanes })
    }

    /// Writes that there are so many. The new ones begin where their partitions do, and at a time that no merchant's lane is ahead of.
    pub async fn grow(&self, to: i32) -> Result<(), StoreError> {
        let lane_time = self.lanes.iter().map(|lane| lane.state.lane_time).max().unwrap_or(Instant::EPOCH);
        let Some(first) = self.lanes.first() else { return Err(unlike(to)) };
        let start = Frontier([0; CommandTopic::COUNT]);
        for lane in first.identity.lanes..to {
            let identity = LaneIdentity { lane, ..first.identity.clone() };
            if !register(self.transaction.client(), &identity, &start, lane_time).await? {
                return Err(unlike(to));
            }
        }
        for lane in &self.lanes {
            self.move_parked(lane, to).await?;
        }
        let grown = self.transaction.execute(include_str!("sql/lanes_grow.sql"), &[&to]).await?;
        if i32::try_from(grown) == Ok(to) { Ok(()) } else { Err(unlike(to)) }
    }

    /// Commands that wait go with their merchants, each to a lane that is new.
    async fn move_parked(&self, lane: &LockedLane, to: i32) -> Result<(), StoreError> {
        let number = lane.identity.lane;
        let (mut merchants, mut lanes) = (Vec::new(), Vec::new());
        for row in self.transaction.query("select distinct merchant_id from parked where lane = $1", &[&number]).await?
        {
            let merchant: String = row.try_get(0)?;
            let its = lane_of(merchant.as_bytes(), to);
            if its != number {
                merchants.push(merchant);
                lanes.push(its);
            }
        }
        if merchants.is_empty() {
            return Ok(());
        }
        // No place in the lane was greater.
        let passed: i64 = lane.state.frontier.0.iter().sum();
        self.transaction.execute(include_str!("sql/parked_move.sql"), &[&number, &passed, &merchants, &lanes]).await?;
        Ok(())
    }

    /// After an error it may have been done or not: who asks again finds out.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        Ok(())
    }
}

fn unlike(to: i32) -> StoreError {
    StoreError::corrupt(format!("the rows of the lanes are not those of an installation that can have {to} lanes"))
}

/// Postgres has another number of lanes than the topics have partitions.
pub fn other_lanes(known: i32, partitions: i32) -> StoreError {
    let mend = if partitions > known && partitions % known.max(1) == 0 {
        format!(
            "if the lanes are to be {partitions}, stop all workers and run `loyalty-worker lanes resize --to {partitions}`, also where \
             that was interrupted; if the database was restored from a backup that was made before the lanes grew, restore one that was \
             made after it"
        )
    } else {
        "if the lanes have grown since this program was started, start it again; else kafka.topic_prefix, the brokers or the database are \
         those of another installation: correct the settings"
            .to_owned()
    };
    let message = format!("Postgres knows {known} lanes, but the topics have {partitions} partitions: {mend}");
    StoreError::new(StoreErrorKind::Fatal, message)
}
