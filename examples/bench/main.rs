//! How fast the worker is, beside what else does the same job, in interleaved rounds on one machine.
//!
//! `make bench` and `make bench-quick` build this and run it beside a stack; docs/performance.md says what came out, and what the rows mean.
//! This program sends the commands and reads the results on the same machine as all the rest.

#[path = "../../load/mod.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod cpu;
mod fill;
mod latency;
mod limits;
mod peers;
mod report;
mod rows;
mod scene;
mod streams;
mod topics;
mod trade;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use report::Report;
use rows::Bench;
use support::Failure;
use support::installation::Stack;
use support::processes::{listen_for_signals, signal_exit_code};

#[derive(Parser)]
#[command(about = "The worker's speed beside its peers'; run it with `make bench` or `make bench-quick`.")]
struct Options {
    /// The worker's binary
    #[arg(long, value_name = "PATH")]
    worker: PathBuf,
    /// Commands in each backlog
    #[arg(long, default_value_t = 1_000_000)]
    commands: u64,
    /// Customers in young tables
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Customers in full tables, with five entries and five remembered keys each
    #[arg(long, default_value_t = 10_000_000)]
    full_customers: u64,
    /// Rounds of the rows that are compared
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Commands sent one at a time
    #[arg(long, default_value_t = 1_000)]
    alone: u64,
    /// Only these rows: two, one, four, skewed, hoarding, full, sql, kafka, streams, per-command, per-message, latency, memory
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nbench: {error}");
            signal_exit_code().map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn bench(options: &Options) -> Result<(), Failure> {
    listen_for_signals()?;
    let stack = Stack::from_environment()?;
    let mut report = Report::default();
    Bench::prepare(&stack, options)?.run(&mut report)?;
    report.show();
    let path = Path::new("target/bench.json");
    let about = serde_json::json!({
        "commands": options.commands,
        "customers": options.customers,
        "customers_in_full_tables": options.full_customers,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
    });
    report.write(path, about)?;
    println!("\nAlso in {}.", path.display());
    Ok(())
}
