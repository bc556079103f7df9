//! The schema registry, by Confluent's REST API. The client blocks: call it on a thread that may wait.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::schemas;
use crate::config::{RegistrySettings, without_password};
use crate::record::TopicNames;
use crate::tls::{self, TlsError};

/// A registry that takes longer is as good as down; callers retry.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The codes by which a registry of Confluent's API says that it does not have a schema, its subject or its version. A 404 without any may
/// come from a proxy or a wrong address.
const NOT_FOUND: std::ops::RangeInclusive<u64> = 40401..=40403;

/// Clones share the connections.
#[derive(Clone)]
pub struct RegistryClient {
    agent: ureq::Agent,
    url: String,
}

/// Texts name what was asked, the answer's status, and the address without the credentials that it may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Down, slow, or something else answers in its place: try again.
    #[error("the schema registry at {address} (registry.url) did not answer {question}: {reason}")]
    Unavailable { address: String, question: String, reason: String },
    /// Something answers there, and it is no registry.
    #[error(
        "registry.url is {address}, and what answers there is no root of Confluent's API (status {status}): it should look like \
         http://HOST:8081, or http://HOST:8080/apis/ccompat/v7 for Apicurio"
    )]
    NoRegistry { address: String, status: u16 },
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
            .map_err(|error| self.unavailable(&question, &error))?;
        match response.status().as_u16() {
            200..=299 => {
                let text = response.body_mut().read_to_string().map_err(|error| self.unavailable(&question, &error))?;
                let registered: Registered = serde_json::from_str(&text).map_err(|_| self.not_understood(&question))?;
                Ok(registered.id)
            }
            status @ (404 | 405) => Err(RegistryError::NoRegistry { address: self.address(), status }),
            status @ (409 | 422) => Err(RegistryError::Refused { subject: subject.to_owned(), status }),
            status => Err(self.silent(&question, format!("status {status}"))),
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
            .map_err(|error| self.unavailable(&question, &error))?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(|error| self.unavailable(&question, &error))?;
        match status {
            200..=299 => {
                let stored: Stored = serde_json::from_str(&text).map_err(|_| self.not_understood(&question))?;
                Ok(stored.schema)
            }
            404 if serde_json::from_str(&text)
                .is_ok_and(|problem: Problem| NOT_FOUND.contains(&problem.error_code)) =>
            {
                Err(RegistryError::NotFound { id })
            }
            // It understood the question and refuses it, now and later.
            400 | 422 => Err(RegistryError::NotFound { id }),
            // Something answers, but is no registry: its address is wrong, or the registry behind it is not up yet.
            404 | 405 => Err(RegistryError::NoRegistry { address: self.address(), status }),
            status => Err(self.silent(&question, format!("status {status}"))),
        }
    }
}

impl RegistryClient {
    fn address(&self) -> String {
        without_password(&self.url)
    }

    fn silent(&self, question: &str, reason: String) -> RegistryError {
        RegistryError::Unavailable { address: self.address(), question: question.to_owned(), reason }
    }

    fn unavailable(&self, question: &str, error: &ureq::Error) -> RegistryError {
        let reason = match error {
            ureq::Error::Io(error) => error.kind().to_string(),
            ureq::Error::Timeout(_) => "timed out".to_owned(),
            ureq::Error::HostNotFound => "its host name is unknown".to_owned(),
            ureq::Error::ConnectionFailed => "connection failed".to_owned(),
            ureq::Error::BadUri(_) => "its address is not a URL".to_owned(),
            ureq::Error::Tls(_) => "TLS failed".to_owned(),
            _ => "the answer was not understood".to_owned(),
        };
        self.silent(question, reason)
    }

    fn not_understood(&self, question: &str) -> RegistryError {
        self.silent(question, "the answer was not understood".to_owned())
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
            address: "its address".to_owned(),
            question: question.to_owned(),
            reason: "the task that asked was cancelled".to_owned(),
        }),
    }
}
