//! Making the topics, and refusing those that could lose, reorder or misdate commands.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{LoggedContext, admin_config, first_contact, is_denied};
use super::describe;
pub use super::describe::ClusterFacts;
use super::topic_checks::{FoundTopic, MAX_OUTBOUND_BATCH_BYTES, TopicConfiguration, TopicRole, problems_of};
pub use super::topic_checks::{MAX_LANES, TopicProblem, TopicProblemKind};
use super::{FailureKind, KafkaFailure};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::{OutTopic, TopicNames};

/// Commands, results, events, dead letters and the journal are kept for 30 days. The commands and the journal are what a database
/// restored from a backup is brought up to date with: their retention must exceed the oldest backup's age plus the longest outage.
pub const RETENTION_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The largest (compressed) batch of a command topic: Kafka's own default, written down so that a broker's does not count.
pub const MAX_COMMAND_BATCH_BYTES: i64 = 1_048_588;

/// What `create` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsCreated {
    pub created: Vec<String>,
    /// Left as they were, whatever they are: `check` judges them.
    pub existing: Vec<String>,
}

/// Makes the topics that don't exist yet, with `lanes` partitions each, and waits until a broker knows them all.
pub async fn create(
    settings: &KafkaSettings,
    names: &TopicNames,
    lanes: i32,
    replication: i32,
) -> Result<TopicsCreated, KafkaFailure> {
    let doing = "creating the topics";
    if !(1..=MAX_LANES).contains(&lanes) {
        let refused = format!("{lanes} lanes; there may be 1 to {MAX_LANES}");
        return Err(KafkaFailure::new(FailureKind::Settings, doing, refused));
    }
    let (retention, command_batch, outbound_batch) =
        (RETENTION_MS.to_string(), MAX_COMMAND_BATCH_BYTES.to_string(), MAX_OUTBOUND_BATCH_BYTES.to_string());
    let min_in_sync = if replication >= 2 { "2" } else { "1" };
    let all = all_topics(names);
    let wanted: Vec<NewTopic<'_>> = all
        .iter()
        .map(|(name, role)| {
            let topic = NewTopic::new(name, lanes, TopicReplication::Fixed(replication))
                .set("min.insync.replicas", min_in_sync)
                .set("unclean.leader.election.enable", "false")
                .set("message.timestamp.type", "LogAppendTime");
            match role {
                TopicRole::Command => topic
                    .set("cleanup.policy", "delete")
                    .set("retention.ms", &retention)
                    .set("max.message.bytes", &command_batch),
                // The latest state of every customer: what is kept is decided by key, not by age.
                TopicRole::Out(OutTopic::Customers) => {
                    topic.set("cleanup.policy", "compact").set("max.message.bytes", &outbound_batch)
                }
                TopicRole::Out(_) => topic
                    .set("cleanup.policy", "delete")
                    .set("retention.ms", &retention)
                    .set("max.message.bytes", &outbound_batch),
            }
        })
        .collect();
    contact(settings).await?;
    let admin = Arc::new(admin(settings)?);
    let answers = admin
        .create_topics(&wanted, &options().operation_timeout(Some(PATIENCE)))
        .await
        .map_err(|error| KafkaFailure::of(doing, &error))?;
    let mut made = TopicsCreated { created: Vec::new(), existing: Vec::new() };
    let mut refused = Vec::new();
    for answer in answers {
        match answer {
            Ok(name) => made.created.push(name),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => made.existing.push(name),
            Err((name, code)) => refused.push((name, code)),
        }
    }
    if let Some((name, code)) = refused.first() {
        let kind = match code {
            RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidPartitions => FailureKind::Settings,
            code if is_denied(*code) => FailureKind::Denied,
            // Too few brokers for the replication, among others: the next ones may be just starting.
            _ => FailureKind::Unavailable,
        };
        let there = made.created.len() + made.existing.len();
        let message = format!("{code}; {there} of {} topics are there", there + refused.len());
        return Err(KafkaFailure::new(kind, format!("creating the topic {name}"), message));
    }
    until_known(&admin, all.into_iter().map(|(name, _)| name).collect(), 1).await?;
    close(admin).await;
    Ok(made)
}

