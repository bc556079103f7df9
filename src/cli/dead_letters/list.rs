//! `dead-letters list`.

use clap::Args;
use serde_json::{Value, json};

use super::letter::{self, Letter, WholeLetter};
use super::{Replayed, class_named, connect};
use crate::cli::{CliError, output, tail, times};
use crate::config::Settings;
use crate::domain::Instant;
use crate::domain::command::DeadLetterClass;
use crate::record::TopicNames;

/// A key that is longer than any merchant's is not shown whole in the table.
const MAX_OF_A_KEY: usize = 64;

#[derive(Args)]
#[command(
    long_about = "Lists the dead letters that the topic still keeps, in the order in which their records came: where each lies, where its \
                  record stood, when it came, why it could not be answered, its key, and whether it was replayed. It only looks.",
    after_help = "Examples:
  loyalty-worker dead-letters list --since 2026-01-31T12:00:00Z
  loyalty-worker dead-letters list --merchant shop-1 --class wrong_partition
  loyalty-worker dead-letters list --json | jq -s 'group_by(.class) | map({class: .[0].class, count: length})'"
)]
pub struct Options {
    /// Only this merchant's: by the record's key, or by what it says as JSON
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// Only of this class: undecodable, unknown_schema, missing_merchant, wrong_key, wrong_partition or skipped
    #[arg(long, value_name = "CLASS", value_parser = class_named)]
    class: Option<DeadLetterClass>,
    /// Only of records that came then or later: an RFC 3339 instant, or how long ago it was, as 24h
    #[arg(long, value_name = "WHEN", value_parser = times::since)]
    since: Option<Instant>,
    /// Print one JSON object for each
    #[arg(long)]
    json: bool,
}

impl Options {
    fn wants(&self, whole: &WholeLetter) -> bool {
        self.class.is_none_or(|class| whole.letter.class == class)
            && self.since.is_none_or(|since| whole.letter.came >= since)
            && self.merchant.as_deref().is_none_or(|merchant| whole.is_of(merchant))
    }
}

pub fn run(options: &Options, settings: &Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let replayed = Replayed::load(&connect(settings)?, &names)?;
    let letters = letter::read_all(settings, |whole| options.wants(whole))?;
    if options.json {
        return letters.iter().try_for_each(|letter| output::json(object(letter, &replayed, &names)));
    }
    if letters.is_empty() {
        return output::line("There is none.");
    }
    let rows: Vec<Row> = letters.iter().map(|letter| row(letter, &replayed)).collect();
    output::text(table(&rows))
}

type Row = [String; 6];

fn row(letter: &Letter, replayed: &Replayed) -> Row {
    let mut key = letter::plain(&letter.key);
    if let Some((end, _)) = key.char_indices().nth(MAX_OF_A_KEY) {
        key.truncate(end);
        key.push('…');
    }
    [
        letter.place.to_string(),
        format!("{:?}", letter.original),
        letter.came.to_string(),
        letter.class.name().to_owned(),
        key,
        replayed.of(letter.original).map_or_else(|| "no".to_owned(), |(_, now_at)| format!("as {now_at:?}")),
    ]
}

fn table(rows: &[Row]) -> String {
    let headings: Row = ["lies", "stood", "came", "class", "key", "replayed"].map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).fold(0, usize::max);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn object(letter: &Letter, replayed: &Replayed, names: &TopicNames) -> Value {
    let original = letter.original;
    let replayed = replayed.of(original).map(|(record, now_at)| {
        json!({
            "at": record.at.to_string(),
            "times": record.times,
            "topic": names.command(now_at.topic),
            "partition": now_at.partition,
            "offset": now_at.offset,
        })
    });
    json!({
        "dead_letter": {
            "partition": letter.place.partition,
            "offset": letter.place.offset,
            "timestamp": letter.given_up.to_string(),
        },
        "original": {
            "topic": names.command(original.topic),
            "partition": original.partition,
            "offset": original.offset,
            "timestamp": letter.came.to_string(),
        },
        "class": letter.class.name(),
        "reason": letter.reason,
        "schema_id": letter.schema_id,
        "omitted": letter.omitted,
        "key": tail::text(&letter.key),
        "merchant_id": letter.says.as_ref().map(|(merchant, _)| merchant),
        "idempotency_key": letter.says.as_ref().map(|(_, key)| key),
        "replayed": replayed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let cells = |cells: [&str; 6]| cells.map(str::to_owned);
        let rows = [
            cells(["0/7", "credit/0/12345", "then", "undecodable", "café", "no"]),
            cells(["12/7", "redeem/12/1", "later", "skipped", "", "as redeem/12/9"]),
        ];
        assert_eq!(
            table(&rows),
            "lies  stood           came   class        key   replayed\n\
             0/7   credit/0/12345  then   undecodable  café  no\n\
             12/7  redeem/12/1     later  skipped            as redeem/12/9\n"
        );
    }
}
