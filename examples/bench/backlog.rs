//! A backlog, a worker, a clock. All commands stand in Kafka before the worker starts; what counts is when a read_committed consumer has
//! the last result.

use std::fs;
use std::time::{Duration, Instant};

use crate::cpu::Cpu;
use crate::load::command::Topic;
use crate::scene::{self, Scene};
use crate::support::Failure;
use crate::support::processes::{Worker, check_signals};
use crate::trade::{Market, Trade};

/// So long without a result is a failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct WorkedOff {
    pub commands: u64,
    /// From the first visible result to the last.
    pub flowing: Duration,
    /// While the backlog was worked off, the start included.
    pub cpu: Cpu,
    /// The greatest that the worker's memory has been, in MiB.
    pub memory_mib: f64,
}

impl WorkedOff {
    /// Commands per second.
    pub fn rate(&self) -> f64 {
        self.commands.saturating_sub(1) as f64 / self.flowing.as_secs_f64().max(1e-6)
    }

    /// Microseconds per command.
    pub fn per_command(&self, cpu_seconds: f64) -> f64 {
        cpu_seconds * 1e6 / self.commands as f64
    }
}

/// Puts the backlog in place. How many of the commands are credits and redeems.
pub fn produce(scene: &mut Scene, market: Market, commands: u64) -> Result<u64, Failure> {
    let mut trade = Trade::new(market);
    let mut of_amounts = 0;
    for made in 0..commands {
        let record = trade.next_record();
        of_amounts += u64::from(matches!(record.topic(), Topic::Credit | Topic::Redeem));
        scene.sender.send(&record)?;
        if made % 4096 == 0 {
            check_signals()?;
        }
    }
    scene.sender.await_acknowledgements()?;
    Ok(of_amounts)
}

/// Starts a worker on a backlog of so many commands and waits for its last result. The worker goes on.
pub fn work_off(scene: &Scene, commands: u64) -> Result<(WorkedOff, Worker), Failure> {
    let dir = scene.installation.stack.dir.clone();
    let before = Cpu::sample(&dir, None)?;
    let mut worker = scene.start_worker()?;
    let flowing = scene::await_results(&scene.results, commands, || worker.check(&dir))?;
    let cpu = Cpu::sample(&dir, Some(worker.pid()))?.since(before);
    if matches!(scene.results.poll(Duration::from_millis(500)), Some(Ok(_))) {
        return Err("there are more results than commands".into());
    }
    let memory_mib = peak_memory_mib(worker.pid())?;
    Ok((WorkedOff { commands, flowing, cpu, memory_mib }, worker))
}

/// How much memory a worker takes that has a backlog before it, in MiB: after so many seconds of work, killed with most of it undone.
pub fn memory_before_backlog(scene: &Scene, work_for: Duration) -> Result<f64, Failure> {
    let dir = scene.installation.stack.dir.clone();
    let mut worker = scene.start_worker()?;
    let begun = Instant::now();
    while begun.elapsed() < work_for {
        check_signals()?;
        worker.check(&dir)?;
        // What is visible is read, as in every other run.
        let _ = scene.results.poll(Duration::from_millis(50));
    }
    let peak = peak_memory_mib(worker.pid())?;
    worker.kill()?;
    Ok(peak)
}

fn peak_memory_mib(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = peak.and_then(|text| text.split_whitespace().next()).ok_or("no VmHWM")?.parse()?;
    Ok(kib / 1024.0)
}
