//! The audit: does what was published agree with the database, and both with what came in?
//!
//! It reads the topics (read_committed, to their ends as of its start) and one snapshot of each database, and uses none of the code that
//! applies commands: what that code believes must not be believed here. It may run beside working workers. Then the snapshot comes
//! first and the topics after it, and what lies beyond the snapshot's frontier is read for duplicates only.
//!
//! In reading order: [`facts`] is what was read, `checks` judges it (pure), [`report`] says what was found; `ledger`, `topics`, `wire` and
//! `schemas` do the reading. `since` is how only what was published since an instant is read and judged.

pub mod facts;
pub mod report;

mod checks;
mod ledger;
mod names;
mod schemas;
mod since;
mod topics;
mod wire;

use std::time::{Duration, Instant as Clock};

use futures_util::future::try_join_all;

use crate::config::{KafkaSettings, Settings};
use crate::domain::Instant;
use crate::record::TopicNames;
use crate::store::{Databases, StoreError};
use crate::tls::TlsError;
use facts::{DatabaseFacts, Facts, LaneFacts, Ledger, Names};
pub use report::{AuditReport, Check};
use schemas::Schemas;
use since::Named;

#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// No worker runs and none has anything left to do: whatever is pending or lagging is a fault.
    pub expect_idle: bool,
    /// How long batches that are applied may take to be published before that is a fault.
    pub publication_patience: Duration,
    /// Only what was published then or later is read and judged.
    pub since: Option<Instant>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions { expect_idle: false, publication_patience: Duration::from_secs(10), since: None }
    }
}

/// Why the audit could not be made. What it finds wrong is in its report instead.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the database can't be read: {}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the database can't be read: {0}")]
    Connection(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("Kafka can't be read: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("{topic}/{partition} brings no more records, though the broker says that it has some")]
    Stalled { topic: String, partition: i32 },
    #[error("the schema registry does not say what schema {id} is: {reason}")]
    Registry { id: u32, reason: String },
    #[error("the lane rows name the topic {topic}, which is none of this installation's: is kafka.topic_prefix right?")]
    UnknownTopic { topic: String },
    #[error(
        "the journal of lane {lane} does not reach back so far, or only just: name a later instant, or audit everything"
    )]
    TooLongAgo { lane: i32 },
    #[error("there is nothing to audit: no worker has run on this database yet")]
    NoLanes,
    #[error("a thread of the audit panicked; this is a defect of the audit")]
    Panicked,
}

/// Reads everything, or what was published since an instant, and judges it.
pub async fn run(settings: &Settings, options: AuditOptions) -> Result<AuditReport, AuditError> {
    let facts = collect(settings, &options).await?;
    let judged = tokio::task::spawn_blocking(move || checks::judge(facts, &options)).await;
    judged.map_err(|_| AuditError::Panicked)
}

async fn collect(settings: &Settings, options: &AuditOptions) -> Result<Facts, AuditError> {
    let databases = Databases::connect(&settings.postgres).await?;
    let mut clients = Vec::new();
    for store in databases.all() {
        clients.push(store.plain_client().await?);
    }
    let mut snapshots = Vec::new();
    for client in &mut clients {
        let snapshot = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        snapshots.push(snapshot);
    }

    let topics = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let mut lanes = ledger::Lanes::default();
    for snapshot in &snapshots {
        lanes.append(ledger::read_lanes(snapshot).await?);
    }
    if lanes.count == 0 {
        return Err(AuditError::NoLanes);
    }
    databases.check_lanes(lanes.count)?;
    let grown_from = lanes.grown_from;
    let mut lane_facts: Vec<LaneFacts> =
        (0..lanes.count).map(|lane| LaneFacts { lane, ..LaneFacts::default() }).collect();
    for (lane, row) in lanes.rows {
        if let Some(facts) = usize::try_from(lane).ok().and_then(|index| lane_facts.get_mut(index)) {
            facts.row = Some(row);
        }
    }
    for (lane, batch) in lanes.outbox {
        if let Some(facts) = usize::try_from(lane).ok().and_then(|index| lane_facts.get_mut(index)) {
            facts.outbox.push(batch);
        }
    }

    let (kafka, registry, patience) = (settings.kafka.clone(), settings.registry.clone(), options.publication_patience);
    let since = options.since;
    let published = tokio::task::spawn_blocking(move || -> Result<(Vec<LaneFacts>, Names), AuditError> {
        await_publication(&kafka, &topics, patience, &mut lane_facts)?;
        let names = topics::read(&kafka, &Schemas::new(&registry)?, since, &mut lane_facts)?;
        Ok((lane_facts, names))
    });
    let read = |named| try_join_all(snapshots.iter().map(move |snapshot| ledger::read(snapshot, named)));
    let (ledgers, (mut lanes, mut names)) = match since {
        None => {
            let (ledgers, published) = tokio::join!(read(None), published);
            (ledgers?, published.map_err(|_| AuditError::Panicked)??)
        }
        // What was published says which rows to read.
        Some(_) => {
            let published = published.await.map_err(|_| AuditError::Panicked)??;
            (read(Some(&Named::by(&published.0))).await?, published)
        }
    };
    let (mut ledger, mut parts) = (Ledger::default(), Vec::new());
    for (store, (part, more_names)) in databases.all().iter().zip(ledgers) {
        parts.extend(store.lanes().map(|lanes| DatabaseFacts::of(lanes, &part)));
        ledger.append(part);
        names.absorb(more_names);
    }
    for row in &ledger.parked {
        if let Some(facts) = usize::try_from(row.lane).ok().and_then(|index| lanes.get_mut(index)) {
            facts.parked.insert(row.command);
        }
    }
    for snapshot in snapshots {
        snapshot.rollback().await?;
    }
    for client in &clients {
        for row in client.query(include_str!("sql/applied.sql"), &[]).await? {
            let (lane, applied): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(facts) = usize::try_from(lane).ok().and_then(|index| lanes.get_mut(index)) {
                facts.applied_at_end = applied;
            }
        }
    }
    Ok(Facts { names, lanes, grown_from, ledger, databases: parts })
}

/// Waits until what the snapshot holds as applied is published too: a worker that runs is never more than moments behind, and
/// what a dead one has left over stays in the outbox and becomes a fault.
fn await_publication(
    kafka: &KafkaSettings,
    topics: &TopicNames,
    patience: Duration,
    lanes: &mut [LaneFacts],
) -> Result<(), AuditError> {
    let consumer = topics::consumer(kafka)?;
    let deadline = Clock::now() + patience;
    for lane in lanes {
        loop {
            lane.committed = topics::committed(&consumer, topics, lane.lane)?;
            let published = lane.committed.iter().flatten().filter_map(|committed| committed.batch).max();
            let applied = lane.row.as_ref().map_or(0, |row| row.batch);
            if published.unwrap_or(0) >= applied || lane.outbox.is_empty() || Clock::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// tokio-postgres says only "db error"; what the server said is behind it.
fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}
