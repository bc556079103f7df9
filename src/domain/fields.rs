//! The form of fields: what is normalised, what is too long, what can't be. Every bad field is named at once.

use jiff::civil::Date;

use super::command::FieldProblem;
use super::customer::IdentifierKind;
use super::{CustomerId, Rejection};

/// Collects what is wrong with a command's fields.
#[derive(Debug, Default)]
pub struct FieldCheck {
    problems: Vec<FieldProblem>,
}

impl FieldCheck {
    pub fn bad(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(FieldProblem { field: field.into(), problem: problem.into() });
    }

    /// A text of 1 to `most` characters, when there is one.
    pub fn text(&mut self, field: &str, value: Option<&str>, most: usize) {
        if let Some(value) = value
            && (value.trim().is_empty() || value.chars().count() > most)
        {
            self.bad(field, format!("must have 1 to {most} characters"));
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
    pub fn identifier(&mut self, field: &str, kind: IdentifierKind, value: Option<&str>) -> Option<String> {
        let normalised = normalise(kind, value?);
        if normalised.is_none() {
            self.bad(field, identifier_form(kind));
        }
        normalised
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
pub fn normalise(kind: IdentifierKind, value: &str) -> Option<String> {
    match kind {
        IdentifierKind::ExternalId => {
            let length = value.chars().count();
            ((1..=255).contains(&length) && !value.trim().is_empty()).then(|| value.to_owned())
        }
        IdentifierKind::Phone => normalise_phone(value),
        IdentifierKind::Email => normalise_email(value),
    }
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

fn identifier_form(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::ExternalId => "must have 1 to 255 characters",
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
            assert_eq!(normalise(kind, sent).as_deref(), stored, "{kind:?} {sent:?}");
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
