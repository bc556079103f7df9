//! `skip`.

use clap::Args;

use super::{CliError, output};
use crate::config::Settings;
use crate::domain::{CommandTopic, Position};
use crate::record::TopicNames;
use crate::store::Databases;

#[derive(Args)]
#[command(
    long_about = "Gives up one record that halts its lane: when the lane is recovered next, the record becomes a dead letter of the class \
                  `skipped` instead of being applied. Which record it is says /ready, and the log.\n\nThe lane goes on by itself within \
                  moments, or when its worker is started again. A record that its lane has passed is refused: it has its answer, or is a \
                  command that waits for its customer.",
    after_help = "Example:\n  loyalty-worker skip credit/3/81211 --reason \"defect 4711: panics on a leap second\""
)]
pub struct Options {
    /// The record, as halted lanes name it: the topic with or without its prefix
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    position: String,
    /// For those who read the dead letter; no personal data
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let position = parse(&options.position, &names).map_err(CliError::Usage)?;
    if options.reason.trim().is_empty() || options.reason.len() > 500 {
        return Err(CliError::Usage("--reason must have 1 to 500 characters".to_owned()));
    }
    let Position { topic, partition, offset } = position;
    let store = Databases::connect_lane(&settings.postgres, partition).await.map_err(CliError::failed)?;
    let lane = store.lane(partition).await.map_err(CliError::failed)?;
    if lane.is_some_and(|(_, state)| offset < state.frontier.next(topic)) {
        return Err(CliError::Failed(format!(
            "{position:?} can't be given up any more: its lane has passed it. It has its answer, or waits for its customer"
        )));
    }
    let reason = options.reason.trim();
    if store.skip(&names.command(topic), partition, offset, reason).await.map_err(CliError::failed)? {
        output::line(format_args!("{position:?} will become a dead letter."))
    } else {
        output::line(format_args!("{position:?} had been given up before; the first reason stands."))
    }
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
