//! `tail`: what the worker publishes, decoded.

use std::time::Duration;

use clap::{Args, ValueEnum};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::{Map, Value, json};

use super::reading::{Read, Start, TopicReader};
use super::{CliError, output};
use crate::codec::{OutgoingReader, RegistryClient};
use crate::config::Settings;
use crate::domain::Instant;
use crate::record::{OutTopic, TopicNames};

/// How many offsets before the end of each partition to begin.
const LAST: i64 = 10;

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// What became of each command
    Results,
    /// Facts, for other services
    Events,
    /// Records that could not be answered, with the reason in their headers
    DeadLetters,
    /// Every customer's latest state
    Customers,
    /// One record per batch, for `recover`
    Journal,
}

impl What {
    fn topic(self) -> OutTopic {
        match self {
            What::Results => OutTopic::Results,
            What::Events => OutTopic::Events,
            What::DeadLetters => OutTopic::DeadLetters,
            What::Customers => OutTopic::Customers,
            What::Journal => OutTopic::Journal,
        }
    }
}

#[derive(Args)]
#[command(
    long_about = "Shows what the worker publishes: one JSON object per record, with its partition, offset, time, key and decoded value. \
                  Begins about ten records before the end of each partition, and stops at the end. Only what is committed is shown \
                  (read_committed), as every consumer should have it.",
    after_help = "Examples:
  loyalty-worker tail results --follow
  loyalty-worker tail results --from-beginning --merchant shop-1 --key order-17
  loyalty-worker tail events --from-beginning --max 100 | jq .value.type
  loyalty-worker tail dead-letters --from-beginning | jq .headers"
)]
pub struct Options {
    /// Which topic
    #[arg(value_enum)]
    what: What,
    /// Begin with the oldest record that is kept
    #[arg(long)]
    from_beginning: bool,
    /// Only this merchant's
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// Only this customer's, by the worker's id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only the results of commands with this idempotency key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Go on when the end is reached, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

impl Options {
    /// What the options ask of a record's fields.
    fn wanted(&self) -> Result<Vec<(&'static str, &str)>, CliError> {
        let all = [("merchant_id", &self.merchant), ("customer_id", &self.customer), ("idempotency_key", &self.key)];
        let wanted: Vec<_> = all.into_iter().filter_map(|(field, value)| Some((field, value.as_deref()?))).collect();
        let has = |field: &str| match self.what {
            What::Results => true,
            What::Events | What::Customers => field != "idempotency_key",
            What::DeadLetters | What::Journal => false,
        };
        match wanted.iter().find(|(field, _)| !has(field)) {
            Some((field, _)) => Err(CliError::Usage(format!("records of this topic have no {field} to look for"))),
            None => Ok(wanted),
        }
    }
}

/// Blocks.
pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    let wanted = options.wanted()?;
    let name = TopicNames::new(settings.kafka.topic_prefix.as_str()).out(options.what.topic());
    let start = if options.from_beginning { Start::Beginning } else { Start::BeforeEnd(LAST) };
    let mut topic = TopicReader::open(settings, &[name], start)?;
    let outgoing = OutgoingReader::new(RegistryClient::new(&settings.registry).map_err(CliError::failed)?);
    let mut left = options.max.unwrap_or(u64::MAX);
    while left > 0 {
        match topic.next(Duration::from_secs(30))? {
            Read::Record(record) => {
                let record = shown(&record, options.what, &outgoing)?;
                if wanted.iter().all(|(field, value)| record["value"][*field] == **value) {
                    output::json(record)?;
                    left -= 1;
                }
            }
            Read::AtEnd | Read::Quiet if options.follow => {}
            Read::AtEnd => return Ok(()),
            Read::Quiet => {
                return Err(CliError::Failed(
                    "the broker has sent nothing for 30 s, and not the end of the topic".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// A record's headers as an object; values that are not text are shown in hexadecimal digits.
pub fn headers_of(record: &OwnedMessage) -> Value {
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    Value::Object(
        headers.map(|header| (header.key.to_owned(), header.value.map_or(Value::Null, text))).collect::<Map<_, _>>(),
    )
}

fn shown(record: &OwnedMessage, what: What, outgoing: &OutgoingReader) -> Result<Value, CliError> {
    let value = match (what, record.payload()) {
        (_, None) => Value::Null, // a tombstone: this customer is gone
        (What::DeadLetters, Some(bytes)) => original(bytes),
        (What::Results | What::Events | What::Customers | What::Journal, Some(bytes)) => {
            outgoing.read_json(bytes).map_err(CliError::failed)?
        }
    };
    Ok(json!({
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": record.timestamp().to_millis().map(|millis| Instant::from_millis(millis).to_string()),
        "key": record.key().map(text),
        "headers": headers_of(record),
        "value": value,
    }))
}

/// A dead letter's bytes: as JSON or text where they are that.
fn original(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| text(bytes))
}

/// Bytes as text, or as an object with hexadecimal digits where they are none.
pub fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.into(),
        _ => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}
