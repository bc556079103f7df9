//! The rows of the benchmark, and the order in which they run. What is compared runs in turns, so that a machine that drifts does so for
//! all.

use std::time::Duration;

use crate::Options;
use crate::backlog::{self, WorkedOff};
use crate::latency;
use crate::limits;
use crate::load::murmur2::partition_of;
use crate::load::{MERCHANTS, now_micros};
use crate::peers;
use crate::report::{self, Report, Unit};
use crate::scene::{self, Base, Scene};
use crate::streams;
use crate::support::Failure;
use crate::support::installation::Stack;
use crate::trade::{Market, Spread};

/// Backlogs after which the broker's JVM has compiled what it runs often, with both of its compilers.
const BROKER_WARM_UP: u64 = 3;
/// Commands that Kafka Streams has worked off before it is measured.
const STREAMS_WARM_UP: u64 = 400_000;
/// Of each peer that would take hours for a backlog.
const PEER_WARM_UP: Duration = Duration::from_secs(5);
const PEER_MEASURED: Duration = Duration::from_secs(30);
const SEARCH_SETTLES: Duration = Duration::from_secs(3);
const SEARCH_LASTS: Duration = Duration::from_secs(9);
const LATENCY_SETTLES: Duration = Duration::from_secs(5);
const LATENCY_LASTS: Duration = Duration::from_secs(20);
/// Of backlogs that are before a worker whose memory is looked at.
const MEMORY_BACKLOGS: u64 = 5;
const MEMORY_WORK: Duration = Duration::from_secs(30);

pub struct Bench<'a> {
    stack: &'a Stack,
    options: &'a Options,
    young: Base,
    full: Option<Base>,
    /// When it began, and its scenes so far: each has a name of its own, for Kafka remembers the groups of those before.
    began: i64,
    scenes: u32,
}

/// A backlog that a worker works off.
#[derive(Clone, Copy)]
struct Row {
    option: &'static str,
    name: &'static str,
    lanes: i32,
    spread: Spread,
    one_merchant: bool,
    hoarding: bool,
    is_full: bool,
}

impl Row {
    const TWO_LANES: Row = Row {
        option: "two",
        name: report::TWO_LANES,
        lanes: 2,
        spread: Spread::Uniform,
        one_merchant: false,
        hoarding: false,
        is_full: false,
    };

    const COMPARED: [Row; 6] = [
        Row::TWO_LANES,
        Row { option: "one", name: report::ONE_LANE, lanes: 1, one_merchant: true, ..Row::TWO_LANES },
        Row { option: "four", name: report::FOUR_LANES, lanes: 4, ..Row::TWO_LANES },
        Row { option: "skewed", name: report::SKEWED, spread: Spread::Zipf, ..Row::TWO_LANES },
        Row { option: "hoarding", name: report::HOARDING, spread: Spread::Zipf, hoarding: true, ..Row::TWO_LANES },
        Row { option: "full", name: report::FULL, is_full: true, ..Row::TWO_LANES },
    ];
}

