//! `skip`.

use std::io::{BufRead, Write};
use std::time::Duration;

use clap::Args;

use super::{CliError, blocking, output};
use crate::config::{Settings, host_name};
use crate::domain::{CommandTopic, Position};
use crate::kafka::ranges::{RangeReader, StoredRecord};
use crate::kafka::topics;
use crate::record::TopicNames;
use crate::store::{Databases, Store};

#[derive(Args)]
#[command(
    long_about = "Gives up one record that halts its lane: when the lane is recovered next, the record becomes a dead letter of the class \
                  `skipped` instead of being applied. /ready, `lanes` and the log name the record.\n\nThe lane goes on by itself within \
                  moments, or when its worker is started again. Only the record that a lane is halted at can be given up. With --force any \
                  record that its lane has not passed can, after it was shown and confirmed: its lane takes note of it when it is \
                  recovered next, at the latest when its worker is started again.",
    after_help = "Examples:\n  loyalty-worker skip credit/3/81211 --reason \"defect 4711: panics on a leap second\"\n  loyalty-worker skip \
                  --list\n  loyalty-worker skip --undo credit/3/81211"
)]
pub struct Options {
    /// The record, as halted lanes name it: the topic with or without its prefix
    #[arg(value_name = "TOPIC/PARTITION/OFFSET", required_unless_present_any = ["list", "undo"])]
    position: Option<String>,
    /// For those who read the dead letter; no personal data
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "undo"])]
    reason: Option<String>,
    /// Give up a record that halts no lane: it is shown first, and must be confirmed with "yes"
    #[arg(long)]
    force: bool,
    /// Show the records that are given up and that their lanes have not passed yet
    #[arg(long, conflicts_with_all = ["position", "reason", "force", "undo"])]
    list: bool,
    /// Take back a skip that its lane has not passed yet; its worker recovers the lane
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET", conflicts_with_all = ["position", "reason", "force"])]
    undo: Option<String>,
}

const MAX_REASON_CHARS: usize = 500;
/// How much of a record's value is shown.
const MAX_SHOWN_BYTES: usize = 2_000;

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    if options.list {
        return list(&settings, &names).await;
    }
    if let Some(position) = &options.undo {
        return undo(&settings, &names, parse(position, &names).map_err(CliError::Usage)?).await;
    }
    let position = parse(options.position.as_deref().unwrap_or_default(), &names).map_err(CliError::Usage)?;
    let reason = options.reason.as_deref().unwrap_or_default().trim().to_owned();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(CliError::Usage(format!(
            "--reason must have 1 to {MAX_REASON_CHARS} characters, none of them a control character"
        )));
    }
    let store = store_of(&settings, position).await?;
    check_ahead(&store, position).await?;
    let name = names.command(position.topic);
    let halted_at = store.halted_at(position.partition).await.map_err(CliError::failed)?;
    if halted_at != Some((name.clone(), position.offset)) {
        if !options.force {
            let instead = match halted_at {
                Some((topic, offset)) => {
                    format!("lane {} is halted at {topic}/{}/{offset}", position.partition, position.partition)
                }
                None => format!("lane {} is not halted at any record", position.partition),
            };
            return Err(CliError::Failed(format!(
                "{position:?} halts no lane: {instead}. `--force` gives it up all the same, after it was shown and confirmed"
            )));
        }
        confirm(&settings, &name, position).await?;
    }
    if store.skip(&name, position.partition, position.offset, &reason).await.map_err(CliError::failed)? {
        output::line(format_args!("{position:?} will become a dead letter."))
    } else {
        output::line(format_args!("{position:?} was given up before; the first reason stands."))
    }
}

async fn store_of(settings: &Settings, position: Position) -> Result<Store, CliError> {
    Databases::connect_lane(&settings.postgres, position.partition).await.map_err(CliError::failed)
}

/// A record that its lane has passed has its answer.
async fn check_ahead(store: &Store, position: Position) -> Result<(), CliError> {
    let Position { topic, partition, offset } = position;
    let Some((_, state)) = store.lane(partition).await.map_err(CliError::failed)? else {
        return Err(CliError::Failed(format!(
            "there is no lane {partition}: `loyalty-worker lanes` shows those that there are"
        )));
    };
    if offset < state.frontier.next(topic) {
        return Err(CliError::Failed(format!(
            "{position:?} can't be given up any more: its lane has passed it. It has its answer, or waits for its customer"
        )));
    }
    Ok(())
}

