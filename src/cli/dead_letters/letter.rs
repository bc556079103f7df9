//! Dead letters as the worker writes them, understood: the record as it came, and what was added to it.

use std::fmt;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::Value;

use crate::cli::CliError;
use crate::cli::reading::{Read, Start, TopicReader};
use crate::cli::times;
use crate::config::Settings;
use crate::domain::command::DeadLetterClass;
use crate::domain::is_deceptive;
use crate::domain::{Instant, Position};
use crate::record::{Header, ORIGINAL_TIME, OutTopic, REPLAY_OF, TopicNames};

/// The first header that the worker adds; the sender's stand before it, whatever they are called.
const TOPIC: &str = "__connect.errors.topic";

/// How long the brokers may be silent before the end of the topic.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a dead letter lies in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

impl Place {
    /// `PARTITION/OFFSET`.
    pub fn parse(text: &str) -> Result<Place, String> {
        let parts = text
            .split_once('/')
            .and_then(|(partition, offset)| Some((partition.parse::<i32>().ok()?, offset.parse::<i64>().ok()?)));
        match parts {
            Some((partition, offset)) if partition >= 0 && offset >= 0 => Ok(Place { partition, offset }),
            _ => {
                Err("a dead letter is named PARTITION/OFFSET, as `dead-letters list` has it, for example 0/17"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// What is known of a dead letter beside its bytes: of these, all that are kept may be held at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub place: Place,
    /// Where the record stood.
    pub original: Position,
    /// When the record came; the first time, if it was sent again.
    pub came: Instant,
    /// When it became a dead letter.
    pub given_up: Instant,
    pub class: DeadLetterClass,
    /// What to mend, in a sentence without the record's content.
    pub reason: String,
    pub schema_id: Option<u32>,
    /// The consumer group of the worker that gave it up.
    pub group: Option<String>,
    /// What was too large to be kept: headers, key, value.
    pub omitted: Option<String>,
    /// How often it was sent again, and became a dead letter each time: the replays leave this many headers.
    pub replays: usize,
    /// The merchant and the idempotency key that it names, where it is JSON that can be read.
    pub says: Option<(String, String)>,
    /// Empty where the record had none.
    pub key: Vec<u8>,
    pub has_value: bool,
}

/// A dead letter with all that its record had.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeLetter {
    pub letter: Letter,
    pub value: Option<Vec<u8>>,
    /// The sender's own, and those of replays.
    pub headers: Vec<Header>,
}

/// Whom a record that can't be answered names, so that its sender can be found.
fn said(value: &[u8]) -> Option<(String, String)> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let text = |field: &str| value.pointer(&format!("/envelope/{field}")).and_then(Value::as_str).map(str::to_owned);
    let (merchant, key) = (text("merchant_id"), text("idempotency_key"));
    (merchant.is_some() || key.is_some()).then(|| (merchant.unwrap_or_default(), key.unwrap_or_default()))
}

impl WholeLetter {
    /// `None`: it is not of the worker's making, or of a later version's.
    fn of(record: &OwnedMessage, names: &TopicNames) -> Option<WholeLetter> {
        let Told { theirs, added } = Told::of(record)?;
        let given_up = Instant::from_millis(record.timestamp().to_millis().unwrap_or_default());
        let code = value_of(&added, "__connect.errors.class.name")?;
        let letter = Letter {
            place: Place { partition: record.partition(), offset: record.offset() },
            original: position(&added, names)?,
            // Versions before this one did not write down when the record came, which was moments before.
            came: value_of(&added, ORIGINAL_TIME).and_then(|text| times::instant(text).ok()).unwrap_or(given_up),
            given_up,
            class: DeadLetterClass::from_name(code)?,
            reason: value_of(&added, "__connect.errors.exception.message").unwrap_or_default().to_owned(),
            schema_id: value_of(&added, "loyalty.schema-id").and_then(|id| id.parse().ok()),
            group: value_of(&added, "loyalty.group").map(str::to_owned),
            omitted: value_of(&added, "loyalty.omitted").map(str::to_owned),
            replays: theirs.iter().filter(|header| header.name == REPLAY_OF).count(),
            says: record.payload().and_then(said),
            key: record.key().unwrap_or_default().to_vec(),
            has_value: record.payload().is_some(),
        };
        Some(WholeLetter { letter, value: record.payload().map(<[u8]>::to_vec), headers: theirs })
    }

    /// Whether it is this merchant's, by its key or by what it says as JSON.
    pub fn is_of(&self, merchant: &str) -> bool {
        let said = || -> Option<bool> {
            let value: Value = serde_json::from_slice(self.value.as_deref()?).ok()?;
            Some(value.pointer("/envelope/merchant_id")? == merchant)
        };
        self.letter.key == merchant.as_bytes() || said().unwrap_or(false)
    }
}

/// A dead letter's headers, told apart.
struct Told {
    theirs: Vec<Header>,
    added: Vec<Header>,
}

impl Told {
    fn of(record: &OwnedMessage) -> Option<Told> {
        let all = record
            .headers()?
            .iter()
            .map(|header| Header { name: header.key.to_owned(), value: header.value.unwrap_or_default().to_vec() });
        let mut theirs: Vec<Header> = all.collect();
        // The last of them: a sender may have passed on what was a dead letter elsewhere.
        let first_added = theirs.iter().rposition(|header| header.name == TOPIC)?;
        let added = theirs.split_off(first_added);
        Some(Told { theirs, added })
    }
}

fn value_of<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name == name)?;
    std::str::from_utf8(&header.value).ok()
}

