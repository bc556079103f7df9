//! The command line: one file per command. Each takes its options and the settings, does its work through the library, and says how it
//! ended; only this file turns that into an exit code.

mod answers;
mod audit;
mod completions;
mod config;
mod customer;
mod dead_letters;
mod explain;
mod input;
mod lanes;
mod migrate;
mod output;
mod reading;
mod recover;
mod run;
mod schemas;
mod send;
mod skip;
mod tail;
mod times;
mod topics;
mod trial_balance;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, LogSettings, Settings, shown as settings_shown};
use crate::kafka::topics as topics_of_kafka;
use crate::telemetry;

const ABOUT: &str = "\
Applies loyalty commands from Kafka in Postgres, and answers each of them in Kafka, exactly once.

Commands come in on the topics merchant-config, customer-upsert, credit and redeem (customer-lifecycle, reservation and reversal have none yet); each gets one result on the topic results. \
Their key is the merchant, so a merchant's commands keep to one lane (a partition of all topics) and are applied in their order.";

const AFTER: &str = "\
A first time, with Kafka, Postgres and a schema registry running:
  export LOYALTY_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:9092
  export LOYALTY_POSTGRES__URL=postgres://loyalty:secret@127.0.0.1:5432/loyalty
  export LOYALTY_REGISTRY__URL=http://127.0.0.1:8080/apis/ccompat/v7
  loyalty-worker migrate
  loyalty-worker topics create --lanes 8
  loyalty-worker schemas register
  loyalty-worker run
  loyalty-worker send --help        # in another terminal: three commands to send

Exit codes:
  0  done
  1  failed; the message says what to do
  2  the command line, its input or the settings are wrong
  3  it did its work and found something: `audit` faults, `topics check` problems, `trial-balance` books that do not hold,
     `send --fail-on-rejection` a rejected command
A worker that a second signal ends at once has 1; one that is killed is no worse.";

#[derive(Parser)]
#[command(name = "loyalty-worker", version, about = ABOUT, after_help = AFTER)]
struct CommandLine {
    /// The settings file [default: ./loyalty-worker.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Work: take lanes, apply their commands, publish the results
    Run(run::Options),
    /// Bring the database's tables up to this version
    Migrate(migrate::Options),
    /// Make the topics, or check them
    #[command(subcommand)]
    Topics(topics::Command),
    /// The Avro schemas
    #[command(subcommand)]
    Schemas(schemas::Command),
    /// Send commands, one JSON object per line
    Send(send::Options),
    /// Show what the worker publishes, decoded
    Tail(tail::Options),
    /// Show a customer: profile, accounts, lots, last entries
    Customer(customer::Options),
    /// Show each lane: its worker, its progress, what waits before it; make more of them
    Lanes(lanes::Options),
    /// Add up the books per merchant and unit
    TrialBalance(trial_balance::Options),
    /// Compare the topics with the database, record by record
    Audit(audit::Options),
    /// After Postgres was restored from a backup: apply again what it lost
    Recover(recover::Options),
    /// Give up one record that halts its lane
    Skip(skip::Options),
    /// What could not be answered: list it, show why, send it again
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// The worker's settings; a merchant's configuration as a file
    #[command(subcommand)]
    Config(config::Command),
    /// Print a script that completes this command line in a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(completions::Man),
}

impl Command {
    /// Those that always need the brokers, and fail when no broker answers. `run` and `topics` have their own patience; `skip` and `config
    /// apply` need the brokers only at times.
    fn talks_to_kafka(&self) -> bool {
        match self {
            Command::Send(_)
            | Command::Tail(_)
            | Command::Lanes(_)
            | Command::Audit(_)
            | Command::Recover(_)
            | Command::DeadLetters(_) => true,
            Command::Run(_)
            | Command::Migrate(_)
            | Command::Topics(_)
            | Command::Schemas(_)
            | Command::Customer(_)
            | Command::TrialBalance(_)
            | Command::Skip(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }
}

/// How a command ended, other than well.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Settings(#[from] ConfigError),
    /// The command line, or what was given to the command, is wrong.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// The same of what no other attempt would mend.
    #[error("{0}")]
    Final(String),
    /// It did what it should and found something wrong, which it has printed.
    #[error("")]
    Found,
    /// Whoever read the output went away: nothing is wrong.
    #[error("")]
    OutputClosed,
}

impl CliError {
    /// A failure with all that its causes say.
    pub fn failed(error: impl std::error::Error) -> CliError {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let said = inner.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = inner.source();
        }
        CliError::Failed(text)
    }

