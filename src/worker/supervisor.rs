//! Which lanes are ours: follows the group's assignment, starts and ends lanes, writes their ticks.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::lane;
use super::monitor;
use super::session::{LaneOrder, now, stop_requested};
use super::shared::{Shared, WorkerError};
use crate::config::Settings;
use crate::kafka::group::{Group, GroupEvent};
use crate::kafka::ticks::TickWriter;
use crate::retry::Backoff;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{self, LaneState, RecoveryCause};

/// A loop that has not turned for so long can't follow the group any more.
const GROUP_SILENCE: Duration = Duration::from_secs(20);
/// A lane that has worked for so long since its task failed begins with the shortest pause again.
const FAILURES_FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// How long lanes take to publish what is applied: a lane that was just fenced pauses and recovers first. The group is left then, also where a
/// lane still works, so that the others have a new owner; the fences keep a lane that still works apart from its next owner.
const HEALTHY_LANES_FINISH: Duration = Duration::from_secs(6);
/// While lanes end, they are looked at so often.
const FINISH_STEP: Duration = Duration::from_millis(200);
/// After an order to give up a lane has nothing to wait for but its own steps.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// A lane's task and the order that it follows.
struct OwnedLane {
    orders: watch::Sender<LaneOrder>,
    task: JoinHandle<()>,
}

struct Supervisor {
    shared: Arc<Shared>,
    lanes: BTreeMap<i32, OwnedLane>,
    /// How often a lane's task has failed since it was assigned, and when it did last.
    failures: BTreeMap<i32, (Backoff, Instant)>,
    /// Ticks that could not be written and were counted.
    tick_failures: u64,
    /// Lanes that were given up and have not ended yet: a new owner's task waits for the old one.
    ending: BTreeMap<i32, JoinHandle<()>>,
    /// Where a lane says why this worker can have none.
    unfit: mpsc::UnboundedSender<String>,
}

/// Runs until `shutdown` resolves: then the batch in hand is finished and published, and the group is left.
pub async fn run(settings: Settings, health: Health, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
    tokio::pin!(shutdown);
    let shared = tokio::select! {
        connected = Shared::connect(settings, health) => connected?,
        () = &mut shutdown => return Ok(()),
    };
    let (events_in, mut events) = mpsc::unbounded_channel();
    let group = Group::join(&shared.settings.kafka, &shared.names, events_in)?;
    let ticks = TickWriter::new(&shared.settings.kafka, &shared.names)?;
    let (unfit_in, mut unfit) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor {
        shared: shared.clone(),
        lanes: BTreeMap::new(),
        failures: BTreeMap::new(),
        tick_failures: 0,
        ending: BTreeMap::new(),
        unfit: unfit_in,
    };
    let mut monitor = tokio::spawn(monitor::run(shared.clone()));
    let mut tick_due = tokio::time::interval(shared.settings.worker.tick_interval);
    let mut health_due = tokio::time::interval(HEALTH_INTERVAL);
    let ended = loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(GroupEvent::Assigned(lanes)) => supervisor.assigned(&lanes),
                Some(GroupEvent::Revoked { lost: true }) => supervisor.keep_only(&[]),
                Some(GroupEvent::Revoked { lost: false }) => supervisor.order_all(LaneOrder::Pause),
                Some(GroupEvent::Failed(reason)) => break Err(WorkerError::NotReady(reason)),
                None => break Err(WorkerError::NotReady("the consumer group's loop has ended".to_owned())),
            },
            _ = tick_due.tick() => supervisor.tick(&ticks),
            _ = health_due.tick() => {
                supervisor.restart_failed();
                if group.last_turn() < GROUP_SILENCE {
                    shared.health.loop_turned();
                }
            }
            monitored = &mut monitor => {
                let reason = monitored.err().map_or_else(String::new, |error| format!(": {error}"));
                break Err(WorkerError::NotReady(format!("the lanes' monitor has ended, which is a defect{reason}")));
            }
            Some(reason) = unfit.recv() => {
                tracing::error!(reason, "this worker can't have lanes: it ends, and others take them");
                break Err(WorkerError::NotReady(reason));
            }
            () = &mut shutdown => break Ok(()),
        }
    };
    let deadline = Instant::now() + shared.settings.worker.shutdown_timeout;
    let hung = supervisor.finish(deadline).await;
    // Leaving the group blocks for the time of a request.
    let left = tokio::task::spawn_blocking(move || group.leave()).await;
    if let Err(error) = left {
        tracing::warn!(%error, "the group was not left in order");
    }
    end_hung(hung, deadline).await;
    monitor.abort();
    tracing::info!("worker stopped");
    ended
}

