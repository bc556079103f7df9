//! `dead-letters show`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::letter::{self, LetterReader, Place, WholeLetter};
use super::{Replayed, connect, mends};
use crate::cli::{CliError, output};
use crate::config::Settings;
use crate::record::TopicNames;

#[derive(Args)]
#[command(
    long_about = "Shows one dead letter whole: where it lies and where its record stood, why it could not be answered and what mends that, \
                  whether it was replayed and where it stands since, the sender's headers, and the original bytes, as JSON or text where \
                  they are that, else in hexadecimal digits. They may hold personal data.",
    after_help = "Example:\n  loyalty-worker dead-letters show 3/17"
)]
pub struct Options {
    /// Where it lies, as `dead-letters list` has it
    #[arg(value_name = "PARTITION/OFFSET", value_parser = Place::parse)]
    place: Place,
}

pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let replayed = Replayed::load(&connect(settings)?, &names)?;
    let found = letter::read_all(settings, |whole| whole.letter.place == options.place)?;
    let Some(letter) = found.first() else { return Err(letter::not_there(options.place)) };
    let whole = LetterReader::open(settings)?.read(letter.place)?;
    output::text(page(&whole, &replayed))
}

fn page(whole: &WholeLetter, replayed: &Replayed) -> String {
    let letter = &whole.letter;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12}{value}");
        }
    };
    line("lies", &letter.place.to_string());
    line("stood", &format!("{:?}", letter.original));
    line("came", &letter.came.to_string());
    line("given up", &letter.given_up.to_string());
    line("by group", letter.group.as_deref().unwrap_or_default());
    line("class", letter.class.name());
    line("reason", &letter::plain(letter.reason.as_bytes()));
    line("schema id", &letter.schema_id.map(|id| id.to_string()).unwrap_or_default());
    line("what mends", mends(letter.class));
    let times = replayed.of(letter.original).map(|(record, now_at)| {
        let times = if record.times == 1 { String::new() } else { format!(", the last of {} times", record.times) };
        format!("{} as {now_at:?}{times}", record.at)
    });
    line("replayed", times.as_deref().unwrap_or("no"));
    line("key", &letter::plain(&letter.key));
    if let Some((merchant, key)) = &letter.says {
        line("merchant", &letter::plain(merchant.as_bytes()));
        line("command", &letter::plain(key.as_bytes()));
    }
    line("not kept", letter.omitted.as_deref().unwrap_or_default());
    for header in &whole.headers {
        line("header", &format!("{} = {}", letter::plain(header.name.as_bytes()), letter::plain(&header.value)));
    }
    text.push('\n');
    text.push_str(&match &whole.value {
        None => "The record has no value.\n".to_owned(),
        Some(bytes) => value(bytes),
    });
    text
}

/// The original bytes, so that no terminal is moved by what they hold.
fn value(bytes: &[u8]) -> String {
    if let Ok(json) = serde_json::from_slice::<Value>(bytes) {
        return format!("{json:#}\n");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t')) => {
            format!("{text}\n")
        }
        _ => bytes.chunks(32).map(|line| format!("{}\n", letter::hex(line))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(value(br#"{"a":"b\u001b"}"#), "{\n  \"a\": \"b\\u001b\"\n}\n");
        assert_eq!(value(b"{\"a\":"), "{\"a\":\n");
        assert_eq!(value(b"\x1b[2J"), "1b5b324a\n");
        assert_eq!(value(&[0xab; 33]), format!("{}\nab\n", "ab".repeat(32)));
    }
}
