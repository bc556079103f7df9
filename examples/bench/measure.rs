//! The measurement: a backlog, a worker, a clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use crate::cpu::Cpu;
use crate::load::MERCHANTS;
use crate::load::command::{Body, Command, Content, Encoding, Identifier, Profile, Record, Reference};
use crate::load::observe::AnsweredResult;
use crate::load::rng::Rng;
use crate::load::track::percentile;
use crate::scene::Scene;
use crate::support::Failure;
use crate::support::database::Database;
use crate::support::processes::{Worker, check_signals};

/// So long without a result is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Measured {
    pub lanes: i32,
    pub commands: u64,
    pub produced: Duration,
    /// From the first visible result to the last.
    pub flowing: Duration,
    /// From the start of the worker's process to the last visible result.
    pub whole: Duration,
    /// While the backlog was worked off, the start included.
    pub cpu: Cpu,
    /// What was decided, as the database counts it.
    pub outcomes: Vec<String>,
    /// From produce to visible result, one command at a time, in microseconds, ascending.
    pub alone: Vec<i64>,
}

impl Measured {
    pub fn rate_flowing(&self) -> f64 {
        self.commands.saturating_sub(1) as f64 / self.flowing.as_secs_f64().max(1e-6)
    }

    pub fn rate_whole(&self) -> f64 {
        self.commands as f64 / self.whole.as_secs_f64().max(1e-6)
    }

    /// Milliseconds.
    pub fn alone_percentile(&self, percent: usize) -> f64 {
        percentile(&self.alone, percent) as f64 / 1e3
    }

    pub fn to_json(&self) -> serde_json::Value {
        let per_command = |cpu: f64| (cpu * 1e7 / self.commands as f64).round() / 10.0;
        serde_json::json!({
            "lanes": self.lanes,
            "commands_per_s_flowing": self.rate_flowing().round(),
            "commands_per_s_from_process_start": self.rate_whole().round(),
            "cpu_us_per_command": {
                "worker": per_command(self.cpu.worker),
                "postgres": per_command(self.cpu.postgres),
                "kafka": per_command(self.cpu.kafka),
                "reader": per_command(self.cpu.reader),
            },
            "latency_alone_ms": {"p50": self.alone_percentile(50), "p99": self.alone_percentile(99)},
            "outcomes": self.outcomes,
        })
    }
}

pub fn run(mut scene: Scene, commands: u64, customers: u64, alone: u64) -> Result<Measured, Failure> {
    let dir = scene.installation.stack.dir.clone();
    let mut trade = Trade { rng: Rng::new(4_711), customers, recent: Vec::new(), made: 0 };
    let begun = Instant::now();
    for made in 0..commands {
        scene.sender.send(&trade.record())?;
        if made % 4096 == 0 {
            check_signals()?;
        }
    }
    scene.sender.await_acknowledgements()?;
    let produced = begun.elapsed();

    let before = Cpu::sample(&dir, None)?;
    let mut worker = Worker::start(&scene.installation, &format!("{}-timed", scene.installation.database))?;
    let mut first = None;
    let mut last = worker.started;
    let mut results = 0;
    while results < commands {
        match scene.results.poll(Duration::from_millis(50)) {
            Some(Ok(_)) => {
                results += 1;
                if first.is_none() || results == commands || results % 1024 == 0 {
                    last = Instant::now();
                    first.get_or_insert(last);
                }
            }
            Some(Err(_)) | None => {
                check_signals()?;
                worker.check(&dir)?;
                if last.elapsed() > PATIENCE {
                    return Err(format!("after {results} results none came for {} s", PATIENCE.as_secs()).into());
                }
            }
        }
    }
    let cpu = Cpu::sample(&dir, Some(worker.pid()))?.since(before);
    if matches!(scene.results.poll(Duration::from_millis(500)), Some(Ok(_))) {
        return Err("there are more results than commands".into());
    }
    let (flowing, whole) = (last.duration_since(first.unwrap_or(last)), last.duration_since(worker.started));

    let mut latencies = Vec::new();
    for _ in 0..alone {
        check_signals()?;
        latencies.push(one_alone(&mut scene, &mut trade)?);
    }
    latencies.sort_unstable();
    let outcomes = decided(&scene)?;
    let (status, _) = worker.terminate(Duration::from_secs(10))?;
    if !status.success() {
        return Err(format!("the worker ended with {status} after SIGTERM").into());
    }
    Ok(Measured { lanes: scene.lanes, commands, produced, flowing, whole, cpu, outcomes, alone: latencies })
}

/// Sends one command and waits for its result. Microseconds.
fn one_alone(scene: &mut Scene, trade: &mut Trade) -> Result<i64, Failure> {
    let record = trade.record();
    let Content::Command { command, .. } = &record.content else { return Ok(0) };
    let sent = Instant::now();
    scene.sender.send(&record)?;
    while sent.elapsed() < PATIENCE {
        if let Some(Ok(message)) = scene.results.poll(Duration::from_millis(50))
            && let Some(result) = message.payload().and_then(AnsweredResult::read)
            && result.idempotency_key == command.key
        {
            return Ok(i64::try_from(sent.elapsed().as_micros())?);
        }
    }
    Err("a command that was sent alone got no result".into())
}

fn decided(scene: &Scene) -> Result<Vec<String>, Failure> {
    let database = Database::connect(&scene.installation.stack.database_url(&scene.installation.database)?)?;
    let rows = database.rows(
        "select case topic when 2 then 'upserts' when 3 then 'credits' else 'redeems' end, \
         coalesce(rejection->>'code', 'accepted'), count(*) from decision where topic > 1 group by 1, 2 order by 1, 3 desc",
    )?;
    Ok(rows.iter().map(|row| row.join(" ")).collect())
}

/// 70 % credits, 28 % redeems, 2 % upserts; of all, 1 % are duplicates and 3 % are rejected.
struct Trade {
    rng: Rng,
    customers: u64,
    recent: Vec<Record>,
    made: u64,
}

impl Trade {
    fn record(&mut self) -> Record {
        const REMEMBERED: usize = 1_000;
        self.made += 1;
        if self.rng.permille(10) && self.recent.len() == REMEMBERED {
            return self.rng.pick(&self.recent).clone();
        }
        let customer = 1 + self.rng.next() % self.customers;
        let body = match self.rng.below(1000) {
            0..20 => Body::Upsert(Profile { first_name: Some(format!("Name {}", self.made)), ..Profile::default() }),
            20..300 => {
                // A tenth of the redeems asks for what nobody has.
                let amount = if self.rng.permille(107) { 1_000_000_000 } else { self.rng.between(1, 20) };
                Body::Redeem { unit: "points", amount, order: None }
            }
            _ => {
                let order = self.rng.permille(300).then(|| format!("order-{}", self.made));
                Body::Credit { unit: "points", amount: self.rng.between(1, 500), order, expires_at: None }
            }
        };
        let command = Command {
            // As the customers were put in place.
            merchant: MERCHANTS[(customer % MERCHANTS.len() as u64) as usize].into(),
            key: format!("{:016x}-{:08x}", self.made, self.rng.next() as u32),
            customer: Some(Reference::By(Identifier::ExternalId, format!("c-{customer}"))),
            occurred_at: None,
            source: None,
            body,
            unknown_field: false,
        };
        let content = Content::Command { command: Arc::new(command), encoding: Encoding::Avro };
        let record = Record { content, traceparent: None };
        if self.recent.len() < REMEMBERED {
            self.recent.push(record.clone());
        } else {
            let index = self.rng.below(REMEMBERED);
            self.recent[index] = record.clone();
        }
        record
    }
}
