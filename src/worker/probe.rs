//! Finding the record that a batch can't be applied with. The batch's beginnings are tried, each in a transaction that is rolled back,
//! halving the distance: the shortest beginning that fails ends with the record. The first that is tried has no record, and settles what is
//! due with the whole batch: where that fails by itself, no record is to blame, and giving one up would mend nothing.

use std::sync::Arc;

use super::Shared;
use super::apply::{ApplyError, LaneMemory, encode};
use super::failure::LaneFailure;
use super::shared::RegistryPatience;
use crate::batch::{LaneState, Taken};
use crate::codec::encode::{EncodeInput, JournalBatch};
use crate::domain::command::Delivery;
use crate::record::InboundRecord;
use crate::store::{LaneConnection, StoreErrorKind};

/// The failure that halts the lane, with the position of the record and what the operator can do.
pub(super) async fn find_poison(
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
    error: &ApplyError,
) -> LaneFailure {
    let found = match last_of_shortest_to_fail(shared, lane, state, taken).await {
        Ok(found) => found,
        Err(failure) => return failure,
    };
    match found {
        Some(record) => LaneFailure::poisoned(&shared.names, record.position, error),
        None => LaneFailure::Halt(format!(
            "lane {lane} can't settle what is due: {error}. Correct the worker and start it again; there is no record to give up"
        )),
    }
}

/// The record that fails where those before it pass together. `None` where what is due fails without any.
async fn last_of_shortest_to_fail<'a>(
    shared: &'a Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &'a Taken,
) -> Result<Option<&'a InboundRecord>, LaneFailure> {
    let records = taken.records.as_slice();
    if records.is_empty() {
        return Ok(None);
    }
    let connection = shared.databases.of_lane(lane)?.lane_connection().await?;
    let mut search = Search { shared, lane, taken, connection };
    let due = search.at_its_end(state).await?;
    if !search.passes(&due, &[]).await? {
        return Ok(None);
    }
    // A beginning of `passing` records is known to pass, one of `failing` to fail.
    let (mut passing, mut failing) = (0, records.len());
    while failing - passing > 1 {
        let middle = passing + (failing - passing) / 2;
        if search.passes(state, &records[..middle]).await? {
            passing = middle;
        } else {
            failing = middle;
        }
    }
    Ok(records.get(passing))
}

/// A batch that fails as a whole, and a connection to try its beginnings with.
struct Search<'a> {
    shared: &'a Arc<Shared>,
    lane: i32,
    taken: &'a Taken,
    connection: LaneConnection,
}

impl Search<'_> {
    /// The lane as a batch without records would have to find it, to settle what is due with the whole one.
    async fn at_its_end(&mut self, state: &LaneState) -> Result<LaneState, LaneFailure> {
        let memory = LaneMemory::load(self.shared, &mut self.connection, self.lane).await?;
        let deliveries = memory.decode(self.shared, &self.taken.records, &mut RegistryPatience::new()).await?;
        let due = memory.due_query(state, &deliveries, self.shared.settings.worker.max_due_per_batch);
        Ok(match due {
            Some(due) => LaneState { lane_time: due.until, due_pending: true, ..state.clone() },
            None => state.clone(),
        })
    }

    async fn passes(&mut self, state: &LaneState, beginning: &[InboundRecord]) -> Result<bool, LaneFailure> {
        let tried = self.apply(state, beginning).await?;
        // Not left to the connection's end: until the server sees that, the lane's row is locked, and why it halts can't be noted there.
        self.connection.rollback().await?;
        match tried {
            Ok(()) => Ok(true),
            Err(ApplyError::Store(error)) if error.kind != StoreErrorKind::Data => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    async fn apply(
        &mut self,
        state: &LaneState,
        beginning: &[InboundRecord],
    ) -> Result<Result<(), ApplyError>, LaneFailure> {
        let memory = LaneMemory::load(self.shared, &mut self.connection, self.lane).await?;
        let deliveries = memory.decode(self.shared, beginning, &mut RegistryPatience::new()).await?;
        Ok(self.write(state, beginning, memory, deliveries).await)
    }

    async fn write(
        &mut self,
        state: &LaneState,
        beginning: &[InboundRecord],
        mut memory: LaneMemory,
        deliveries: Vec<Delivery>,
    ) -> Result<(), ApplyError> {
        let Search { shared, lane, taken, connection } = self;
        let (shared, lane) = (*shared, *lane);
        let limit = shared.settings.worker.max_due_per_batch;
        let decided = memory.decide(connection, state, deliveries, taken.after, limit).await?;
        let journal = JournalBatch {
            lane,
            batch: decided.next.batch,
            lane_time_before: state.lane_time,
            ranges: shared.ranges(&taken.before, &taken.after),
            due_settled: decided.changes.due_settled,
            skipped: Vec::new(),
            settings: shared.journaled_settings(),
            outcomes_hash: [0; 32],
        };
        encode(
            shared,
            &EncodeInput {
                changes: &decided.changes,
                lane,
                names: &shared.names,
                group: &shared.settings.kafka.group,
                records: beginning,
                journal: &journal,
                room: 0,
            },
        )?;
        connection.write(&decided.changes.rows, &decided.changes.outcomes).await?;
        Ok(connection.advance(lane, state, &decided.next, None, None).await?)
    }
}
