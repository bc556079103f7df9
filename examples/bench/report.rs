//! What was measured: all samples by figure, their medians beside what is asked, on the screen and as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::support::{Failure, thousands};

/// The figures by name, in the order in which they were first measured.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    name: String,
    unit: Unit,
    samples: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Micros,
    Millis,
    MiB,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::PerSecond => "commands/s",
            Unit::Micros => "us of CPU per command",
            Unit::Millis => "ms",
            Unit::MiB => "MiB",
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Unit::PerSecond => thousands(value.round() as u64),
            Unit::Micros | Unit::Millis => format!("{value:.1}"),
            Unit::MiB => format!("{value:.0}"),
        }
    }
}

/// What the project asks of itself: one figure over another, at least so much; or one figure, at most so much.
struct Goal {
    what: &'static str,
    figure: &'static str,
    over: Option<&'static str>,
    limit: f64,
}

const fn ratio(what: &'static str, figure: &'static str, over: &'static str, at_least: f64) -> Goal {
    Goal { what, figure, over: Some(over), limit: at_least }
}

const fn at_most(what: &'static str, figure: &'static str, limit: f64) -> Goal {
    Goal { what, figure, over: None, limit }
}

pub const TWO_LANES: &str = "two lanes";
pub const ONE_LANE: &str = "one lane, one merchant";
pub const FOUR_LANES: &str = "four lanes";
pub const SKEWED: &str = "two lanes, skewed customers";
pub const HOARDING: &str = "two lanes, skewed customers who do not redeem";
pub const FULL: &str = "two lanes, full tables";
pub const SQL_ALONE: &str = "limit: its own SQL from memory";
pub const KAFKA_ALONE: &str = "limit: its own Kafka without Postgres";
pub const GREATEST_LOAD: &str = "two lanes, the greatest load that lasts";
pub const STREAMS: &str = "peer: Kafka Streams, exactly once, two threads";
pub const PER_COMMAND_BEST: &str = "peer: one transaction per command, the best";
pub const PER_MESSAGE: &str = "peer: a Kafka and a Postgres transaction per message";

const GOALS: [Goal; 17] = [
    ratio("two lanes / Kafka Streams", TWO_LANES, STREAMS, 1.0),
    ratio("two lanes / one transaction per command", TWO_LANES, PER_COMMAND_BEST, 15.0),
    ratio("two lanes / transaction pair per message", TWO_LANES, PER_MESSAGE, 80.0),
    ratio("two lanes / its own SQL", TWO_LANES, SQL_ALONE, 0.7),
    ratio("one lane / two lanes", ONE_LANE, TWO_LANES, 0.6),
    ratio("skewed / uniform customers", SKEWED, TWO_LANES, 1.2),
    ratio("full / young tables", FULL, TWO_LANES, 0.8),
    at_most("CPU: Postgres", "two lanes, CPU: Postgres", 20.0),
    at_most("CPU: worker", "two lanes, CPU: worker", 6.0),
    at_most("CPU: Kafka", "two lanes, CPU: Kafka", 4.0),
    at_most("one at a time, p50", "one at a time, p50", 10.0),
    at_most("one at a time, p99", "one at a time, p99", 20.0),
    at_most("at 20 % load, p99", "at 20 % load, p99", 50.0),
    at_most("at 80 % load, p99", "at 80 % load, p99", 250.0),
    at_most("memory, 2 lanes", "memory before a backlog, 2 lanes", 150.0),
    at_most("memory, 32 lanes", "memory before a backlog, 32 lanes", 400.0),
    at_most("CPU: Postgres, full tables", "two lanes, full tables, CPU: Postgres", 20.0),
];

impl Report {
    /// Notes a sample, and shows it.
    pub fn note(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        println!("  {:>9} {:<22} {name}", unit.shown(value), unit.name());
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.samples.push(value),
            None => self.figures.push(Figure { name, unit, samples: vec![value] }),
        }
    }

    pub fn median(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(Figure::median)
    }

    pub fn show(&self) {
        println!("\n{:>9} {:>9} {:>9}   (rounds)", "median", "min", "max");
        for figure in &self.figures {
            let (unit, samples) = (figure.unit, &figure.samples);
            let (min, max) =
                (samples.iter().copied().fold(f64::MAX, f64::min), samples.iter().copied().fold(0.0, f64::max));
            println!(
                "{:>9} {:>9} {:>9}   ({}) {} {}",
                unit.shown(figure.median()),
                unit.shown(min),
                unit.shown(max),
                samples.len(),
                figure.name,
                unit.name(),
            );
        }
        println!("\n{:>9} {:>9}", "reached", "asked");
        for goal in &GOALS {
            let Some(reached) = self.reached(goal) else { continue };
            let is_ratio = goal.over.is_some();
            let is_reached = if is_ratio { reached >= goal.limit } else { reached <= goal.limit };
            let asked = format!("{} {}", if is_ratio { ">=" } else { "<=" }, goal.limit);
            println!("{reached:>9.2} {asked:>9}   {} {}", goal.what, if is_reached { "" } else { "  NOT reached" });
        }
    }

    pub fn write(&self, path: &Path, about: serde_json::Value) -> Result<(), Failure> {
        let figures: BTreeMap<&str, _> = self
            .figures
            .iter()
            .map(|figure| {
                let samples = json!({"median": figure.median(), "unit": figure.unit.name(), "samples": figure.samples});
                (figure.name.as_str(), samples)
            })
            .collect();
        let goals: Vec<_> = GOALS
            .iter()
            .filter_map(|goal| {
                let kind = if goal.over.is_some() { "at_least" } else { "at_most" };
                Some(json!({"what": goal.what, "reached": self.reached(goal)?, kind: goal.limit}))
            })
            .collect();
        let report = json!({"about": about, "figures": figures, "goals": goals});
        std::fs::write(path, format!("{report:#}\n"))
            .map_err(|error| format!("{} can't be written: {error}", path.display()).into())
    }

    fn reached(&self, goal: &Goal) -> Option<f64> {
        let figure = self.median(goal.figure)?;
        match goal.over {
            None => Some(figure),
            Some(other) => Some(figure / self.median(other)?),
        }
    }
}

impl Figure {
    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }
}
