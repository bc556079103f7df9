//! Kafka: who owns which lane, what comes in, and what goes out with the offsets in one transaction.
//!
//! Two consumers share one group. [`group`] subscribes to the clock topic only and reads nothing: its assignment says which lanes
//! are ours. [`commands`] never subscribes: the partitions of a lane are assigned to it by hand, each with a queue of its own
//! ([`lane_queues`]), and its group metadata carries the offsets, since those of a subscriber go stale at every rebalance.
//! [`publisher`] is a lane's transactional producer; [`topics`] makes and checks the topics; [`ticks`] and [`sender`] write commands.
//!
//! Calls that wait for a broker block the thread and say so; none may be made on a tokio worker thread.

pub mod client;
pub mod commands;
mod describe;
pub mod ends;
pub mod group;
mod headers;
pub mod lane_queues;
pub mod owners;
mod producer;
pub mod publisher;
pub mod ranges;
pub mod sender;
pub mod ticks;
mod topic_checks;
pub mod topics;

use rdkafka::error::KafkaError;

use crate::config::passthrough;

/// A call to Kafka that did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {message}")]
pub struct KafkaFailure {
    pub kind: FailureKind,
    /// What was tried, in words for an operator.
    pub doing: String,
    pub message: String,
}

/// What the caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The settings make no client, or ask for what can't be: mend them, trying again is useless.
    Settings,
    /// The brokers did not answer, or answered with an error: try again, with back-off. Never the same as "there is nothing".
    Unavailable,
    /// The brokers refuse this client the right: give it, or correct the settings.
    Denied,
    /// An answer that no cluster in order gives: stop and let the operator look.
    Unexpected,
}

impl KafkaFailure {
    fn new(kind: FailureKind, doing: impl Into<String>, message: impl Into<String>) -> Self {
        KafkaFailure { kind, doing: doing.into(), message: message.into() }
    }

    fn unexpected(doing: impl Into<String>, message: impl Into<String>) -> Self {
        KafkaFailure::new(FailureKind::Unexpected, doing, message)
    }

    /// Classifies an error of librdkafka. Whatever concerns the making of a client can only be the settings.
    fn of(doing: impl Into<String>, error: &KafkaError) -> Self {
        let kind = match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => FailureKind::Settings,
            _ if error.rdkafka_error_code().is_some_and(client::is_denied) => FailureKind::Denied,
            _ => FailureKind::Unavailable,
        };
        KafkaFailure::new(kind, doing, passthrough::describe(error))
    }
}
