//! `lanes resize`: more lanes on the same topics. Every position and every id stays what it is, since a merchant stays in its partition or
//! goes to one that is new.

use clap::Args;

use super::{committed, ends_of};
use crate::cli::{CliError, blocking, output, topics as topics_command};
use crate::config::Settings;
use crate::domain::CommandTopic;
use crate::fail_point;
use crate::kafka::commands::{CommandConsumer, Committed};
use crate::kafka::ends::TopicEnds;
use crate::kafka::owners;
use crate::kafka::topics::{self, ClusterFacts, MAX_LANES, TopicProblemKind};
use crate::record::TopicNames;
use crate::store::{Databases, LockedLane, LockedLanes};

#[derive(Args)]
#[command(
    long_about = "Makes more lanes of those that there are: adds partitions to all ten topics, and writes in the database what lanes they \
                  are. The number must be a multiple of the one that there is, so that each merchant stays in its lane or goes to a new \
                  one, and with it those of its commands that wait for their customer. Fewer lanes can't be had, nor more of them in \
                  several databases.\n\n\
                  It refuses, and changes nothing, while a worker is in the group or a command, a batch or a publication is left to do. \
                  Once the partitions are there, no worker starts until this has come to its end: if it was interrupted, run it again.",
    after_help = "Before: stop the senders, wait until `lanes` shows nothing that is waiting (what is parked may stay), stop all workers by SIGTERM.
After: take a backup at once, since `recover` brings none that was made before over this; give postgres.pool_size the lanes and two
more; start the workers, then the senders. What one of those still sent by the old number of partitions becomes a dead letter of the class
wrong_partition, and `dead-letters replay` sends it where it belongs.

It needs the rights of the tables' owner in Postgres, and Alter on the topics in Kafka.

Examples:
  loyalty-worker lanes resize --to 16
  loyalty-worker dead-letters replay --class wrong_partition --wait 60"
)]
pub struct Options {
    /// How many lanes there shall be
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(2..=MAX_LANES as i64))]
    to: i32,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let to = options.to;
    if settings.postgres.iter().any(|database| database.lanes.is_some()) {
        return Err(CliError::Usage(
            "postgres.lane_urls divides the lanes over databases, and a merchant who moves to another lane would leave its rows behind: \
             the lanes can grow only while one database has them all"
                .to_owned(),
        ));
    }
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let databases = Databases::connect_migrated(&settings.postgres).await.map_err(CliError::failed)?;
    let store = databases.of_lane(0).map_err(CliError::failed)?;
    let (facts, mut problems) = topics::check(&settings.kafka, &names).await.map_err(CliError::failed)?;
    // Counts that differ are what an interruption leaves.
    problems.retain(|problem| problem.kind != TopicProblemKind::PartitionCounts);
    topics_command::report(&problems)?;
    // Before anybody is asked to stop the workers for a number that can't be had.
    if let Some((lane, _)) = store.lane(0).await.map_err(CliError::failed)?
        && lane.lanes != to
    {
        check_number(lane.lanes, to)?;
    }
    nobody_works(&settings).await?;

    let counts = topics::partitions(&settings.kafka, &names).await.map_err(CliError::failed)?;
    let mut client = store.plain_client().await.map_err(CliError::failed)?;
    let locked = LockedLanes::lock(&mut client).await.map_err(CliError::failed)?;
    let Some(from) = locked.lanes.first().map(|lane| lane.identity.lanes) else {
        return Err(CliError::Failed(
            "no lane has a row in Postgres: run `loyalty-worker topics create`, which writes where each starts"
                .to_owned(),
        ));
    };
    if from == to && counts.iter().all(|(_, count)| *count == to) {
        return output::line(format_args!("There are {to} lanes."));
    }
    check_number(from, to)?;
    if let Some((name, count)) = counts.iter().find(|(_, count)| *count != from && *count != to) {
        return Err(CliError::Usage(format!(
            "the topic {name} has {count} partitions, there are {from} lanes, and --to says {to}: say as many as were begun with, or as \
             somebody has made"
        )));
    }
    let begun = counts.iter().any(|(_, count)| *count == to);
    let waiting = look(&settings, &names, &ClusterFacts { lanes: from, ..facts }, &locked.lanes, begun, to).await?;

    // Written first, so that missing rights are met before anything has changed. A worker that starts meanwhile waits for the commit.
    locked.grow(to).await.map_err(CliError::failed)?;
    let again = |error: &dyn std::fmt::Display| {
        CliError::Failed(format!(
            "{error}. Some topics may have {to} partitions by now, and then no worker starts: run `loyalty-worker lanes resize --to {to}` \
             again until it comes to its end"
        ))
    };
    let smaller = counts.into_iter().filter(|(_, count)| *count == from).map(|(name, _)| name).collect();
    topics::grow(&settings.kafka, smaller, to).await.map_err(|failure| again(&failure))?;
    fail_point::reached("after-partitions");
    locked.commit().await.map_err(|error| again(&error))?;

    output::line(format_args!(
        "{to} lanes are ready for `loyalty-worker run`; there were {from}. Take a backup now: one that was made before can't be brought \
         over this. A worker needs a postgres.pool_size of {}.",
        to + 2
    ))?;
    if waiting > 0 {
        output::line(format_args!(
            "Commands that nobody has read yet: {waiting}. Those of merchants who have moved become dead letters; once the workers have read \
             them, run `loyalty-worker dead-letters replay --class wrong_partition`."
        ))?;
    }
    Ok(())
}

