//! Decoding by the schema that each record names, or as JSON, told by the first byte. The registry tells the schema; fields are found
//! by their names, so that records of older and newer schemas read alike.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde::de::DeserializeOwned;

use super::AuditError;
use crate::config::RegistrySettings;
use crate::tls::{self, TlsError};

/// How long the registry may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Confluent's code for an id that was never given out. Any other 404 is somebody else's.
const UNKNOWN_SCHEMA: u64 = 40403;

/// The registry's schemas by id, each fetched once.
pub struct Schemas {
    registry: String,
    agent: ureq::Agent,
    known: Mutex<HashMap<u32, &'static Schema>>,
}

/// Decodes records; one for each thread.
pub struct Decoder<'a> {
    schemas: &'a Schemas,
    readers: HashMap<u32, GenericDatumReader<'static>>,
}

/// Why a value could not be decoded: the record is wrong, or the audit can't go on.
pub enum DecodeFault {
    Unreadable(String),
    Fatal(AuditError),
}

impl Schemas {
    pub fn new(settings: &RegistrySettings) -> Result<Schemas, TlsError> {
        let agent = tls::registry_agent(settings, PATIENCE)?;
        let registry = settings.url.trim_end_matches('/').to_owned();
        Ok(Schemas { registry, agent, known: Mutex::default() })
    }

    /// Schemas that need no registry.
    #[cfg(test)]
    pub fn known(schemas: impl IntoIterator<Item = (u32, Schema)>) -> Schemas {
        let known = schemas.into_iter().map(|(id, schema)| (id, &*Box::leak(Box::new(schema)))).collect();
        Schemas {
            known: Mutex::new(known),
            ..Schemas::new(&RegistrySettings::at("http://127.0.0.1:1")).expect("no file is named")
        }
    }

    fn get(&self, id: u32) -> Result<&'static Schema, DecodeFault> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(schema) = known.get(&id) {
            return Ok(schema);
        }
        let text = self.fetch(id)?;
        let schema = Schema::parse_str(&text)
            .map_err(|error| DecodeFault::Unreadable(format!("its schema {id} is not valid: {}", brief(&error))))?;
        // Readers borrow their schema for as long as they live, and there is a handful of schemas: the process may keep them.
        let schema: &'static Schema = Box::leak(Box::new(schema));
        known.insert(id, schema);
        Ok(schema)
    }

    fn fetch(&self, id: u32) -> Result<String, DecodeFault> {
        #[derive(serde::Deserialize)]
        struct Answer {
            schema: String,
        }
        #[derive(serde::Deserialize)]
        struct Refusal {
            error_code: u64,
        }
        let fatal = |reason: String| DecodeFault::Fatal(AuditError::Registry { id, reason });
        let asked = self.agent.get(format!("{}/schemas/ids/{id}", self.registry)).call();
        let mut response = asked.map_err(|error| fatal(error.to_string()))?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string().map_err(|error| fatal(error.to_string()))?;
        match status {
            200 => serde_json::from_str(&body)
                .map(|answer: Answer| answer.schema)
                .map_err(|_| fatal("what it answers is not a schema".to_owned())),
            404 if serde_json::from_str(&body).is_ok_and(|refusal: Refusal| refusal.error_code == UNKNOWN_SCHEMA) => {
                Err(DecodeFault::Unreadable(format!("the registry has no schema {id}")))
            }
            status => Err(fatal(format!("status {status}"))),
        }
    }
}

impl<'a> Decoder<'a> {
    pub fn new(schemas: &'a Schemas) -> Decoder<'a> {
        Decoder { schemas, readers: HashMap::new() }
    }

    /// Decodes a JSON object, or a value in Confluent's framing: a zero, the schema's id, the datum and nothing after it.
    pub fn decode<T: DeserializeOwned>(&mut self, value: Option<&[u8]>) -> Result<T, DecodeFault> {
        let unreadable = |reason: &str| DecodeFault::Unreadable(reason.to_owned());
        let value = value.ok_or_else(|| unreadable("it has no value"))?;
        let framed = match value {
            [0, framed @ ..] => framed,
            // Where it goes wrong, and not what stands there: that may be personal.
            [b'{', ..] => {
                return serde_json::from_slice(value).map_err(|error| {
                    DecodeFault::Unreadable(format!("its JSON is not what it should be at byte {}", error.column()))
                });
            }
            _ => return Err(unreadable("it is neither in Confluent's framing nor a JSON object")),
        };
        let (id, mut datum) =
            framed.split_first_chunk::<4>().ok_or_else(|| unreadable("it ends within its framing"))?;
        let id = u32::from_be_bytes(*id);
        if !self.readers.contains_key(&id) {
            let reader = GenericDatumReader::builder(self.schemas.get(id)?).build().map_err(|error| {
                DecodeFault::Unreadable(format!("its schema {id} is not complete: {}", brief(&error)))
            })?;
            self.readers.insert(id, reader);
        }
        let reader = &self.readers[&id];
        let mut again = datum;
        let decoded = match reader.read_deser(&mut datum) {
            Ok(decoded) => decoded,
            // The direct way can't pass over records within records that the audit does not know. A schema that grew goes the slow way.
            Err(_) => {
                let decoded = reader.read_value(&mut again).and_then(|value| apache_avro::from_value(&value));
                datum = again;
                let told = |error| format!("it is not what its schema {id} says: {}", brief(&error));
                decoded.map_err(|error| DecodeFault::Unreadable(told(error)))?
            }
        };
        if datum.is_empty() { Ok(decoded) } else { Err(unreadable("bytes are left over behind it")) }
    }
}

/// The end of an error's text: before it, apache-avro prints whole schemas.
fn brief(error: &apache_avro::Error) -> String {
    let text = error.to_string();
    text.rsplit("}): ").next().unwrap_or(&text).chars().take(200).collect()
}
