//! The half minute itself: the week is sent, the worker is killed twice, a second one joins, and everything is waited for.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::encode::Encoder;
use crate::load::generate::Week;
use crate::load::observe::Observer;
use crate::load::send::{Manner, Sender};
use crate::load::timeline::Timeline;
use crate::load::track::Tracker;
use crate::load::{now_micros, registry};
use crate::support::installation::Installation;
use crate::support::processes::{Worker, check_signals};
use crate::support::{Failure, thousands};

/// When of the records so many hundredths are sent, the first worker is killed for the first and the second time, and the second one joins.
const KILLS_AT: [u64; 2] = [22, 60];
const JOIN_AT: u64 = 80;
/// So long without any answer is no outage any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// In which a worker must end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What the run has to tell.
pub struct Ran {
    pub tracker: Arc<Tracker>,
    /// Microseconds since 1970.
    pub began: i64,
    pub sent_all: i64,
    pub kills: Vec<Kill>,
    pub failures: Vec<String>,
}

pub struct Kill {
    /// Microseconds since 1970.
    pub at: i64,
    pub undecided: u64,
    /// From the kill to the first result of the worker that came after.
    pub flowing_after: Option<Duration>,
}

pub fn run(installation: &Installation, week: &Arc<Week>) -> Result<Ran, Failure> {
    let stack = &installation.stack;
    let (bootstrap, prefix) = (stack.bootstrap.as_str(), installation.topic_prefix.as_str());
    let tracker = Arc::new(Tracker::default());
    let _observer = Observer::start(bootstrap, prefix, week.plan.lanes, tracker.clone())?;
    let encoder = Encoder {
        schema_ids: registry::schema_ids(&stack.registry_url, prefix)?,
        lanes: week.plan.lanes,
        timeline: Timeline::new(week.plan.start),
    };
    let sender = Sender::new(bootstrap, prefix, encoder, tracker.clone(), Manner::Prompt)?;

    let mut show = Show {
        installation,
        week,
        tracker: tracker.clone(),
        screen: Screen::new(week.prediction.answers()),
        workers: vec![Worker::start(installation, "worker-1")?],
        kills: Vec::new(),
        began: now_micros(),
    };
    show.screen.say("worker-1 started");
    let sending = Sending::start(sender, week.clone())?;
    let sent_all = show.until_all_is_answered(sending)?;
    let mut failures = show.stop_workers();
    // Whatever would still come is one too many.
    std::thread::sleep(Duration::from_millis(500));
    let (unanswered, examples) = tracker.lock().unanswered();
    if unanswered > 0 {
        failures.push(format!(
            "{} records were never answered, among them {}",
            thousands(unanswered as u64),
            examples.join(", ")
        ));
    }
    let waited = tracker.lock().waited;
    if waited < week.sure_to_wait {
        let (waited, sure) = (thousands(waited), thousands(week.sure_to_wait));
        failures.push(format!("{waited} commands were said to wait for their customer, and {sure} had to"));
    }
    failures.extend(tracker.lock().wrong.iter().cloned());
    Ok(Ran { tracker, began: show.began, sent_all, kills: show.kills, failures })
}

/// The thread that sends; it ends when this is dropped.
struct Sending {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Sending {
    fn start(mut sender: Sender, week: Arc<Week>) -> Result<Sending, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let wave = Duration::from_micros(week.plan.wave_micros.unsigned_abs());
        let thread = std::thread::Builder::new()
            .name("sender".to_owned())
            .spawn(move || sender.send_waves(&week.waves, wave, &stopped))?;
        Ok(Sending { stop, thread: Some(thread) })
    }

    /// True once it has sent everything.
    fn has_ended(&mut self) -> Result<bool, Failure> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(false),
            _ => match self.thread.take().map(JoinHandle::join) {
                None | Some(Ok(Ok(()))) => Ok(true),
                Some(Ok(Err(error))) => Err(format!("sending failed: {error}").into()),
                Some(Err(_)) => Err("the sending thread panicked".into()),
            },
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Show<'a> {
    installation: &'a Installation,
    week: &'a Week,
    tracker: Arc<Tracker>,
    screen: Screen,
    workers: Vec<Worker>,
    kills: Vec<Kill>,
    began: i64,
}