fn check_number(from: i32, to: i32) -> Result<(), CliError> {
    if to > from && to % from == 0 {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "there are {from} lanes, and --to says {to}: it must be two, three or more times as many, or merchants would change between the \
         lanes that there are"
    )))
}

async fn nobody_works(settings: &Settings) -> Result<(), CliError> {
    let kafka = settings.kafka.clone();
    let members = blocking(move || owners::members(&kafka).map_err(CliError::failed)).await?;
    let Some(member) = members.first() else { return Ok(()) };
    Err(CliError::Failed(format!(
        "{} at {} is in the group {}: stop all workers by SIGTERM. One that was killed is in it until its session's time-out",
        member.client_id, member.host, settings.kafka.group
    )))
}

/// Makes sure that the lanes are this installation's, and that nothing is left to do; once partitions are there, that nothing was lost is
/// enough, since no worker could do it any more. Gives the number of records that are left.
async fn look(
    settings: &Settings,
    names: &TopicNames,
    facts: &ClusterFacts,
    lanes: &[LockedLane],
    begun: bool,
    to: i32,
) -> Result<i64, CliError> {
    let consumer = CommandConsumer::new(&settings.kafka, names).map_err(CliError::failed)?;
    let ends = TopicEnds::new(&settings.kafka, names).map_err(CliError::failed)?;
    let mut waiting = 0;
    for (number, lane) in (0..).zip(lanes) {
        if lane.identity != topics_command::identity(settings, names, facts, number) {
            return Err(topics_command::anothers(&lane.identity));
        }
        let committed = committed(&consumer, number).await?;
        let records = left_over(lane, &ends_of(&ends, number).await?);
        let fault = if begun { lost(lane, &committed) } else { left(lane, &committed, records) };
        if let Some(fault) = fault {
            return Err(CliError::Failed(format!("lane {number} {fault}")));
        }
        waiting += records;
    }
    // Of lanes that are not there yet nothing can be published.
    let made = if begun { facts.lanes..to } else { 0..0 };
    for number in made {
        if let Committed::At { batch, .. } = committed(&consumer, number).await? {
            return Err(CliError::Failed(format!("lane {number} {}", behind(batch, 0))));
        }
    }
    Ok(waiting)
}

/// Commands that nobody has read. Ticks are nobody's, and the last of a worker that has stopped are always left.
fn left_over(lane: &LockedLane, ends: &[i64; CommandTopic::COUNT]) -> i64 {
    let commands = CommandTopic::ALL.into_iter().filter(|topic| *topic != CommandTopic::Clock);
    commands.map(|topic| (ends[topic.index()] - lane.state.frontier.next(topic)).max(0)).sum()
}

