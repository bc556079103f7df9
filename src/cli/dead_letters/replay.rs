//! `dead-letters replay`: original bytes to the topic where they stood, once.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Handle;

use super::letter::{self, Letter, LetterReader, Place, WholeLetter};
use super::{Replayed, class_named, connect};
use crate::cli::answers::Answers;
use crate::cli::{CliError, output};
use crate::config::Settings;
use crate::domain::command::DeadLetterClass;
use crate::domain::{CommandTopic, Position};
use crate::kafka::sender::CommandSender;
use crate::record::{Header, ORIGINAL_TIME, REPLAY_OF, TopicNames};
use crate::store::Databases;

const KEPT_KEY: &str =
    "its key is not the command's merchant_id, and a replay keeps the key: let its sender send the command again";

/// What became a dead letter again after so many replays is not mended by one more.
const MAX_REPLAYS: usize = 3;

#[derive(Args)]
#[command(
    long_about = "Sends the original bytes of dead letters to the topic where they stood, under their key and with their headers, to the \
                  partition where murmur2 puts the key. A command without an occurred_at of its own is judged by the time when it came \
                  first, which the header loyalty.original-time says; the merchant's max_age_s (3 days, unless it is set otherwise) \
                  holds for that too. They are sent one after the other, in the order in which they came.\n\nEach is sent once: \
                  Postgres remembers it in a transaction that commits when the broker has the record. A crash between the two may send \
                  it twice, and the command's idempotency key catches that: it is answered again, and nothing is applied again. What was \
                  replayed before is refused, or left out with --class, unless --again asks for it. A replay that fails makes a new dead \
                  letter, which may be replayed in its turn; after the third time that too takes --again.",
    after_help = "Whose key is wrong (wrong_key) can't be mended so: its sender sends it again. All workers must be of a version that has \
                  this command, else the time when it came first goes unheard. It needs the rights of a sender in Kafka, and of a worker \
                  in Postgres.

Examples:
  loyalty-worker dead-letters replay 0/17 3/81 --wait 30
  loyalty-worker dead-letters replay --class wrong_partition
  loyalty-worker dead-letters replay --class unknown_schema --merchant shop-1 --wait 60"
)]
pub struct Options {
    /// Where they lie, as `dead-letters list` has it
    #[arg(
        value_name = "PARTITION/OFFSET",
        value_parser = Place::parse,
        required_unless_present = "class",
        conflicts_with = "class"
    )]
    places: Vec<Place>,
    /// All of this class that were not replayed yet: undecodable, unknown_schema, missing_merchant, wrong_partition or skipped
    #[arg(long, value_name = "CLASS", value_parser = class_named)]
    class: Option<DeadLetterClass>,
    /// Of the class, only this merchant's: by the record's key, or by what it says as JSON
    #[arg(long, value_name = "ID", requires = "class")]
    merchant: Option<String>,
    /// Also what was replayed before
    #[arg(long)]
    again: bool,
    /// Judge them by the time of the replay, as commands that come now: for those that are older than the merchant's max_age_s allows
    #[arg(long)]
    as_of_now: bool,
    /// Wait until each has its result, or waits for its customer; print the results, and the events that say so, as JSON lines (and the
    /// positions to standard error); exit with 1 if some have none after so many seconds, or became dead letters again
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    if options.class == Some(DeadLetterClass::WrongKey) {
        return Err(CliError::Usage(format!("no dead letter of the class wrong_key can be replayed: {KEPT_KEY}")));
    }
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let databases = connect(settings)?;
    let replayed = Replayed::load(&databases, &names)?;
    let letters = letter::read_all(settings, |whole| options.asks_for(whole))?;
    let chosen = options.choose(letters, &replayed)?;

    let sender = CommandSender::new(&settings.kafka, &names).map_err(CliError::failed)?;
    let mut answers = match options.wait {
        Some(seconds) if !chosen.is_empty() => Some(Answers::open(settings, &names, Duration::from_secs(seconds))?),
        _ => None,
    };
    let runtime = Handle::current();
    let replay = Replay { databases, sender, names, again: options.again, as_of_now: options.as_of_now };
    let mut reader = LetterReader::open(settings)?;
    for letter in &chosen {
        let whole = reader.read(letter.place)?;
        let Some(position) = runtime.block_on(replay.send(&whole))? else {
            eprintln!("{}: somebody else has just replayed it", named(letter));
            continue;
        };
        let text = format!("{} stands at {position:?} now", named(letter));
        match &mut answers {
            Some(answers) => {
                eprintln!("{text}");
                answers.expect(position, text);
            }
            None => output::line(text)?,
        }
    }
    match answers {
        Some(answers) => answers.print(true, false),
        None => Ok(()),
    }
}

