//! The worker's answers to commands that were sent here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::Message;
use serde_json::{Value, json};

use super::dead_letters::letter::position_of;
use super::reading::{Read, Start, TopicReader};
use super::tail::headers_of;
use super::{CliError, output};
use crate::codec::{OutgoingReader, RegistryClient};
use crate::config::Settings;
use crate::domain::Position;
use crate::record::{OutTopic, TopicNames};

/// What became of a command.
pub enum Answer {
    /// Its result, decoded.
    Result(Value),
    /// It waits for its customer, and has its result later: the event that says so.
    Parked(Value),
    /// It could not be answered: its dead letter's headers.
    DeadLetter(Value),
}

/// Finds the answer to each command by its position, which also tells a duplicate's second result from the first.
pub struct Answers {
    topics: TopicReader,
    names: TopicNames,
    results: String,
    events: String,
    outgoing: OutgoingReader,
    patience: Duration,
    waiting: HashMap<Position, String>,
}

impl Answers {
    /// To be opened before the first command is sent.
    pub fn open(settings: &Settings, names: &TopicNames, patience: Duration) -> Result<Answers, CliError> {
        let results = names.out(OutTopic::Results);
        let events = names.out(OutTopic::Events);
        let topics = [results.clone(), events.clone(), names.out(OutTopic::DeadLetters)];
        Ok(Answers {
            topics: TopicReader::open(settings, &topics, Start::BeforeEnd(0))?,
            names: names.clone(),
            results,
            events,
            outgoing: OutgoingReader::new(RegistryClient::new(&settings.registry).map_err(CliError::failed)?),
            patience,
            waiting: HashMap::new(),
        })
    }

    /// Waits for the answer to the command that was written here; `what` is what it is called.
    pub fn expect(&mut self, position: Position, what: String) {
        self.waiting.insert(position, what);
    }

    /// Tells each answer as it comes, with what its command is called, until all have come. Blocks.
    pub fn follow(mut self, mut tell: impl FnMut(&str, Answer) -> Result<(), CliError>) -> Result<(), CliError> {
        let deadline = Instant::now() + self.patience;
        while !self.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.unanswered());
            }
            let Read::Record(record) = self.topics.next(left)? else { continue };
            let Some(value) = record.payload() else { continue };
            if record.topic() == self.results {
                let result = self.outgoing.read_json(value).map_err(CliError::failed)?;
                if let Some(position) = answered(&result["command"], &self.names)
                    && let Some(what) = self.waiting.remove(&position)
                {
                    tell(&what, Answer::Result(result))?;
                }
            } else if record.topic() == self.events {
                if headers_of(&record)["ce_type"] != "command.parked" {
                    continue;
                }
                let event = self.outgoing.read_json(value).map_err(CliError::failed)?;
                if let Some(position) = answered(&event["cause"], &self.names)
                    && let Some(what) = self.waiting.remove(&position)
                {
                    tell(&what, Answer::Parked(event))?;
                }
            } else if let Some(position) = position_of(&record, &self.names)
                && let Some(what) = self.waiting.remove(&position)
            {
                tell(&what, Answer::DeadLetter(headers_of(&record)))?;
            }
        }
        Ok(())
    }

    /// Prints each: a line for people, or with `as_json` results, the events of those that wait and the headers of dead letters as JSON lines.
    /// Dead letters are a failure, and rejections where it is asked for.
    pub fn print(self, as_json: bool, fail_on_rejection: bool) -> Result<(), CliError> {
        let (mut dead, mut rejected) = (0, 0);
        self.follow(|what, answer| {
            let line = match &answer {
                Answer::Result(result) => of_result(result),
                Answer::Parked(event) => {
                    format!("parked, until {}", event["parked"]["deadline"].as_str().unwrap_or("its deadline"))
                }
                Answer::DeadLetter(headers) => {
                    let header = |name: &str| headers[name].as_str().unwrap_or_default().to_owned();
                    format!("dead letter, {}: {}", header(CLASS), header(REASON))
                }
            };
            rejected += usize::from(matches!(&answer, Answer::Result(result) if result["status"] == "rejected"));
            dead += usize::from(matches!(&answer, Answer::DeadLetter(_)));
            match answer {
                _ if !as_json => output::line(format_args!("{what}  {}", output::escaped(&line))),
                Answer::Result(answer) | Answer::Parked(answer) => output::json(answer),
                Answer::DeadLetter(headers) => output::json(json!({ "dead_letter": headers })),
            }
        })?;
        match (dead, rejected) {
            (0, 0) => Ok(()),
            (0, _) if fail_on_rejection => Err(CliError::Found),
            (0, _) => Ok(()),
            _ => Err(CliError::Failed(format!("{dead} of the commands became dead letters"))),
        }
    }

    fn unanswered(&self) -> CliError {
        let mut unanswered: Vec<&str> = self.waiting.values().map(String::as_str).collect();
        unanswered.sort_unstable();
        let shown = unanswered.iter().take(10).copied().collect::<Vec<_>>().join("\n  ");
        CliError::Failed(format!(
            "{} of the commands have no result after {} s. Does a worker run? They stay in the topics and are answered when it does.\n  \
             {shown}",
            unanswered.len(),
            self.patience.as_secs(),
        ))
    }
}

fn answered(command: &Value, names: &TopicNames) -> Option<Position> {
    Some(Position {
        topic: names.command_of(command["topic"].as_str()?)?,
        partition: i32::try_from(command["partition"].as_i64()?).ok()?,
        offset: command["offset"].as_i64()?,
    })
}

const CLASS: &str = "__connect.errors.class.name";
const REASON: &str = "__connect.errors.exception.message";

fn of_result(result: &Value) -> String {
    let duplicate = if result["duplicate"] == true { ", a duplicate" } else { "" };
    if result["status"] == "rejected" {
        let text = |field: &str| result["rejection"][field].as_str().unwrap_or_default();
        return format!("rejected{duplicate}, {}: {}", text("code"), text("message"));
    }
    let balances = result["balances"].as_array().into_iter().flatten();
    let balances =
        balances.map(|it| format!(", {} {} available", it["available"], it["unit"].as_str().unwrap_or_default()));
    format!("accepted{duplicate}, {}{}", result["effect"].as_str().unwrap_or_default(), balances.collect::<String>())
}
