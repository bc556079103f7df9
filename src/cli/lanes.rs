//! `lanes`, and `lanes resize`.

mod resize;

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{CliError, blocking, output};
use crate::batch::LaneState;
use crate::config::Settings;
use crate::domain::{CommandTopic, Instant};
use crate::kafka::commands::{CommandConsumer, Committed};
use crate::kafka::ends::TopicEnds;
use crate::kafka::owners::{self, Owner};
use crate::record::TopicNames;
use crate::store::{Databases, Store};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    long_about = "Shows each lane: which worker has it, the last batch that is applied in Postgres and published in Kafka, how many \
                  records wait before it, and how many of its commands are parked: read, and waiting for their customer. It only looks, \
                  and may be used at any time; `lanes resize` makes more of them.\n\nA lane that has a worker and does not move has \
                  halted, or is being recovered: /ready of that worker says so, and why. Of several databases each shows its own lanes; \
                  one that does not answer is named, and the exit code is 1.",
    after_help = "Examples:\n  loyalty-worker lanes\n  loyalty-worker lanes --json | jq '.[] | select(.owner == null)'\n  \
                  loyalty-worker lanes resize --to 16"
)]
pub struct Options {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Subcommand)]
enum Change {
    /// Make more lanes of those that there are
    Resize(resize::Options),
}

struct Lane {
    number: i32,
    owner: Option<Owner>,
    /// Why it stands still, if it does.
    halted: Option<String>,
    state: LaneState,
    /// `None`: nothing was ever published, or the group's offsets have expired.
    published: Option<i64>,
    waiting: [i64; CommandTopic::COUNT],
    /// Commands that wait for their customer.
    parked: i64,
}

/// What the database knows of a lane.
struct Row {
    number: i32,
    state: LaneState,
    halted: Option<String>,
    parked: i64,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    if let Some(Change::Resize(options)) = options.change {
        return resize::run(options, settings).await;
    }
    let (lanes, away) = look(settings).await?;
    if options.json {
        output::json(Value::from_iter(lanes.iter().map(object)))?;
    } else {
        output::text(table(&lanes))?;
    }
    if away.is_empty() { Ok(()) } else { Err(CliError::Failed(away.join("\n"))) }
}

/// The lanes, and a line for each database out of several that can't tell of its own.
async fn look(settings: Settings) -> Result<(Vec<Lane>, Vec<String>), CliError> {
    let names = TopicNames::new(settings.kafka.topic_prefix.as_str());
    let databases = Databases::unasked(&settings.postgres).map_err(CliError::failed)?;
    let consumer = CommandConsumer::new(&settings.kafka, &names).map_err(CliError::failed)?;
    let ends = TopicEnds::new(&settings.kafka, &names).map_err(CliError::failed)?;
    let asked = consumer.clone();
    let (count, mut owners) = blocking(move || {
        let facts = asked.facts().map_err(CliError::failed)?;
        Ok((facts.lanes, owners::owners(&settings.kafka, &names).map_err(CliError::failed)?))
    })
    .await?;
    databases.check_lanes(count).map_err(CliError::failed)?;
    databases.check_partitions(count).await.map_err(CliError::failed)?;
    let (mut lanes, mut away) = (Vec::new(), Vec::new());
    for store in databases.all() {
        let rows = match (rows(store, count).await, store.lanes()) {
            (Ok(rows), _) => rows,
            (Err(error), None) => return Err(error),
            (Err(error), Some(range)) => {
                away.push(format!("the lanes {range} are not shown: {error}"));
                continue;
            }
        };
        for Row { number, state, halted, parked } in rows {
            let committed = committed(&consumer, number).await?;
            let ends = ends_of(&ends, number).await?;
            lanes.push(Lane {
                number,
                owner: owners.remove(&number),
                halted,
                published: match committed {
                    Committed::At { batch, .. } => Some(batch),
                    Committed::Never => None,
                },
                // The database was asked first, so that what has been applied meanwhile is at most counted as waiting.
                waiting: CommandTopic::ALL.map(|topic| (ends[topic.index()] - state.frontier.next(topic)).max(0)),
                state,
                parked,
            });
        }
    }
    Ok((lanes, away))
}

