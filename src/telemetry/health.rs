//! Whether the worker lives and is ready, for what watches it.
//!
//! | question | yes | what a no means |
//! |---|---|---|
//! | `/live` | the worker's loop turned within [`LIVE_WITHIN`] | it hangs: kill it, another recovers its lanes |
//! | `/ready` | the database is migrated, the group was joined, and not all of its lanes stand still | wait; a worker without lanes is ready |
//!
//! A halted lane alone does not make the worker unready: its other lanes go on, and a restart would not help. The body has it with its
//! reason, and so has the metric `loyalty_lane_state`. A worker none of whose lanes works is not ready, so that a rollout of it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::metrics::{self, LaneState};

/// How long the loop may take for one turn.
pub const LIVE_WITHIN: Duration = Duration::from_secs(30);

/// Shared between the worker, which writes it, and the HTTP server, which reads it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    turned: Instant,
    migrated: bool,
    assigned: bool,
    lanes: BTreeMap<i32, Lane>,
}

#[derive(Debug)]
struct Lane {
    state: LaneState,
    reason: Option<String>,
    /// What a lane that is held waits for.
    stalled: Option<&'static str>,
    /// Since when it works; `None` while it recovers, is stalled or halted.
    works_since: Option<Instant>,
    /// Since when it has not worked for [`SETTLED_AFTER`] at a stretch.
    troubled_since: Option<Instant>,
}

/// A lane that has been in trouble for so long does not count as working.
const WORKS_AGAIN_WITHIN: Duration = Duration::from_secs(30);
/// A lane that came in order may fail again in the next second: its trouble is over when it has worked for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

impl Lane {
    fn new(state: LaneState) -> Lane {
        Lane { state, reason: None, stalled: None, works_since: None, troubled_since: None }
    }

    fn shown(&self) -> LaneState {
        if self.state == LaneState::Held && self.stalled.is_some() { LaneState::Stalled } else { self.state }
    }

    /// Notes what the state means, once it has changed.
    fn note(&mut self, now: Instant) {
        if self.shown() == LaneState::Held {
            self.works_since.get_or_insert(now);
        } else {
            if self.has_settled(now) {
                self.troubled_since = None;
            }
            self.works_since = None;
            self.troubled_since.get_or_insert(now);
        }
    }

    fn has_settled(&self, now: Instant) -> bool {
        self.works_since.is_some_and(|since| now.duration_since(since) >= SETTLED_AFTER)
    }

    fn works(&self, now: Instant) -> bool {
        let is_troubled = self.troubled_since.is_some_and(|since| now.duration_since(since) >= WORKS_AGAIN_WITHIN);
        self.shown() != LaneState::Halted && (!is_troubled || self.has_settled(now))
    }
}

impl Default for Health {
    fn default() -> Self {
        Health::new()
    }
}

impl Health {
    pub fn new() -> Health {
        Health(Arc::new(Mutex::new(State {
            turned: Instant::now(),
            migrated: false,
            assigned: false,
            lanes: BTreeMap::new(),
        })))
    }

    /// The loop is alive. Called at each of its turns.
    pub fn loop_turned(&self) {
        self.state().turned = Instant::now();
    }

    pub fn set_migrated(&self, migrated: bool) {
        self.state().migrated = migrated;
    }

    /// The group has assigned lanes to this worker, be it none.
    pub fn set_assigned(&self, assigned: bool) {
        self.state().assigned = assigned;
    }

    /// The lane is in this state; the metric follows. Halting has [`Health::lane_halted`].
    pub fn lane(&self, lane: i32, state: LaneState) {
        self.change(lane, |known| {
            if known.state != state {
                (known.state, known.reason, known.stalled) = (state, None, None);
            }
        });
    }

    /// A lane that is held waits for this, and has for seconds. `None`: it does not.
    pub fn lane_stalled(&self, lane: i32, waits_for: Option<&'static str>) {
        if self.state().lanes.contains_key(&lane) {
            self.change(lane, |known| known.stalled = waits_for);
        }
    }

    /// The lane stands still; the reason is a sentence that says what to do. `None`: it goes on.
    pub fn lane_halted(&self, lane: i32, reason: Option<String>) {
        let state = if reason.is_some() { LaneState::Halted } else { LaneState::Held };
        self.change(lane, |known| (known.state, known.reason, known.stalled) = (state, reason, None));
    }

    fn change(&self, lane: i32, change: impl FnOnce(&mut Lane)) {
        let mut state = self.state();
        let is_new = !state.lanes.contains_key(&lane);
        let known = state.lanes.entry(lane).or_insert_with(|| Lane::new(LaneState::Recovering));
        let shown = known.shown();
        change(known);
        known.note(Instant::now());
        if is_new || known.shown() != shown {
            metrics::lane_state(lane, known.shown());
        }
    }

