//! How fast the worker works off a backlog, and how long one command takes when it comes alone.
//!
//! `make bench` builds this and runs it beside a stack. All commands stand in Kafka before the worker starts; what counts is when a
//! read_committed consumer has the last result. This program reads the results on the same machine, and its share is in nobody's
//! figures but the rate's.

#[path = "../../load/mod.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

mod cpu;
mod measure;
mod scene;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use measure::Measured;
use support::installation::Stack;
use support::processes::{listen_for_signals, signal_exit_code};
use support::{Failure, thousands};

#[derive(Parser)]
#[command(about = "Throughput from a full backlog, CPU per command, latency alone; run it with `make bench`.")]
struct Options {
    /// The worker's binary
    #[arg(long, value_name = "PATH")]
    worker: PathBuf,
    /// Commands in the backlog
    #[arg(long, default_value_t = 1_000_000)]
    commands: u64,
    /// Customers in place before
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Lanes, one run for each
    #[arg(long, value_delimiter = ',', default_value = "2,1")]
    lanes: Vec<i32>,
    /// Commands sent one at a time afterwards
    #[arg(long, default_value_t = 500)]
    alone: u64,
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
    let name = format!("bench-{}", load::now_micros() / 1_000_000);
    println!("{} customers are put in place ...", thousands(options.customers));
    let base = scene::base(&stack, &options.worker, &name, options.customers)?;
    if let Some(&lanes) = options.lanes.first() {
        println!("a first run, so that the broker's JVM has compiled what it runs often ...");
        let scene = scene::set(&stack, &options.worker, &format!("{name}-first"), &base, lanes)?;
        measure::run(scene, options.commands / 5, options.customers, 0)?;
    }
    let mut runs = Vec::new();
    for &lanes in &options.lanes {
        println!("\n{lanes} lane{}", if lanes == 1 { "" } else { "s" });
        let scene = scene::set(&stack, &options.worker, &name, &base, lanes)?;
        let measured = measure::run(scene, options.commands, options.customers, options.alone)?;
        report(&measured);
        runs.push(measured.to_json());
    }
    let path = PathBuf::from("target/bench.json");
    let report = serde_json::json!({
        "commands": options.commands,
        "customers": options.customers,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "runs": runs,
    });
    std::fs::write(&path, format!("{report:#}\n"))
        .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    println!("\nAlso in {}.", path.display());
    Ok(())
}

fn report(measured: &Measured) {
    println!(
        "  backlog of {} commands, produced in {:.1} s",
        thousands(measured.commands),
        measured.produced.as_secs_f64()
    );
    println!("  decided: {}", measured.outcomes.join(", "));
    println!(
        "  {:>8} commands/s  from the first result to the last ({:.1} s)",
        thousands(measured.rate_flowing() as u64),
        measured.flowing.as_secs_f64()
    );
    println!(
        "  {:>8} commands/s  from the start of the process to the last result ({:.1} s)",
        thousands(measured.rate_whole() as u64),
        measured.whole.as_secs_f64()
    );
    let per_command = |cpu: f64| cpu * 1e6 / measured.commands as f64;
    let cpu = &measured.cpu;
    println!(
        "  CPU per command: worker {:.1} us, Postgres {:.1} us, Kafka {:.1} us, this reader {:.1} us",
        per_command(cpu.worker),
        per_command(cpu.postgres),
        per_command(cpu.kafka),
        per_command(cpu.reader)
    );
    println!(
        "  one command at a time, {} of them: p50 {:.1} ms, p99 {:.1} ms from produce to visible result",
        measured.alone.len(),
        measured.alone_percentile(50),
        measured.alone_percentile(99)
    );
}
