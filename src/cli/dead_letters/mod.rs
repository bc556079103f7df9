//! `dead-letters`: what could not be answered, and how it is answered after all.

pub(super) mod letter;
mod list;
mod replay;
mod show;

use std::collections::HashMap;

use clap::Subcommand;
use tokio::runtime::Handle;

use super::CliError;
use crate::config::Settings;
use crate::domain::Position;
use crate::domain::command::DeadLetterClass;
use crate::record::TopicNames;
use crate::store::{Databases, ReplayedRecord};

#[derive(Subcommand)]
pub enum Command {
    /// List the dead letters that are kept, in the order in which their records came
    List(list::Options),
    /// Show everything about one: the reason, what mends it, the original bytes, whether it was replayed
    Show(show::Options),
    /// Send original records again, each once, to be judged by the time when they came first
    Replay(replay::Options),
}

/// Blocks; runs within the runtime.
pub fn run(command: &Command, settings: &Settings) -> Result<(), CliError> {
    match command {
        Command::List(options) => list::run(options, settings),
        Command::Show(options) => show::run(options, settings),
        Command::Replay(options) => replay::run(options, settings),
    }
}

/// What was replayed, by where it stood first.
struct Replayed(HashMap<Position, ReplayedRecord>);

impl Replayed {
    fn load(databases: &Databases, names: &TopicNames) -> Result<Replayed, CliError> {
        let mut records = Vec::new();
        for store in databases.all() {
            records.extend(Handle::current().block_on(store.replayed()).map_err(CliError::failed)?);
        }
        let by_position = records.into_iter().filter_map(|record| {
            let topic = names.command_of(&record.topic)?;
            Some((Position { topic, partition: record.partition, offset: record.offset }, record))
        });
        Ok(Replayed(by_position.collect()))
    }

    /// When a record was replayed last, how often, and where it stands since.
    fn of(&self, original: Position) -> Option<(&ReplayedRecord, Position)> {
        let record = self.0.get(&original)?;
        let now_at = Position { topic: original.topic, partition: record.new_partition, offset: record.new_offset };
        Some((record, now_at))
    }
}

fn connect(settings: &Settings) -> Result<Databases, CliError> {
    Handle::current().block_on(Databases::connect(&settings.postgres)).map_err(CliError::failed)
}

fn class_named(name: &str) -> Result<DeadLetterClass, String> {
    DeadLetterClass::from_name(name).ok_or_else(|| {
        let names = DeadLetterClass::ALL.map(DeadLetterClass::name);
        format!("there is no class {name}; there are {}", names.join(", "))
    })
}

/// What answers a record of a class after all.
fn mends(class: DeadLetterClass) -> &'static str {
    match class {
        DeadLetterClass::Undecodable => {
            "Its sender sends the command again as the reason says. A replay helps only once a newer worker understands these bytes."
        }
        DeadLetterClass::UnknownSchema => {
            "Register the schema under this id, or give the workers the registry that has it; replay the record after half a minute, \
             for so long the workers believe that there is none."
        }
        DeadLetterClass::MissingMerchant => "Its sender sends the command again, with envelope.merchant_id.",
        DeadLetterClass::WrongKey => {
            "Its sender sends the command again, with envelope.merchant_id as the record's key. A replay would keep the key and is \
             refused."
        }
        DeadLetterClass::WrongPartition => {
            "Replay it: it goes to its merchant's partition. And let its sender choose partitions by murmur2."
        }
        DeadLetterClass::Skipped => {
            "Replay it once all workers have the version that mends the defect; or leave it given up."
        }
    }
}
