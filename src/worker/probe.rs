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
use crate::store::{LaneConnection, StoreErrorKind};

/// The failure that halts the lane, with the position of the record and what the operator can do.
pub(super) async fn find_poison(
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
    error: &ApplyError,
) -> LaneFailure {
    // A beginning of `passes` records is known to pass, one of `fails` to fail.
    let (mut passes, mut fails) = (0, taken.records.len());
    while fails - passes > 1 {
        let middle = passes + (fails - passes) / 2;
        match try_beginning(shared, lane, state, taken, &taken.records[..middle]).await {
            Ok(()) => passes = middle,
            Err(error) if is_infrastructure(&error) => return LaneFailure::Postgres(error.to_string()),
            Err(_) => fails = middle,
        }
    }
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

/// Rolled back whatever becomes of it, and not by the connection's end: until the server sees that, the lane's row is locked, and why the
/// lane halts can't be noted there.
async fn try_beginning(
    shared: &Arc<Shared>,
    lane: i32,
    state: &LaneState,
    taken: &Taken,
    records: &[InboundRecord],
) -> Result<(), ApplyError> {
    let mut connection = shared.databases.of_lane(lane)?.lane_connection().await?;
    let tried = apply(&mut connection, shared, lane, state, taken, records).await;
    let rolled_back = connection.rollback().await;
    tried?;
    Ok(rolled_back?)
}

async fn apply(
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

fn is_infrastructure(error: &ApplyError) -> bool {
    match error {
        ApplyError::Store(error) => error.kind != StoreErrorKind::Data,
        ApplyError::Panicked(_) | ApplyError::Encode(_) | ApplyError::TooMuch(_) => false,
    }
}