fn named(letter: &Letter) -> String {
    format!("{} (stood at {:?})", letter.place, letter.original)
}

impl Options {
    fn asks_for(&self, whole: &WholeLetter) -> bool {
        match self.class {
            Some(class) => {
                whole.letter.class == class && self.merchant.as_deref().is_none_or(|merchant| whole.is_of(merchant))
            }
            None => self.places.contains(&whole.letter.place),
        }
    }

    /// What is to be sent. Whoever names dead letters one by one gets all of them sent or, told why, none; of a class what can't be sent is
    /// left out, and told too.
    fn choose(&self, letters: Vec<Letter>, replayed: &Replayed) -> Result<Vec<Letter>, CliError> {
        let found: HashSet<Place> = letters.iter().map(|letter| letter.place).collect();
        if let Some(missing) = self.places.iter().find(|place| !found.contains(*place)) {
            return Err(letter::not_there(*missing));
        }
        let (mut chosen, mut refused, mut before) = (Vec::new(), Vec::new(), 0);
        for letter in letters {
            if let Some(why) = hopeless(&letter) {
                refused.push(format!("{} can't be replayed: {why}", named(&letter)));
            } else if let Some((record, now_at)) = replayed.of(letter.original).filter(|_| !self.again) {
                before += 1;
                if self.class.is_none() {
                    refused.push(format!(
                        "{} was replayed before, at {}, and stands at {now_at:?} since: --again sends it once more",
                        named(&letter),
                        record.at
                    ));
                }
            } else if letter.replays >= MAX_REPLAYS && !self.again {
                refused.push(format!(
                    "{} was replayed {} times, and became a dead letter each time: mend what it says, and --again sends it once more",
                    named(&letter),
                    letter.replays
                ));
            } else {
                chosen.push(letter);
            }
        }
        if self.class.is_none() && !refused.is_empty() {
            return Err(CliError::Failed(refused.join("\n")));
        }
        refused.iter().for_each(|line| eprintln!("{line}"));
        if self.class.is_some() {
            eprintln!("{} to replay, {before} replayed before, {} that can't be replayed", chosen.len(), refused.len());
        }
        Ok(chosen)
    }
}

/// Why no replay could make a command of it.
fn hopeless(letter: &Letter) -> Option<String> {
    if letter.original.topic == CommandTopic::Clock {
        return Some("it is a tick, and others come".to_owned());
    }
    if let Some(omitted) = &letter.omitted {
        return Some(format!("too large to be kept were its {omitted}: let its sender send the command again"));
    }
    if letter.class == DeadLetterClass::WrongKey || letter.key.is_empty() {
        return Some(KEPT_KEY.to_owned());
    }
    (!letter.has_value).then(|| "it has no value".to_owned())
}

struct Replay {
    databases: Databases,
    sender: CommandSender,
    names: TopicNames,
    again: bool,
    as_of_now: bool,
}

