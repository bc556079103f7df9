//! What names a customer within a merchant: each identifier's form, in which it is stored and compared.

use serde::{Deserialize, Serialize};

use crate::domain::values::ids::MerchantId;
use crate::domain::values::text::{compared, is_deceptive_in_id};
use crate::domain::values::words::words;

words! {
    /// What can name a customer within a merchant, each for itself unique. Rows have them in this order.
    IdentifierKind {
        ExternalId "external_id",
        Phone "phone",
        Email "email",
    }
}

impl IdentifierKind {
    /// The field's name in commands, rejections and events.
    pub fn field(self) -> &'static str {
        self.name()
    }
}

/// An identifier's normalised value, unique within its merchant and kind. Sorted, the kinds lie together, and merchants, whom a batch has
/// few of, are compared last.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identifier {
    pub kind: IdentifierKind,
    pub value: String,
    pub merchant_id: MerchantId,
}

words! {
    PhoneFormat {
        E164 "e164",
        /// 1 to 20 characters, compared as they are.
        Any "any",
    }
}

/// An identifier in the form in which it is stored and compared; `None` when it has none.
pub fn normalise(kind: IdentifierKind, value: &str, phones: PhoneFormat) -> Option<String> {
    if value.contains(is_deceptive_in_id) {
        return None;
    }
    match kind {
        IdentifierKind::ExternalId => {
            let value = compared(value);
            (1..=255).contains(&value.chars().count()).then_some(value)
        }
        IdentifierKind::Phone => match phones {
            PhoneFormat::E164 => normalise_phone(value),
            PhoneFormat::Any => any_phone(value),
        },
        IdentifierKind::Email => normalise_email(value),
    }
}

/// The form in which an identifier is stored, whatever a merchant's settings are: they choose what is taken, not how it is stored. `None`
/// for what no settings take.
pub fn stored_form(kind: IdentifierKind, value: &str) -> Option<String> {
    normalise(kind, value, PhoneFormat::Any)
}

/// E.164 after its separators are gone: a plus and 7 to 15 digits, the first not 0. A zero that begins a bracket is the national prefix and
/// no digit of the international number, and may or may not be meant; only the numbers of Italy, San Marino and the Vatican have it.
fn normalise_phone(value: &str) -> Option<String> {
    let spaceless: String = value.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/')).collect();
    let keeps_zero = ["+39", "+378", "+379"].iter().any(|country| spaceless.starts_with(country));
    if spaceless.contains("(0)") || spaceless.contains("(0") && !keeps_zero {
        return None;
    }
    let compact: String = spaceless.chars().filter(|c| !matches!(c, '(' | ')')).collect();
    let digits = compact.strip_prefix('+')?;
    let well_formed =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    well_formed.then_some(compact)
}

/// As E.164 where it is that, so that one number is one customer under any settings; and as it is, but for spaces around it, where it is not.
fn any_phone(value: &str) -> Option<String> {
    let phone = normalise_phone(value).unwrap_or_else(|| compared(value));
    let well_formed = (1..=20).contains(&phone.chars().count()) && !phone.contains(is_deceptive_in_id);
    well_formed.then_some(phone)
}

/// Trimmed and lower-case: something before one `@`, and a domain with a point in it after, and nothing around it.
fn normalise_email(value: &str) -> Option<String> {
    let email = compared(&value.to_lowercase());
    let (local, domain) = email.split_once('@')?;
    let is_atom = |c: char| {
        !c.is_ascii() && !c.is_whitespace() || c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-.".contains(c)
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| !c.is_ascii() && !c.is_whitespace() || c.is_ascii_alphanumeric() || c == '-')
    };
    let well_formed = !local.is_empty()
        && local.chars().all(is_atom)
        && email.chars().count() <= 255
        && domain.split('.').count() >= 2
        && domain.split('.').all(is_label);
    well_formed.then_some(email)
}

pub fn identifier_form(kind: IdentifierKind, phones: PhoneFormat) -> &'static str {
    match kind {
        IdentifierKind::ExternalId => "must have 1 to 255 characters, none of them a control or invisible character",
        IdentifierKind::Phone if phones == PhoneFormat::Any => {
            "must have 1 to 20 characters, none of them a control or invisible character"
        }
        IdentifierKind::Phone => {
            "must be an international number: + and 7 to 15 digits; spaces, - . / ( ) are ignored, a zero in brackets must be left out"
        }
        IdentifierKind::Email => "must be an address like name@example.com of at most 255 characters",
    }
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
            (IdentifierKind::Phone, "+49 (0) 209 223344", None),
            (IdentifierKind::Phone, "+49 (0209) 223344", None),
            (IdentifierKind::Phone, "+39 (06) 6982", Some("+39066982")),
            (IdentifierKind::Phone, "+39 (0) 6 6982", None),
            (IdentifierKind::Phone, "+1 (800) 555-0100", Some("+18005550100")),
            (IdentifierKind::Email, "Zoe\u{308}@example.com", Some("zo\u{eb}@example.com")),
            (IdentifierKind::Email, "<ada@example.com>", None),
            (IdentifierKind::Email, "mailto:ada@example.com", None),
            (IdentifierKind::Email, "Ada <ada@example.com>", None),
            (IdentifierKind::Email, "ada\u{200b}@example.com", None),
            (IdentifierKind::ExternalId, " 1001\t", None),
            (IdentifierKind::ExternalId, "1001 ", Some("1001")),
            (IdentifierKind::ExternalId, "Cafe\u{301}", Some("Caf\u{e9}")),
            (IdentifierKind::ExternalId, "web\u{2060}1", None),
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
    fn a_number_is_stored_in_one_form_under_any_settings() {
        let cases = [
            ("+491512345678", Some("+491512345678")),
            ("+49 151 2345678", Some("+491512345678")),
            ("+49 (0151) 2345678", Some("+49 (0151) 2345678")),
            ("0151", Some("0151")),
            ("", None),
        ];
        for (sent, stored) in cases {
            assert_eq!(stored_form(IdentifierKind::Phone, sent).as_deref(), stored, "{sent}");
            let of_e164 = normalise(IdentifierKind::Phone, sent, PhoneFormat::E164);
            assert!(of_e164.is_none_or(|form| Some(form.as_str()) == stored), "{sent}");
        }
        assert_eq!(stored_form(IdentifierKind::Email, "A@b.cd").as_deref(), Some("a@b.cd"));
    }
}