    /// The lane belongs to this worker no longer.
    pub fn lane_released(&self, lane: i32) {
        self.state().lanes.remove(&lane);
        metrics::lane_released(lane);
    }

    /// Whether the worker lives, and what `/live` says.
    pub fn live(&self) -> (bool, Value) {
        let quiet = self.state().turned.elapsed();
        let live = quiet <= LIVE_WITHIN;
        (live, json!({ "live": live, "seconds_since_the_loop_turned": quiet.as_secs() }))
    }

    /// Whether the worker is ready, and what `/ready` says.
    pub fn ready(&self) -> (bool, Value) {
        let state = self.state();
        let works = state.lanes.is_empty() || state.lanes.values().any(|lane| lane.works(Instant::now()));
        let ready = state.migrated && state.assigned && works;
        let lanes: BTreeMap<String, &str> =
            state.lanes.iter().map(|(lane, content)| (lane.to_string(), content.shown().name())).collect();
        let stalled: BTreeMap<String, &str> =
            state.lanes.iter().filter_map(|(lane, content)| Some((lane.to_string(), content.stalled?))).collect();
        let halted: BTreeMap<String, &str> = state
            .lanes
            .iter()
            .filter(|(_, lane)| lane.state == LaneState::Halted)
            .map(|(lane, content)| (lane.to_string(), content.reason.as_deref().unwrap_or("")))
            .collect();
        let body = json!({
            "ready": ready, "migrated": state.migrated, "assigned": state.assigned, "lanes": lanes, "halted": halted,
            "stalled": stalled
        });
        (ready, body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_migrated_and_assigned_be_it_no_lane() {
        let health = Health::new();
        assert!(!health.ready().0);
        health.set_migrated(true);
        assert!(!health.ready().0);
        health.set_assigned(true);
        assert_eq!(
            health.ready(),
            (
                true,
                json!({ "ready": true, "migrated": true, "assigned": true, "lanes": {}, "halted": {}, "stalled": {} })
            )
        );
    }

    #[test]
    fn a_halted_lane_stands_in_the_body_and_leaves_the_worker_ready() {
        let health = Health::new();
        health.set_migrated(true);
        health.set_assigned(true);
        health.lane(0, LaneState::Held);
        health.lane_halted(1, Some("The topic was made anew.".to_owned()));
        let (ready, body) = health.ready();
        assert!(ready);
        assert_eq!(body["lanes"], json!({ "0": "held", "1": "halted" }));
        assert_eq!(body["halted"], json!({ "1": "The topic was made anew." }));
        health.lane_released(1);
        assert_eq!(health.ready().1["halted"], json!({}));
    }

    #[test]
    fn a_worker_whose_lanes_all_stand_still_is_not_ready() {
        let health = Health::new();
        health.set_migrated(true);
        health.set_assigned(true);
        health.lane_halted(1, Some("A record can't be applied.".to_owned()));
        assert!(!health.ready().0);
        health.lane(0, LaneState::Recovering);
        assert!(health.ready().0, "it may come in order yet");
        let Some(long_ago) = Instant::now().checked_sub(WORKS_AGAIN_WITHIN) else { return };
        let age = |age: fn(&mut Lane) -> &mut Option<Instant>| {
            *age(health.state().lanes.get_mut(&0).expect("a lane")) = Some(long_ago);
        };
        age(|lane| &mut lane.troubled_since);
        assert!(!health.ready().0, "it has been trying for long");
        health.lane(0, LaneState::Held);
        assert!(!health.ready().0, "it may fail again");
        health.lane(0, LaneState::Recovering);
        assert!(!health.ready().0, "and does");
        health.lane(0, LaneState::Held);
        age(|lane| &mut lane.works_since);
        assert!(health.ready().0, "it has worked for long");
        health.lane_stalled(0, Some("a batch in Postgres"));
        let (ready, body) = health.ready();
        assert_eq!(
            (ready, &body["lanes"]["0"], &body["stalled"]["0"]),
            (true, &json!("stalled"), &json!("a batch in Postgres"))
        );
        age(|lane| &mut lane.troubled_since);
        assert!(!health.ready().0);
        health.lane_stalled(0, None);
        age(|lane| &mut lane.works_since);
        assert!(health.ready().0);
    }

    #[test]
    fn dead_once_the_loop_has_not_turned_for_long() {
        let health = Health::new();
        assert!(health.live().0);
        let Some(long_ago) = Instant::now().checked_sub(LIVE_WITHIN + Duration::from_secs(1)) else { return };
        health.state().turned = long_ago;
        assert!(!health.live().0);
        health.loop_turned();
        assert!(health.live().0);
    }
}
