//! Which topics the worker refuses, and the sentence that mends each: pure.

use super::client::MAX_OUTBOUND_RECORD_BYTES;
use super::describe::DescribedTopic;
use crate::config::KafkaSettings;
use crate::record::OutTopic;

/// More lanes than this cost more (a producer, five queues and a connection each) than they bring.
pub const MAX_LANES: i32 = 256;

/// The largest batch of an outgoing topic; above [`super::client::MAX_OUTBOUND_RECORD_BYTES`] by a batch's own overhead.
pub const MAX_OUTBOUND_BATCH_BYTES: i64 = 2_097_152;

/// A reason not to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic}: {problem}. {mend}")]
pub struct TopicProblem {
    pub topic: String,
    pub kind: TopicProblemKind,
    /// What is wrong, and what could come of it.
    pub problem: String,
    /// What to do, mostly a command line.
    pub mend: String,
}

/// In the order in which they can be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicProblemKind {
    Missing,
    TooManyPartitions,
    PartitionCounts,
    TooFewReplicas,
    MinInSyncReplicas,
    TimestampType,
    Compacted,
    NotCompacted,
    UncleanLeaderElection,
    BatchSize,
}

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicRole {
    Command,
    Out(OutTopic),
}

/// The settings of a topic that are looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicConfiguration {
    pub(super) timestamp_type: String,
    pub(super) cleanup_policy: String,
    pub(super) unclean_leader_election: String,
    pub(super) min_in_sync_replicas: usize,
    pub(super) max_batch_bytes: i64,
}

/// A topic that was looked for; without `description` it was not found, and its configuration means nothing.
pub(super) struct FoundTopic<'a> {
    pub(super) name: &'a str,
    pub(super) role: TopicRole,
    pub(super) description: Option<&'a DescribedTopic>,
    pub(super) configuration: TopicConfiguration,
}

