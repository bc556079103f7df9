//! The form of fields: what is normalised, what is too long, what can't be. Every bad field is named at once.

use std::collections::BTreeMap;

use jiff::civil::Date;

use serde::{Deserialize, Serialize};

use crate::domain::customer::identifiers::{IdentifierKind, PhoneFormat};
use crate::domain::customer::identifiers::{identifier_form, normalise};
use crate::domain::values::amount::MAX_AMOUNT;
use crate::domain::values::text::NO_SUCH_CHARACTERS;
use crate::domain::values::text::{is_deceptive, is_deceptive_in_id, is_deceptive_in_prose};
use crate::domain::values::time::Instant;

const MAX_KEY_CHARS: usize = 64;
const MAX_URL_CHARS: usize = 300;

/// What a merchant's wallet URL is made with; the first must be in it.
pub const PLACEHOLDERS: [&str; 3] = ["{code}", "{card_id}", "{customer_id}"];

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// Path from the record's root, for example `command.amount`.
    pub field: String,
    pub problem: String,
}

/// Whether an entry of a map may have this name, so that it can be told of.
pub fn is_key(key: &str) -> bool {
    !key.trim().is_empty() && key.chars().count() <= MAX_KEY_CHARS && !key.chars().any(is_deceptive)
}

/// Collects what is wrong with a command's fields.
#[derive(Debug, Default)]
pub struct FieldCheck {
    problems: Vec<FieldProblem>,
    /// So many of them were found before: what stands in their fields was not sent.
    found_before: usize,
}

/// So many are told: an answer must not outgrow its question, and a lane must be able to publish it.
const MAX_PROBLEMS: usize = 100;

impl FieldCheck {
    /// A check that goes on with what was found already.
    pub fn after(problems: &[FieldProblem]) -> FieldCheck {
        FieldCheck { problems: problems.to_vec(), found_before: problems.len() }
    }

    pub fn bad(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        let field = field.into();
        // A part of what was found, or a list with such an item.
        let is_of = |found: &FieldProblem| {
            let part = field.strip_prefix(found.field.as_str());
            let item = found.field.strip_prefix(field.as_str());
            part.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                || item.is_some_and(|rest| rest.starts_with('['))
        };
        if self.problems.len() < MAX_PROBLEMS && !self.problems[..self.found_before].iter().any(is_of) {
            self.problems.push(FieldProblem { field, problem: problem.into() });
        }
    }

    /// A text of 1 to `most` characters on one line, when there is one.
    pub fn text(&mut self, field: &str, value: Option<&str>, most: usize) {
        self.characters(field, value, most, is_deceptive);
    }

    /// The same, of any number of lines.
    pub fn prose(&mut self, field: &str, value: Option<&str>, most: usize) {
        self.characters(field, value, most, is_deceptive_in_prose);
    }

    /// The same for what is compared: order ids, and the names of objects.
    pub fn id(&mut self, field: &str, value: Option<&str>, most: usize) {
        self.characters(field, value, most, is_deceptive_in_id);
    }

    fn characters(&mut self, field: &str, value: Option<&str>, most: usize, refused: impl Fn(char) -> bool) {
        let Some(value) = value else { return };
        if value.contains(refused) {
            self.bad(field, NO_SUCH_CHARACTERS);
        } else if value.trim().is_empty() || value.chars().count() > most {
            self.bad(field, format!("must have 1 to {most} characters, not only spaces"));
        }
    }

    /// A text of the sender's own, of which only the characters are looked at.
    pub fn value(&mut self, field: &str, value: &str) {
        if value.contains(is_deceptive_in_prose) {
            self.bad(field, NO_SUCH_CHARACTERS);
        }
    }

    /// A URL that names each customer's card.
    pub fn wallet_url(&mut self, field: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let bare = PLACEHOLDERS.iter().fold(value.to_owned(), |url, placeholder| url.replace(placeholder, ""));
        let is_plain = !bare.chars().any(|c| matches!(c, '{' | '}') || c.is_control() || c.is_whitespace());
        let is_url = ["https://", "http://"].iter().any(|scheme| bare.len() > scheme.len() && bare.starts_with(scheme));
        let times = PLACEHOLDERS.map(|placeholder| value.matches(placeholder).count());
        let is_named = times[0] == 1 && times.iter().all(|times| *times <= 1);
        if !is_plain || !is_url || !is_named || value.chars().count() > MAX_URL_CHARS {
            self.bad(
                field,
                format!(
                    "must be a URL of at most {MAX_URL_CHARS} characters with {{code}} in it, and perhaps {{card_id}} and {{customer_id}}, each once"
                ),
            );
        }
    }

    pub fn amount(&mut self, field: &str, amount: i64) {
        if !(1..=MAX_AMOUNT).contains(&amount) {
            self.bad(field, format!("must be from 1 to {}, in minor units of the unit", MAX_AMOUNT));
        }
    }

    pub fn range(&mut self, field: &str, value: i64, least: i64, most: i64) {
        if !(least..=most).contains(&value) {
            self.bad(field, format!("must be from {least} to {most}"));
        }
    }

    /// The normalised identifier, when there is one and it is well formed.
    pub fn identifier(
        &mut self,
        field: &str,
        kind: IdentifierKind,
        value: Option<&str>,
        phones: PhoneFormat,
    ) -> Option<String> {
        let normalised = normalise(kind, value?, phones);
        if normalised.is_none() {
            self.bad(field, identifier_form(kind, phones));
        }
        normalised
    }