/// Lanes that did not finish with the others may go on until the deadline, but are not taken again. What they have not published then waits for
/// their next owner.
async fn end_hung(hung: BTreeMap<i32, OwnedLane>, deadline: Instant) {
    for owned in hung.values() {
        owned.orders.send_replace(LaneOrder::Leave);
    }
    let mut hung = finished_until(hung, deadline).await;
    for (lane, owned) in &hung {
        tracing::warn!(lane, "the lane does not end: it is left to its next owner");
        owned.orders.send_replace(LaneOrder::GiveUp);
    }
    hung = finished_until(hung, Instant::now() + GIVEN_UP_WITHIN).await;
    hung.values().for_each(|owned| owned.task.abort());
}

/// Waits for lanes to end, and returns those that have not by then.
async fn finished_until(mut lanes: BTreeMap<i32, OwnedLane>, deadline: Instant) -> BTreeMap<i32, OwnedLane> {
    let mut hung = BTreeMap::new();
    while let Some((lane, mut owned)) = lanes.pop_first() {
        match tokio::time::timeout_at(deadline.into(), &mut owned.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(lane, %error, "the lane's task failed"),
            Err(_) => drop(hung.insert(lane, owned)),
        }
    }
    hung
}

impl Supervisor {
    fn assigned(&mut self, lanes: &[i32]) {
        tracing::info!(?lanes, "lanes assigned");
        self.shared.health.set_assigned(true);
        self.keep_only(lanes);
        self.order_all(LaneOrder::Work);
        for &lane in lanes {
            if !self.lanes.contains_key(&lane) {
                self.failures.remove(&lane);
                let owned = self.start(lane, RecoveryCause::Assigned, Duration::ZERO);
                self.lanes.insert(lane, owned);
            }
        }
    }

    fn start(&mut self, lane: i32, cause: RecoveryCause, pause: Duration) -> OwnedLane {
        let (orders, receiver) = watch::channel(LaneOrder::Work);
        let mut ordered = receiver.clone();
        let shared = self.shared.clone();
        let previous = self.ending.remove(&lane);
        let unfit = self.unfit.clone();
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                // Its end matters, not how it ended.
                let _ = previous.await;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => lane::own(shared, lane, receiver, unfit, cause).await,
                _ = stop_requested(&mut ordered) => {}
            }
        });
        OwnedLane { orders, task }
    }

    fn keep_only(&mut self, lanes: &[i32]) {
        self.ending.retain(|_, task| !task.is_finished());
        let gone: Vec<i32> = self.lanes.keys().copied().filter(|lane| !lanes.contains(lane)).collect();
        for lane in gone {
            if let Some(owned) = self.lanes.remove(&lane) {
                owned.orders.send_replace(LaneOrder::GiveUp);
                self.ending.insert(lane, owned.task);
            }
        }
    }

    fn order_all(&self, order: LaneOrder) {
        for owned in self.lanes.values() {
            owned.orders.send_replace(order);
        }
    }

    /// A lane ends only by an order. One that ended otherwise has a defect: it starts again from its recovery.
    fn restart_failed(&mut self) {
        let failed: Vec<i32> =
            self.lanes.iter().filter(|(_, owned)| owned.task.is_finished()).map(|(lane, _)| *lane).collect();
        for lane in failed {
            tracing::error!(lane, "the lane's task ended by itself; it is started again");
            self.shared.health.lane(lane, LaneState::Recovering);
            let now = Instant::now();
            let first = || (Backoff::new(Duration::from_millis(100), Duration::from_secs(30)), now);
            let (backoff, last) = self.failures.entry(lane).or_insert_with(first);
            if now.duration_since(*last) > FAILURES_FORGOTTEN_AFTER {
                backoff.reset();
            }
            *last = now;
            let pause = backoff.after_failure(lane.unsigned_abs());
            let owned = self.start(lane, RecoveryCause::Panicked, pause);
            self.lanes.insert(lane, owned);
        }
    }

    fn tick(&mut self, ticks: &TickWriter) {
        let failures = ticks.failures();
        for _ in self.tick_failures..failures {
            metrics::tick_failed();
        }
        self.tick_failures = failures;
        for lane in self.lanes.keys() {
            ticks.write(*lane, format!(r#"{{"lane":{lane},"at":"{}"}}"#, now()).as_bytes());
        }
    }

    /// Orders all lanes to finish, and returns those that have not ended when the group is to be left: once the deadline has passed, or when
    /// other lanes have ended that another worker is to have.
    async fn finish(self, deadline: Instant) -> BTreeMap<i32, OwnedLane> {
        self.order_all(LaneOrder::Finish);
        let soon = Instant::now() + HEALTHY_LANES_FINISH;
        let (all, mut lanes) = (self.lanes.len(), self.lanes);
        loop {
            let now = Instant::now();
            let others_wait = lanes.len() < all && (now >= soon || self.shared.watches.all_stalled(lanes.keys()));
            if lanes.is_empty() || now >= deadline || others_wait {
                return lanes;
            }
            lanes = finished_until(lanes, deadline.min(now + FINISH_STEP)).await;
        }
    }
}
