//! How long to wait before trying again: a pure function of how often it failed.

use std::time::Duration;

/// Doubles from the first delay to the longest; spread by up to a quarter, so that lanes that failed together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub const fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, failures: 0 }
    }

    /// The delay after one more failure. `spread` may be any number, the lane's for example.
    pub fn after_failure(&mut self, spread: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let delay = doubled.min(self.longest);
        delay + (delay / 4) * (spread % 8) / 8
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_longest_and_start_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let delays: Vec<u128> = (0..6).map(|_| backoff.after_failure(0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.after_failure(0).as_millis(), 100);
    }

    #[test]
    fn lanes_are_spread_by_less_than_a_quarter() {
        let delays: Vec<u128> = (0..8)
            .map(|lane| {
                Backoff::new(Duration::from_millis(800), Duration::from_secs(1)).after_failure(lane).as_millis()
            })
            .collect();
        assert_eq!(delays, [800, 825, 850, 875, 900, 925, 950, 975]);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff =
            Backoff { failures: u32::MAX, ..Backoff::new(Duration::from_secs(1), Duration::from_secs(5)) };
        assert_eq!(backoff.after_failure(0), Duration::from_secs(5));
    }
}
