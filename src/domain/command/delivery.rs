//! Records, understood as far as that is possible. Nothing here has been checked beyond its form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::command::envelope::Envelope;
use crate::domain::command::list::Body;
use crate::domain::field_check::FieldProblem;
use crate::domain::values::ids::Seed;
use crate::domain::values::position::{CommandTopic, Position};
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

/// One inbound record, understood as far as that is possible.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub position: Position,
    /// The record's timestamp: the broker's time.
    pub timestamp: Instant,
    pub seed: Seed,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Command(Box<Command>),
    Tick,
    /// Can't be answered: it goes to the dead letters as it came.
    DeadLetter(DeadLetter),
}

/// A record that can't be answered, with why. The original bytes stay with the record itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub class: DeadLetterClass,
    /// What to mend, in a sentence without the record's content.
    pub message: String,
    /// Of the registry, where the record named one.
    pub schema_id: Option<u32>,
}

words! {
    DeadLetterClass {
        Undecodable "undecodable",
        UnknownSchema "unknown_schema",
        MissingMerchant "missing_merchant",
        WrongKey "wrong_key",
        WrongPartition "wrong_partition",
        Skipped "skipped",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub topic: CommandTopic,
    pub envelope: Envelope,
    pub schedule: Schedule,
    /// `None` where it is not known which command it is, or the topic has none yet.
    pub body: Option<Body>,
    /// What is wrong with its form. In the place of what could not be read stands something harmless, so that everything that is wrong with a
    /// command is found at once.
    pub problems: Vec<FieldProblem>,
    /// Equal for equal commands, whatever their encoding: see `codec::content`.
    pub content_hash: ContentHash,
    /// W3C trace context, passed through to what the command causes.
    pub traceparent: Option<Arc<str>>,
    /// Of a record that was sent again: when it came first. Its business time, unless the envelope names one.
    pub original_time: Option<Instant>,
}

/// When a change of configuration comes into force, and which version its sender knows; of other commands nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub effective_from: Option<Instant>,
    pub expected_version: Option<i64>,
}

impl Command {
    /// One that is as it should be.
    pub fn new(topic: CommandTopic, envelope: Envelope, body: Body, content_hash: ContentHash) -> Command {
        Command {
            topic,
            envelope,
            schedule: Schedule::default(),
            body: Some(body),
            problems: Vec::new(),
            content_hash,
            traceparent: None,
            original_time: None,
        }
    }

    /// The name that results and metrics carry: the topic's, where the form is wrong, since it may be the kind that is.
    pub fn kind(&self) -> &'static str {
        let body = self.body.as_ref().filter(|_| self.problems.is_empty());
        body.map_or(self.topic.suffix(), Body::kind)
    }

    /// Business time.
    pub fn occurred_at(&self, record_time: Instant) -> Instant {
        self.envelope.occurred_at.or(self.original_time).unwrap_or(record_time)
    }
}

/// 128 bits of SHA-256 over what a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 16]);
