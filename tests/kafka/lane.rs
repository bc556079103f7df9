//! A lane of a consumer, read to where a test wants it.

use super::*;

pub fn credits_from(next: i64) -> Frontier {
    let mut frontier = Frontier([0; CommandTopic::COUNT]);
    frontier.set(CommandTopic::Credit, next);
    frontier
}

/// An open lane and the wakes of its queues.
pub struct Lane {
    pub queues: LaneQueues,
    wakes: Receiver<()>,
}

impl Lane {
    pub fn open(consumer: &CommandConsumer, lane: i32, frontier: Frontier) -> Lane {
        let (sender, wakes) = channel();
        let queues = consumer
            .open_lane(lane, &frontier, move || {
                let _ = sender.send(());
            })
            .unwrap();
        Lane { queues, wakes }
    }

    /// Reads one topic until its end is `end`; ends of before are left out.
    pub fn until_end(&mut self, topic: CommandTopic, end: i64) -> Vec<Fetched> {
        let mut all = Vec::new();
        self.wait(|queues| {
            let had = all.len();
            queues.read(topic, MAX, &mut all).unwrap();
            let was_full = all.len() - had == MAX;
            all.retain(|fetched| !matches!(fetched, Fetched::End { next } if *next != end));
            if all.last() == Some(&Fetched::End { next: end }) { Ok(()) } else { Err(was_full) }
        });
        all
    }

    pub fn until_error(&mut self, topic: CommandTopic) -> IntakeError {
        self.wait(|queues| queues.read(topic, MAX, &mut Vec::new()).err().ok_or(false))
    }

    /// Tries, and waits for a wake where the queue was empty (`Err(false)`).
    pub fn wait<T>(&mut self, mut attempt: impl FnMut(&mut LaneQueues) -> Result<T, bool>) -> T {
        let began = Instant::now();
        loop {
            match attempt(&mut self.queues) {
                Ok(value) => return value,
                Err(true) => {}
                Err(false) => {
                    let left = DEADLINE.saturating_sub(began.elapsed());
                    self.wakes.recv_timeout(left).expect("a queue turns nonempty before the deadline");
                }
            }
        }
    }
}

/// Records that one read takes at most.
const MAX: usize = 1_000;
