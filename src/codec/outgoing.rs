//! Reading what the worker wrote: for `tail`, `recover` and tests. It blocks when it meets a schema id for the first time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::framing::{self, Framed};
use super::registry::{RegistryClient, RegistryError};
use super::resolve::{self, WriterSchema};
use super::schemas::{self, OwnSchema};
use super::to_json;
use crate::domain::CommandTopic;
use crate::record::OutTopic;

pub struct OutgoingReader {
    registry: RegistryClient,
    learned: Mutex<HashMap<u32, Arc<Writer>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the value is neither in Confluent's wire format nor JSON")]
    NotFramed,
    #[error("schema {0} is not an Avro schema that stands by itself")]
    NotAvro(u32),
    #[error("the value is not a datum of schema {0}, or not of the record that was asked for")]
    NotADatum(u32),
}

struct Writer {
    schema: WriterSchema,
    /// Our schema of that record, and whether it is exactly the writer's.
    own: Option<(&'static OwnSchema, bool)>,
}

impl OutgoingReader {
    pub fn new(registry: RegistryClient) -> OutgoingReader {
        schemas::bound_allocations();
        OutgoingReader { registry, learned: Mutex::default() }
    }

    /// Reads Avro as the struct that mirrors our schema of it, for example `Journal<'static>`. Another version of the schema is
    /// rewritten as ours first.
    pub fn read<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, ReadError> {
        let (id, datum) = split(value)?;
        let writer = self.writer(id)?;
        let read = match writer.own {
            Some((own, true)) => own.read(datum),
            Some((own, false)) => resolve::rewrite(&writer.schema, own, datum).ok().and_then(|datum| own.read(&datum)),
            None => None,
        };
        read.ok_or(ReadError::NotADatum(id))
    }

    /// Reads any record, for people: Avro by its writer's schema, instants as RFC 3339, and JSON as it is.
    pub fn read_json(&self, value: &[u8]) -> Result<Value, ReadError> {
        if let Ok(Framed::Json(text)) = framing::split(value) {
            return serde_json::from_slice(text).map_err(|_| ReadError::NotFramed);
        }
        let (id, datum) = split(value)?;
        let writer = self.writer(id)?;
        to_json::read(writer.schema.root, writer.schema.names.get_names(), datum).map_err(|_| ReadError::NotADatum(id))
    }

    /// Teaches a schema without a registry, for tests.
    pub fn teach(&self, id: u32, text: &str) -> Result<(), ReadError> {
        let writer = Arc::new(writer_of(id, text)?);
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(id, writer);
        Ok(())
    }

    fn writer(&self, id: u32) -> Result<Arc<Writer>, ReadError> {
        if let Some(writer) = self.learned.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(writer.clone());
        }
        let writer = Arc::new(writer_of(id, &self.registry.schema_by_id(id)?)?);
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(id, writer.clone());
        Ok(writer)
    }
}

fn split(value: &[u8]) -> Result<(u32, &[u8]), ReadError> {
    match framing::split(value) {
        Ok(Framed::Confluent { schema_id, datum }) => Ok((schema_id, datum)),
        _ => Err(ReadError::NotFramed),
    }
}

fn writer_of(id: u32, text: &str) -> Result<Writer, ReadError> {
    let json: Value = serde_json::from_str(text).map_err(|_| ReadError::NotAvro(id))?;
    let schema = WriterSchema::parse(&json).ok_or(ReadError::NotAvro(id))?;
    let name = schema.full_name();
    let commands = CommandTopic::ALL.into_iter().map(schemas::command);
    let own = OutTopic::ALL
        .into_iter()
        .filter_map(schemas::outgoing)
        .chain(commands)
        .find(|own| Some(own.full_name()) == name)
        .map(|own| (own, own.is_same(&json)));
    Ok(Writer { schema, own })
}
