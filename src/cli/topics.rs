//! `topics create`, `topics adopt` and `topics check`.

use std::time::{Duration, Instant};

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::migrate::of_store;
use super::{CliError, blocking, output, persistently};
use crate::config::Settings;
use crate::domain::{self, Frontier};
use crate::kafka::commands::CommandConsumer;
use crate::kafka::topics::{self, ClusterFacts, MAX_LANES, TopicProblem, TopicProblemKind};
use crate::kafka::{FailureKind, KafkaFailure};
use crate::record::TopicNames;
use crate::store::{Databases, LaneIdentity};

/// How long a cluster may take to let all its brokers know of a new topic.
const SETTLING: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(200);

#[derive(Subcommand)]
pub enum Command {
    /// Make the topics that are missing, and write in the database where each lane starts
    #[command(
        long_about = "Makes the topics that are missing, with one partition per lane, and writes in the database where each lane starts: at \
                      the oldest record of each topic. What exists stays as it is: topics keep their settings, lanes their positions. \
                      Run `migrate` first.",
        after_help = "The number of lanes is how many workers and threads can share the work; a merchant is always on one of them. 8 to 64 \
                      is usual. Later it can grow, by `lanes resize`, while workers and senders stand still; it can't shrink.

Examples:
  loyalty-worker topics create --lanes 16
  loyalty-worker topics create --lanes 2 --replication 1     # one broker, with kafka.development = true"
    )]
    Create {
        /// Partitions of every topic
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=MAX_LANES as i64))]
        lanes: i32,
        /// Copies of every partition [default: 3, or 1 with kafka.development]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=99))]
        replication: Option<i32>,
        /// How long to try again what fails: what is made stays, so a machine that stood still loses nothing
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// Take topics that another tool has made: check them, and write in the database where each lane starts
    #[command(
        long_about = "Takes topics that Terraform or another tool has made. Makes none and changes none: checks them as `topics check` does, \
                      and writes in the database where each lane starts. Lanes that are there keep their positions. Run `migrate` first.",
        after_help = "Examples:
  loyalty-worker topics adopt
  loyalty-worker topics adopt --from newest     # what is in the topics already is another system's and not to be applied

Exits with 3 when something is wrong with the topics."
    )]
    Adopt {
        /// The record of each topic that a new lane begins with
        #[arg(long, value_enum, default_value_t = From::Oldest)]
        from: From,
    },
    /// Say what is wrong with the topics, and what mends it
    #[command(after_help = "Exits with 3 when something is wrong. `run` refuses to start for the same reasons.")]
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Where a new lane begins.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The oldest that is kept
    Oldest,
    /// The next that is written
    Newest,
}

pub async fn run(command: Command, settings: Settings) -> Result<(), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    match command {
        Command::Create { lanes, replication, timeout } => {
            let (settings, names) = (&settings, &names);
            persistently(timeout, "topics create", || create(settings, names, lanes, replication)).await
        }
        Command::Adopt { from } => adopt(&settings, &names, from).await,
        Command::Check { json } => {
            let (facts, problems) = topics::check(&settings.kafka, &names).await.map_err(CliError::failed)?;
            if json {
                let object = |it: &TopicProblem| json!({ "topic": it.topic, "problem": it.problem, "mend": it.mend });
                output::json(json!({
                    "cluster_id": facts.cluster_id,
                    "lanes": facts.lanes,
                    "problems": problems.iter().map(object).collect::<Vec<_>>(),
                }))?;
                return if problems.is_empty() { Ok(()) } else { Err(CliError::Found) };
            }
            report(&problems)?;
            output::line(format_args!(
                "The topics are as they should be: {} lanes, Kafka cluster {}.",
                facts.lanes, facts.cluster_id
            ))
        }
    }
}

async fn create(settings: &Settings, names: &TopicNames, lanes: i32, replication: Option<i32>) -> Result<(), CliError> {
    // First the database: topics whose start was written nowhere would be half an installation.
    let databases = Databases::connect_migrated(&settings.postgres).await.map_err(of_store)?;
    databases.check_lanes(lanes).map_err(of_store)?;
    let replication = replication.unwrap_or(if settings.kafka.development { 1 } else { 3 });
    let made = topics::create(&settings.kafka, names, lanes, replication).await.map_err(of_kafka)?;
    for name in &made.created {
        output::line(format_args!("created {name}"))?;
    }
    for name in &made.existing {
        output::line(format_args!("exists  {name}"))?;
    }
    // A topic with a problem may not be started on, and where it exists already nothing above has changed it.
    let (facts, problems) = check_made(settings, names).await?;
    report(&problems)?;
    if facts.lanes != lanes {
        return Err(CliError::Usage(format!(
            "the topics have {} partitions and --lanes says {lanes}: say as many as there are; `loyalty-worker lanes resize` makes more",
            facts.lanes
        )));
    }
    register_lanes(settings, names, &databases, facts, From::Oldest).await
}

