//! Load in the background, everything that came back for it, and what must have come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Installation, PATIENCE, Worker};
use crate::load::encode::Encoder;
use crate::load::generate::{Plan, Week, week};
use crate::load::observe::Observer;
use crate::load::send::{Manner, Sender};
use crate::load::timeline::Timeline;
use crate::load::track::Tracker;
use crate::load::{now_micros, registry};

/// The pace of the tests: a generated wave takes a tenth of a second.
const WAVE: Duration = Duration::from_millis(100);

pub struct Traffic {
    week: Arc<Week>,
    tracker: Arc<Tracker>,
    _observer: Observer,
    sending: Option<JoinHandle<Result<(), String>>>,
}

impl Traffic {
    /// Begins to send so many records, over so many tenths of a second. They hold duplicates, conflicts, rejections of all kinds, commands
    /// that wait for their customer, who comes or does not, and records that become dead letters. Shorter than 8 seconds, so that no lot
    /// expires while the test runs.
    pub fn start(installation: &Installation, records: usize, waves: i64) -> Traffic {
        assert!(
            waves <= 50,
            "lots would expire during the run, and a test that kills things can't keep the time for that"
        );
        let start = now_micros();
        let plan =
            Plan { seed: 7, records, waves, wave_micros: WAVE.as_micros() as i64, lanes: installation.lanes, start };
        let week = Arc::new(week(plan));
        let tracker = Arc::<Tracker>::default();
        let (stack, prefix) = (&installation.stack, &installation.prefix);
        let schema_ids = registry::schema_ids(&stack.registry_url, prefix).expect("the schemas are registered");
        let observer =
            Observer::start(&stack.bootstrap, prefix, installation.lanes, tracker.clone()).expect("an observer");
        let encoder = Encoder { schema_ids, lanes: installation.lanes, timeline: Timeline::new(start) };
        let mut sender =
            Sender::new(&stack.bootstrap, prefix, encoder, tracker.clone(), Manner::Prompt).expect("a sender");
        let sent = week.clone();
        let sending = std::thread::spawn(move || {
            sender.send_waves(&sent.waves, WAVE, &AtomicBool::new(false)).map_err(|error| error.to_string())
        });
        Traffic { week, tracker, _observer: observer, sending: Some(sending) }
    }

    /// How many records have been answered so far.
    pub fn answered(&self) -> u64 {
        self.tracker.lock().answered
    }

    /// How many there are to answer.
    pub fn expected(&self) -> u64 {
        self.week.prediction.answers()
    }

    /// Waits until the load is well under way: a part of it has been answered.
    pub fn await_flow(&self) {
        self.await_answered(self.expected() / 8);
    }

    pub fn await_answered(&self, answers: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.answered() < answers {
            assert!(
                Instant::now() < deadline,
                "{} of {answers} records are answered after {PATIENCE:?}",
                self.answered()
            );
            self.tracker.wait(Duration::from_millis(100));
        }
    }

    pub fn await_sent(&mut self) {
        if let Some(sending) = self.sending.take() {
            sending.join().expect("sending does not panic").expect("everything is sent");
        }
    }

    /// Waits until every record is sent and answered, and every expiry and what had to wait is told. Results and events are read from
    /// different topics, so that the last of one may be seen before the last of the other.
    pub fn await_all(&mut self) {
        self.await_sent();
        let deadline = Instant::now() + PATIENCE;
        while !self.is_complete() {
            if Instant::now() >= deadline {
                let seen = self.tracker.lock();
                let (count, some) = seen.unanswered();
                panic!(
                    "{count} records have no answer after {PATIENCE:?}, among them {some:?}; expired {} of {}, waited {} of {}",
                    seen.expiries, self.week.prediction.expiries, seen.waited, self.week.sure_to_wait
                );
            }
            self.tracker.wait(Duration::from_millis(100));
        }
    }

    fn is_complete(&self) -> bool {
        let seen = self.tracker.lock();
        seen.answered >= self.expected()
            && seen.expiries >= self.week.prediction.expiries
            && seen.waited >= self.week.sure_to_wait
    }

    /// The worker answers all, and stops. Then everything is as the model says, and the audit finds nothing.
    pub fn ends_as_predicted(&mut self, installation: &Installation, worker: Worker) {
        self.await_all();
        worker.finish();
        self.assert_as_predicted(installation);
        installation.assert_audit_holds();
    }

    /// Each command came to what the generator predicts, once, and the databases hold what must be left.
    pub fn assert_as_predicted(&self, installation: &Installation) {
        let prediction = &self.week.prediction;
        let seen = self.tracker.lock();
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert_eq!(difference(&seen.outcomes, &prediction.outcomes), BTreeMap::new(), "outcomes: observed, predicted");
        let predicted: BTreeMap<String, u64> =
            prediction.dead_letters.iter().map(|(class, count)| ((*class).to_owned(), *count)).collect();
        assert_eq!(difference(&seen.dead_letters, &predicted), BTreeMap::new(), "dead letters: observed, predicted");
        assert_eq!(seen.expiries, prediction.expiries, "expiries");
        assert!(seen.waited >= self.week.sure_to_wait, "{} of {} waited", seen.waited, self.week.sure_to_wait);
        drop(seen);
        let (mut balances, mut customers) = (BTreeMap::new(), BTreeMap::new());
        for database in installation.databases() {
            balances.extend(database.balances());
            customers.extend(database.customers());
        }
        assert_eq!(difference(&balances, &prediction.balances), BTreeMap::new(), "balances: held, predicted");
        assert_eq!(customers, prediction.customers, "customers by merchant");
    }
}

/// Where two counts differ, with both.
fn difference<K: Ord + Clone, V: PartialEq + Copy>(
    found: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> BTreeMap<K, (Option<V>, Option<V>)> {
    let keys = found.keys().chain(wanted.keys());
    keys.map(|key| (key.clone(), (found.get(key).copied(), wanted.get(key).copied())))
        .filter(|(_, (found, wanted))| found != wanted)
        .collect()
}
