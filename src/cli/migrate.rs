//! `migrate`.

use clap::Args;

use super::{CliError, output, persistently};
use crate::config::Settings;
use crate::store::{Part, Store, StoreError, StoreErrorKind};

#[derive(Args)]
#[command(
    long_about = "Brings the database's tables up to this version, each migration in a transaction of its own; with postgres.lane_urls those of \
                  every database. What was applied is left as it is, so it may run before every start, also beside others that do the \
                  same.",
    after_help = "The user in postgres.url, or in each of postgres.lane_urls, must own the database or its schema. Roles that are granted to \
                  exist already; grant again after every upgrade, since new tables have no rights yet."
)]
pub struct Options {
    /// Give this role of Postgres the rights of `run`, `skip`, `recover`, `dead-letters replay` and all that reads, and no other
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<String>,
    /// Give this role the rights of what only reads, and no other: `customer`, `lanes`, `audit`, `trial-balance`, `config export` and
    /// `apply`, `dead-letters list` and `show`
    #[arg(long, value_name = "ROLE")]
    grant_read_to: Option<String>,
    /// How long to retry what fails; a migration is applied completely or not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    if options.grant_to.is_some() && options.grant_to == options.grant_read_to {
        return Err(CliError::Usage(
            "--grant-to and --grant-read-to name the same role; the first can read already".to_owned(),
        ));
    }
    let (options, settings) = (&options, &settings);
    persistently(options.timeout, "migrate", || migrate(options, settings)).await
}

async fn migrate(options: &Options, settings: &Settings) -> Result<(), CliError> {
    for database in &settings.postgres {
        let store = Store::connect(database).await.map_err(of_store)?;
        if let Some(lanes) = store.lanes() {
            output::line(format_args!("The database of the lanes {lanes}:"))?;
        }
        let applied = store.migrate().await.map_err(of_store)?;
        for name in &applied {
            output::line(format_args!("applied {name}"))?;
        }
        if applied.is_empty() {
            output::line("The database is up to date.")?;
        }
        for (role, part) in [(&options.grant_to, Part::Worker), (&options.grant_read_to, Part::Reader)] {
            if let Some(role) = role {
                store.grant(role, part).await.map_err(of_store)?;
                output::line(format_args!("granted to {role}"))?;
            }
        }
    }
    Ok(())
}

/// What another attempt would not mend ends it at once.
pub(super) fn of_store(error: StoreError) -> CliError {
    match error.kind {
        StoreErrorKind::Transient => CliError::failed(error),
        _ => CliError::Final(error.to_string()),
    }
}