/// Shows the record, and goes on only with a yes.
async fn confirm(settings: &Settings, name: &str, position: Position) -> Result<(), CliError> {
    topics::reach(&settings.kafka).await.map_err(CliError::failed)?;
    let (kafka, name) = (settings.kafka.clone(), name.to_owned());
    let Position { partition, offset, .. } = position;
    let found = blocking(move || {
        let mut reader = RangeReader::open(&kafka, &name, partition, offset).map_err(CliError::failed)?;
        reader.read_within(FOUND_WITHIN).map_err(CliError::failed)
    })
    .await?;
    let Some(record) = found.filter(|record| record.offset == offset) else {
        return Err(CliError::Failed(format!("there is no record at {position:?}: nothing was given up")));
    };
    output::text(shown(position, &record))?;
    output::text("Give this record up? It will not be applied. Type yes: ")?;
    std::io::stdout().flush().map_err(|error| CliError::Failed(format!("standard output: {error}")))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    output::line("")?;
    Err(CliError::Failed("not confirmed: nothing was given up".to_owned()))
}

const FOUND_WITHIN: Duration = Duration::from_secs(10);

fn shown(position: Position, record: &StoredRecord) -> String {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        None => "none".to_owned(),
        Some(bytes) => {
            let cut = &bytes[..bytes.len().min(MAX_SHOWN_BYTES)];
            let more = if cut.len() < bytes.len() { format!(" ... ({} bytes)", bytes.len()) } else { String::new() };
            format!("{}{more}", output::escaped(&String::from_utf8_lossy(cut)))
        }
    };
    format!(
        "{position:?}, written at {}\nkey: {}\nvalue: {}\n",
        record.timestamp,
        text(&record.key),
        text(&record.value)
    )
}

async fn list(settings: &Settings, names: &TopicNames) -> Result<(), CliError> {
    let databases = Databases::connect(&settings.postgres).await.map_err(CliError::failed)?;
    let mut pending = 0;
    for store in databases.all() {
        for identity in store.known_lanes().await.map_err(CliError::failed)? {
            let lane = identity.lane;
            let Some((_, state)) = store.lane(lane).await.map_err(CliError::failed)? else { continue };
            for (name, offset, reason) in store.skipped(lane).await.map_err(CliError::failed)? {
                let is_ahead = names.command_of(&name).is_some_and(|topic| offset >= state.frontier.next(topic));
                if is_ahead {
                    pending += 1;
                    output::line(format_args!("{name}/{lane}/{offset}: {}", output::escaped(&reason)))?;
                }
            }
        }
    }
    if pending == 0 { output::line("No skip is pending.") } else { Ok(()) }
}

async fn undo(settings: &Settings, names: &TopicNames, position: Position) -> Result<(), CliError> {
    let store = store_of(settings, position).await?;
    let name = names.command(position.topic);
    let owner = format!("`loyalty-worker skip --undo` on host {}", host_name());
    let taken_back = store.unskip(position, &name, &owner).await.map_err(CliError::failed)?;
    if taken_back {
        return output::line(format_args!(
            "{position:?} is not given up any more; its worker takes the lane again, in about 15 seconds."
        ));
    }
    Err(CliError::Failed(format!(
        "{position:?} is not among the pending skips: `loyalty-worker skip --list` shows them. What became a dead letter can be sent again: \
         `loyalty-worker dead-letters replay`"
    )))
}

fn parse(text: &str, names: &TopicNames) -> Result<Position, String> {
    let wrong = || format!("{text} is not of the form TOPIC/PARTITION/OFFSET, for example credit/3/81211");
    let mut parts = text.rsplitn(3, '/');
    let offset = parts.next().and_then(|part| part.parse().ok()).filter(|offset: &i64| *offset >= 0);
    let partition = parts.next().and_then(|part| part.parse().ok()).filter(|partition: &i32| *partition >= 0);
    let (Some(offset), Some(partition), Some(name)) = (offset, partition, parts.next()) else { return Err(wrong()) };
    let topic = names
        .command_of(name)
        .or_else(|| CommandTopic::ALL.into_iter().find(|topic| topic.suffix() == name))
        .ok_or_else(|| format!("there is no command topic {name}"))?;
    Ok(Position { topic, partition, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_with_and_without_the_prefix() {
        let names = TopicNames::new("loyalty.");
        let position = Position { topic: CommandTopic::CustomerUpsert, partition: 3, offset: 81 };
        assert_eq!(parse("customer-upsert/3/81", &names), Ok(position));
        assert_eq!(parse("loyalty.customer-upsert/3/81", &names), Ok(position));
    }

    #[test]
    fn a_wrong_position_says_what_is_wrong() {
        let names = TopicNames::new("loyalty.");
        for (text, expected) in [
            ("credit/3", "not of the form"),
            ("credit/3/-1", "not of the form"),
            ("results/3/1", "no command topic results"),
        ] {
            assert!(parse(text, &names).is_err_and(|problem| problem.contains(expected)), "{text}");
        }
    }
}
