//! Why a lane stops, by what is done about it.

use crate::domain::Position;
use crate::kafka::publisher::{PublishError, PublishErrorKind};
use crate::kafka::{FailureKind, KafkaFailure};
use crate::record::TopicNames;
use crate::store::{StoreError, StoreErrorKind};

/// Why a lane can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneFailure {
    /// Kafka did not answer, or a transaction failed: try again.
    #[error("{0}")]
    Kafka(String),
    /// Postgres did not answer, or whether it committed is not known: try again.
    #[error("{0}")]
    Postgres(String),
    /// Kafka says that another producer has this lane's id. It may also be our own transaction that took too long: the assignment decides.
    #[error("Kafka fenced the lane's producer: {0}")]
    FencedByKafka(String),
    /// The lane row has another epoch or batch: somebody else writes this lane.
    #[error("another owner has taken the lane: {0}")]
    LaneLost(String),
    /// Nothing is done until a person has looked.
    #[error("{0}")]
    Halt(String),
    /// The same for one record, which `skip` may give up.
    #[error("{reason}")]
    Poisoned { record: Position, reason: String },
    /// What the broker holds at a position can't be read. Once is a failure of Kafka's; again and again it is the record.
    #[error("the record {record:?} can't be read: {reason}")]
    Unreadable { record: Position, reason: String },
    /// Postgres refuses what a retry does not mend, for a reason of this worker's or of this lane's.
    #[error("{0}")]
    Refused(String),
    /// This worker can't have any lane: its rights, its settings or its version are wrong. It ends, so that another worker gets its lanes.
    #[error("{0}")]
    Unfit(String),
    /// The same for the lanes of one database: of several, the others go on.
    #[error("{0}")]
    UnfitDatabase(String),
}

/// So many recoveries in turn that fail at one record.
const MAX_READ_ATTEMPTS: u32 = 3;

impl LaneFailure {
    pub fn poisoned(names: &TopicNames, record: Position, error: &impl std::fmt::Display) -> LaneFailure {
        let Position { topic, partition, offset } = record;
        let name = format!("{}/{partition}/{offset}", names.command(topic));
        let reason = format!(
            "lane {partition} can't apply the record {name}: {error}. Correct the worker and start it again, or give the record up: \
             `loyalty-worker skip {name} --reason ...` makes a dead letter of it"
        );
        LaneFailure::Poisoned { record, reason }
    }

    /// A record that could not be read so often as this is at fault itself.
    pub fn after_reading_in_vain(self, times: u32, names: &TopicNames) -> LaneFailure {
        match self {
            LaneFailure::Unreadable { record, reason } if times >= MAX_READ_ATTEMPTS => {
                let reason = format!(
                    "its bytes can't be read ({reason}). A batch may unpack to at most kafka.properties receive.message.max.bytes; restore \
                     the topic or raise that"
                );
                LaneFailure::poisoned(names, record, &reason)
            }
            failure => failure,
        }
    }

    /// The record that halts the lane.
    pub fn record(&self) -> Option<Position> {
        match self {
            LaneFailure::Poisoned { record, .. } => Some(*record),
            _ => None,
        }
    }
}

impl From<StoreError> for LaneFailure {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Transient => LaneFailure::Postgres(error.to_string()),
            StoreErrorKind::LaneLost => LaneFailure::LaneLost(error.to_string()),
            StoreErrorKind::Data | StoreErrorKind::Corrupt => LaneFailure::Halt(error.to_string()),
            StoreErrorKind::Fatal => LaneFailure::Refused(error.to_string()),
        }
    }
}

impl From<KafkaFailure> for LaneFailure {
    fn from(failure: KafkaFailure) -> Self {
        match failure.kind {
            FailureKind::Denied => LaneFailure::Unfit(failure.to_string()),
            FailureKind::Settings | FailureKind::Unavailable | FailureKind::Unexpected => {
                LaneFailure::Kafka(failure.to_string())
            }
        }
    }
}

impl From<PublishError> for LaneFailure {
    fn from(error: PublishError) -> Self {
        match error.kind {
            PublishErrorKind::Fenced => LaneFailure::FencedByKafka(error.to_string()),
            PublishErrorKind::Denied => LaneFailure::Unfit(error.to_string()),
            PublishErrorKind::Other => LaneFailure::Kafka(error.to_string()),
        }
    }
}