fn position(added: &[Header], names: &TopicNames) -> Option<Position> {
    Some(Position {
        topic: names.command_of(value_of(added, TOPIC)?)?,
        partition: value_of(added, "__connect.errors.partition")?.parse().ok()?,
        offset: value_of(added, "__connect.errors.offset")?.parse().ok()?,
    })
}

/// Where the record stood that became this dead letter.
pub fn position_of(record: &OwnedMessage, names: &TopicNames) -> Option<Position> {
    position(&Told::of(record)?.added, names)
}

/// The dead letters that are kept and wanted, in the order in which their records came. Blocks.
pub fn read_all(settings: &Settings, wanted: impl Fn(&WholeLetter) -> bool) -> Result<Vec<Letter>, CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let name = names.out(OutTopic::DeadLetters);
    let mut topic = TopicReader::open(settings, std::slice::from_ref(&name), Start::Beginning)?;
    let mut letters = Vec::new();
    loop {
        match topic.next(PATIENCE)? {
            Read::Record(record) => match WholeLetter::of(&record, &names) {
                Some(whole) if wanted(&whole) => letters.push(whole.letter),
                Some(_) => {}
                None => eprintln!(
                    "{name}/{}/{} is left out: it was not written by a worker of this version or of one before",
                    record.partition(),
                    record.offset()
                ),
            },
            Read::AtEnd => break,
            Read::Quiet => return Err(silent()),
        }
    }
    letters.sort_by_key(|letter| (letter.came, letter.original, letter.place));
    Ok(letters)
}

fn silent() -> CliError {
    CliError::Failed("the broker has sent nothing for 30 s, and not the end of the topic".to_owned())
}

/// Reads dead letters one by one, whole.
pub struct LetterReader {
    topic: TopicReader,
    name: String,
    names: TopicNames,
}

impl LetterReader {
    pub fn open(settings: &Settings) -> Result<LetterReader, CliError> {
        let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
        let name = names.out(OutTopic::DeadLetters);
        let topic = TopicReader::open(settings, std::slice::from_ref(&name), Start::BeforeEnd(0))?;
        Ok(LetterReader { topic, name, names })
    }

    /// The one that lies there. Blocks.
    pub fn read(&mut self, place: Place) -> Result<WholeLetter, CliError> {
        self.topic.stand_at(&self.name, place.partition, place.offset)?;
        match self.topic.next(PATIENCE)? {
            Read::Record(record) if (record.partition(), record.offset()) == (place.partition, place.offset) => {
                WholeLetter::of(&record, &self.names).ok_or_else(|| not_there(place))
            }
            Read::Record(_) | Read::AtEnd => Err(not_there(place)),
            Read::Quiet => Err(silent()),
        }
    }
}

