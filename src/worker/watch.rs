//! What is visible of the worker's lanes at every moment, also while a lane's own step does not return: how far the lane is, what it waits
//! for and since when. The lanes write it; [`super::monitor`] reads it once a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};

use crate::domain::{CommandTopic, Frontier, Instant};
use crate::kafka::publisher::Busy;

/// A lane that has waited for one thing for longer is stalled.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(5);

/// What a lane waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Connection,
    Fence,
    CommittedOffsets,
    LaneRow,
    EarlierBatches,
    LaneMemory,
    Batch,
    OutboxDelete,
    EndOffsets,
    Registry,
    Publication,
}

impl Wait {
    /// For logs and `/ready`.
    pub fn name(self) -> &'static str {
        match self {
            Wait::Connection => "a connection to Postgres",
            Wait::Fence => "Kafka's init_transactions",
            Wait::CommittedOffsets => "the group's committed offsets in Kafka",
            Wait::LaneRow => "the lane's row in Postgres",
            Wait::EarlierBatches => "Kafka, which publishes earlier batches",
            Wait::LaneMemory => "the lane's configuration in Postgres",
            Wait::Batch => "a batch in Postgres",
            Wait::OutboxDelete => "the outbox in Postgres",
            Wait::EndOffsets => "the topics' end offsets in Kafka",
            Wait::Registry => "the schema registry",
            Wait::Publication => "a call to Kafka that publishes",
        }
    }

    pub fn is_for_postgres(self) -> bool {
        match self {
            Wait::Connection | Wait::LaneRow | Wait::LaneMemory | Wait::Batch | Wait::OutboxDelete => true,
            Wait::Fence
            | Wait::CommittedOffsets
            | Wait::EarlierBatches
            | Wait::EndOffsets
            | Wait::Registry
            | Wait::Publication => false,
        }
    }
}

/// The lanes that this worker has.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<i32, Arc<LaneWatch>>>);

impl Watches {
    /// A new owner's view of the lane; it ends when the owner's handle goes.
    pub(super) fn of_lane(self: &Arc<Self>, lane: i32) -> OwnedWatch {
        let watch = Arc::new(LaneWatch { lane, seen: Mutex::default() });
        self.lanes().insert(lane, Arc::clone(&watch));
        OwnedWatch { watches: Arc::clone(self), watch }
    }

    pub fn all(&self) -> Vec<Arc<LaneWatch>> {
        self.lanes().values().cloned().collect()
    }

