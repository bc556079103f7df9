//! What all lanes of a process share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failure::LaneFailure;
use super::watch::Watches;
use crate::batch::ChangeSet;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::registry::{RegistryClient, RegistryError};
use crate::config::{Encoding, LaneRange, Settings, host_name};
use crate::domain::{CommandTopic, Fact, Frontier};
use crate::kafka::commands::CommandConsumer;
use crate::kafka::ends::TopicEnds;
use crate::kafka::topics::{self, ClusterFacts};
use crate::record::TopicNames;
use crate::retry::Backoff;
use crate::store::{Databases, LaneIdentity, StoreErrorKind, other_lanes};
use crate::telemetry::health::Health;
use crate::telemetry::metrics;

pub(crate) struct Shared {
    /// The zero of the clock that patience is measured with.
    pub started: Instant,
    pub settings: Settings,
    pub names: TopicNames,
    pub facts: ClusterFacts,
    pub databases: Databases,
    pub registry: RegistryClient,
    pub decoder: Decoder,
    pub encoder: Encoder,
    pub consumer: CommandConsumer,
    pub ends: TopicEnds,
    pub health: Health,
    /// Who this is, for the log of the worker that a lane is taken from.
    pub owner: String,
    pub watches: Arc<Watches>,
}

/// Why the worker did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{0}")]
    Postgres(#[from] crate::store::StoreError),
    #[error("{0}")]
    Kafka(#[from] crate::kafka::KafkaFailure),
    #[error("{0}")]
    Registry(#[from] crate::codec::registry::RegistryError),
    /// The installation is not as it must be; the text says what to do.
    #[error("{0}")]
    NotReady(String),
    /// A lane could not be recovered from the journal.
    #[error("{0}")]
    Replay(String),
}

impl Shared {
    /// Connects to everything and refuses an installation that could lose commands. A database out of several may be away: its lanes wait
    /// for it, and find out whether it is the right one.
    pub async fn connect(settings: Settings, health: Health) -> Result<Arc<Shared>, WorkerError> {
        let names = TopicNames::new(settings.kafka.topic_prefix.clone());
        let databases = Databases::connect_some(&settings.postgres).await?;
        health.set_migrated(true);
        let (facts, problems) = topics::check(&settings.kafka, &names).await?;
        if !problems.is_empty() {
            let sentences: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
            return Err(WorkerError::NotReady(format!(
                "the topics are not as they must be:\n{}",
                sentences.join("\n")
            )));
        }
        metrics::configured_lanes(facts.lanes);
        databases.check_lanes(facts.lanes)?;
        databases.check_partitions(facts.lanes).await?;
        for database in &settings.postgres {
            let lanes = database.lanes.map_or(facts.lanes, LaneRange::count);
            let needed = usize::try_from(lanes).unwrap_or(usize::MAX).saturating_add(SPARE_CONNECTIONS);
            if database.pool_size < needed {
                return Err(WorkerError::NotReady(format!(
                    "postgres.pool_size is {}, but a worker that holds all {lanes} lanes of {} needs {needed} connections: raise the \
                     setting",
                    database.pool_size,
                    database.setting()
                )));
            }
        }
        let registry = RegistryClient::new(&settings.registry)?;
        let encoder = register_schemas(&registry, &names, settings.output.encoding).await?;
        let decoder = Decoder::new(facts.lanes, registry.clone());
        let consumer = CommandConsumer::new(&settings.kafka, &names)?;
        let ends = TopicEnds::new(&settings.kafka, &names)?;
        let owner = format!(
            "{} of group {} on host {}, process {}",
            settings.kafka.client_id,
            settings.kafka.group,
            host_name(),
            std::process::id()
        );
        let shared = Arc::new(Shared {
            started: Instant::now(),
            settings,
            names,
            facts,
            databases,
            registry,
            decoder,
            encoder,
            consumer,
            ends,
            health,
            owner,
            watches: Arc::default(),
        });
        for identity in shared.databases.known_lanes().await? {
            match shared.check_identity(&identity) {
                // It concerns one lane, and halts that when it is taken.
                Ok(()) | Err(LaneFailure::Halt(_)) => {}
                Err(other) => return Err(WorkerError::NotReady(other.to_string())),
            }
        }
        Ok(shared)
    }

    /// What a refusal of Postgres means: a worker that lacks rights or tables is fit for no lane; else it concerns this lane alone, which would
    /// take one worker after the other with it.
    pub(super) async fn refused(&self, lane: i32, reason: String) -> LaneFailure {
        let checked = async { self.databases.of_lane(lane)?.check_again().await }.await;
        match checked {
            Err(error) if error.kind == StoreErrorKind::Fatal => {
                LaneFailure::UnfitDatabase(format!("{reason}; {error}"))
            }
            Ok(()) | Err(_) => LaneFailure::Halt(reason),
        }
    }

    /// Positions mean something only in the cluster, the topics and the group that they were taken in. A worker that is connected to another
    /// installation's database is not fit for any of its lanes; a topic that was made anew halts the lane for every worker.
    pub(super) fn check_identity(&self, identity: &LaneIdentity) -> Result<(), LaneFailure> {
        let facts = &self.facts;
        let halt = |what: String| Err(LaneFailure::Halt(format!("lane {}: {what}", identity.lane)));
        let unfit = |what: String| Err(LaneFailure::UnfitDatabase(format!("lane {}: {what}", identity.lane)));
        if identity.cluster_id != facts.cluster_id {
            return unfit(format!(
                "Postgres belongs to Kafka cluster {}, but this is cluster {}: connect the worker to its own cluster or database",
                identity.cluster_id, facts.cluster_id
            ));
        }
        if identity.consumer_group != self.settings.kafka.group {
            return unfit(format!(
                "Postgres belongs to consumer group {}, but kafka.group is {}: correct the setting",
                identity.consumer_group, self.settings.kafka.group
            ));
        }
        if identity.lanes != facts.lanes {
            return unfit(other_lanes(identity.lanes, facts.lanes).message);
        }
        if identity.topic_prefix != self.names.prefix() {
            return unfit(format!(
                "Postgres knows topics whose names begin with {:?}, but kafka.topic_prefix is {:?}: correct the setting",
                identity.topic_prefix,
                self.names.prefix()
            ));
        }
        for topic in CommandTopic::ALL {
            let id = &facts.topic_ids[topic.index()];
            if identity.topic_ids[topic.index()].as_ref().is_some_and(|known| known != id) {
                let name = self.names.command(topic);
                return halt(format!(
                    "the topic {name} was deleted and made again: its offsets mean other records now. Restore the topic, or start a \
                     new installation with another topic prefix, group and database"
                ));
            }
        }
        Ok(())
    }

    /// The ranges of a batch as the journal has them.
    pub fn ranges(&self, before: &Frontier, after: &Frontier) -> Vec<(CommandTopic, String, i64, i64)> {
        before
            .iter()
            .zip(after.iter())
            .filter(|((_, from), (_, to))| from != to)
            .map(|((topic, from), (_, to))| (topic, self.facts.topic_ids[topic.index()].clone(), from, to))
            .collect()
    }

    /// Everything that can change an outcome and is not in the records: settings, and how many lanes share the merchants.
    pub fn journaled_settings(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (DUE_LIMIT.to_owned(), self.settings.worker.max_due_per_batch.to_string()),
            (LANES.to_owned(), self.facts.lanes.to_string()),
        ])
    }

    /// Counts what a batch did, once it is committed.
    pub fn count(&self, changes: &ChangeSet) {
        metrics::batch_applied(changes.outcomes.len(), changes.due_settled);
        for outcome in &changes.outcomes {
            metrics::command_decided(outcome.position.topic, &outcome.decision.verdict, outcome.original.is_some());
        }
        for fact in changes.events.iter().map(|event| &event.fact) {
            if let Fact::CommandParked { .. } = fact {
                metrics::command_parked();
            }
        }
        for (_, dead_letter) in &changes.dead_letters {
            metrics::dead_letter(dead_letter.class);
        }
    }
}