pub fn not_there(place: Place) -> CliError {
    CliError::Failed(format!("there is no dead letter at {place}, or its topic does not keep it any more"))
}

/// Bytes for people: text where nothing in it would move a terminal, else hexadecimal digits.
pub fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_deceptive) => text.to_owned(),
        _ => format!("0x{}", hex(bytes)),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header as NativeHeader, OwnedHeaders, Timestamp};

    use super::*;
    use crate::domain::CommandTopic;

    const ADDED: [(&str, &str); 6] = [
        (TOPIC, "loyalty.credit"),
        ("__connect.errors.partition", "1"),
        ("__connect.errors.offset", "81"),
        ("__connect.errors.class.name", "wrong_partition"),
        ("__connect.errors.exception.message", "Not here."),
        (ORIGINAL_TIME, "2023-11-14T22:13:19Z"),
    ];

    fn whole(headers: &[(&str, &str)]) -> Option<WholeLetter> {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(NativeHeader { key, value: Some(*value) }));
        let value = br#"{"envelope":{"merchant_id":"shop-2"}}"#.to_vec();
        let (topic, time) = ("loyalty.dead-letters".to_owned(), Timestamp::LogAppendTime(1_700_000_000_000));
        let record = OwnedMessage::new(Some(value), Some(b"shop-1".to_vec()), topic, time, 1, 17, Some(headers));
        WholeLetter::of(&record, &TopicNames::new("loyalty."))
    }

    #[test]
    fn what_the_worker_added_is_told_from_what_the_sender_sent() {
        let elsewhere = [(TOPIC, "elsewhere"), ("loyalty.group", "theirs"), (REPLAY_OF, "dead-letters/1/3 credit/0/4")];
        let WholeLetter { letter, value, headers } = whole(&[&elsewhere[..], &ADDED].concat()).expect("a dead letter");
        assert_eq!(letter.place.to_string(), "1/17");
        assert_eq!(letter.original, Position { topic: CommandTopic::Credit, partition: 1, offset: 81 });
        assert_eq!(
            (letter.came.to_string(), letter.class.name()),
            ("2023-11-14T22:13:19Z".to_owned(), "wrong_partition")
        );
        assert_eq!((letter.reason.as_str(), letter.group, letter.schema_id), ("Not here.", None, None));
        let theirs: Vec<&str> = headers.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(theirs, [TOPIC, "loyalty.group", REPLAY_OF]);
        assert_eq!((letter.replays, letter.has_value, value.is_some()), (1, true, true));
    }

    #[test]
    fn one_of_before_came_when_it_was_given_up() {
        let letter = whole(&ADDED[..5]).expect("a dead letter").letter;
        assert_eq!((letter.came, letter.replays), (letter.given_up, 0));
    }

    #[test]
    fn what_the_worker_did_not_write_is_no_dead_letter() {
        assert_eq!(whole(&[]), None);
        assert_eq!(whole(&ADDED[1..]), None);
        assert_eq!(whole(&[&ADDED[..3], &[("__connect.errors.class.name", "of_later_times")]].concat()), None);
    }

    #[test]
    fn a_merchant_is_known_by_the_key_or_by_what_is_said() {
        let letter = whole(&ADDED).expect("a dead letter");
        assert_eq!(["shop-1", "shop-2", "shop-3"].map(|merchant| letter.is_of(merchant)), [true, true, false]);
    }

    #[test]
    fn places_are_read() {
        assert_eq!(Place::parse("3/81"), Ok(Place { partition: 3, offset: 81 }));
        for wrong in ["3", "3/", "/81", "3/-1", "credit/3/81", ""] {
            assert!(Place::parse(wrong).is_err_and(|problem| problem.contains("PARTITION/OFFSET")), "{wrong}");
        }
    }

    #[test]
    fn a_terminal_is_not_moved() {
        assert_eq!(plain("café".as_bytes()), "café");
        assert_eq!(plain(b"\x1b[2J"), "0x1b5b324a");
        assert_eq!(plain(&[0xff]), "0xff");
    }
}
