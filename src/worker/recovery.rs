//! The one recovery routine: for a start, an assignment, a time-out, any transaction error and an ambiguous COMMIT.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, watch};

use super::Shared;
use super::apply::LaneMemory;
use super::failure::LaneFailure;
use super::intake::Intake;
use super::shared::RegistryPatience;
use super::watch::{LaneWatch, Wait};
use crate::batch::{Inbox, LaneState};
use crate::codec::RegistryError;
use crate::codec::outgoing::{OutgoingReader, ReadError};
use crate::codec::wire::Journal;
use crate::domain::{CommandTopic, Frontier, Instant};
use crate::kafka::commands::Committed;
use crate::kafka::publisher::{PublishJob, PublishReport, Publisher};
use crate::kafka::ranges::RangeReader;
use crate::record::OutTopic;
use crate::store::{LaneConnection, OutboxRow};

/// A lane that is ours and in order: everything applied before is published, and its topics are read from its frontier.
pub(super) struct Session {
    pub connection: LaneConnection,
    pub memory: LaneMemory,
    pub state: LaneState,
    pub intake: Intake,
    pub wake: Arc<Notify>,
    pub publisher: Publisher,
    pub registry_patience: RegistryPatience,
    /// Each batch, once it is applied.
    pub applied: watch::Sender<i64>,
    pub reports: UnboundedReceiver<PublishReport>,
    /// The last batch that is known to be published.
    pub published: i64,
    /// Outbox rows up to this batch are deleted.
    pub forgotten: i64,
    /// Batches that are with the publisher, oldest first.
    pub in_flight: VecDeque<InFlight>,
    /// What the records of the last batch took: the next one's will take about as much.
    pub outgoing_bytes: usize,
    pub watch: Arc<LaneWatch>,
}

/// What is counted of a batch once it is published.
pub(super) struct InFlight {
    pub batch: i64,
    pub applied_at: Clock,
    pub oldest: Option<Instant>,
    pub records: [usize; OutTopic::ALL.len()],
}

/// Makes the lane ours. The order matters: whose the lane is comes first, by reading alone, since a worker of another installation must
/// touch neither fence. Kafka's fence comes before any progress is read, since it settles the last transaction.
pub(super) async fn recover(shared: &Arc<Shared>, lane: i32, watch: &Arc<LaneWatch>) -> Result<Session, LaneFailure> {
    let wait = watch.waits_for(Wait::Connection);
    let store = shared.databases.of_lane(lane)?;
    let (identity, state) = store.lane(lane).await?.ok_or_else(|| no_row(lane))?;
    shared.check_identity(&identity)?;
    let mut connection = store.lane_connection().await?;
    watch.connected(connection.backend());
    watch.progressed(state.frontier);
    drop(wait);
    let wait = watch.waits_for(Wait::Fence);
    let (reports_in, mut reports) = mpsc::unbounded_channel();
    let publisher = start_publisher(shared, lane, reports_in).await?;
    watch.publishes(publisher.busy());
    drop(wait);
    let wait = watch.waits_for(Wait::CommittedOffsets);
    let committed = committed(shared, lane).await?;
    drop(wait);
    let wait = watch.waits_for(Wait::LaneRow);
    let (identity, state) =
        connection.take_over(lane, &shared.owner, &shared.facts.topic_ids).await?.ok_or_else(|| no_row(lane))?;
    // It may have grown since it was read.
    shared.check_identity(&identity)?;
    watch.progressed(state.frontier);
    let unpublished = connection.unpublished(lane).await?;
    drop(wait);
    let wait = watch.waits_for(Wait::EarlierBatches);
    let committed = published_by_journal(shared, lane, committed, state.batch, &unpublished).await?;
    let to_publish = check_progress(&committed, &state, unpublished)?;
    check_positions(shared, lane, &state.frontier).await?;

    let published = state.batch;
    watch.unpublished_since(to_publish.first().map(|_| Clock::now()));
    for row in to_publish {
        publisher.submit(PublishJob { batch: row.batch, frontier: row.after, records: row.records });
        let mut looks = tokio::time::interval(Duration::from_secs(1));
        tokio::select! {
            published = await_published(&mut reports, row.batch) => published?,
            failure = async { loop { looks.tick().await; if let Err(failure) = check_publisher(&publisher) { break failure } } } => {
                return Err(failure);
            }
        }
    }
    watch.unpublished_since(None);
    drop(wait);

    let _wait = watch.waits_for(Wait::LaneMemory);
    connection.forget_published(lane, published).await?;
    let memory = LaneMemory::load(shared, &mut connection, lane).await?;
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    let queues = shared.consumer.open_lane(lane, &state.frontier, move || waker.notify_one())?;
    let inbox = Inbox::new(state.frontier, shared.settings.worker.silent_topic_patience);
    Ok(Session {
        connection,
        memory,
        state,
        intake: Intake::new(inbox, queues),
        wake,
        publisher,
        registry_patience: RegistryPatience::new(),
        applied: watch::Sender::new(published),
        reports,
        published,
        forgotten: published,
        in_flight: VecDeque::new(),
        outgoing_bytes: 0,
        watch: Arc::clone(watch),
    })
}

