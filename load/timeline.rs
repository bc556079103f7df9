//! From a run's own time to the clock's.

use std::collections::HashMap;

use super::command::Time;

/// When things are, once the run has begun.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Microseconds since 1970.
    pub start: i64,
    tickets: HashMap<u32, i64>,
}

impl Timeline {
    pub fn new(start: i64) -> Timeline {
        Timeline { start, tickets: HashMap::new() }
    }

    /// Microseconds since 1970. A ticket's time is fixed at its first use, so that a duplicate says the same.
    pub fn instant(&mut self, time: Time) -> i64 {
        match time {
            Time::Run(micros) => self.start + micros,
            Time::Sent { ticket, after } => *self.tickets.entry(ticket).or_insert_with(|| super::now_micros() + after),
        }
    }
}