/// All reasons not to start, topic by topic.
pub(super) fn problems_of(settings: &KafkaSettings, topics: &[FoundTopic<'_>]) -> Vec<TopicProblem> {
    let lanes = topics.iter().find_map(|topic| topic.description.map(|found| (topic.name, found.partitions)));
    let mut problems: Vec<TopicProblem> =
        topics.iter().flat_map(|topic| problems_of_one(settings, topic, lanes)).collect();
    // In an order in which they can be mended: what does not exist is made first, and min.insync.replicas is raised once there are replicas.
    problems.sort_by_key(|problem| problem.kind);
    problems
}

fn problems_of_one(settings: &KafkaSettings, topic: &FoundTopic<'_>, first: Option<(&str, i32)>) -> Vec<TopicProblem> {
    let mut problems = Vec::new();
    let mut refuse = |kind, problem: String, mend: String| {
        problems.push(TopicProblem { topic: topic.name.to_owned(), kind, problem, mend });
    };
    let set = |property: &str| set_command(&settings.bootstrap_servers, topic.name, property);
    let Some(found) = topic.description else {
        refuse(
            TopicProblemKind::Missing,
            "the topic does not exist".into(),
            "Run `loyalty-worker topics create`".into(),
        );
        return problems;
    };
    let configuration = &topic.configuration;

    if let Some((other, lanes)) = first
        && found.partitions != lanes
    {
        refuse(
            TopicProblemKind::PartitionCounts,
            format!(
                "it has {} partitions and {other} has {lanes}, but partition p of every topic is lane p",
                found.partitions
            ),
            format!(
                "`loyalty-worker lanes resize --to {}` ends what was begun, where the lanes are to be so many; where no command has been \
                 taken yet, make the topics anew",
                found.partitions.max(lanes)
            ),
        );
    }
    if found.partitions > MAX_LANES {
        refuse(
            TopicProblemKind::TooManyPartitions,
            format!("it has {} partitions, and a worker takes at most {MAX_LANES} lanes", found.partitions),
            "Make the topics anew with 8 to 64 partitions".into(),
        );
    }
    if topic.role == TopicRole::Command && configuration.timestamp_type != "LogAppendTime" {
        refuse(
            TopicProblemKind::TimestampType,
            format!(
                "message.timestamp.type is {}, so that a sender's clock would set the lane's time",
                configuration.timestamp_type
            ),
            set("message.timestamp.type=LogAppendTime"),
        );
    }
    let compacted = configuration.cleanup_policy.contains("compact");
    if topic.role == TopicRole::Out(OutTopic::Customers) {
        if !compacted {
            refuse(
                TopicProblemKind::NotCompacted,
                format!(
                    "cleanup.policy is {}, so that the states of quiet customers would vanish",
                    configuration.cleanup_policy
                ),
                set("cleanup.policy=compact"),
            );
        }
    } else if compacted {
        refuse(
            TopicProblemKind::Compacted,
            format!(
                "cleanup.policy is {}, and compaction would remove all but the last record of a key",
                configuration.cleanup_policy
            ),
            set("cleanup.policy=delete"),
        );
    }
    if configuration.unclean_leader_election != "false" {
        refuse(
            TopicProblemKind::UncleanLeaderElection,
            "unclean.leader.election.enable is on, so that acknowledged records could be lost".into(),
            set("unclean.leader.election.enable=false"),
        );
    }
    if configuration.min_in_sync_replicas < 2 && !settings.development {
        refuse(
            TopicProblemKind::MinInSyncReplicas,
            format!(
                "min.insync.replicas is {}, so that one broker's disk could lose records",
                configuration.min_in_sync_replicas
            ),
            format!("{}; `kafka.development = true` allows a single replica", set("min.insync.replicas=2")),
        );
    }
    if found.replicas < configuration.min_in_sync_replicas {
        refuse(
            TopicProblemKind::TooFewReplicas,
            format!(
                "it has {} replicas and min.insync.replicas is {}, so that nothing can be written",
                found.replicas, configuration.min_in_sync_replicas
            ),
            "Add replicas with kafka-reassign-partitions.sh".into(),
        );
    }
    if matches!(topic.role, TopicRole::Out(_))
        && configuration.max_batch_bytes <= i64::try_from(MAX_OUTBOUND_RECORD_BYTES).unwrap_or(i64::MAX)
    {
        refuse(
            TopicProblemKind::BatchSize,
            format!(
                "max.message.bytes is {}, and a record of the worker may have {MAX_OUTBOUND_RECORD_BYTES} bytes",
                configuration.max_batch_bytes
            ),
            set(&format!("max.message.bytes={MAX_OUTBOUND_BATCH_BYTES}")),
        );
    }
    problems
}

fn set_command(bootstrap: &str, topic: &str, property: &str) -> String {
    format!(
        "Run `kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} \
         --add-config {property}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(development: bool) -> KafkaSettings {
        KafkaSettings {
            bootstrap_servers: "kafka:9092".into(),
            group: "loyalty".into(),
            topic_prefix: "loyalty.".into(),
            client_id: "pod-0".into(),
            instance_id: None,
            development,
            properties: Default::default(),
        }
    }

    fn good() -> TopicConfiguration {
        TopicConfiguration {
            timestamp_type: "LogAppendTime".into(),
            cleanup_policy: "delete".into(),
            unclean_leader_election: "false".into(),
            min_in_sync_replicas: 2,
            max_batch_bytes: MAX_OUTBOUND_BATCH_BYTES,
        }
    }

    fn kinds(
        role: TopicRole,
        development: bool,
        configuration: TopicConfiguration,
        partitions: i32,
    ) -> Vec<TopicProblemKind> {
        let found = DescribedTopic { id: "id".into(), partitions, replicas: 3 };
        let topic = FoundTopic { name: "t", role, description: Some(&found), configuration };
        problems_of(&settings(development), &[topic]).into_iter().map(|problem| problem.kind).collect()
    }

    #[test]
    fn each_refusal_has_its_kind() {
        use TopicProblemKind::*;
        let command = TopicRole::Command;
        let results = TopicRole::Out(OutTopic::Results);
        let customers = TopicRole::Out(OutTopic::Customers);
        let with = |change: fn(&mut TopicConfiguration)| {
            let mut configuration = good();
            change(&mut configuration);
            configuration
        };
        assert_eq!(kinds(command, false, good(), 8), []);
        assert_eq!(kinds(command, false, good(), 257), [TooManyPartitions]);
        assert_eq!(kinds(command, false, with(|c| c.timestamp_type = "CreateTime".into()), 8), [TimestampType]);
        assert_eq!(kinds(results, false, with(|c| c.timestamp_type = "CreateTime".into()), 8), []);
        assert_eq!(kinds(command, false, with(|c| c.cleanup_policy = "delete,compact".into()), 8), [Compacted]);
        assert_eq!(kinds(customers, false, good(), 8), [NotCompacted]);
        assert_eq!(
            kinds(command, false, with(|c| c.unclean_leader_election = "true".into()), 8),
            [UncleanLeaderElection]
        );
        assert_eq!(kinds(command, false, with(|c| c.min_in_sync_replicas = 1), 8), [MinInSyncReplicas]);
        assert_eq!(kinds(command, true, with(|c| c.min_in_sync_replicas = 1), 8), []);
        assert_eq!(kinds(command, true, with(|c| c.min_in_sync_replicas = 4), 8), [TooFewReplicas]);
        assert_eq!(kinds(results, false, with(|c| c.max_batch_bytes = 1_048_588), 8), [BatchSize]);
    }

    #[test]
    fn a_missing_topic_is_only_missing() {
        let topic = FoundTopic { name: "t", role: TopicRole::Command, description: None, configuration: good() };
        let problems = problems_of(&settings(false), &[topic]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].to_string(), "t: the topic does not exist. Run `loyalty-worker topics create`");
    }

    #[test]
    fn counts_are_compared_with_the_first_topic() {
        let (four, eight) = (
            DescribedTopic { id: "a".into(), partitions: 4, replicas: 3 },
            DescribedTopic { id: "b".into(), partitions: 8, replicas: 3 },
        );
        let topic =
            |name, description| FoundTopic { name, role: TopicRole::Command, description, configuration: good() };
        let problems = problems_of(&settings(false), &[topic("a", Some(&four)), topic("b", Some(&eight))]);
        assert_eq!(
            problems.iter().map(|p| (p.topic.as_str(), p.kind)).collect::<Vec<_>>(),
            [("b", TopicProblemKind::PartitionCounts)]
        );
    }
}
