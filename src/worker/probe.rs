//! Finding the record that a batch can't be applied with. The batch's beginnings are tried, each in a transaction that is rolled back,
//! halving the distance: the shortest beginning that fails ends with the record.

use std::sync::Arc;

use super::Shared;
use super::apply::{ApplyError, LaneMemory};
use super::recovery::LaneFailure;
use super::shared::RegistryPatience;
use crate::batch::{LaneState, Taken};
use crate::codec::encode::{EncodeInput, JournalBatch};
use crate::record::InboundRecord;
use crate::store::{LaneConnection, StoreError, StoreErrorKind};

/// The failure that halts the lane, with the position of the record and what the operator can do.
pub(super) async fn find_poison(
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
    error: &ApplyError,
) -> LaneFailure {
    let passes = match shortest_to_fail(shared, lane, state, taken).await {
        Ok(passes) => passes,
        Err(error) => return error.into(),
    };
    match taken.records.get(passes) {
        Some(record) => {
            let position = record.position;
            let name = shared.names.command(position.topic);
            LaneFailure::Halt(format!(
                "lane {lane} can't apply the record {name}/{}/{}: {error}. Correct the worker and start it again, or give the record up: \
                 `loyalty-worker skip {name}/{}/{} --reason ...` makes a dead letter of it",
                position.partition, position.offset, position.partition, position.offset
            ))
        }
        None => LaneFailure::Halt(format!("lane {lane} can't settle what is due: {error}")),
    }
}

/// How many records pass together, where one more does not.
async fn shortest_to_fail(
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
) -> Result<usize, StoreError> {
    let mut connection = shared.databases.of_lane(lane)?.lane_connection().await?;
    // A beginning of `passes` records is known to pass, one of `fails` to fail.
    let (mut passes, mut fails) = (0, taken.records.len());
    while fails - passes > 1 {
        let middle = passes + (fails - passes) / 2;
        let tried = try_beginning(&mut connection, shared, lane, state, taken, &taken.records[..middle]).await;
        // Not left to the connection's end: until the server sees that, the lane's row is locked, and why it halts can't be noted there.
        connection.rollback().await?;
        match tried {
            Ok(()) => passes = middle,
            Err(ApplyError::Store(error)) if error.kind != StoreErrorKind::Data => return Err(error),
            Err(_) => fails = middle,
        }
    }
    Ok(passes)
}

async fn try_beginning(
    connection: &mut LaneConnection,
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
    records: &[InboundRecord],
) -> Result<(), ApplyError> {
    let mut memory = LaneMemory::load(shared, connection, lane).await?;
    let deliveries = memory.decode(shared, records, &mut RegistryPatience::new()).await;
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
    shared.encoder.encode(&EncodeInput {
        changes: &decided.changes,
        lane,
        names: &shared.names,
        group: &shared.settings.kafka.group,
        records,
        journal: &journal,
        room: 0,
    })?;
    connection.write(&decided.changes.rows).await?;
    Ok(connection.advance(lane, state, &decided.next, None, None).await?)
}