/// Waits for a registry that is down or slow: a worker that ended instead would be started again, to find the same.
async fn register_schemas(
    registry: &RegistryClient,
    names: &TopicNames,
    encoding: Encoding,
) -> Result<Encoder, RegistryError> {
    let mut patience = RegistryPatience::new();
    loop {
        match Encoder::register(registry, names, encoding).await {
            Err(error @ RegistryError::Unavailable { .. }) => patience.wait(0, &error).await,
            registered => return registered,
        }
    }
}

/// Waiting for a registry that does not answer: counted, and said once.
pub(super) struct RegistryPatience(Backoff);

impl RegistryPatience {
    pub fn new() -> RegistryPatience {
        RegistryPatience(Backoff::new(Duration::from_millis(100), Duration::from_secs(5)))
    }

    /// `spread` keeps those who wait for different things apart.
    pub async fn wait(&mut self, spread: u32, error: &impl std::fmt::Display) {
        metrics::registry_waited();
        if self.0.failures() == 0 {
            tracing::warn!(%error, "the schema registry does not answer; the worker waits for it");
        }
        tokio::time::sleep(self.0.after_failure(spread)).await;
    }
}

/// Beside one connection per lane: the search for a poisoned record takes a second one, skips are read by the pool's.
const SPARE_CONNECTIONS: usize = 2;

/// The journal's name of the setting that cuts time's own work.
pub(super) const DUE_LIMIT: &str = "worker.max_due_per_batch";

/// The journal's name of the number of lanes. Batches of 0.2.0 and before do not have it.
pub(super) const LANES: &str = "lanes";
