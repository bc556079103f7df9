//! The schema registry, by Confluent's REST API. The client blocks: call it on a thread that may wait.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::schemas;
use crate::config::RegistrySettings;
use crate::record::TopicNames;
use crate::tls::{self, TlsError};

/// A registry that takes longer is as good as down; callers retry.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Confluent's code for an id that was never given out. Any other 404 may come from a proxy or a wrong address.
const SCHEMA_NOT_FOUND: u64 = 40403;

/// Clones share the connections.
#[derive(Clone)]
pub struct RegistryClient {
    agent: ureq::Agent,
    url: String,
}

/// Texts name what was asked and the answer's status, never the address, which may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Down, slow, or something else answers in its place: try again.
    #[error("the schema registry did not answer {question}: {reason}")]
    Unavailable { question: String, reason: String },
    /// The registry says that it does not have this schema.
    #[error("the schema registry does not have schema {id}")]
    NotFound { id: u32 },
    /// The registry refuses a schema; trying again does not help.
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "the schema registry refuses the schema of {subject} (status {status}); is it compatible with the one registered?"
    )]
    Refused { subject: String, status: u16 },
}

impl RegistryClient {
    pub fn new(settings: &RegistrySettings) -> Result<RegistryClient, RegistryError> {
        let agent = tls::registry_agent(settings, TIMEOUT)?;
        Ok(RegistryClient { agent, url: settings.url.trim_end_matches('/').to_owned() })
    }

    /// Registers a schema, which does nothing if it is registered already, and returns its id.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let question = format!("to register {subject}");
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let mut response = self
            .agent
            .post(format!("{}/subjects/{subject}/versions", self.url))
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .send(body)
            .map_err(|error| unavailable(&question, &error))?;
        match response.status().as_u16() {
            200..=299 => {
                let text = response.body_mut().read_to_string().map_err(|error| unavailable(&question, &error))?;
                let registered: Registered = serde_json::from_str(&text).map_err(|_| not_understood(&question))?;
                Ok(registered.id)
            }
            status @ (409 | 422) => Err(RegistryError::Refused { subject: subject.to_owned(), status }),
            status => Err(RegistryError::Unavailable { question, reason: format!("status {status}") }),
        }
    }

    /// The text of a schema.
    pub fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct Stored {
            schema: String,
        }
        #[derive(Deserialize)]
        struct Problem {
            error_code: u64,
        }
        let question = format!("for schema {id}");
        let mut response = self
            .agent
            .get(format!("{}/schemas/ids/{id}", self.url))
            .call()
            .map_err(|error| unavailable(&question, &error))?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(|error| unavailable(&question, &error))?;
        match status {
            200..=299 => {
                let stored: Stored = serde_json::from_str(&text).map_err(|_| not_understood(&question))?;
                Ok(stored.schema)
            }
            404 if serde_json::from_str(&text).is_ok_and(|problem: Problem| problem.error_code == SCHEMA_NOT_FOUND) => {
                Err(RegistryError::NotFound { id })
            }
            status => Err(RegistryError::Unavailable { question, reason: format!("status {status}") }),
        }
    }
}

/// Registers every schema of an installation and says under which subject and id.
pub async fn register_all(registry: &RegistryClient, names: &TopicNames) -> Result<Vec<(String, u32)>, RegistryError> {
    let subjects = schemas::subjects(names);
    let registry = registry.clone();
    blocking("to register schemas", move || {
        subjects
            .into_iter()
            .map(|(subject, schema)| registry.register(&subject, schema.text).map(|id| (subject, id)))
            .collect()
    })
    .await
}

/// Runs a question to the registry where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    question: &str,
    ask: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => answer,
        Err(_) => Err(RegistryError::Unavailable {
            question: question.to_owned(),
            reason: "the task that asked was cancelled".to_owned(),
        }),
    }
}

fn unavailable(question: &str, error: &ureq::Error) -> RegistryError {
    let reason = match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => "timed out".to_owned(),
        ureq::Error::HostNotFound => "its host name is unknown".to_owned(),
        ureq::Error::ConnectionFailed => "connection failed".to_owned(),
        ureq::Error::BadUri(_) => "its address is not a URL".to_owned(),
        ureq::Error::Tls(_) => "TLS failed".to_owned(),
        _ => "the answer was not understood".to_owned(),
    };
    RegistryError::Unavailable { question: question.to_owned(), reason }
}

fn not_understood(question: &str) -> RegistryError {
    RegistryError::Unavailable { question: question.to_owned(), reason: "the answer was not understood".to_owned() }
}
