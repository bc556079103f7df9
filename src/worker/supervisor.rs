//! Which lanes are ours: follows the group's assignment, starts and ends lanes, writes their ticks.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::lane;
use super::session::{LaneOrder, now};
use super::shared::{Shared, WorkerError};
use crate::config::Settings;
use crate::kafka::group::{Group, GroupEvent};
use crate::kafka::ticks::TickWriter;
use crate::telemetry::health::Health;
use crate::telemetry::metrics;

/// A loop that has not turned for so long can't follow the group any more.
const GROUP_SILENCE: Duration = Duration::from_secs(20);
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// A lane's task and what it is told.
struct OwnedLane {
    orders: watch::Sender<LaneOrder>,
    task: JoinHandle<()>,
}

struct Supervisor {
    shared: Arc<Shared>,
    lanes: BTreeMap<i32, OwnedLane>,
    /// Ticks that could not be written and were counted.
    tick_failures: u64,
    /// Lanes that were given up and have not ended yet: a new owner's task waits for the old one.
    ending: BTreeMap<i32, JoinHandle<()>>,
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
    let mut supervisor =
        Supervisor { shared: shared.clone(), lanes: BTreeMap::new(), tick_failures: 0, ending: BTreeMap::new() };
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
            () = &mut shutdown => break Ok(()),
        }
    };
    supervisor.finish().await;
    // Leaving the group blocks for the time of a request.
    let left = tokio::task::spawn_blocking(move || group.leave()).await;
    if let Err(error) = left {
        tracing::warn!(%error, "the group was not left in order");
    }
    tracing::info!("worker stopped");
    ended
}

impl Supervisor {
    fn assigned(&mut self, lanes: &[i32]) {
        tracing::info!(?lanes, "lanes assigned");
        self.shared.health.set_assigned(true);
        self.keep_only(lanes);
        self.order_all(LaneOrder::Work);
        for &lane in lanes {
            if !self.lanes.contains_key(&lane) {
                let owned = self.start(lane);
                self.lanes.insert(lane, owned);
            }
        }
    }

    fn start(&mut self, lane: i32) -> OwnedLane {
        let (orders, receiver) = watch::channel(LaneOrder::Work);
        let shared = self.shared.clone();
        let previous = self.ending.remove(&lane);
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                // Its end matters, not how it ended.
                let _ = previous.await;
            }
            lane::own(shared, lane, receiver).await;
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

    /// A lane ends only when it is told to. One that ended otherwise has met a defect: it starts again from its recovery.
    fn restart_failed(&mut self) {
        let failed: Vec<i32> =
            self.lanes.iter().filter(|(_, owned)| owned.task.is_finished()).map(|(lane, _)| *lane).collect();
        for lane in failed {
            tracing::error!(lane, "the lane's task ended by itself; it is started again");
            let owned = self.start(lane);
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

    async fn finish(self) {
        self.order_all(LaneOrder::Finish);
        for (lane, owned) in self.lanes {
            if let Err(error) = owned.task.await {
                tracing::error!(lane, %error, "the lane's task failed");
            }
        }
    }
}