    fn code(&self) -> u8 {
        match self {
            CliError::OutputClosed => 0,
            CliError::Failed(_) | CliError::Final(_) => 1,
            CliError::Settings(_) | CliError::Usage(_) => 2,
            CliError::Found => 3,
        }
    }
}

/// The program.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    match dispatch(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                telemetry::logs::last_words(&output::visible(&text));
            }
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(line: CommandLine) -> Result<(), CliError> {
    let load = || Settings::load(line.config.as_deref(), environment());
    match &line.command {
        Command::Config(config::Command::Default) => return config::print_default(),
        Command::Config(config::Command::Check) => {
            return config::check(settings_shown(line.config.as_deref(), environment()));
        }
        Command::Completions(options) => return completions::completions(options),
        Command::Man(options) => return completions::man(options),
        _ => {}
    }
    let settings = load()?;
    let long_running = matches!(line.command, Command::Run(_) | Command::Recover(_));
    // The other commands print what they do; their logs are for the case that they fail.
    let filter = if long_running || std::env::var_os("LOYALTY_LOG__FILTER").is_some() {
        settings.log.filter.clone()
    } else {
        "warn".to_owned()
    };
    telemetry::logs::install(&LogSettings { json: settings.log.json, filter });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the threads cannot be started: {error}")))?;
    let done = runtime.block_on(async {
        if line.command.talks_to_kafka() {
            topics_of_kafka::reach(&settings.kafka).await.map_err(CliError::failed)?;
        }
        match line.command {
            Command::Run(options) => run::run(options, settings).await,
            Command::Migrate(options) => migrate::run(options, settings).await,
            Command::Topics(command) => topics::run(command, settings).await,
            Command::Schemas(command) => schemas::run(command, settings).await,
            Command::Send(options) => blocking(move || send::run(&options, &settings)).await,
            Command::Tail(options) => blocking(move || tail::run(&options, &settings)).await,
            Command::Customer(options) => customer::run(options, settings).await,
            Command::Lanes(options) => lanes::run(options, settings).await,
            Command::TrialBalance(options) => trial_balance::run(options, settings).await,
            Command::Audit(options) => audit::run(options, settings).await,
            Command::Recover(options) => recover::run(options, settings).await,
            Command::Skip(options) => skip::run(options, settings).await,
            Command::DeadLetters(command) => blocking(move || dead_letters::run(&command, &settings)).await,
            Command::Config(config::Command::Export(options)) => config::export::run(options, settings).await,
            Command::Config(config::Command::Apply(options)) => {
                blocking(move || config::apply::run(&options, &settings)).await
            }
            Command::Config(config::Command::Default | config::Command::Check)
            | Command::Completions(_)
            | Command::Man(_) => unreachable!("handled before the settings were loaded"),
        }
    });
    // Threads that wait for a broker must not hold the program up once it has its answer.
    runtime.shutdown_background();
    done
}

/// Tries what can be tried again, since what is done stays done, until a deadline. A machine that was suspended, or a part that is just starting,
/// fails it at first. What is wrong for good ends it at once.
async fn persistently<T, F: Future<Output = Result<T, CliError>>>(
    patience: u64,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, CliError> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(patience);
    loop {
        match attempt().await {
            Err(CliError::Failed(reason)) if tokio::time::Instant::now() + RETRY_PAUSE < deadline => {
                eprintln!("{what} has not come to its end: {}; trying again", output::visible(&reason));
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            ended => return ended,
        }
    }
}

const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Kafka's calls block, so they run on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(CliError::Failed("a thread panicked; this is a defect".to_owned())),
    }
}

/// Variables that are not text can't be settings.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::CommandLine::command().debug_assert();
    }
}
