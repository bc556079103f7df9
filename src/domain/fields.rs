//! The form of fields: what is normalised, what is too long, what can't be. Every bad field is named at once.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::command::FieldProblem;
use super::config::PhoneFormat;
use super::customer::IdentifierKind;
use super::membership::PLACEHOLDERS;
use super::{CustomerId, Rejection};

const MOST_KEY_CHARS: usize = 64;
const MOST_URL_CHARS: usize = 300;

/// Whether an entry of a map may have this name, so that it can be told of.
pub fn is_key(key: &str) -> bool {
    !key.trim().is_empty() && key.chars().count() <= MOST_KEY_CHARS && !key.chars().any(char::is_control)
}

/// Collects what is wrong with a command's fields.
#[derive(Debug, Default)]
pub struct FieldCheck {
    problems: Vec<FieldProblem>,
}

/// So many are told: an answer must not outgrow its question, and a lane must be able to publish it.
const MOST_PROBLEMS: usize = 100;

impl FieldCheck {
    pub fn bad(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(FieldProblem { field: field.into(), problem: problem.into() });
        }
    }

    /// A text of 1 to `most` characters, when there is one.
    pub fn text(&mut self, field: &str, value: Option<&str>, most: usize) {
        if let Some(value) = value
            && (value.trim().is_empty() || value.chars().count() > most)
        {
            self.bad(field, format!("must have 1 to {most} characters"));
        }
    }

    /// The same, for what is listed again and again: without control characters, which take six bytes each in JSON.
    pub fn label(&mut self, field: &str, value: &str, most: usize) {
        if value.trim().is_empty() || value.chars().count() > most || value.chars().any(char::is_control) {
            self.bad(field, format!("must have 1 to {most} characters, none of them a control character"));
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
        if !is_plain || !is_url || !is_named || value.chars().count() > MOST_URL_CHARS {
            self.bad(
                field,
                format!(
                    "must be a URL of at most {MOST_URL_CHARS} characters with {{code}} in it, and perhaps {{card_id}} and {{customer_id}}, each once"
                ),
            );
        }
    }

    pub fn amount(&mut self, field: &str, amount: i64) {
        if !(1..=super::MAX_AMOUNT).contains(&amount) {
            self.bad(field, format!("must be from 1 to {}, in minor units of the unit", super::MAX_AMOUNT));
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

    /// A currency of three capital letters, as ISO 4217 has them.
    pub fn currency(&mut self, field: &str, value: Option<&str>) {
        if value.is_some_and(|value| value.len() != 3 || !value.bytes().all(|byte| byte.is_ascii_uppercase())) {
            self.bad(field, "must be an ISO 4217 currency such as EUR");
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
            let shown: String = key.chars().take(MOST_KEY_CHARS).filter(|c| !c.is_control()).collect();
            self.bad(
                format!("{field}.{shown}"),
                "must have a name of 1 to 64 characters, none of them a control character",
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

    pub fn done(self) -> Result<(), Rejection> {
        if self.problems.is_empty() { Ok(()) } else { Err(Rejection::invalid_fields(self.problems)) }
    }
}

/// An identifier in the form in which it is stored and compared; `None` when it has none.
pub fn normalise(kind: IdentifierKind, value: &str, phones: PhoneFormat) -> Option<String> {
    match kind {
        IdentifierKind::ExternalId => {
            let length = value.chars().count();
            ((1..=255).contains(&length) && !value.trim().is_empty()).then(|| value.to_owned())
        }
        IdentifierKind::Phone => match phones {
            PhoneFormat::E164 => normalise_phone(value),
            PhoneFormat::Any => any_phone(value),
        },
        IdentifierKind::Email => normalise_email(value),
    }
}

/// Every form that a value may be stored in, whatever a merchant's settings are.
pub fn possible_forms(kind: IdentifierKind, value: &str) -> impl Iterator<Item = String> {
    let first = normalise(kind, value, PhoneFormat::E164);
    let other = if kind == IdentifierKind::Phone { any_phone(value) } else { None };
    let other = other.filter(|other| first.as_ref() != Some(other));
    first.into_iter().chain(other)
}

/// A customer id as results show it.
pub fn parse_customer_id(value: &str) -> Option<CustomerId> {
    uuid::Uuid::try_parse(value.trim()).ok().map(CustomerId)
}

/// E.164 after its separators are gone: a plus and 7 to 15 digits, the first not 0.
fn normalise_phone(value: &str) -> Option<String> {
    let compact: String = value.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/' | '(' | ')')).collect();
    let digits = compact.strip_prefix('+')?;
    let well_formed =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    well_formed.then_some(compact)
}

/// As it is, but for spaces around it.
fn any_phone(value: &str) -> Option<String> {
    let phone = value.trim();
    let well_formed = (1..=20).contains(&phone.chars().count()) && !phone.chars().any(char::is_control);
    well_formed.then(|| phone.to_owned())
}

/// Trimmed and lower-case: something before one `@`, and a domain with a point in it after.
fn normalise_email(value: &str) -> Option<String> {
    let email = value.trim().to_lowercase();
    let (local, domain) = email.split_once('@')?;
    let well_formed = !local.is_empty()
        && !domain.contains('@')
        && email.chars().count() <= 255
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty());
    well_formed.then_some(email)
}

fn identifier_form(kind: IdentifierKind, phones: PhoneFormat) -> &'static str {
    match kind {
        IdentifierKind::ExternalId => "must have 1 to 255 characters",
        IdentifierKind::Phone if phones == PhoneFormat::Any => "must have 1 to 20 characters",
        IdentifierKind::Phone => "must be an international number: + and 7 to 15 digits; spaces, - . / ( ) are ignored",
        IdentifierKind::Email => "must be an address like name@example.com of at most 255 characters",
    }
}

/// The date that is written, whatever time and offset follow it.
fn written_date(value: &str) -> Option<Date> {
    let value = value.trim();
    let (date, rest) = value.split_at_checked(10)?;
    let is_date_time = rest.starts_with(['T', 't', ' ']) && value.parse::<jiff::civil::DateTime>().is_ok()
        || value.parse::<jiff::Timestamp>().is_ok();
    if rest.is_empty() || is_date_time { date.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_compared_in_one_form() {
        let cases = [
            (IdentifierKind::Phone, "+49 (151) 234-5678", Some("+491512345678")),
            (IdentifierKind::Phone, "0151 2345678", None),
            (IdentifierKind::Phone, "+0151234567", None),
            (IdentifierKind::Phone, "+123456", None),
            (IdentifierKind::Email, " Ada@Example.COM ", Some("ada@example.com")),
            (IdentifierKind::Email, "ada@example", None),
            (IdentifierKind::Email, "ada@@example.com", None),
            (IdentifierKind::Email, "@example.com", None),
            (IdentifierKind::Email, "a da@example.com", None),
            (IdentifierKind::ExternalId, "Case Matters", Some("Case Matters")),
            (IdentifierKind::ExternalId, "  ", None),
        ];
        for (kind, sent, stored) in cases {
            assert_eq!(normalise(kind, sent, PhoneFormat::E164).as_deref(), stored, "{kind:?} {sent:?}");
        }
        let any = |sent| normalise(IdentifierKind::Phone, sent, PhoneFormat::Any);
        assert_eq!(any(" 0151 / 23 ").as_deref(), Some("0151 / 23"));
        assert_eq!((any(" "), any(&"1".repeat(20)).is_some(), any(&"1".repeat(21))), (None, true, None));
    }

    #[test]
    fn a_value_is_looked_for_in_every_form_that_it_may_be_stored_in() {
        let forms = |kind, value| possible_forms(kind, value).collect::<Vec<_>>();
        assert_eq!(forms(IdentifierKind::Phone, "+491512345678"), ["+491512345678"]);
        assert_eq!(forms(IdentifierKind::Phone, "+49 151 2345678"), ["+491512345678", "+49 151 2345678"]);
        assert_eq!(forms(IdentifierKind::Phone, "0151"), ["0151"]);
        assert_eq!(forms(IdentifierKind::Email, "A@b.cd"), ["a@b.cd"]);
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
