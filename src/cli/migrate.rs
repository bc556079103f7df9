//! `migrate`.

use clap::Args;

use super::{CliError, output};
use crate::config::Settings;
use crate::store::Store;

#[derive(Args)]
#[command(
    long_about = "Brings the database's tables up to this version, each migration in a transaction of its own. What was applied is left as \
                  it is, so it may run before every start, also beside others that do the same.",
    after_help = "The user in postgres.url must own the database or its schema."
)]
pub struct Options {}

pub async fn run(_options: Options, settings: Settings) -> Result<(), CliError> {
    let store = Store::connect(&settings.postgres).await.map_err(CliError::failed)?;
    let applied = store.migrate().await.map_err(CliError::failed)?;
    for name in &applied {
        output::line(format_args!("applied {name}"))?;
    }
    if applied.is_empty() { output::line("The database is up to date.") } else { Ok(()) }
}