    /// Whether each of these lanes is stalled.
    pub fn all_stalled<'l>(&self, mut lanes: impl Iterator<Item = &'l i32>) -> bool {
        let watches = self.lanes();
        lanes.all(|lane| watches.get(lane).is_some_and(|watch| watch.is_stalled()))
    }

    /// Does something unless the lane has ended, or has another owner's watch: what it writes of the lane can't outlive it.
    pub fn while_owned(&self, watch: &Arc<LaneWatch>, act: impl FnOnce()) {
        let lanes = self.lanes();
        if lanes.get(&watch.lane).is_some_and(|current| Arc::ptr_eq(current, watch)) {
            act();
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<LaneWatch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The owner's handle. When it is dropped the lane is watched no longer.
pub(super) struct OwnedWatch {
    watches: Arc<Watches>,
    watch: Arc<LaneWatch>,
}

impl std::ops::Deref for OwnedWatch {
    type Target = Arc<LaneWatch>;

    fn deref(&self) -> &Arc<LaneWatch> {
        &self.watch
    }
}

impl Drop for OwnedWatch {
    fn drop(&mut self) {
        let mut lanes = self.watches.lanes();
        if lanes.get(&self.watch.lane).is_some_and(|watch| Arc::ptr_eq(watch, &self.watch)) {
            lanes.remove(&self.watch.lane);
        }
    }
}

#[derive(Debug)]
pub(crate) struct LaneWatch {
    pub lane: i32,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    step: Option<(Wait, Clock)>,
    /// The process id of the server's side of the lane's connection to Postgres.
    backend: Option<i32>,
    frontier: Option<Frontier>,
    /// The time of the oldest record that was fetched and is not applied.
    oldest: Option<Instant>,
    publisher: Option<Busy>,
    /// Since when the oldest batch that is applied waits for its publication.
    unpublished_since: Option<Clock>,
    behind: Behind,
}

impl Seen {
    fn waits(&self, now: Clock) -> Option<(Wait, Duration)> {
        let step = self.step.map(|(what, since)| (what, now.saturating_duration_since(since)));
        let publishing = self.publisher.as_ref().and_then(Busy::busy_for).map(|busy| (Wait::Publication, busy));
        [step, publishing].into_iter().flatten().max_by_key(|(_, took)| *took)
    }
}

/// What was seen of a lane at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LaneView {
    /// What the lane waits for, and for how long.
    pub waits: Option<(Wait, Duration)>,
    pub backend: Option<i32>,
    pub oldest: Option<Instant>,
    pub unpublished_for: Option<Duration>,
    /// Whether the lane's position is known: its row was read.
    pub is_placed: bool,
    /// How far the lane is behind each topic's end; `None` where the end or the lane's position is not known.
    pub lag: [Option<i64>; CommandTopic::COUNT],
    /// For how long the lane has been behind an end that was seen, whether or not its records could be fetched.
    pub behind_for: Duration,
}

impl LaneWatch {
    /// Notes what the lane waits for, until the guard is dropped. Within it another wait may be noted, and ends before it.
    pub(super) fn waits_for(self: &Arc<Self>, what: Wait) -> WaitGuard {
        let outer = self.seen().step.replace((what, Clock::now()));
        WaitGuard { watch: Arc::clone(self), outer }
    }

    fn is_stalled(&self) -> bool {
        self.seen().waits(Clock::now()).is_some_and(|(_, took)| took > STALLED_AFTER)
    }

    pub fn connected(&self, backend: i32) {
        self.seen().backend = Some(backend);
    }

    /// The lane's frontier after a batch, and what of it waits for its publication.
    pub fn progressed(&self, frontier: Frontier) {
        self.seen().frontier = Some(frontier);
    }

    pub fn fetched(&self, oldest: Option<Instant>) {
        self.seen().oldest = oldest;
    }

    pub fn publishes(&self, publisher: Busy) {
        self.seen().publisher = Some(publisher);
    }

    pub fn unpublished_since(&self, since: Option<Clock>) {
        self.seen().unpublished_since = since;
    }

    /// A session has ended: nothing that it had is known of the lane any more, except how far it came.
    pub fn session_ended(&self) {
        let mut seen = self.seen();
        let kept = Seen {
            frontier: seen.frontier,
            behind: std::mem::take(&mut seen.behind),
            unpublished_since: seen.unpublished_since,
            ..Seen::default()
        };
        *seen = kept;
    }

    /// What is to be seen now that the topics end there.
    pub(super) fn view(&self, ends: &[Option<i64>; CommandTopic::COUNT]) -> LaneView {
        let now = Clock::now();
        let mut seen = self.seen();
        let lag = CommandTopic::ALL.map(|topic| {
            let next = seen.frontier?.next(topic);
            ends[topic.index()].map(|end| (end - next).max(0))
        });
        let frontier = seen.frontier;
        let behind_for = frontier.map_or(Duration::ZERO, |frontier| seen.behind.longest(&frontier, ends, now));
        LaneView {
            waits: seen.waits(now),
            backend: seen.backend,
            oldest: seen.oldest,
            unpublished_for: seen.unpublished_since.map(|since| now.saturating_duration_since(since)),
            is_placed: frontier.is_some(),
            lag,
            behind_for,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[must_use]
pub(super) struct WaitGuard {
    watch: Arc<LaneWatch>,
    outer: Option<(Wait, Clock)>,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.watch.seen().step = self.outer;
    }
}

/// Ends that were seen and that the lane has not reached, with the moment when each was seen first.
#[derive(Debug, Default)]
struct Behind([Option<(i64, Clock)>; CommandTopic::COUNT]);

impl Behind {
    fn longest(&mut self, frontier: &Frontier, ends: &[Option<i64>; CommandTopic::COUNT], now: Clock) -> Duration {
        for (topic, next) in frontier.iter() {
            let seen = &mut self.0[topic.index()];
            if seen.is_some_and(|(end, _)| next >= end) {
                *seen = None;
            }
            if let Some(end) = ends[topic.index()].filter(|end| *end > next) {
                seen.get_or_insert((end, now));
            }
        }
        let since = self.0.iter().flatten().map(|(_, since)| *since).min();
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_behind_since_the_first_end_that_it_has_not_reached_was_seen() {
        let mut behind = Behind::default();
        let start = Clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let frontier = |next| Frontier([next; CommandTopic::COUNT]);
        let ends = |end| [Some(end); CommandTopic::COUNT];
        assert_eq!(behind.longest(&frontier(5), &ends(5), at(0)), Duration::ZERO);
        assert_eq!(behind.longest(&frontier(5), &ends(7), at(1)), Duration::ZERO);
        assert_eq!(behind.longest(&frontier(6), &ends(90), at(3)), Duration::from_secs(2));
        assert_eq!(
            behind.longest(&frontier(6), &[None; CommandTopic::COUNT], at(4)),
            Duration::from_secs(3),
            "an end stays"
        );
        assert_eq!(
            behind.longest(&frontier(7), &ends(90), at(5)),
            Duration::ZERO,
            "the first end is reached, another is not"
        );
        assert_eq!(behind.longest(&frontier(90), &ends(90), at(6)), Duration::ZERO);
    }

    #[test]
    fn what_a_lane_waits_for_is_seen_until_it_is_over() {
        let watches = Arc::<Watches>::default();
        let watch = watches.of_lane(3);
        assert_eq!(
            watch.view(&[Some(4); CommandTopic::COUNT]).lag,
            [None; CommandTopic::COUNT],
            "its position is not known"
        );
        let waits_for = || watches.all()[0].view(&[None; CommandTopic::COUNT]).waits.map(|(what, _)| what);
        let batch = watch.waits_for(Wait::Batch);
        let ends = watch.waits_for(Wait::EndOffsets);
        assert_eq!(waits_for(), Some(Wait::EndOffsets));
        drop(ends);
        assert_eq!(waits_for(), Some(Wait::Batch), "it goes on waiting for Postgres");
        drop(batch);
        assert!(watch.view(&[None; CommandTopic::COUNT]).waits.is_none());
        watch.progressed(Frontier([1; CommandTopic::COUNT]));
        assert_eq!(watch.view(&[Some(4); CommandTopic::COUNT]).lag, [Some(3); CommandTopic::COUNT]);
        let current = Arc::clone(&watch);
        let acts = || {
            let mut has_acted = false;
            watches.while_owned(&current, || has_acted = true);
            has_acted
        };
        assert!(acts());
        drop(watch);
        assert!(watches.all().is_empty() && !acts());
    }
}