async fn adopt(settings: &Settings, names: &TopicNames, from: From) -> Result<(), CliError> {
    let databases = Databases::connect_migrated(&settings.postgres).await.map_err(CliError::failed)?;
    let (facts, problems) = topics::check(&settings.kafka, names).await.map_err(CliError::failed)?;
    report(&problems)?;
    databases.check_lanes(facts.lanes).map_err(CliError::failed)?;
    register_lanes(settings, names, &databases, facts, from).await
}

fn of_kafka(failure: KafkaFailure) -> CliError {
    match failure.kind {
        FailureKind::Unavailable => CliError::failed(failure),
        FailureKind::Settings | FailureKind::Denied | FailureKind::Unexpected => CliError::Final(failure.to_string()),
    }
}

/// Checks the topics once every broker knows of them, which takes moments after they were made.
async fn check_made(settings: &Settings, names: &TopicNames) -> Result<(ClusterFacts, Vec<TopicProblem>), CliError> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let (facts, problems) = topics::check(&settings.kafka, names).await.map_err(CliError::failed)?;
        let is_missing = problems.iter().any(|problem| problem.kind == TopicProblemKind::Missing);
        if !is_missing || Instant::now() >= deadline {
            return Ok((facts, problems));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Where each topic's first record for a new lane stands. A topic that was just made may have no leader yet.
async fn start_of(consumer: &CommandConsumer, lane: i32, from: From) -> Result<Frontier, CliError> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let consumer = consumer.clone();
        let found = blocking(move || Ok(consumer.watermarks(lane))).await?;
        match found {
            Ok(watermarks) => {
                return Ok(Frontier(watermarks.map(|(oldest, newest)| match from {
                    From::Oldest => oldest,
                    From::Newest => newest,
                })));
            }
            Err(failure) if failure.kind == FailureKind::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(RETRY).await;
            }
            Err(failure) => return Err(CliError::failed(failure)),
        }
    }
}

/// Writes the row of every lane that has none.
async fn register_lanes(
    settings: &Settings,
    names: &TopicNames,
    databases: &Databases,
    facts: ClusterFacts,
    from: From,
) -> Result<(), CliError> {
    databases.check_partitions(facts.lanes).await.map_err(of_store)?;
    let consumer = CommandConsumer::new(&settings.kafka, names).map_err(CliError::failed)?;
    let mut registered = 0;
    for lane in 0..facts.lanes {
        let start = start_of(&consumer, lane, from).await?;
        let store = databases.of_lane(lane).map_err(CliError::failed)?;
        let identity = identity(settings, names, &facts, lane);
        if store.register_lane(&identity, &start, domain::Instant::EPOCH).await.map_err(CliError::failed)? {
            registered += 1;
            output::line(format_args!("lane {lane} starts at {start:?}"))?;
        } else if let Some((registered, _)) = store.lane(lane).await.map_err(CliError::failed)?
            && registered != identity
        {
            return Err(anothers(&registered));
        }
    }
    match facts.lanes - registered {
        0 => output::line(format_args!("{registered} lanes are ready for `loyalty-worker run`.")),
        kept => output::line(format_args!("{registered} lanes are new; {kept} were there and keep their positions.")),
    }
}

/// What a lane's row must say that belongs to these topics.
pub(super) fn identity(settings: &Settings, names: &TopicNames, facts: &ClusterFacts, lane: i32) -> LaneIdentity {
    LaneIdentity {
        lane,
        lanes: facts.lanes,
        cluster_id: facts.cluster_id.clone(),
        consumer_group: settings.kafka.group.clone(),
        topic_prefix: names.prefix().to_owned(),
        topic_ids: facts.topic_ids.clone().map(Some),
    }
}

/// The refusal of a lane's row that does not.
pub(super) fn anothers(registered: &LaneIdentity) -> CliError {
    CliError::Final(format!(
        "the database belongs to another installation: its lane {} has the group {}, topics that begin with {:?} of cluster {}, and {} lanes. Take a \
         database of its own for this one, or correct kafka.group and kafka.topic_prefix",
        registered.lane, registered.consumer_group, registered.topic_prefix, registered.cluster_id, registered.lanes
    ))
}

pub(super) fn report(problems: &[TopicProblem]) -> Result<(), CliError> {
    for problem in problems {
        output::line(problem)?;
    }
    if problems.is_empty() { Ok(()) } else { Err(CliError::Found) }
}
