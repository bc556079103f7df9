//! `schemas register`.

use clap::Subcommand;

use super::{CliError, output};
use crate::codec::{RegistryClient, register_all};
use crate::config::Settings;
use crate::record::TopicNames;

#[derive(Subcommand)]
pub enum Command {
    /// Register the schema of every topic, as <topic>-value, and print its id
    #[command(
        after_help = "What is registered already stays as it is. Senders that write Avro look the schemas up there; \
                            senders of JSON need none."
    )]
    Register,
}

pub async fn run(command: Command, settings: Settings) -> Result<(), CliError> {
    let Command::Register = command;
    let registry = RegistryClient::new(&settings.registry.url);
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    for (subject, id) in register_all(&registry, &names).await.map_err(CliError::failed)? {
        output::line(format_args!("{subject:<40} id {id}"))?;
    }
    Ok(())
}
