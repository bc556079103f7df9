//! Between bytes and meaning: records into deliveries, change sets into records.
//!
//! Inbound, three encodings become one. [`framing`] tells them apart by the first byte; JSON is written as a datum of our schema by
//! walking that schema ([`from_json`]), a datum of another version of the schema is rewritten as one of ours ([`resolve`]), and what is
//! then read is always a datum of the schema that this worker was built with, on apache-avro's direct path. So the encodings can't differ
//! in meaning, and a field that is appended to a schema exists in all of them at once.
//!
//! Outbound, all bytes are made before the batch commits, so that nothing can fail afterwards ([`encode`]).
//!
//! Nothing here decides on a command. A record is undecodable only if it can't be answered; all else that is wrong is a
//! one of the [`crate::domain::command::Command::problems`], which the rules reject.

mod binary;
mod content;
pub mod decode;
pub mod encode;
mod envelope;
pub mod framing;
mod from_json;
pub mod json;
pub mod outcomes_hash;
pub mod outgoing;
mod problems;
pub mod records;
pub mod registry;
mod resolve;
pub mod schemas;
mod serializer;
mod to_json;
mod to_wire;
pub mod wire;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, NeedsSchema, RegistryUnavailable};
pub use encode::{EncodeError, EncodeInput, Encoder, JournalBatch};
pub use outcomes_hash::outcomes_hash;
pub use outgoing::OutgoingReader;
pub use registry::{RegistryClient, RegistryError, register_all};