impl<'a> Bench<'a> {
    pub fn prepare(stack: &'a Stack, options: &'a Options) -> Result<Bench<'a>, Failure> {
        let of_first_lane = MERCHANTS.iter().filter(|id| partition_of(id.as_bytes(), 2) == 0).count();
        if of_first_lane != MERCHANTS.len() / 2 {
            return Err("the merchants do not split evenly over two lanes".into());
        }
        scene::clear(stack)?;
        let full = wants(options, "full").then(|| scene::full_base(stack, &options.worker, options.full_customers));
        let full = full.transpose()?;
        let young = scene::young_base(stack, &options.worker, options.customers)?;
        Ok(Bench { stack, options, young, full, began: now_micros() / 1_000_000, scenes: 0 })
    }

    fn wants(&self, row: &str) -> bool {
        wants(self.options, row)
    }

    pub fn run(&mut self, report: &mut Report) -> Result<(), Failure> {
        println!("a first, long backlog, which counts for nothing: the broker's JVM compiles what it runs often ...");
        let (_, scene) = self.work_off(Row::TWO_LANES, BROKER_WARM_UP * self.options.commands)?;
        scene.clear()?;
        for round in 1..=self.options.rounds {
            println!("\nround {round} of {}", self.options.rounds);
            for row in Row::COMPARED.into_iter().filter(|row| self.wants(row.option)).collect::<Vec<_>>() {
                let (worked_off, scene) = self.work_off(row, self.options.commands)?;
                note_worked_off(report, row.name, &worked_off);
                scene.clear()?;
            }
            self.limits(report)?;
            self.streams(report)?;
        }
        self.latency(report)?;
        self.transactions(report)?;
        self.memory(report)
    }

    fn market(&self, row: Row) -> Market {
        let customers = if row.is_full { self.options.full_customers } else { self.options.customers };
        Market { customers, spread: row.spread, one_merchant: row.one_merchant, hoarding: row.hoarding }
    }

    fn scene(&mut self, row: Row) -> Result<Scene, Failure> {
        self.scenes += 1;
        let base = if row.is_full { self.full.as_ref().ok_or("there are no full tables")? } else { &self.young };
        let name = format!("bench-{}-{}", self.began, self.scenes);
        scene::set(self.stack, &self.options.worker, &name, base, row.lanes)
    }

    fn work_off(&mut self, row: Row, commands: u64) -> Result<(WorkedOff, Scene), Failure> {
        let mut scene = self.scene(row)?;
        backlog::produce(&mut scene, self.market(row), commands)?;
        let (worked_off, worker) = backlog::work_off(&scene, commands)?;
        scene::stop_worker(worker)?;
        Ok((worked_off, scene))
    }

    fn limits(&mut self, report: &mut Report) -> Result<(), Failure> {
        if !self.wants("sql") && !self.wants("kafka") {
            return Ok(());
        }
        // Half a backlog: all of it stands in this program's memory.
        let commands = self.options.commands / 2;
        let mut scene = self.scene(Row::TWO_LANES)?;
        let market = self.market(Row::TWO_LANES);
        let (rate, batch) = limits::sql_alone(&scene, market, commands)?;
        report.note(report::SQL_ALONE, Unit::PerSecond, rate);
        if self.wants("kafka") {
            backlog::produce(&mut scene, market, self.options.commands)?;
            let rate = limits::kafka_alone(&scene, self.options.commands, &batch)?;
            report.note(report::KAFKA_ALONE, Unit::PerSecond, rate);
        }
        scene.clear()
    }

    fn streams(&mut self, report: &mut Report) -> Result<(), Failure> {
        if !self.wants("streams") {
            return Ok(());
        }
        let mut scene = self.scene(Row::TWO_LANES)?;
        let warm_up = self.options.commands.min(STREAMS_WARM_UP);
        let sent = backlog::produce(&mut scene, self.market(Row::TWO_LANES), self.options.commands + warm_up)?;
        let rate = streams::work_off(&scene, self.options.customers, warm_up, sent)?;
        report.note(report::STREAMS, Unit::PerSecond, rate);
        scene.clear()
    }

    fn latency(&mut self, report: &mut Report) -> Result<(), Failure> {
        if !self.wants("latency") {
            return Ok(());
        }
        println!("\nlatency");
        let row = Row::TWO_LANES;
        let mut scene = self.scene(row)?;
        let market = self.market(row);
        let worker = scene.start_worker()?;
        let note = |report: &mut Report, what: &str, latency: latency::Latency| {
            report.note(format!("{what}, p50"), Unit::Millis, latency.p50);
            report.note(format!("{what}, p99"), Unit::Millis, latency.p99);
        };
        // What the first commands wait for is the worker's start.
        latency::alone(&mut scene, market, self.options.alone / 10)?;
        note(report, "one at a time", latency::alone(&mut scene, market, self.options.alone)?);
        let greatest = latency::greatest_load(&mut scene, market, SEARCH_SETTLES, SEARCH_LASTS)?;
        report.note(report::GREATEST_LOAD, Unit::PerSecond, greatest);
        for percent in [20, 80] {
            let rate = greatest * f64::from(percent) / 100.0;
            let open_loop = latency::open_loop(&mut scene, market, rate, LATENCY_SETTLES, LATENCY_LASTS)?;
            note(report, &format!("at {percent} % load"), open_loop.latency);
        }
        scene::stop_worker(worker)?;
        scene.clear()
    }

    fn transactions(&mut self, report: &mut Report) -> Result<(), Failure> {
        let mut parallels: Vec<Option<usize>> = Vec::new();
        if self.wants("per-command") {
            parallels.extend([Some(1), Some(8), Some(32)]);
        }
        if self.wants("per-message") {
            parallels.push(None);
        }
        if parallels.is_empty() {
            return Ok(());
        }
        println!("\nwhat people write");
        let mut scene = self.scene(Row::TWO_LANES)?;
        // More than the fastest of them decides.
        backlog::produce(&mut scene, self.market(Row::TWO_LANES), self.options.commands)?;
        let (stack, prefix) = (self.stack, scene.installation.topic_prefix.clone());
        let mut best: f64 = 0.0;
        for parallel in parallels {
            let database = parallel.map_or("bench-per-message".to_owned(), |many| format!("bench-per-command-{many}"));
            peers::prepare(stack, &database, self.options.customers)?;
            match parallel {
                Some(many) => {
                    let run =
                        peers::per_command(stack, &prefix, &database, scene.lanes, many, PEER_WARM_UP, PEER_MEASURED)?;
                    let rate = run.commands as f64 / run.seconds;
                    report.note(
                        format!("peer: one transaction per command, {many} in parallel"),
                        Unit::PerSecond,
                        rate,
                    );
                    best = best.max(rate);
                }
                None => {
                    let run = peers::per_message(stack, &prefix, &database, scene.lanes, PEER_WARM_UP, PEER_MEASURED)?;
                    report.note(report::PER_MESSAGE, Unit::PerSecond, run.commands as f64 / run.seconds);
                }
            }
        }
        if best > 0.0 {
            report.note(report::PER_COMMAND_BEST, Unit::PerSecond, best);
        }
        scene.clear()?;
        scene::drop_databases(self.stack, "bench-per-%")
    }

    fn memory(&mut self, report: &mut Report) -> Result<(), Failure> {
        if !self.wants("memory") {
            return Ok(());
        }
        println!("\nmemory");
        for lanes in [2, 32] {
            let row = Row { lanes, ..Row::TWO_LANES };
            let mut scene = self.scene(row)?;
            backlog::produce(&mut scene, self.market(row), MEMORY_BACKLOGS * self.options.commands)?;
            let peak = backlog::memory_before_backlog(&scene, MEMORY_WORK)?;
            report.note(format!("memory before a backlog, {lanes} lanes"), Unit::MiB, peak);
            scene.clear()?;
        }
        Ok(())
    }
}

fn wants(options: &Options, row: &str) -> bool {
    options.rows.is_empty() || options.rows.iter().any(|wanted| wanted == row)
}

fn note_worked_off(report: &mut Report, name: &str, worked_off: &WorkedOff) {
    report.note(name, Unit::PerSecond, worked_off.rate());
    let cpu = worked_off.cpu;
    for (part, seconds) in
        [("Postgres", cpu.postgres), ("worker", cpu.worker), ("Kafka", cpu.kafka), ("this program", cpu.reader)]
    {
        report.note(format!("{name}, CPU: {part}"), Unit::Micros, worked_off.per_command(seconds));
    }
    report.note(format!("{name}, memory"), Unit::MiB, worked_off.memory_mib);
}
