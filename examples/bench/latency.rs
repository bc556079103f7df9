//! From produce to visible result, one command at a time and in an open loop: commands are due at their moment, whatever has become of
//! those before, and what is sent late counts from when it was due.

use std::time::{Duration, Instant};

use rdkafka::message::Message;

use crate::backlog::PATIENCE;
use crate::load::command::Content;
use crate::load::observe::AnsweredResult;
use crate::load::track::percentile;
use crate::scene::Scene;
use crate::support::Failure;
use crate::support::processes::check_signals;
use crate::trade::{Market, Trade};

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

impl Latency {
    fn of(mut micros: Vec<i64>) -> Latency {
        micros.sort_unstable();
        let at = |percent| percentile(&micros, percent) as f64 / 1e3;
        Latency { p50: at(50), p99: at(99) }
    }
}

/// Sends so many commands, each when the one before it has been answered. A worker must be running.
pub fn alone(scene: &mut Scene, market: Market, commands: u64) -> Result<Latency, Failure> {
    let mut sender = scene.prompt_sender()?;
    let mut trade = Trade::new(market);
    let mut micros = Vec::new();
    for _ in 0..commands {
        check_signals()?;
        let record = trade.next_record();
        let Content::Command { command, .. } = &record.content else { continue };
        let sent = Instant::now();
        sender.send(&record)?;
        loop {
            if let Some(Ok(message)) = scene.results.poll(Duration::from_millis(50))
                && let Some(result) = message.payload().and_then(AnsweredResult::read)
                && result.idempotency_key == command.key
            {
                break;
            }
            if sent.elapsed() > PATIENCE {
                return Err("a command that was sent alone got no result".into());
            }
        }
        micros.push(i64::try_from(sent.elapsed().as_micros())?);
    }
    Ok(Latency::of(micros))
}

/// The greatest load that lasts: so many commands per second are sent evenly, and are answered meanwhile. A worker must be running.
pub fn greatest_load(scene: &mut Scene, market: Market, settling: Duration, lasting: Duration) -> Result<f64, Failure> {
    let mut rate = answered_in_bursts(scene, market, settling, lasting)?;
    loop {
        let OpenLoop { keeps_up, answered, .. } = open_loop(scene, market, rate, settling, lasting)?;
        if keeps_up {
            return Ok(rate);
        }
        if answered < 1.0 {
            return Err("nothing was answered while it was sent".into());
        }
        rate = LESS * rate.min(answered);
    }
}

/// Than what was answered of a load that was too great.
const LESS: f64 = 0.95;

/// A load that lasts leaves no more unanswered than is answered in this time.
const IN_TIME: Duration = Duration::from_secs(1);

/// So many commands wait for their results, several batches for each of two lanes, and each result that comes lets another be sent. What
/// comes in bursts, and is sent in bursts, is cheaper for all parts than an even stream.
const WINDOW: u64 = 16_000;

fn answered_in_bursts(
    scene: &mut Scene,
    market: Market,
    settling: Duration,
    lasting: Duration,
) -> Result<f64, Failure> {
    let mut trade = Trade::new(market);
    let (mut sent, mut answered) = (0, 0);
    let begun = Instant::now();
    let mut counted = Counted::from(begun + settling);
    while begun.elapsed() < settling + lasting || answered < sent {
        counted.look(answered);
        while sent - answered < WINDOW && begun.elapsed() < settling + lasting {
            scene.sender.send(&trade.next_record())?;
            sent += 1;
        }
        match scene.results.poll(Duration::from_millis(1)) {
            Some(Ok(_)) => answered += 1,
            Some(Err(_)) | None => check_patience(begun, settling + lasting, answered, sent)?,
        }
    }
    counted.per_second(answered)
}

/// What is answered from a moment on.
struct Counted {
    from: Instant,
    /// How many had been answered then, and when it was looked at.
    began: Option<(u64, Instant)>,
}

impl Counted {
    fn from(from: Instant) -> Counted {
        Counted { from, began: None }
    }

    /// At every turn, with how many have been answered.
    fn look(&mut self, answered: u64) {
        if self.began.is_none() && Instant::now() >= self.from {
            self.began = Some((answered, Instant::now()));
        }
    }

    fn per_second(&self, answered: u64) -> Result<f64, Failure> {
        let (before, since) = self.began.ok_or("there was no time to measure in")?;
        Ok((answered - before) as f64 / since.elapsed().as_secs_f64())
    }
}

fn check_patience(begun: Instant, planned: Duration, answered: u64, sent: u64) -> Result<(), Failure> {
    check_signals()?;
    if begun.elapsed() > planned + PATIENCE {
        return Err(format!("{answered} of {sent} commands were answered").into());
    }
    Ok(())
}

/// What came of commands that were sent evenly.
pub struct OpenLoop {
    pub latency: Latency,
    /// When the last was sent, no more was unanswered than comes [`IN_TIME`].
    pub keeps_up: bool,
    /// Per second, while they were sent.
    pub answered: f64,
}

/// Sends `per_second` commands for so long; those of the first `settling` do not count. A worker must be running.
pub fn open_loop(
    scene: &mut Scene,
    market: Market,
    per_second: f64,
    settling: Duration,
    lasting: Duration,
) -> Result<OpenLoop, Failure> {
    let mut trade = Trade::new(market);
    let commands = (per_second * (settling + lasting).as_secs_f64()) as u64;
    let due = |number: u64| Duration::from_secs_f64(number as f64 / per_second);
    let mut micros = Vec::new();
    let (mut sent, mut answered) = (0, 0);
    let (mut keeps_up, mut answered_per_second) = (true, per_second);
    let begun = Instant::now();
    let mut counted = Counted::from(begun + settling);
    while answered < commands {
        counted.look(answered);
        let was_sending = sent < commands;
        while sent < commands && begun.elapsed() >= due(sent) {
            scene.sender.send(&trade.next_record())?;
            sent += 1;
        }
        if was_sending && sent == commands {
            keeps_up = ((sent - answered) as f64) < per_second * IN_TIME.as_secs_f64();
            answered_per_second = counted.per_second(answered)?;
        }
        // Briefly, so that none is sent late for having waited here; the client counts in milliseconds and would spin for less than one.
        match scene.results.poll(Duration::from_millis(1)) {
            Some(Ok(message)) => {
                answered += 1;
                let result = message.payload().and_then(AnsweredResult::read).ok_or("a result can't be read")?;
                // The key of a duplicate is that of an earlier one, so they are left out.
                if let Some(number) = trade.number_of(&result.idempotency_key)
                    && !result.outcome.duplicate
                    && due(number - 1) >= settling
                {
                    micros.push(i64::try_from(begun.elapsed().saturating_sub(due(number - 1)).as_micros())?);
                }
            }
            Some(Err(_)) | None => {
                check_patience(begun, settling + lasting, answered, commands)?;
            }
        }
    }
    Ok(OpenLoop { latency: Latency::of(micros), keeps_up, answered: answered_per_second })
}