/// The topics, and how many partitions each has: 0 of one that does not exist.
pub async fn partitions(settings: &KafkaSettings, names: &TopicNames) -> Result<Vec<(String, i32)>, KafkaFailure> {
    contact(settings).await?;
    let admin = Arc::new(admin(settings)?);
    let all: Vec<String> = all_topics(names).into_iter().map(|(name, _)| name).collect();
    let asked = all.clone();
    let found = describe(&admin, move |client| describe::topics(client, &asked, PATIENCE)).await?;
    close(admin).await;
    Ok(all.into_iter().zip(found).map(|(name, topic)| (name, topic.map_or(0, |topic| topic.partitions))).collect())
}

/// Gives each of these topics so many partitions, more than it has, and waits until a broker knows. Kafka does it topic by topic: after an
/// error some may have them.
pub async fn grow(settings: &KafkaSettings, names: Vec<String>, partitions: i32) -> Result<(), KafkaFailure> {
    if names.is_empty() {
        return Ok(());
    }
    let count = usize::try_from(partitions).unwrap_or_default();
    let wanted: Vec<NewPartitions<'_>> = names.iter().map(|name| NewPartitions::new(name, count)).collect();
    contact(settings).await?;
    let admin = Arc::new(admin(settings)?);
    let answers = admin
        .create_partitions(&wanted, &options().operation_timeout(Some(PATIENCE)))
        .await
        .map_err(|error| KafkaFailure::of("adding partitions to the topics", &error))?;
    for answer in answers {
        if let Err((name, code)) = answer {
            let doing = format!("adding partitions to the topic {name}");
            return Err(KafkaFailure::new(FailureKind::Unavailable, doing, code.to_string()));
        }
    }
    until_known(&admin, names, partitions).await?;
    close(admin).await;
    Ok(())
}

/// Looks at all topics as they are. The facts hold only where there is no problem: with a missing topic its id is empty, with
/// differing partition counts `lanes` is that of the first topic that exists.
pub async fn check(
    settings: &KafkaSettings,
    names: &TopicNames,
) -> Result<(ClusterFacts, Vec<TopicProblem>), KafkaFailure> {
    let all = all_topics(names);
    let cluster_id = contact(settings).await?;
    let admin = Arc::new(admin(settings)?);
    let asked: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let described = describe(&admin, move |client| describe::topics(client, &asked, PATIENCE)).await?;

    // A missing topic would be answered with an empty configuration.
    let existing: Vec<&str> =
        all.iter().zip(&described).filter(|(_, found)| found.is_some()).map(|((name, _), _)| name.as_str()).collect();
    let configurations = if existing.is_empty() {
        Vec::new()
    } else {
        let specifiers: Vec<_> = existing.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        admin
            .describe_configs(&specifiers, &options())
            .await
            .map_err(|error| KafkaFailure::of("reading the topics' configuration", &error))?
    };
    close(admin).await;

    let mut topics = Vec::new();
    for ((name, role), description) in all.iter().zip(&described) {
        let configuration = match description {
            None => Default::default(),
            Some(_) => configuration_of(name, &configurations)?,
        };
        topics.push(FoundTopic { name, role: *role, description: description.as_ref(), configuration });
    }
    let mut facts = ClusterFacts { cluster_id, lanes: 0, topic_ids: Default::default() };
    facts.lanes = described.iter().flatten().map(|topic| topic.partitions).next().unwrap_or(0);
    for (id, topic) in facts.topic_ids.iter_mut().zip(&described) {
        *id = topic.as_ref().map(|topic| topic.id.clone()).unwrap_or_default();
    }
    Ok((facts, problems_of(settings, &topics)))
}

const PATIENCE: Duration = Duration::from_secs(30);

/// The command topics first, in the order of [`CommandTopic::ALL`].
fn all_topics(names: &TopicNames) -> Vec<(String, TopicRole)> {
    let commands = CommandTopic::ALL.into_iter().map(|topic| (names.command(topic), TopicRole::Command));
    let out = OutTopic::ALL.into_iter().map(|topic| (names.out(topic), TopicRole::Out(topic)));
    commands.chain(out).collect()
}

