//! `recover`.

use clap::Args;

use super::{CliError, output};
use crate::config::Settings;
use crate::worker;

#[derive(Args)]
#[command(
    long_about = "Brings a database that was restored from a backup up to what was published: the batches that it lacks are applied again, \
                  from the command topics, as the journal says they were cut, without publishing anything. Each must come to the \
                  outcomes whose hash the journal holds; it stops at one that does not. A record that became a dead letter, since the \
                  registry did not know its schema then, becomes one again, as long as the topic of the dead letters has \
                  it.\n\nA restored database without this halts its lanes, since Kafka is ahead of it. A lane that lacks nothing is left \
                  alone. Stop all workers first; where one database out of several was restored, docs/restore.md says how they may go \
                  on with the lanes of the others.",
    after_help = "Restoring into an empty database is the same:
  loyalty-worker migrate
  loyalty-worker topics create --lanes 8     # as many as there are; it leaves the topics as they are
  loyalty-worker recover
  loyalty-worker audit --expect-idle"
)]
pub struct Options {}

pub async fn run(_options: Options, settings: Settings) -> Result<(), CliError> {
    let mut printed = Ok(());
    let replayed = worker::recover(settings, |lane| {
        let line = if lane.to_batch > lane.from_batch {
            format!(
                "lane {:<3} batches {} to {} applied again, {} commands",
                lane.lane,
                lane.from_batch + 1,
                lane.to_batch,
                lane.commands
            )
        } else {
            format!("lane {:<3} lacks nothing, batch {}", lane.lane, lane.to_batch)
        };
        // Recovery goes on even if nobody reads its output.
        printed = output::line(line);
    })
    .await
    .map_err(CliError::failed)?;
    printed?;
    let commands: u64 = replayed.iter().map(|lane| lane.commands).sum();
    output::line(format_args!("{} lanes are up to date; {commands} commands were applied again.", replayed.len()))
}