impl Replay {
    /// Sends one record and remembers it. `None` when somebody else did so meanwhile.
    async fn send(&self, whole: &WholeLetter) -> Result<Option<Position>, CliError> {
        let letter = &whole.letter;
        let Position { topic, partition, offset } = letter.original;
        let name = self.names.command(topic);
        let store = self.databases.of_lane(partition).map_err(CliError::failed)?;
        let mut replays = store.replays().await.map_err(CliError::failed)?;
        let begun = replays.begin(&name, partition, offset, self.again).await.map_err(CliError::failed)?;
        let Some(replay) = begun else { return Ok(None) };
        let value = whole.value.as_deref().unwrap_or_default();
        let headers = headers(whole, self.as_of_now);
        let sent = self.sender.send(topic, &letter.key, value, &headers).await;
        let (partition, offset) = sent.map_err(|failure| {
            CliError::Failed(format!(
                "{}: {failure}. Whether the broker has it is unknown; replay it again: its idempotency key sees to it that it is applied once",
                named(letter)
            ))
        })?;
        let position = Position { topic, partition, offset };
        replay.done(partition, offset).await.map_err(|error| {
            CliError::Failed(format!(
                "{} stands at {position:?} now, but Postgres did not say that it remembers this: {error}. Should it be replayed again, its \
                 idempotency key sees to it that it is applied once",
                named(letter)
            ))
        })?;
        Ok(Some(position))
    }
}

/// The sender's headers, where it was replayed before, and what this replay adds.
fn headers(whole: &WholeLetter, as_of_now: bool) -> Vec<Header> {
    let letter = &whole.letter;
    let mut headers: Vec<Header> =
        whole.headers.iter().filter(|header| header.name != ORIGINAL_TIME).cloned().collect();
    let replay_of = format!("dead-letters/{} {:?}", letter.place, letter.original);
    headers.push(Header { name: REPLAY_OF.to_owned(), value: replay_of.into_bytes() });
    if !as_of_now {
        headers.push(Header { name: ORIGINAL_TIME.to_owned(), value: letter.came.to_string().into_bytes() });
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Instant;

    fn letter() -> Letter {
        Letter {
            place: Place { partition: 0, offset: 17 },
            original: Position { topic: CommandTopic::Credit, partition: 1, offset: 81 },
            came: Instant::from_millis(1_700_000_000_250),
            given_up: Instant::from_millis(1_700_000_001_000),
            class: DeadLetterClass::Skipped,
            reason: "A defect.".to_owned(),
            schema_id: None,
            group: None,
            omitted: None,
            replays: 1,
            says: None,
            key: b"shop-1".to_vec(),
            has_value: true,
        }
    }

    #[test]
    fn a_replay_says_what_it_is_and_keeps_the_senders_headers() {
        let header = |name: &str| Header { name: name.to_owned(), value: b"theirs".to_vec() };
        let theirs = [ORIGINAL_TIME, "traceparent", REPLAY_OF].map(header).to_vec();
        let whole = WholeLetter { letter: letter(), value: Some(b"{}".to_vec()), headers: theirs };
        let told = |as_of_now: bool| -> Vec<String> {
            let headers = headers(&whole, as_of_now).into_iter();
            headers.map(|header| format!("{}={}", header.name, String::from_utf8_lossy(&header.value))).collect()
        };
        let (theirs, before) = ("traceparent=theirs", "loyalty.replay-of=theirs");
        let replay_of = "loyalty.replay-of=dead-letters/0/17 credit/1/81";
        assert_eq!(told(false), [theirs, before, replay_of, "loyalty.original-time=2023-11-14T22:13:20.25Z"]);
        assert_eq!(told(true), [theirs, before, replay_of]);
    }

    #[test]
    fn what_a_replay_cannot_mend_is_refused() {
        assert_eq!(hopeless(&letter()), None);
        let refused = [
            (Letter { class: DeadLetterClass::WrongKey, ..letter() }, "its key is not"),
            (Letter { key: Vec::new(), ..letter() }, "its key is not"),
            (Letter { omitted: Some("headers".to_owned()), ..letter() }, "its headers"),
            (Letter { has_value: false, ..letter() }, "no value"),
            (Letter { original: Position { topic: CommandTopic::Clock, ..letter().original }, ..letter() }, "a tick"),
        ];
        for (letter, expected) in refused {
            assert!(hopeless(&letter).is_some_and(|why| why.contains(expected)), "{letter:?}");
        }
    }
}
