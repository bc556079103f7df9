//! `audit`.

use std::time::Duration;

use clap::Args;

use super::{CliError, output};
use crate::audit::{self, AuditOptions};
use crate::config::Settings;

#[derive(Args)]
#[command(
    long_about = "Compares the topics with the database, record by record.\n\nEvery record below the frontier must be exactly one of \
                  result, dead letter, tick or hole; results must equal the ledger, balances their lots and entries, events the customers' \
                  versions, the compacted topic the rows. Nothing that applies commands is used for it. It reads everything, may run \
                  beside workers, and changes nothing.",
    after_help = "Exits with 0 when everything holds, and with 3 when it found faults, which it names."
)]
pub struct Options {
    /// No worker runs and none has anything left to do: what lags or waits to be published is a fault
    #[arg(long)]
    expect_idle: bool,
    /// How long what is applied may take to be published before that is a fault
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let options =
        AuditOptions { expect_idle: options.expect_idle, publication_patience: Duration::from_secs(options.patience) };
    let report = audit::run(&settings, options).await.map_err(CliError::failed)?;
    output::text(&report)?;
    if report.holds() {
        output::line("The audit holds.")
    } else {
        output::line("The audit found faults.")?;
        Err(CliError::Found)
    }
}
