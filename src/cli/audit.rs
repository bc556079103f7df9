//! `audit`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{CliError, output, times};
use crate::audit::{self, AuditOptions, AuditReport, Check};
use crate::config::Settings;
use crate::domain::Instant;

#[derive(Args)]
#[command(
    long_about = "Compares the topics with the database, record by record.\n\nEvery record below the frontier must be exactly one of \
                  result, dead letter, parked, tick or hole; results must equal the ledger, balances their lots and entries, events the \
                  customers' versions, the compacted topic the rows. Nothing that applies commands is used for it. It reads \
                  everything, may run beside workers, and changes nothing.\n\nWith --since it reads what was published since then, and by \
                  their keys the rows that this names, with the whole history of the customers whom it concerns. It says at its end \
                  what it can't see so. The topics must still hold all that they took since, and two minutes more.",
    after_help = "Exits with 0 when everything holds, and with 3 when it found faults, which it names."
)]
pub struct Options {
    /// No worker runs and none has anything left to do: what lags or waits to be published is a fault
    #[arg(long)]
    expect_idle: bool,
    /// How long what is applied may take to be published before that is a fault
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    /// Audit only what was published since then: an RFC 3339 instant, or how long ago it was, as 24h
    #[arg(long, value_name = "WHEN", value_parser = times::since)]
    since: Option<Instant>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let (since, as_json) = (options.since, options.json);
    let options = AuditOptions {
        expect_idle: options.expect_idle,
        publication_patience: Duration::from_secs(options.patience),
        since,
    };
    let report = audit::run(&settings, options).await.map_err(CliError::failed)?;
    if as_json {
        output::json(object(&report))?;
        return if report.holds() { Ok(()) } else { Err(CliError::Found) };
    }
    output::text(&report)?;
    let of = since.map_or(String::new(), |since| format!(" of what was published since {since}"));
    if report.holds() {
        output::line(format!("The audit{of} holds."))
    } else {
        output::line(format!("The audit{of} found faults."))?;
        Err(CliError::Found)
    }
}

fn object(report: &AuditReport) -> Value {
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "holds": check.holds(),
            "what": check.sentence,
            "things": check.things,
            "examined": check.examined,
            "faults": check.fault_count,
            "first_faults": check.faults,
            "notes": check.notes,
        })
    };
    json!({
        "holds": report.holds(),
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
        "left_out": report.left_out,
    })
}
