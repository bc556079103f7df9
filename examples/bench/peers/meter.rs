//! Counts what a peer has done, and takes the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::PeerRun;
use crate::support::Failure;
use crate::support::processes::check_signals;

/// So long without a command is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shared by a peer's threads and the main thread, which waits.
#[derive(Default)]
pub struct Meter {
    done: AtomicU64,
    stopping: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Meter {
    pub fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the measurement, unless it has ended.
    pub fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// Whether the peer is to end.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Counts for so long, once the peer has been at it for the warm-up. Then, and after an error, the peer is told to end.
    pub fn measure(&self, backlog: u64, warm_up: Duration, measured: Duration) -> Result<PeerRun, Failure> {
        let run = self.count_through(backlog, warm_up, measured);
        self.stopping.store(true, Ordering::Relaxed);
        run
    }

    /// What went wrong after the measurement.
    pub fn check(&self) -> Result<(), Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn count_through(&self, backlog: u64, warm_up: Duration, measured: Duration) -> Result<PeerRun, Failure> {
        let started = Instant::now();
        while self.done.load(Ordering::Relaxed) == 0 {
            if started.elapsed() > PATIENCE {
                return Err(format!("a peer has done nothing for {} s", PATIENCE.as_secs()).into());
            }
            self.wait(Duration::from_millis(10), backlog)?;
        }
        self.wait(warm_up, backlog)?;
        let (begun, before) = (Instant::now(), self.done.load(Ordering::Relaxed));
        self.wait(measured, backlog)?;
        let (took, commands) = (begun.elapsed(), self.done.load(Ordering::Relaxed) - before);
        if commands == 0 {
            return Err("a peer has come to a stand".into());
        }
        Ok(PeerRun { commands, seconds: took.as_secs_f64() })
    }

    fn wait(&self, time: Duration, backlog: u64) -> Result<(), Failure> {
        const LOOK: Duration = Duration::from_millis(20);
        let end = Instant::now() + time;
        loop {
            check_signals()?;
            self.check()?;
            if self.done.load(Ordering::Relaxed) >= backlog {
                return Err(format!("the backlog of {backlog} commands ended before the time was over").into());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK));
        }
    }
}
