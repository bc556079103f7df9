//! JSON as senders write it: every name once, and what can't be read said with its place.
//!
//! Two things that JSON's grammar allows have no value here: half of a surrogate pair, and a number beyond every range. They are read as what
//! no field takes, so that the command is answered with the field's name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::NO_CHARACTER;

/// A value, and the paths of the names that stand more than once in an object.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    pub value: Value,
    pub repeated: Vec<String>,
}

/// So many are named; the command is refused with the first one.
const MAX_REPEATED: usize = 100;

/// Reads JSON. The error is a sentence without anything of the text in it.
pub fn parse(text: &[u8]) -> Result<Parsed, String> {
    match read(text) {
        Ok(parsed) => Ok(parsed),
        Err(error) => match replaced(text) {
            Some(replaced) => read(replaced.as_bytes()).map_err(|_| sentence(text, &error)),
            None => Err(sentence(text, &error)),
        },
    }
}

fn read(text: &[u8]) -> Result<Parsed, serde_json::Error> {
    let mut names = Names::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Unique(&mut names).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Parsed { value, repeated: names.repeated })
}

/// Where reading stopped, and why, in words of the reader's that hold nothing of the text.
fn sentence(text: &[u8], error: &serde_json::Error) -> String {
    let said = error.to_string();
    let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
    let line_start = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len);
    let byte = line_start.sum::<usize>() + error.column();
    if problem.contains("recursion limit") {
        return format!("is nested deeper than 127 levels, at byte {byte}");
    }
    match std::str::from_utf8(text) {
        Err(broken) => format!("is not UTF-8 from byte {} on", broken.valid_up_to() + 1),
        Ok(_) => format!("is not valid JSON at byte {byte}: {problem}"),
    }
}

/// The text with what has no value replaced by what no field takes; `None` if there is nothing of that kind.
fn replaced(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (string, after) = string(rest)?;
            changed |= matches!(string, Cow::Owned(_));
            out.push_str(&string);
            rest = after;
        } else if c == '-' || c.is_ascii_digit() {
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            let is_huge = rest[..end].parse::<f64>().is_ok_and(f64::is_infinite);
            changed |= is_huge;
            out.push_str(if is_huge { FRACTION } else { &rest[..end] });
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    changed.then_some(out)
}

/// No field takes a fraction.
const FRACTION: &str = "0.5";

/// A string of the text, in its quotes, with halves of surrogate pairs replaced; and what follows it.
fn string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut replaced: Option<String> = None;
    let (mut at, mut copied) = (1, 0);
    let unit = |at: usize| match bytes.get(at..at + 6) {
        Some([b'\\', b'u', digits @ ..]) => u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
        _ => None,
    };
    while *bytes.get(at)? != b'"' {
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                let out = replaced.get_or_insert_default();
                out.push_str(&text[copied..at]);
                out.push(NO_CHARACTER);
                at += 6;
                copied = at;
            }
            _ if bytes[at] == b'\\' => at += 2,
            _ => at += 1,
        }
    }
    let end = at + 1;
    let string = match replaced {
        Some(out) => Cow::Owned(out + text.get(copied..end)?),
        None => Cow::Borrowed(text.get(..end)?),
    };
    Some((string, text.get(end..)?))
}

/// Where reading is, and the names found more than once.
#[derive(Default)]
struct Names {
    path: String,
    repeated: Vec<String>,
}

impl Names {
    /// Goes one step down; the path's length before it leads back.
    fn enter(&mut self, separator: &str, step: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push_str(separator);
        }
        self.path.push_str(step);
        length
    }
}

/// Reads a value, and notes each name that its object has already.
struct Unique<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let length = self.0.enter("", &format!("[{}]", list.len()));
            let item = items.next_element_seed(Unique(self.0))?;
            self.0.path.truncate(length);
            match item {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let length = self.0.enter(".", &name);
            let Names { path, repeated } = &mut *self.0;
            if object.contains_key(&name) && repeated.len() < MAX_REPEATED && !repeated.contains(path) {
                repeated.push(path.clone());
            }
            object.insert(name, entries.next_value_seed(Unique(self.0))?);
            self.0.path.truncate(length);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_named_with_its_path() {
        let parsed = parse(br#"{"a":1,"b":{"c":[{"d":1,"d":2,"d":3}]},"a":2}"#).expect("JSON");
        assert_eq!(parsed.repeated, ["b.c[0].d", "a"]);
        assert_eq!(parse(br#"{"a":{"a":1}}"#).expect("JSON").repeated, [""; 0]);
        let many: String = (0..200).map(|n| format!(r#","n{n}":1,"n{n}":2"#)).collect();
        let parsed = parse(format!("{{\"a\":1{many}}}").as_bytes()).expect("JSON");
        assert_eq!(parsed.repeated.len(), MAX_REPEATED);
    }

    #[test]
    fn what_has_no_value_is_read_as_what_no_field_takes() {
        let parsed = parse(
            br#"{"amount":1e400,"n":-2E999,"reason":"thanks \ud83d","ok":"\ud83d\ude00 \\ud83d \" \udc00\udc00"}"#,
        );
        let value = parsed.expect("the grammar allows it").value;
        assert_eq!(
            value,
            json!({"amount": 0.5, "n": 0.5, "reason": "thanks \u{ffff}", "ok": "😀 \\ud83d \" \u{ffff}\u{ffff}"})
        );
    }

    #[test]
    fn what_can_not_be_read_is_said_with_its_place() {
        let cases: [(&[u8], &str); 6] = [
            (b"{\"a\":", "is not valid JSON at byte 5: EOF while parsing a value"),
            (b"{\"a\":\n secret}", "is not valid JSON at byte 8: expected value"),
            (b"{\"a\":1}}", "is not valid JSON at byte 8: trailing characters"),
            (b"{\"a\":1e400", "is not valid JSON at byte 10: number out of range"),
            (b"{\"a\":\"\xff\"}", "is not UTF-8 from byte 7 on"),
            (b"{\"a\":01}", "is not valid JSON at byte 7: invalid number"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected.to_owned()), "{}", String::from_utf8_lossy(text));
        }
        let deep = format!("{{\"a\":{}", "[".repeat(200));
        assert!(parse(deep.as_bytes()).is_err_and(|problem| problem.starts_with("is nested deeper than 127 levels")));
    }
}