pub(super) fn no_row(lane: i32) -> LaneFailure {
    LaneFailure::Halt(format!(
        "lane {lane} has no row in Postgres: run `loyalty-worker topics create`, which writes its start positions"
    ))
}

/// A blocking call to Kafka that does not return has no end of its own. The publisher is abandoned with it, and its successor fences it.
pub(super) fn check_publisher(publisher: &Publisher) -> Result<(), LaneFailure> {
    match publisher.busy_for() {
        Some(busy) if busy > PUBLISHER_PATIENCE => {
            let seconds = busy.as_secs();
            Err(LaneFailure::Kafka(format!(
                "a call that publishes has not returned for {seconds} s: its producer is abandoned"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Far beyond every time-out that Kafka's calls have.
const PUBLISHER_PATIENCE: Duration = Duration::from_secs(300);

async fn start_publisher(
    shared: &Arc<Shared>,
    lane: i32,
    reports: mpsc::UnboundedSender<PublishReport>,
) -> Result<Publisher, LaneFailure> {
    let shared = shared.clone();
    // The receiver goes when this recovery is dropped.
    let start = move || {
        let wanted = reports.clone();
        let wanted = || !wanted.is_closed();
        Publisher::start(&shared.settings.kafka, &shared.names, &shared.consumer, lane, reports, &wanted)
    };
    let started = tokio::task::spawn_blocking(start).await;
    Ok(started.map_err(|error| LaneFailure::Kafka(error.to_string()))??)
}

/// What Kafka says is published.
pub(super) async fn committed(shared: &Arc<Shared>, lane: i32) -> Result<Committed, LaneFailure> {
    let consumer = shared.consumer.clone();
    let committed = tokio::task::spawn_blocking(move || consumer.committed(lane)).await;
    Ok(committed.map_err(|error| LaneFailure::Kafka(error.to_string()))??)
}

/// A group's offsets expire when nobody has used it for a week. The journal says the same: each batch is published with its line there.
/// One that is still empty means that the first owner died before its first publication.
pub(super) async fn published_by_journal(
    shared: &Arc<Shared>,
    lane: i32,
    committed: Committed,
    applied: i64,
    unpublished: &[OutboxRow],
) -> Result<Committed, LaneFailure> {
    if !matches!(committed, Committed::Never) {
        return Ok(committed);
    }
    let with_shared = shared.clone();
    let look = move || {
        let name = with_shared.names.out(OutTopic::Journal);
        RangeReader::last_of(&with_shared.settings.kafka, &name, lane)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let (last, low) = looked.map_err(|error| LaneFailure::Kafka(error.to_string()))??;
    let Some(last) = last else {
        // Nothing was ever published; or all of it has been deleted since, or the topic made anew: then only Postgres knows.
        let never_published = low == 0 && (applied == 0 || unpublished.first().is_some_and(|row| row.batch == 1));
        return Ok(if never_published { at(0) } else { Committed::Never });
    };
    let reader = OutgoingReader::new(shared.registry.clone());
    let value = last.value.unwrap_or_default();
    let batch = tokio::task::spawn_blocking(move || reader.read::<Journal<'static>>(&value)).await;
    let batch = batch.map_err(|error| LaneFailure::Kafka(error.to_string()))?;
    let batch = batch.map_err(|error| match error {
        ReadError::Registry(RegistryError::Unavailable { .. } | RegistryError::NoRegistry { .. }) => {
            LaneFailure::Kafka(error.to_string())
        }
        error => LaneFailure::Halt(format!("lane {lane}: the journal's last record: {error}")),
    })?;
    Ok(at(batch.batch))
}

fn at(batch: i64) -> Committed {
    Committed::At { batch, frontier: [None; CommandTopic::COUNT] }
}

/// Compares what is published with what is applied, and gives the rows that still have to be published.
fn check_progress(
    committed: &Committed,
    state: &LaneState,
    unpublished: Vec<OutboxRow>,
) -> Result<Vec<OutboxRow>, LaneFailure> {
    let applied = state.batch;
    let published = match committed {
        Committed::At { batch, .. } => *batch,
        Committed::Never if applied == 0 => 0,
        // The group's offsets have expired, and everything had been published before.
        Committed::Never if unpublished.is_empty() => applied,
        Committed::Never => {
            return Err(LaneFailure::Halt(
                "the consumer group has no committed offsets, though batches wait for their publication: which of them were published \
                 can't be known. Restore the group's offsets, or compare `loyalty-worker audit` with the outbox table"
                    .to_owned(),
            ));
        }
    };
    if published > applied {
        return Err(LaneFailure::Halt(format!(
            "Kafka has published batch {published}, but Postgres has applied only {applied}: Postgres lost data. Stop all workers \
             and run `loyalty-worker recover`, which applies the missing batches again from the journal"
        )));
    }
    let rows: Vec<OutboxRow> = unpublished.into_iter().filter(|row| row.batch > published).collect();
    let chains = rows.iter().map(|row| row.batch).eq(published + 1..=applied);
    if !chains {
        return Err(LaneFailure::Halt(format!(
            "batches {} to {applied} are not published, and the outbox does not hold all of them: the group's committed offsets were \
             changed by hand, or outbox rows were deleted",
            published + 1
        )));
    }
    Ok(rows)
}

/// A position that the broker does not hold any more means that commands were lost before they were read.
async fn check_positions(shared: &Arc<Shared>, lane: i32, frontier: &Frontier) -> Result<(), LaneFailure> {
    let consumer = shared.consumer.clone();
    let watermarks = tokio::task::spawn_blocking(move || consumer.watermarks(lane))
        .await
        .map_err(|error| LaneFailure::Kafka(error.to_string()))??;
    for (topic, next) in frontier.iter() {
        let (low, high) = watermarks[topic.index()];
        if !(low..=high).contains(&next) {
            return Err(LaneFailure::Halt(format!(
                "lane {lane} goes on at offset {next} of {}, but the broker holds {low} to {high}: records were lost to retention, \
                 or the broker lost its end. Restore the topic",
                shared.names.command(topic)
            )));
        }
    }
    Ok(())
}

async fn await_published(reports: &mut UnboundedReceiver<PublishReport>, batch: i64) -> Result<(), LaneFailure> {
    loop {
        match reports.recv().await {
            Some(PublishReport::Published(published)) if published.batch >= batch => return Ok(()),
            Some(PublishReport::Published(_)) => {}
            Some(PublishReport::Failed(error)) => return Err(error.into()),
            None => return Err(LaneFailure::Kafka("the publisher ended".to_owned())),
        }
    }
}

/// How long the assignment gets to say whether a lane that was fenced is still ours: more than one heartbeat interval, and for the lane
/// row, which somebody else must have taken, more than a session.
pub(super) const KAFKA_FENCE_PAUSE: Duration = Duration::from_secs(4);
pub(super) const LANE_FENCE_PAUSE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Instant;

    fn applied(batch: i64) -> LaneState {
        let frontier = Frontier([0; CommandTopic::COUNT]);
        LaneState { epoch: 1, batch, lane_time: Instant::EPOCH, due_pending: false, frontier }
    }

    fn outbox(batches: impl IntoIterator<Item = i64>) -> Vec<OutboxRow> {
        let frontier = Frontier([0; CommandTopic::COUNT]);
        batches
            .into_iter()
            .map(|batch| OutboxRow { batch, before: frontier, after: frontier, records: Default::default() })
            .collect()
    }

    fn published(batch: i64) -> Committed {
        Committed::At { batch, frontier: [Some(0); CommandTopic::COUNT] }
    }

    #[test]
    fn what_is_applied_and_not_published_is_published() {
        let cases = [
            (Committed::Never, 0, vec![], Ok(vec![])),
            (Committed::Never, 2, vec![], Ok(vec![])),
            (Committed::Never, 2, vec![1, 2], Err("no committed offsets")),
            (published(2), 2, vec![], Ok(vec![])),
            (published(2), 2, vec![1, 2], Ok(vec![])),
            (published(2), 4, vec![2, 3, 4], Ok(vec![3, 4])),
            (published(2), 4, vec![4], Err("does not hold all")),
            (published(2), 4, vec![], Err("does not hold all")),
            (published(5), 4, vec![], Err("Postgres lost data")),
        ];
        for (committed, batch, rows, expected) in cases {
            let case = format!("{committed:?}, applied {batch}, outbox {rows:?}");
            let got = check_progress(&committed, &applied(batch), outbox(rows));
            match (got, expected) {
                (Ok(rows), Ok(expected)) => {
                    assert_eq!(rows.iter().map(|row| row.batch).collect::<Vec<_>>(), expected, "{case}");
                }
                (Err(LaneFailure::Halt(reason)), Err(part)) => assert!(reason.contains(part), "{case}: {reason}"),
                (got, expected) => panic!("{case}: {:?} instead of {expected:?}", got.map(|rows| rows.len())),
            }
        }
    }
}
