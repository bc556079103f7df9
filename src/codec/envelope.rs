//! What all commands share, as far as it is well-formed: it says whose command it is and how to answer it, even where the rest is not.

use apache_avro::Schema;
use serde_json::{Map, Value};

use super::content::NUL;
use super::problems::Problems;
use super::{from_json, schemas};
use crate::domain::command::Envelope;
use crate::domain::{NO_SUCH_CHARACTERS, is_deceptive, is_deceptive_in_prose};

const MAX_ATTRIBUTES: usize = 50;
const MAX_ATTRIBUTE_KEY: usize = 64;
const MAX_ATTRIBUTE_VALUE: usize = 500;
const MAX_SOURCE: usize = 64;

/// The envelope without the fields that are not of the right form. The merchant has been checked; a key that is missing is judged as empty.
pub(super) fn lenient(value: &Value) -> Envelope {
    let own = schemas::envelope();
    let mut kept = Map::new();
    if let (Schema::Record(record), Value::Object(fields)) = (own.schema, value) {
        for field in &record.fields {
            if let Some(value) = fields.get(&field.name)
                && from_json::fits(own, &field.schema, value)
            {
                kept.insert(field.name.clone(), value.clone());
            }
        }
    }
    kept.entry("idempotency_key").or_insert_with(|| "".into());
    let datum = from_json::write(own, &Value::Object(kept), &mut Problems::default());
    datum.and_then(|datum| own.read(&datum)).expect("every field has been checked, and the key is there")
}

/// What of an envelope results carry on must be of a form; the rest becomes a problem and is left out.
pub(super) fn checked(mut envelope: Envelope, problems: &mut Problems) -> Envelope {
    let problem_of_source = |source: &str| {
        if source.contains(is_deceptive) {
            Some(NO_SUCH_CHARACTERS)
        } else if !(1..=MAX_SOURCE).contains(&source.chars().count()) || source.trim().is_empty() {
            Some("must have 1 to 64 characters, not only spaces")
        } else {
            None
        }
    };
    if let Some(problem) = envelope.source.as_deref().and_then(problem_of_source) {
        problems.add("envelope.source", problem);
        envelope.source = None;
    }
    let problem_of_label = |key: &str, value: &str| {
        if key.contains('\0') || value.contains('\0') {
            Some(NUL)
        } else if key.contains(is_deceptive) || value.contains(is_deceptive_in_prose) {
            Some(NO_SUCH_CHARACTERS)
        } else if !(1..=MAX_ATTRIBUTE_KEY).contains(&key.chars().count()) {
            Some("must have a name of 1 to 64 characters")
        } else if value.chars().count() > MAX_ATTRIBUTE_VALUE {
            Some("must have at most 500 characters")
        } else {
            None
        }
    };
    if envelope.attributes.len() > MAX_ATTRIBUTES {
        problems.add("envelope.attributes", "must have at most 50 entries");
        envelope.attributes.clear();
    }
    envelope.attributes.retain(|key, value| {
        let problem = problem_of_label(key, value);
        if let Some(problem) = problem {
            problems.add(&format!("envelope.attributes.{key}"), problem);
        }
        problem.is_none()
    });
    envelope
}
