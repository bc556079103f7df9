//! `schemas register`.

use std::time::{Duration, Instant};

use clap::Subcommand;

use super::{CliError, output};
use crate::codec::registry::RegistryError;
use crate::codec::{RegistryClient, register_all};
use crate::config::Settings;
use crate::record::TopicNames;
use crate::retry::Backoff;

#[derive(Subcommand)]
pub enum Command {
    /// Register the schema of every topic, as <topic>-value, and print its id
    #[command(
        after_help = "What is registered already stays as it is. Senders that write Avro look the schemas up there; \
                            senders of JSON need none."
    )]
    Register {
        /// How long to try again while the registry does not answer: what is registered stays
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
}

pub async fn run(command: Command, settings: Settings) -> Result<(), CliError> {
    let Command::Register { timeout } = command;
    let patience = Duration::from_secs(timeout);
    let registry = RegistryClient::new(&settings.registry).map_err(CliError::failed)?;
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let asked = Instant::now();
    let registered = loop {
        match register_all(&registry, &names).await {
            Err(error @ RegistryError::Unavailable { .. }) if asked.elapsed() < patience => {
                if backoff.failures() == 0 {
                    eprintln!("{error}; trying again for {} s", patience.as_secs());
                }
                tokio::time::sleep(backoff.after_failure(0)).await;
            }
            registered => break registered.map_err(CliError::failed)?,
        }
    };
    for (subject, id) in registered {
        output::line(format_args!("{subject:<40} id {id}"))?;
    }
    Ok(())
}