impl Show<'_> {
    /// Gives when everything was sent.
    fn until_all_is_answered(&mut self, mut sending: Sending) -> Result<i64, Failure> {
        let total = self.week.prediction.answers();
        let mut last = (0, 0, Instant::now());
        let mut sent_all = None;
        loop {
            std::thread::sleep(Duration::from_millis(20));
            check_signals()?;
            for worker in &mut self.workers {
                worker.check(&self.installation.stack.dir)?;
            }
            if sent_all.is_none() && sending.has_ended()? {
                sent_all = Some(now_micros());
                self.screen.say("everything is sent");
            }
            let (sent, answered, expiries, newest) = {
                let seen = self.tracker.lock();
                (seen.sent, seen.answered, seen.expiries, seen.newest_result)
            };
            self.screen.show(sent, answered);
            self.note_that_results_flow(newest);
            self.disturb(sent * 100 / total, sent - answered.min(sent))?;
            if (answered, expiries) != (last.0, last.1) {
                last = (answered, expiries, Instant::now());
            }
            let calm = self.kills.len() == KILLS_AT.len() && self.flows() && self.workers.len() > 1;
            let complete = answered >= total && expiries >= self.week.prediction.expiries;
            if let Some(sent_all) = sent_all
                && ((calm && complete) || last.2.elapsed() > PATIENCE)
            {
                self.screen.bar.finish_and_clear();
                return Ok(sent_all);
            }
        }
    }

    fn flows(&self) -> bool {
        self.kills.last().is_none_or(|kill| kill.flowing_after.is_some())
    }

    fn note_that_results_flow(&mut self, newest_result: i64) {
        let Some(kill) = self.kills.last_mut().filter(|kill| kill.flowing_after.is_none()) else { return };
        // Only a worker that came after the kill writes results after it; 5 ms for the clock that counts in milliseconds.
        if newest_result > kill.at + 5_000 {
            let after = Duration::from_micros((now_micros() - kill.at).unsigned_abs());
            kill.flowing_after = Some(after);
            self.screen.say(&format!("results flow again, {:.1} s after the kill", after.as_secs_f64()));
        }
    }

    /// `sent` in hundredths.
    fn disturb(&mut self, sent: u64, undecided: u64) -> Result<(), Failure> {
        if !self.flows() {
            return Ok(());
        }
        match KILLS_AT.get(self.kills.len()) {
            // If it can be, the last kill's backlog is worked off first, so that each kill is seen for itself.
            Some(&kill_at) if sent >= kill_at && (undecided < 5_000 || sent >= kill_at + 15) => {
                let Some(worker) = self.workers.pop() else { return Ok(()) };
                let (name, at) = (worker.name.clone(), now_micros());
                worker.kill()?;
                self.workers.push(Worker::start(self.installation, &name)?);
                self.kills.push(Kill { at, undecided, flowing_after: None });
                self.screen
                    .say(&format!("SIGKILL to {name}, which is started again; {} undecided", thousands(undecided)));
            }
            None if sent >= JOIN_AT && self.workers.len() == 1 => {
                self.workers.push(Worker::start(self.installation, "worker-2")?);
                self.screen.say("worker-2 joins");
            }
            _ => {}
        }
        Ok(())
    }

    fn stop_workers(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        for worker in self.workers.drain(..) {
            let name = worker.name.clone();
            match worker.terminate(STOP_WITHIN) {
                Ok((status, after)) if status.success() => {
                    self.screen.say(&format!("{name} left {:.1} s after SIGTERM", after.as_secs_f64()));
                }
                Ok((status, _)) => failures.push(format!("{name} ended with {status} after SIGTERM, and not with 0")),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    }
}

/// A progress bar for people; lines for logs.
struct Screen {
    bar: ProgressBar,
    is_terminal: bool,
    began: Instant,
    last_line: Instant,
    /// Answered, a moment ago: for the rate.
    window: Vec<(Instant, u64)>,
}

impl Screen {
    fn new(total: u64) -> Screen {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:36} {percent:>3} % decided  {msg}") {
            bar.set_style(style);
        }
        Screen { bar, is_terminal, began: Instant::now(), last_line: Instant::now(), window: Vec::new() }
    }

    fn show(&mut self, sent: u64, answered: u64) {
        let now = Instant::now();
        self.window.push((now, answered));
        self.window.retain(|(then, _)| now.duration_since(*then) < Duration::from_secs(1));
        let rate = self.window.first().map_or(0.0, |(then, before)| {
            let seconds = now.duration_since(*then).as_secs_f64().max(0.001);
            answered.saturating_sub(*before) as f64 / seconds
        });
        let line = format!(
            "sent {}  decided {}  {}/s  lag {}",
            thousands(sent),
            thousands(answered),
            thousands(rate as u64),
            thousands(sent.saturating_sub(answered))
        );
        if self.is_terminal {
            self.bar.set_position(answered);
            self.bar.set_message(line);
        } else if now.duration_since(self.last_line) > Duration::from_secs(2) {
            self.last_line = now;
            println!("{:>6.1} s  {line}", self.began.elapsed().as_secs_f64());
        }
    }

    fn say(&self, what: &str) {
        let line = format!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64());
        if self.is_terminal && !self.bar.is_finished() {
            self.bar.println(line);
        } else {
            println!("{line}");
        }
    }
}
