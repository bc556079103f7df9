//! `send`: JSON lines to the topic, key and partition where any sender would put them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, IsTerminal, Read as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::answers::Answers;
use super::{CliError, input, output};
use crate::codec::json;
use crate::config::Settings;
use crate::domain::{CommandTopic, Position};
use crate::kafka::KafkaFailure;
use crate::kafka::sender::CommandSender;
use crate::record::TopicNames;

/// Sends that may be under way at once. They are written in their order all the same.
const IN_FLIGHT: usize = 256;

#[derive(Args)]
#[command(
    long_about = "Sends commands. Each line is one JSON object: the command as its schema has it (schemas/*.avsc), and `topic` beside \
                  it. Empty lines and lines that begin with # are left out.\n\nThe record's key is the envelope's merchant_id and its \
                  partition the key's murmur2 hash, as Java's default partitioner has it; any sender must do the same. Prints where each \
                  command was written, as TOPIC/PARTITION/OFFSET.",
    after_help = r#"A merchant with points, a customer, and 500 points for her; put these in first.jsonl:
  {"topic":"merchant-config","envelope":{"merchant_id":"shop-1","idempotency_key":"setup-1"},"command":{"type":"unit","unit_id":"points","name":"Points","expiry_days":365}}
  {"topic":"customer-upsert","envelope":{"merchant_id":"shop-1","idempotency_key":"hello-ada"},"command":{"external_id":"ada","first_name":"Ada","email":"ada@example.com"}}
  {"topic":"credit","envelope":{"merchant_id":"shop-1","idempotency_key":"order-1001","customer":{"kind":"external_id","value":"ada"}},"command":{"type":"amount","unit":"points","amount":500,"order_id":"1001"}}

  loyalty-worker send first.jsonl --wait
  loyalty-worker customer shop-1 external_id:ada

The same line again is a duplicate: its result comes again and nothing is applied. Spend some:
  echo '{"envelope":{"merchant_id":"shop-1","idempotency_key":"spend-1","customer":{"kind":"external_id","value":"ada"}},"command":{"type":"amount","unit":"points","amount":120}}' | loyalty-worker send --topic redeem --wait"#
)]
pub struct Options {
    /// Where to read the lines; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The topic of lines that name none: merchant-config, customer-upsert, credit or redeem
    #[arg(long, value_name = "TOPIC", value_parser = command_topic)]
    topic: Option<CommandTopic>,
    /// Send at most so many commands per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Wait until every command has its result, or waits for its customer, and print a line for each; exit with 1 if some have none after
    /// so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    wait: Option<u64>,
    /// With --wait: print the results, and the events of commands that wait, as JSON lines (and the positions to standard error)
    #[arg(long, requires = "wait")]
    json: bool,
    /// With --wait: exit with 3 when a command is rejected
    #[arg(long, requires = "wait")]
    fail_on_rejection: bool,
}

/// A line that can be sent.
#[derive(Debug, PartialEq)]
struct Line {
    topic: CommandTopic,
    merchant: String,
    key: String,
    value: Vec<u8>,
}

/// Blocks; runs within the runtime.
pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    if options.file.as_os_str() == "-" && std::io::stdin().is_terminal() {
        eprintln!("Type commands, one JSON object per line; Ctrl-D ends the input. `--help` has examples.");
    }
    let input = input::open(&options.file)?;
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let sender = CommandSender::new(&settings.kafka, &names).map_err(CliError::failed)?;
    let mut answers = match options.wait {
        Some(seconds) => Some(Answers::open(settings, &names, Duration::from_secs(seconds))?),
        None => None,
    };
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let (mut number, mut commands) = (0, 0);
    let mut pace = options.rate.map(Pace::of);
    loop {
        let most = pace.as_mut().map_or(IN_FLIGHT, Pace::wait);
        let chunk = read_chunk(&mut input, &mut number, options.topic, most)?;
        if chunk.is_empty() {
            break;
        }
        commands += chunk.len();
        let sent = in_order(&chunk).into_iter().flat_map(|lines| send_together(&sender, lines));
        for (line, sent) in chunk.iter().zip(sent) {
            let (partition, offset) = sent.map_err(CliError::failed)?;
            let position = Position { topic: line.topic, partition, offset };
            let text = format!(
                "{position:?}  merchant {}, idempotency key {}",
                output::escaped(&line.merchant),
                output::escaped(&line.key)
            );
            match &mut answers {
                Some(answers) => {
                    if options.json {
                        eprintln!("{text}");
                    }
                    answers.expect(position, text);
                }
                None => output::line(text)?,
            }
        }
    }
    if commands == 0 {
        let what = if number == 0 { "is empty" } else { "has only empty lines and comments" };
        return Err(CliError::Usage(format!("the input {what}: nothing was sent")));
    }
    match answers {
        Some(answers) => answers.print(options.json, options.fail_on_rejection),
        None => Ok(()),
    }
}

/// Keeps to a number of commands per second, in steps of a twentieth of one or less.
struct Pace {
    per_step: usize,
    step: Duration,
    next: Instant,
}

impl Pace {
    fn of(rate: u32) -> Pace {
        let per_step = (rate as usize).div_ceil(20).min(IN_FLIGHT);
        let step = Duration::from_secs_f64(per_step as f64 / f64::from(rate));
        Pace { per_step, step, next: Instant::now() }
    }

    /// Waits until more may be sent, and says how many. What could not be sent in time is not caught up with.
    fn wait(&mut self) -> usize {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = self.next.max(Instant::now() - self.step) + self.step;
        self.per_step
    }
}

