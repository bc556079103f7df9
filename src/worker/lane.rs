//! One lane from its assignment to its end: recover, work, and again when something failed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::Shared;
use super::failure::LaneFailure;
use super::recovery::{KAFKA_FENCE_PAUSE, LANE_FENCE_PAUSE, recover};
use super::session::{self, LaneOrder, stop_requested};
use crate::domain::Position;
use crate::retry::Backoff;
use crate::telemetry::metrics::{self, LaneState, RecoveryCause};

/// How often a halted lane looks whether what halted it has been mended: a skip, a recovery, a restored topic.
const HALT_RECHECK: Duration = Duration::from_secs(10);

/// How long a lane that was halted, and has nothing to do, counts as halted still: longer than the search for a record that can't be applied.
const MENDED_AFTER: Duration = Duration::from_secs(5);

/// How long a lane that is to finish tries to come in order, so that it can publish what is applied: a fence's pause, a producer's start and
/// a transaction, on a busy machine. Those who stop workers commonly grant 30 seconds.
const FINISH_PATIENCE: Duration = Duration::from_secs(15);

/// Owns the lane until it is given up or finished.
pub(super) async fn own(
    shared: Arc<Shared>,
    lane: i32,
    mut orders: watch::Receiver<LaneOrder>,
    unfit: UnboundedSender<String>,
    mut cause: RecoveryCause,
) {
    let seen = shared.watches.of_lane(lane);
    let mut ended = std::pin::pin!(ended(orders.clone()));
    let mut given_up = std::pin::pin!(given_up(orders.clone()));
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut halted_for: Option<String> = None;
    let mut unreadable: Option<(Position, u32)> = None;
    loop {
        if halted_for.is_none() {
            shared.health.lane(lane, LaneState::Recovering);
        }
        let recovered = tokio::select! {
            recovered = recover(&shared, lane, &seen) => recovered,
            () = &mut ended => break,
        };
        let failure = match recovered {
            Ok(mut session) => {
                tracing::info!(
                    lane,
                    cause = cause.name(),
                    batch = session.state.batch,
                    frontier = ?session.state.frontier,
                    "lane recovered"
                );
                metrics::recovered(cause);
                let before = session.state.batch;
                if halted_for.is_none() {
                    is_held(&shared, lane).await;
                }
                let worked = {
                    let mut applied = session.applied.subscribe();
                    let mut work = std::pin::pin!(session::work(&shared, &mut session, &mut orders));
                    loop {
                        tokio::select! {
                            worked = &mut work => break worked,
                            // Its step may not return for long.
                            () = &mut given_up => break Ok(()),
                            // What halted it may lie in its work: only a batch, or a while without one, shows that it is mended.
                            () = mended(&mut applied), if halted_for.is_some() => {
                                halted_for = None;
                                is_held(&shared, lane).await;
                            }
                        }
                    }
                };
                if session.state.batch > before {
                    backoff.reset();
                }
                match worked {
                    Ok(()) => break,
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        seen.session_ended();
        unreadable = match (&failure, unreadable) {
            (LaneFailure::Unreadable { record, .. }, Some((before, times))) if before == *record => {
                Some((before, times + 1))
            }
            (LaneFailure::Unreadable { record, .. }, _) => Some((*record, 1)),
            _ => None,
        };
        let failure = failure.after_reading_in_vain(unreadable.map_or(0, |(_, times)| times), &shared.names);
        let failure = match failure {
            LaneFailure::Refused(reason) => shared.refused(lane, reason).await,
            failure => failure,
        };
        let pause;
        (pause, cause) = match &failure {
            LaneFailure::Kafka(_) | LaneFailure::Unreadable { .. } => {
                (backoff.after_failure(lane.unsigned_abs()), RecoveryCause::Kafka)
            }
            LaneFailure::Postgres(_) => (backoff.after_failure(lane.unsigned_abs()), RecoveryCause::Store),
            LaneFailure::FencedByKafka(_) => (KAFKA_FENCE_PAUSE, RecoveryCause::Fenced),
            LaneFailure::LaneLost(_) => (LANE_FENCE_PAUSE, RecoveryCause::Fenced),
            LaneFailure::Halt(reason) | LaneFailure::Poisoned { reason, .. } | LaneFailure::Refused(reason) => {
                if halted_for.as_ref() != Some(reason) {
                    tracing::error!(lane, reason, "lane halted");
                    shared.health.lane_halted(lane, Some(reason.clone()));
                    halted_for = Some(reason.clone());
                }
                note_halt(&shared, lane, Some((reason, failure.record()))).await;
                (HALT_RECHECK, RecoveryCause::Halted)
            }
            // Of several databases one that is wrong is no reason to give up the lanes of the others. Its rows are left alone.
            LaneFailure::UnfitDatabase(reason) if shared.databases.all().len() > 1 => {
                if halted_for.as_ref() != Some(reason) {
                    tracing::error!(lane, reason, "lane halted");
                    shared.health.lane_halted(lane, Some(reason.clone()));
                    halted_for = Some(reason.clone());
                }
                (HALT_RECHECK, RecoveryCause::Halted)
            }
            LaneFailure::Unfit(reason) | LaneFailure::UnfitDatabase(reason) => {
                // The supervisor ends the worker. It is gone only when the worker is ending already.
                let _ = unfit.send(reason.clone());
                break;
            }
        };
        let has_halted = cause == RecoveryCause::Halted;
        if !has_halted {
            halted_for = None;
            tracing::warn!(lane, error = %failure, pause_ms = pause.as_millis(), "lane recovers");
        }
        // There is nothing to publish of a lane that is another's, and of one that halted nothing may be.
        let may_finish = !has_halted && !matches!(failure, LaneFailure::LaneLost(_));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut ended => break,
            _ = stop_requested(&mut orders), if !may_finish => break,
        }
    }
    // Before its metrics are cleared: the monitor writes them as long as the lane is watched.
    drop(seen);
    shared.health.lane_released(lane);
}

async fn mended(applied: &mut watch::Receiver<i64>) {
    let _ = tokio::time::timeout(MENDED_AFTER, applied.changed()).await;
}

async fn is_held(shared: &Shared, lane: i32) {
    shared.health.lane(lane, LaneState::Held);
    note_halt(shared, lane, None).await;
}

/// For `loyalty-worker lanes`. What keeps it from being written is reported by the lane itself, or is why it halts.
async fn note_halt(shared: &Shared, lane: i32, halt: Option<(&str, Option<Position>)>) {
    let (reason, record) = halt.unzip();
    let record = record.flatten().map(|record| (shared.names.command(record.topic), record.offset));
    let record = record.as_ref().map(|(topic, offset)| (topic.as_str(), *offset));
    let noting = async { shared.databases.of_lane(lane)?.note_halt(lane, reason, record).await };
    let noted = tokio::time::timeout(NOTE_PATIENCE, noting).await;
    if !matches!(noted, Ok(Ok(()))) {
        tracing::debug!(lane, "the lane's halt could not be noted in Postgres");
    }
}

/// The row may be locked by whoever had the lane before.
const NOTE_PATIENCE: Duration = Duration::from_secs(3);

/// Resolves when a lane that is not in order is to end: at once when it is given up or the group has been left, and when it is to finish only
/// after a while, since batches that are applied and not published should not wait for the next start.
async fn ended(mut orders: watch::Receiver<LaneOrder>) {
    stop_requested(&mut orders).await;
    let is_over = orders.wait_for(|order| matches!(order, LaneOrder::GiveUp | LaneOrder::Leave));
    let _ = tokio::time::timeout(FINISH_PATIENCE, is_over).await;
}

/// Also when the supervisor is gone.
async fn given_up(mut orders: watch::Receiver<LaneOrder>) {
    let _ = orders.wait_for(|order| *order == LaneOrder::GiveUp).await;
}
