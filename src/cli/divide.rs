//! `divide`.

use clap::Args;

use super::{CliError, output};
use crate::config::Settings;
use crate::store::Databases;

#[derive(Args)]
#[command(
    long_about = "Makes several databases of one, after it was copied: deletes from each database of postgres.lane_urls the rows of the lanes \
                  that are in another's range, in one transaction for each. It refuses where a lane's own database does not have what \
                  would be deleted (it counts the rows of each merchant), and may be run again. No worker may run meanwhile, and since \
                  the copy was begun.",
    after_help = "Examples:
  createdb --template loyalty loyalty_2              # or a restored dump, or a standby that was promoted
  export LOYALTY_POSTGRES__LANE_URLS__0_15=postgres://owner:secret@db-1/loyalty
  export LOYALTY_POSTGRES__LANE_URLS__16_31=postgres://owner:secret@db-2/loyalty_2
  loyalty-worker divide
  loyalty-worker audit

The users in postgres.lane_urls must own the tables. What is deleted leaves its place in the files; VACUUM FULL gives it back."
)]
pub struct Options {}

pub async fn run(_options: Options, settings: Settings) -> Result<(), CliError> {
    let mut printed = Ok(());
    let divided = Databases::divide(&settings.postgres, |lanes, rows| {
        // It goes on even if nobody reads its output.
        printed = output::line(format_args!("the database of the lanes {lanes}: {rows} rows of others deleted"));
    });
    divided.await.map_err(CliError::failed)?;
    printed
}