/// Fails within seconds, with the setting and the address, where no broker answers: calls of the client itself take up to a minute, and say
/// only that they timed out.
pub async fn reach(settings: &KafkaSettings) -> Result<(), KafkaFailure> {
    contact(settings).await.map(|_| ())
}

const REACHED_WITHIN: Duration = Duration::from_secs(8);

async fn contact(settings: &KafkaSettings) -> Result<String, KafkaFailure> {
    let settings = settings.clone();
    tokio::task::spawn_blocking(move || first_contact(&settings, REACHED_WITHIN))
        .await
        .map_err(|error| KafkaFailure::unexpected("reaching the brokers", error.to_string()))?
}

type Admin = AdminClient<LoggedContext>;

fn admin(settings: &KafkaSettings) -> Result<Admin, KafkaFailure> {
    admin_config(settings)
        .create_with_context(LoggedContext::default())
        .map_err(|error| KafkaFailure::of("making the administrator's client", &error))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE))
}

/// Runs a call that blocks, off the runtime's own threads.
async fn describe<T: Send + 'static>(
    admin: &Arc<Admin>,
    call: impl FnOnce(&Client<LoggedContext>) -> Result<T, KafkaFailure> + Send + 'static,
) -> Result<T, KafkaFailure> {
    let admin = Arc::clone(admin);
    tokio::task::spawn_blocking(move || call(admin.inner()))
        .await
        .map_err(|error| KafkaFailure::unexpected("describing the topics", error.to_string()))?
}

/// The controller answers before the brokers have heard of a topic; half a second was seen on a busy one.
async fn until_known(admin: &Arc<Admin>, names: Vec<String>, partitions: i32) -> Result<(), KafkaFailure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    loop {
        turns.tick().await;
        let asked = names.clone();
        let found = describe(admin, move |client| describe::topics(client, &asked, PATIENCE)).await?;
        if found.iter().all(|topic| topic.as_ref().is_some_and(|topic| topic.partitions >= partitions)) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let doing = "waiting until the brokers know the new topics or partitions";
            return Err(KafkaFailure::new(FailureKind::Unavailable, doing, "some are still unknown"));
        }
    }
}

/// Dropping an admin client waits 100 ms for its thread.
async fn close(admin: impl Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(move || drop(admin)).await {
        tracing::warn!("closing the administrator's client: {error}");
    }
}

/// An entry that is not there is an error: a default of ours would pass a topic that nobody has looked at.
fn configuration_of(
    topic: &str,
    configurations: &[rdkafka::admin::ConfigResourceResult],
) -> Result<TopicConfiguration, KafkaFailure> {
    let doing = || format!("reading the configuration of {topic}");
    let missing = |what: &str| {
        KafkaFailure::unexpected(
            doing(),
            format!("the broker did not tell {what}: may this user do DescribeConfigs on the topic?"),
        )
    };
    let mut found = None;
    for answer in configurations {
        let resource =
            answer.as_ref().map_err(|code| KafkaFailure::new(FailureKind::Unavailable, doing(), code.to_string()))?;
        if resource.specifier == OwnedResourceSpecifier::Topic(topic.to_owned()) {
            found = Some(resource);
        }
    }
    let found = found.ok_or_else(|| missing("it"))?;
    let entry = |key: &str| found.get(key).and_then(|entry| entry.value.clone()).ok_or_else(|| missing(key));
    Ok(TopicConfiguration {
        timestamp_type: entry("message.timestamp.type")?,
        cleanup_policy: entry("cleanup.policy")?,
        unclean_leader_election: entry("unclean.leader.election.enable")?,
        min_in_sync_replicas: entry("min.insync.replicas")?.parse().map_err(|_| missing("min.insync.replicas"))?,
        max_batch_bytes: entry("max.message.bytes")?.parse().map_err(|_| missing("max.message.bytes"))?,
    })
}
