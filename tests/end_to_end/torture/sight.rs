//! What an operator sees: the workers' metrics, once a second. A lane that stands still while it has work must be seen there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::load::Load;
use super::scene::Scene;

/// So long a lane may be without results before a metric must show it: alerts look at ages of seconds, and metrics are a second old.
const SILENT_FOR: Duration = Duration::from_secs(6);
const EVERY: Duration = Duration::from_secs(1);
/// The first looks may meet a worker that was thawed this moment, whose ages begin at zero, or a reader that is not connected again.
const LOOKS: u32 = 5;
/// An age below this is what a healthy lane has.
const HEALTHY_S: f64 = 2.5;

pub struct Sight {
    lanes: i32,
    found: RefCell<Vec<String>>,
    /// How many looks in a row each lane stood still and seemed to be well.
    hidden: RefCell<BTreeMap<i32, u32>>,
    looked: RefCell<Instant>,
}

impl Sight {
    pub fn open(lanes: i32) -> Sight {
        Sight { lanes, found: RefCell::default(), hidden: RefCell::default(), looked: RefCell::new(Instant::now()) }
    }

    /// Looks for as long as this.
    pub fn watch(&self, scene: &Scene<'_>, load: &Load, period: Duration) {
        let until = Instant::now() + period;
        while Instant::now() < until {
            self.look(scene, load);
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
        }
    }

    /// Looks, at most once a second.
    pub fn look(&self, scene: &Scene<'_>, load: &Load) {
        if self.looked.borrow().elapsed() < EVERY {
            return;
        }
        *self.looked.borrow_mut() = Instant::now();
        let silent: Vec<i32> = (0..self.lanes).filter(|lane| load.stands_still(*lane, SILENT_FOR)).collect();
        self.hidden.borrow_mut().retain(|lane, _| silent.contains(lane));
        if silent.is_empty() {
            return;
        }
        let pages = scene.metrics();
        for lane in silent {
            // One that went on while the pages were fetched stands still no longer.
            let hides = pages.iter().any(|page| says_healthy(page, lane));
            let hidden = if hides { self.hidden.borrow().get(&lane).map_or(1, |times| times + 1) } else { 0 };
            self.hidden.borrow_mut().insert(lane, hidden);
            if hidden >= LOOKS && load.stands_still(lane, SILENT_FOR) {
                self.found.borrow_mut().push(format!("lane {lane} stands still, and its metrics say that it is well"));
            }
        }
    }

    pub fn take_violations(&self) -> Vec<String> {
        let mut found = std::mem::take(&mut *self.found.borrow_mut());
        found.dedup();
        found
    }
}

/// Whether a worker says that it has the lane and that all is well with it.
fn says_healthy(page: &str, lane: i32) -> bool {
    let value = |series: String| {
        page.lines().find_map(|line| line.strip_prefix(&series)?.strip_prefix(' ')?.parse::<f64>().ok())
    };
    let of_lane = |metric: &str| value(format!("{metric}{{lane=\"{lane}\"}}")).unwrap_or(0.0);
    let is_held = value(format!("loyalty_lane_state{{lane=\"{lane}\",state=\"held\"}}")) == Some(1.0);
    let ages = [
        "loyalty_lane_lag_age_seconds",
        "loyalty_lane_unpublished_age_seconds",
        "loyalty_lane_ends_unknown_seconds",
        "loyalty_lane_step_seconds",
    ];
    is_held && ages.iter().all(|metric| of_lane(metric) < HEALTHY_S)
}