/// Each lane of a database.
async fn rows(store: &Store, count: i32) -> Result<Vec<Row>, CliError> {
    let mut halted = store.halted_lanes().await.map_err(CliError::failed)?;
    let parked = store.parked_by_lane().await.map_err(CliError::failed)?;
    let (first, last) = store.lanes().map_or((0, count - 1), |range| (range.first, range.last));
    let mut rows = Vec::new();
    for number in first..=last {
        let found = store.lane(number).await.map_err(CliError::failed)?;
        let Some((_, state)) = found else {
            return Err(CliError::Failed(format!(
                "lane {number} has no row in Postgres: run `loyalty-worker topics create`, which writes its start positions"
            )));
        };
        let parked = parked.get(&number).copied().unwrap_or(0);
        rows.push(Row { number, state, halted: halted.remove(&number), parked });
    }
    Ok(rows)
}

async fn committed(consumer: &CommandConsumer, lane: i32) -> Result<Committed, CliError> {
    let consumer = consumer.clone();
    blocking(move || consumer.committed(lane).map_err(CliError::failed)).await
}

async fn ends_of(ends: &TopicEnds, lane: i32) -> Result<[i64; CommandTopic::COUNT], CliError> {
    let ends = ends.clone();
    blocking(move || ends.of_lane(lane).map_err(CliError::failed)).await
}

fn table(lanes: &[Lane]) -> String {
    let shown = |owner: &Option<Owner>| {
        owner.as_ref().map_or_else(
            || "nobody".to_owned(),
            |owner| output::escaped(&format!("{} at {}", owner.client_id, owner.host)).into_owned(),
        )
    };
    let width = lanes.iter().map(|lane| shown(&lane.owner).len()).fold("owner".len(), usize::max);
    let (applied, published, waiting, parked) = ("applied", "published", "waiting", "parked");
    let mut text =
        format!("lane  {:<width$}  {applied:>12}  {published:>12}  {waiting:>10}  {parked:>10}  lane time\n", "owner");
    for lane in lanes {
        let published = lane.published.map_or_else(|| "never".to_owned(), |batch| batch.to_string());
        let lane_time = lane.state.lane_time;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>4}  {:<width$}  {:>12}  {:>12}  {:>10}  {:>10}  {}",
            lane.number,
            shown(&lane.owner),
            lane.state.batch,
            published,
            lane.waiting.iter().sum::<i64>(),
            lane.parked,
            if lane_time == Instant::EPOCH { "no record yet".to_owned() } else { lane_time.to_string() }
        );
    }
    for (number, reason) in lanes.iter().filter_map(|lane| Some((lane.number, lane.halted.as_ref()?))) {
        let _ = writeln!(text, "\nlane {number} is halted: {}", output::escaped(reason));
    }
    text
}

fn object(lane: &Lane) -> Value {
    let by_topic = |number: &dyn Fn(CommandTopic) -> i64| -> Value {
        CommandTopic::ALL.into_iter().map(|topic| (topic.suffix().to_owned(), json!(number(topic)))).collect()
    };
    json!({
        "lane": lane.number,
        "halted": lane.halted,
        "owner": lane.owner.as_ref().map(|owner| json!({"client_id": owner.client_id, "host": owner.host})),
        "applied_batch": lane.state.batch,
        "published_batch": lane.published,
        "epoch": lane.state.epoch,
        "lane_time": lane.state.lane_time.to_string(),
        "next_offsets": by_topic(&|topic| lane.state.frontier.next(topic)),
        "waiting_records": by_topic(&|topic| lane.waiting[topic.index()]),
        "parked_commands": lane.parked,
    })
}