/// Cuts the lines where one must be written before the next is sent. Within a topic the producer's queue keeps the order; between two topics
/// only the broker's time does, which matters to commands of one merchant.
fn in_order(mut lines: &[Line]) -> Vec<&[Line]> {
    let mut parts = Vec::new();
    while !lines.is_empty() {
        let mut topics = HashMap::new();
        let together = lines
            .iter()
            .take_while(|line| *topics.entry(line.merchant.as_str()).or_insert(line.topic) == line.topic)
            .count();
        let (part, rest) = lines.split_at(together);
        parts.push(part);
        lines = rest;
    }
    parts
}

/// Sends these commands side by side.
fn send_together(sender: &CommandSender, lines: &[Line]) -> Vec<Result<(i32, i64), KafkaFailure>> {
    use futures_util::StreamExt;
    let sends = lines.iter().map(|line| sender.send(line.topic, line.merchant.as_bytes(), &line.value, &[]));
    tokio::runtime::Handle::current().block_on(futures_util::stream::iter(sends).buffered(IN_FLIGHT).collect())
}

/// The next lines: one, and as many more as there are already, so that lines that are typed go out one by one.
fn read_chunk(
    input: &mut BufReader<impl std::io::Read>,
    number: &mut usize,
    topic: Option<CommandTopic>,
    most: usize,
) -> Result<Vec<Line>, CliError> {
    let mut chunk = Vec::new();
    while chunk.len() < most && (chunk.is_empty() || input.buffer().contains(&b'\n')) {
        let mut text = String::new();
        // No command may be larger than a megabyte; one byte more is enough to refuse it.
        let read = input.by_ref().take(2 * 1024 * 1024).read_line(&mut text);
        if read.map_err(|error| CliError::Usage(format!("line {}: {error}", *number + 1)))? == 0 {
            break;
        }
        *number += 1;
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            chunk.push(parse(text, topic).map_err(|problem| CliError::Usage(format!("line {number}: {problem}")))?);
        }
    }
    Ok(chunk)
}

fn parse(text: &str, topic: Option<CommandTopic>) -> Result<Line, String> {
    let parsed = json::parse(text.as_bytes()).map_err(|problem| format!("the line {problem}"))?;
    if let Some(path) = parsed.repeated.first() {
        return Err(format!("`{}` stands more than once in its object", output::escaped(path)));
    }
    let Value::Object(mut fields) = parsed.value else { return Err("this is not a JSON object".to_owned()) };
    let topic = match fields.remove("topic") {
        Some(Value::String(name)) => command_topic(&name)?,
        Some(other) => return Err(format!("`topic` must be a text, and is {other}")),
        None => topic.ok_or("it names no topic: add \"topic\":\"credit\" to the object, or give --topic")?,
    };
    let envelope = |field: &str| {
        fields.get("envelope").and_then(|envelope| envelope.get(field)).and_then(Value::as_str).map(str::to_owned)
    };
    let merchant = envelope("merchant_id").ok_or("envelope.merchant_id is missing; it becomes the record's key")?;
    let key = envelope("idempotency_key").unwrap_or_default();
    let value = Value::Object(fields).to_string().into_bytes();
    Ok(Line { topic, merchant, key, value })
}

fn command_topic(name: &str) -> Result<CommandTopic, String> {
    let known = CommandTopic::ALL.into_iter().filter(|topic| *topic != CommandTopic::Clock);
    known.clone().find(|topic| topic.suffix() == name).ok_or_else(|| {
        let names: Vec<&str> = known.map(CommandTopic::suffix).collect();
        format!("there is no command topic {name}; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_so_many_per_second() {
        for rate in [1, 7, 20, 21, 1_000, 4_999, 100_000] {
            let Pace { per_step, step, .. } = Pace::of(rate);
            let per_second = per_step as f64 / step.as_secs_f64();
            assert!((per_second / f64::from(rate) - 1.0).abs() < 0.001, "{rate}: {per_second}");
        }
    }

    #[test]
    fn a_line_is_sent_without_its_topic_under_its_merchant() {
        let text = r#"{"topic":"credit","envelope":{"merchant_id":"m","idempotency_key":"k"},"command":{}}"#;
        let line = parse(text, None).expect("right");
        assert_eq!((line.topic, line.merchant.as_str(), line.key.as_str()), (CommandTopic::Credit, "m", "k"));
        let value = String::from_utf8(line.value).expect("text");
        assert_eq!(value, r#"{"command":{},"envelope":{"idempotency_key":"k","merchant_id":"m"}}"#);
    }

    #[test]
    fn a_merchants_lines_of_two_topics_are_sent_one_after_the_other() {
        let line =
            |topic, merchant: &str| Line { topic, merchant: merchant.to_owned(), key: String::new(), value: vec![] };
        let (upsert, credit) = (CommandTopic::CustomerUpsert, CommandTopic::Credit);
        let lines = [
            line(upsert, "a"),
            line(upsert, "a"),
            line(credit, "b"),
            line(credit, "a"),
            line(credit, "a"),
            line(upsert, "a"),
        ];
        let sizes: Vec<usize> = in_order(&lines).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [3, 2, 1]);
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong() {
        let cases = [
            ("[]", "not a JSON object"),
            (r#"{"envelope":{"merchant_id":"m"}}"#, "names no topic"),
            (r#"{"topic":"clock"}"#, "there is no command topic clock; there are merchant-config,"),
            (r#"{"topic":"credit","envelope":{}}"#, "envelope.merchant_id is missing"),
        ];
        for (text, expected) in cases {
            let problem = parse(text, None).expect_err(text);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn the_help_teaches_lines_that_can_be_sent() {
        use clap::CommandFactory;
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            _options: Options,
        }
        let help = Only::command().get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().map(str::trim).filter(|line| line.starts_with('{')).collect();
        assert_eq!(lines.len(), 3, "{help}");
        for line in lines {
            parse(line, None).expect("a line to copy");
        }
    }
}