/// What the lane has left to do.
fn left(lane: &LockedLane, committed: &Committed, records: i64) -> Option<String> {
    let applied = lane.state.batch;
    if let Some(fault) = lost(lane, committed) {
        return Some(fault);
    }
    if let Some(reason) = &lane.halted {
        return Some(format!("is halted: {reason}"));
    }
    let is_published = match committed {
        Committed::At { batch, .. } => *batch == applied,
        Committed::Never => applied == 0,
    };
    if !is_published || lane.in_outbox > 0 {
        let published = match committed {
            Committed::At { batch, .. } => format!("published batch {batch}"),
            Committed::Never => "no offsets of the group".to_owned(),
        };
        return Some(format!(
            "has applied batch {applied}, Kafka has {published}, and the outbox has {} batches: start a worker, and stop it by SIGTERM \
             once it has the lane",
            lane.in_outbox
        ));
    }
    (records > 0).then(|| {
        format!("has {records} records that nobody has read: stop the senders, let the workers come to the end, and stop them")
    })
}

/// Whether Kafka has published what Postgres does not have.
fn lost(lane: &LockedLane, committed: &Committed) -> Option<String> {
    match committed {
        Committed::At { batch, .. } if *batch > lane.state.batch => Some(behind(*batch, lane.state.batch)),
        _ => None,
    }
}

fn behind(published: i64, applied: i64) -> String {
    format!(
        "has published batch {published}, but Postgres has applied only {applied}: Postgres lost data. Run `loyalty-worker recover` first; \
         where the lanes had grown since the backup was made, restore one that was made after that"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::LaneState;
    use crate::domain::{Frontier, Instant};
    use crate::store::LaneIdentity;

    fn lane(in_outbox: i64, halted: Option<&str>) -> LockedLane {
        let identity = LaneIdentity {
            lane: 0,
            lanes: 2,
            cluster_id: String::new(),
            consumer_group: String::new(),
            topic_prefix: String::new(),
            topic_ids: Default::default(),
        };
        let frontier = Frontier([4; CommandTopic::COUNT]);
        let state = LaneState { epoch: 1, batch: 7, lane_time: Instant::EPOCH, due_pending: false, frontier };
        LockedLane { identity, state, halted: halted.map(str::to_owned), in_outbox }
    }

    fn published(batch: i64) -> Committed {
        Committed::At { batch, frontier: [Some(4); CommandTopic::COUNT] }
    }

    #[test]
    fn whatever_is_left_is_named() {
        assert_eq!(left(&lane(0, None), &published(7), 0), None);
        let cases = [
            (left(&lane(0, None), &published(8), 0), "Postgres lost data"),
            (left(&lane(0, None), &published(6), 0), "published batch 6"),
            (left(&lane(1, None), &published(7), 0), "the outbox has 1"),
            (left(&lane(0, None), &Committed::Never, 0), "no offsets of the group"),
            (left(&lane(0, Some("a defect")), &published(7), 0), "is halted: a defect"),
            (left(&lane(0, None), &published(7), 3), "3 records that nobody has read"),
        ];
        for (fault, expected) in cases {
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(expected)), "{expected}: {fault:?}");
        }
    }

    #[test]
    fn once_it_is_begun_only_a_loss_counts() {
        let busy = lane(3, Some("the topics have more partitions"));
        assert_eq!(lost(&busy, &published(5)), None);
        assert_eq!(lost(&busy, &Committed::Never), None);
        assert!(lost(&busy, &published(8)).is_some_and(|fault| fault.contains("restore one that was made after")));
    }

    #[test]
    fn ticks_are_not_waited_for() {
        let last = |clock| CommandTopic::ALL.map(|topic| if topic == CommandTopic::Clock { clock } else { 4 });
        let some = || {
            CommandTopic::ALL.map(|topic| match topic {
                CommandTopic::CustomerUpsert => 5,
                CommandTopic::Credit => 3,
                CommandTopic::Redeem => 6,
                _ => 4,
            })
        };
        assert_eq!(left_over(&lane(0, None), &last(9)), 0);
        assert_eq!(left_over(&lane(0, None), &some()), 3, "a broker that lost its end takes nothing away");
    }
}
