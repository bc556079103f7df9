//! A trading week of eight merchants, sent to a worker on real Kafka and Postgres in half a minute, with the worker killed twice in the
//! middle, while some commands wait for their customer; then the count, the audit, and the same week recovered into an empty database.
//!
//! `make demo` builds this and runs it beside a stack. It ends with 0 only if everything that it says holds.

#[path = "../../load/mod.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

mod run;
mod screen;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use load::generate::{Plan, week};
use load::now_micros;
use support::installation::{Installation, Stack};
use support::processes::{listen_for_signals, signal_exit_code};
use support::{Failure, thousands};

const LANES: i32 = 2;

#[derive(Parser)]
#[command(about = "A trading week in half a minute; run it with `make demo`.")]
struct Options {
    /// The worker's binary
    #[arg(long, value_name = "PATH")]
    worker: PathBuf,
    /// Records to send
    #[arg(long, default_value_t = 30_000)]
    commands: usize,
    /// Over how many seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(10..=600))]
    seconds: i64,
}

/// The week can be late by so many seconds before its predictions fail: see `load/mod.rs`.
const SLIP_S: i64 = 5;

fn main() -> ExitCode {
    match demo(&Options::parse()) {
        Ok(failures) if failures.is_empty() => {
            println!("\nEverything holds.");
            ExitCode::SUCCESS
        }
        Ok(failures) => {
            eprintln!("\nThis does not hold:");
            for failure in failures {
                eprintln!("  - {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\ndemo: {error}");
            signal_exit_code().map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn demo(options: &Options) -> Result<Vec<String>, Failure> {
    listen_for_signals()?;
    let stack = Stack::from_environment()?;
    let begun = now_micros();
    let name = format!("demo-{}", begun / 1_000_000);
    let original = Installation::new(&stack, &options.worker, &name, &name)?;
    println!("Kafka {}, Postgres {}", stack.bootstrap, stack.database_url(&name)?);
    println!("Migrating, making topics of {LANES} lanes, registering schemas ...");
    original.prepare(LANES)?;

    let week = Arc::new(week(Plan::paced(options.commands, options.seconds, LANES, now_micros())));
    println!(
        "The week: {} records of {} merchants in {} s, {} of them hours late, {} that can't be answered.\n\
         This build is made quickly and is not fast: docs/performance.md has what a release does.\n",
        thousands(week.prediction.answers()),
        load::MERCHANTS.len(),
        options.seconds,
        thousands(week.late as u64),
        thousands(week.prediction.dead_letters.values().sum()),
    );
    let ran = run::run(&original, &week)?;

    let mut failures = ran.failures.clone();
    let sending_s = (ran.sent_all - ran.began) / 1_000_000;
    let was_slow = sending_s > options.seconds + SLIP_S;
    screen::outcomes(&week.prediction, &ran.tracker.lock(), &mut failures);
    screen::speed(&ran);
    verify::books(&original, &week.prediction, &mut failures)?;
    verify::audit(&original, &mut failures);
    verify::recovery(&original, LANES, &mut failures)?;
    screen::where_next(&original);
    if was_slow && !failures.is_empty() {
        failures.push(format!(
            "this machine took {sending_s} s to send what {} s are planned for: lots expire while the week runs, so that what is redeemed \
             later than planned may find them gone. Run it again while the machine does nothing else",
            options.seconds
        ));
    }
    Ok(failures)
}
