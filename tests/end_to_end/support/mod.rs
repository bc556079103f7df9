//! What the tests stand on: an installation of their own on a real stack, the worker and its commands as processes, load with its
//! prediction, and readers of what was published.

pub mod commands;
pub mod database;
pub mod installation;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod published;
pub mod stack;
pub mod topics;
pub mod traffic;
pub mod wire;
pub mod worker;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use installation::Installation;
pub use traffic::Traffic;
pub use worker::Worker;

pub const LANES: i32 = 2;

/// Longer than anything takes that does come, also on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks until there is an answer. For conditions that nobody announces; where somebody does, wait for that.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "this has not come about within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of a few places for tests that run workers: more of them at once would only make each other slow.
pub struct Place {
    counts: bool,
}

static PLACES: Mutex<usize> = Mutex::new(0);
static PLACE_LEFT: Condvar = Condvar::new();

impl Place {
    pub fn take() -> Place {
        let places = std::thread::available_parallelism().map_or(2, usize::from) * 3;
        let mut taken = locked(&PLACES);
        while *taken >= places {
            taken = PLACE_LEFT.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Place { counts: true }
    }

    /// For a test that has its place already: waiting for a second one could be for ever.
    pub fn beside() -> Place {
        Place { counts: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.counts {
            *locked(&PLACES) -= 1;
            PLACE_LEFT.notify_one();
        }
    }
}