    /// A BCP 47 tag in its usual spelling, for example pt-BR.
    pub fn language(&mut self, field: &str, value: Option<&str>) -> Option<String> {
        let value = value?;
        let tag = oxilangtag::LanguageTag::parse_and_normalize(value).ok().map(oxilangtag::LanguageTag::into_inner);
        let tag = tag.filter(|tag| tag.len() <= 35);
        if tag.is_none() {
            self.bad(field, "must be a BCP 47 language tag such as en or pt-BR");
        }
        tag
    }

    /// A currency of ISO 4217 in use, or the one that was put before: a currency may go out of use.
    pub fn currency(&mut self, field: &str, value: Option<&str>, before: Option<&str>) {
        if value.is_some_and(|value| before != Some(value) && !is_currency(value)) {
            self.bad(field, "must be an ISO 4217 currency in use, such as EUR");
        }
    }

    /// A merchant's own labels or links: so many at most, names of 1 to 64 characters, texts of 1 to 500.
    pub fn labels(&mut self, field: &str, labels: &BTreeMap<String, String>, most: usize) {
        if !self.keys(field, labels.keys(), most) {
            return;
        }
        for (key, value) in labels.iter().filter(|(key, _)| is_key(key)) {
            self.text(&format!("{field}.{key}"), Some(value), 500);
        }
    }

    /// The names of a map's entries, and how many there are; false when it is not worth looking at them.
    pub fn keys<'k>(&mut self, field: &str, keys: impl ExactSizeIterator<Item = &'k String>, most: usize) -> bool {
        if keys.len() > most {
            self.bad(field, format!("must have at most {most} entries"));
            return false;
        }
        for key in keys.filter(|key| !is_key(key)) {
            let shown: String = key.chars().take(MAX_KEY_CHARS).filter(|c| !is_deceptive(*c)).collect();
            self.bad(
                format!("{field}.{shown}"),
                "must have a name of 1 to 64 characters, none of them a control or invisible character",
            );
        }
        true
    }

    pub fn names(&self, field: &str) -> bool {
        self.problems.iter().any(|problem| problem.field == field)
    }

    /// A date as written, from 1900 to `today`.
    pub fn date(&mut self, field: &str, value: Option<&str>, today: Date) -> Option<Date> {
        let date = written_date(value?).filter(|date| date.year() >= 1900 && *date <= today);
        if date.is_none() {
            self.bad(field, "must be a date YYYY-MM-DD, or a date-time, from 1900 to today");
        }
        date
    }

    pub fn done(self) -> Result<(), Vec<FieldProblem>> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }
}

/// Neither metals, units of account and codes for tests, nor what was withdrawn. ISO lists VES and VED side by side.
fn is_currency(code: &str) -> bool {
    let Some(currency) = iso_currency::Currency::from_code(code) else { return false };
    let is_superseded = currency.is_superseded().is_some() && code != "VES";
    !is_superseded && !currency.has_flag(iso_currency::Flag::Special)
}

/// The date that is written, whatever time and offset follow it.
fn written_date(value: &str) -> Option<Date> {
    let value = value.trim();
    let (date, rest) = value.split_at_checked(10)?;
    let is_date_time = rest.starts_with(['T', 't', ' ']) && value.parse::<jiff::civil::DateTime>().is_ok()
        || Instant::from_rfc3339(value).is_some();
    if rest.is_empty() || is_date_time { date.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_before_is_named_once() {
        let found = |field: &str| FieldProblem { field: field.to_owned(), problem: "must be a text".to_owned() };
        let before = ["command.unit", "command.value", "command.tier_ids[1]", "command.social.web"];
        let mut check = FieldCheck::after(&before.map(found));
        let named_already = ["command.unit", "command.value.currency", "command.tier_ids"];
        let new = ["command.unit_id", "command.amount", "command.social", "command"];
        for field in named_already.into_iter().chain(new) {
            check.bad(field, "is wrong");
        }
        let fields: Vec<String> = check.done().expect_err("bad fields").into_iter().map(|bad| bad.field).collect();
        assert_eq!(fields, [before, new].concat());
    }

    #[test]
    fn a_language_is_a_tag_in_its_usual_spelling() {
        let cases = [
            ("en", Some("en")),
            ("PT-br", Some("pt-BR")),
            ("zh-hant-tw", Some("zh-Hant-TW")),
            ("english please", None),
            ("", None),
        ];
        for (sent, stored) in cases {
            let mut check = FieldCheck::default();
            assert_eq!(check.language("l", Some(sent)).as_deref(), stored, "{sent:?}");
            assert_eq!(check.done().is_err(), stored.is_none());
        }
    }

    #[test]
    fn a_currency_is_in_use() {
        for (code, is_one) in
            [("EUR", true), ("VES", true), ("VED", true), ("HRK", false), ("XAU", false), ("eur", false)]
        {
            assert_eq!(is_currency(code), is_one, "{code}");
        }
        let mut check = FieldCheck::default();
        check.currency("c", Some("HRK"), Some("HRK"));
        assert!(check.done().is_ok());
    }

    #[test]
    fn a_date_is_what_is_written() {
        let cases = [
            ("1990-02-28", Some("1990-02-28")),
            ("1990-02-28T23:30:00-08:00", Some("1990-02-28")),
            ("1990-02-28T23:30:00Z", Some("1990-02-28")),
            ("1990-02-28T23:30:00", Some("1990-02-28")),
            ("1990-02-30", None),
            ("28.02.1990", None),
            ("1990-02-28 or so", None),
            ("", None),
        ];
        for (sent, date) in cases {
            assert_eq!(written_date(sent).map(|date| date.to_string()).as_deref(), date, "{sent:?}");
        }
    }
}
