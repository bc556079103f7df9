//! Bringing a restored or empty database up to what was published: the journal's batches are applied again, from the topics, without
//! publishing. Each must come to the outcomes whose hash the journal holds.
//!
//! What a record says may have become known since: the registry has learned its schema, or this program reads more. Then it became a dead
//! letter, which lies in the topic of those, and becomes one again.

use std::collections::HashMap;
use std::sync::Arc;

use super::apply::{ApplyError, LaneMemory};
use super::failure::LaneFailure;
use super::recovery::{committed, no_row, published_by_journal};
use super::shared::{DUE_LIMIT, LANES, RegistryPatience, Shared, WorkerError};
use crate::batch::LaneState;
use crate::batch::inbox::merge;
use crate::codec::outcomes_hash;
use crate::codec::outgoing::OutgoingReader;
use crate::codec::wire::Journal;
use crate::config::Settings;
use crate::domain::command::{Content, DeadLetter, DeadLetterClass};
use crate::domain::{CommandTopic, Frontier, Position, RULES_VERSION};
use crate::kafka::commands::Committed;
use crate::kafka::ranges::RangeReader;
use crate::record::{Header, InboundRecord, OutTopic, TopicNames};
use crate::store::{LaneConnection, StoreErrorKind};
use crate::telemetry::health::Health;

/// What was done for one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    pub lane: i32,
    pub from_batch: i64,
    pub to_batch: i64,
    pub commands: u64,
}

/// Applies what is published and not in the database, lane after lane. A lane that lacks nothing is only looked at, since it may be at
/// work; one that lacks something is halted in every worker that meets it.
pub async fn recover(settings: Settings, mut progress: impl FnMut(Replayed)) -> Result<Vec<Replayed>, WorkerError> {
    let shared = Shared::connect(settings, Health::new()).await?;
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for lane in 0..shared.facts.lanes {
        // A lane that stops, at a batch of other rules for instance, is no reason to leave the others.
        match recover_lane(&shared, lane).await {
            Ok(replayed) => {
                progress(replayed);
                all.push(replayed);
            }
            Err(failure) => failures.push(format!("lane {lane}: {failure}")),
        }
    }
    if failures.is_empty() { Ok(all) } else { Err(WorkerError::Replay(failures.join("\n"))) }
}

async fn recover_lane(shared: &Arc<Shared>, lane: i32) -> Result<Replayed, LaneFailure> {
    // Asked before Postgres, which by then has all of it, unless it has lost something.
    let committed = committed(shared, lane).await?;
    let store = shared.databases.of_lane(lane)?;
    let (identity, found) = store.lane(lane).await?.ok_or_else(|| no_row(lane))?;
    shared.check_identity(&identity)?;
    let mut connection = store.lane_connection().await?;
    let unpublished = connection.unpublished(lane).await?;
    let published = match published_by_journal(shared, lane, committed, found.batch, &unpublished).await? {
        Committed::At { batch, .. } => batch,
        Committed::Never => found.batch,
    };
    let from_batch = found.batch;
    if from_batch >= published {
        return Ok(Replayed { lane, from_batch, to_batch: from_batch, commands: 0 });
    }
    let mut commands = 0;
    let (mut state, mut memory) = take_over(shared, &mut connection, lane).await?;
    let mut sources = Sources::open(shared, lane)?;
    // Read only where a batch comes to something else without them.
    let mut letters: Option<DeadLetters> = None;
    while state.batch < published {
        let batch = sources.batch_after(&state)?;
        commands += loop {
            match apply_again(shared, &mut connection, &mut memory, &mut state, &batch, letters.as_ref()).await {
                // A worker that has the lane halted takes it from time to time, to look at it again.
                Err(LaneFailure::LaneLost(lost)) => {
                    let before = state.batch;
                    (state, memory) = take_over(shared, &mut connection, lane).await?;
                    if state.batch != before {
                        return Err(LaneFailure::LaneLost(lost));
                    }
                }
                Err(failure) => return Err(failure),
                Ok(Again::Applied { commands }) => break commands,
                Ok(Again::Differs(_)) if letters.is_none() => {
                    connection.rollback().await?;
                    letters = Some(sources.dead_letters()?);
                    memory = LaneMemory::load(shared, &mut connection, lane).await?;
                }
                Ok(Again::Differs(how)) => return Err(LaneFailure::Halt(how)),
            }
        };
    }
    store.note_halt(lane, None, None).await?;
    Ok(Replayed { lane, from_batch, to_batch: state.batch, commands })
}

async fn take_over(
    shared: &Shared,
    connection: &mut LaneConnection,
    lane: i32,
) -> Result<(LaneState, LaneMemory), LaneFailure> {
    let owner = format!("`loyalty-worker recover`, {}", shared.owner);
    let (_, state) = connection.take_over(lane, &owner, &shared.facts.topic_ids).await?.ok_or_else(|| no_row(lane))?;
    Ok((state, LaneMemory::load(shared, connection, lane).await?))
}

/// A batch as it was.
struct PastBatch {
    journal: Journal<'static>,
    /// In the order of the merge.
    records: Vec<InboundRecord>,
    /// The frontier behind it.
    after: Frontier,
}

/// Where records stood that could not be answered, and why they could not.
type DeadLetters = HashMap<Position, DeadLetterClass>;

enum Again {
    Applied {
        commands: u64,
    },
    /// It comes to something else, which is not committed. The memory is of no use any more.
    Differs(String),
}

async fn apply_again(
    shared: &Arc<Shared>,
    connection: &mut LaneConnection,
    memory: &mut LaneMemory,
    state: &mut LaneState,
    PastBatch { journal: batch, records, after }: &PastBatch,
    letters: Option<&DeadLetters>,
) -> Result<Again, LaneFailure> {
    let number = batch.batch;
    let halt = |what: String| LaneFailure::Halt(format!("batch {number}: {what}"));
    if batch.rules_version != RULES_VERSION {
        return Err(halt(format!(
            "was decided by rules version {}, this binary has {RULES_VERSION}: recover with loyalty-worker {}",
            batch.rules_version, batch.code_version
        )));
    }
    // Merchants of these lanes have moved since, so that other records would be theirs. A batch that does not say so has its hash.
    let lanes = shared.facts.lanes;
    if let Some(then) = batch.settings.get(LANES).filter(|then| **then != lanes.to_string()) {
        return Err(halt(format!(
            "was decided when there were {then} lanes, and now there are {lanes}: this database is older than that and can't be brought \
             over it. Restore a backup that was made since"
        )));
    }
    let due_limit = batch
        .settings
        .get(DUE_LIMIT)
        .and_then(|limit| limit.parse().ok())
        .ok_or_else(|| halt(format!("its journal record lacks the setting {DUE_LIMIT}")))?;
    memory.skip_exactly(
        batch.skipped.iter().filter_map(|position| Some((shared.names.command_of(&position.topic)?, position.offset))),
    );
    let mut deliveries = memory.decode(shared, records, &mut RegistryPatience::new()).await?;
    for delivery in &mut deliveries {
        if let Some(class) = letters.and_then(|letters| letters.get(&delivery.position)) {
            // Why is told only where it is published.
            let letter = DeadLetter { class: *class, message: String::new(), schema_id: None };
            delivery.content = Content::DeadLetter(letter);
        }
    }
    let decided = match memory.decide(connection, state, deliveries, *after, due_limit).await {
        Ok(decided) => decided,
        Err(ApplyError::Store(lost)) if lost.kind == StoreErrorKind::LaneLost => return Err(lost.into()),
        Err(ApplyError::Store(error)) => return Err(halt(error.to_string())),
        // What was a dead letter may be more than the batch could do.
        Err(error) => return Ok(Again::Differs(format!("batch {number}: {error}"))),
    };
    let hash = hex(&outcomes_hash(&decided.changes));
    if hash != batch.outcomes_hash {
        return Ok(Again::Differs(format!(
            "batch {number}: comes to other outcomes than those that were published ({hash} instead of {}): stop, and compare the binary \
             and the topics with those of that time",
            batch.outcomes_hash
        )));
    }
    connection.write(&decided.changes.rows, &decided.changes.outcomes).await?;
    connection.advance(memory.lane, state, &decided.next, None, None).await?;
    connection.commit().await?;
    *state = decided.next;
    Ok(Again::Applied { commands: decided.changes.outcomes.len() as u64 })
}

/// What a dead letter says of its record, by the last headers of each name: what the sender wrote stands before them.
fn told_by(headers: &[Header], names: &TopicNames) -> Option<(Position, DeadLetterClass)> {
    let text = |name: &str| {
        let header = headers.iter().rev().find(|header| header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    };
    let position = Position {
        topic: names.command_of(text("__connect.errors.topic")?)?,
        partition: text("__connect.errors.partition")?.parse().ok()?,
        offset: text("__connect.errors.offset")?.parse().ok()?,
    };
    let code = text("__connect.errors.class.name")?;
    Some((position, DeadLetterClass::from_name(code)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of a lane, read forward along the journal.
struct Sources<'a> {
    shared: &'a Shared,
    lane: i32,
    journal: RangeReader,
    outgoing: OutgoingReader,
    topics: [Option<RangeReader>; CommandTopic::COUNT],
}

impl<'a> Sources<'a> {
    fn open(shared: &'a Shared, lane: i32) -> Result<Sources<'a>, LaneFailure> {
        let name = shared.names.out(OutTopic::Journal);
        let journal = RangeReader::open_at_start(&shared.settings.kafka, &name, lane)?;
        let outgoing = OutgoingReader::new(shared.registry.clone());
        Ok(Sources { shared, lane, journal, outgoing, topics: Default::default() })
    }

    fn batch_after(&mut self, state: &LaneState) -> Result<PastBatch, LaneFailure> {
        let journal = self.journaled_after(state.batch)?;
        let (records, after) = self.records(state, &journal)?;
        Ok(PastBatch { journal, records, after })
    }

    /// All of the lane's that are kept.
    fn dead_letters(&self) -> Result<DeadLetters, LaneFailure> {
        let name = self.shared.names.out(OutTopic::DeadLetters);
        let mut reader = RangeReader::open_at_start(&self.shared.settings.kafka, &name, self.lane)?;
        let mut letters = DeadLetters::new();
        while let Some(record) = reader.read_next()? {
            letters.extend(told_by(&record.headers, &self.shared.names));
        }
        Ok(letters)
    }

    /// The journal's record of the batch that follows `batch`; earlier ones are passed.
    fn journaled_after(&mut self, batch: i64) -> Result<Journal<'static>, LaneFailure> {
        loop {
            let Some(record) = self.journal.read_next()? else {
                return Err(LaneFailure::Halt(format!("the journal ends before batch {}", batch + 1)));
            };
            let journaled: Journal<'static> = self
                .outgoing
                .read(record.value.as_deref().unwrap_or_default())
                .map_err(|error| LaneFailure::Halt(format!("journal offset {}: {error}", record.offset)))?;
            if journaled.batch == batch + 1 {
                return Ok(journaled);
            }
            if journaled.batch > batch {
                return Err(LaneFailure::Halt(format!(
                    "the journal goes on with batch {} after {batch}: its retention is shorter than the backup is old",
                    journaled.batch
                )));
            }
        }
    }

    /// The records of a batch as they were: every record in its ranges, in the order of the merge; and the frontier after it.
    fn records(
        &mut self,
        state: &LaneState,
        batch: &Journal<'_>,
    ) -> Result<(Vec<InboundRecord>, Frontier), LaneFailure> {
        let halt = |what: String| LaneFailure::Halt(format!("batch {}: {what}", batch.batch));
        let mut after = state.frontier;
        let mut ranges: [Vec<InboundRecord>; CommandTopic::COUNT] = Default::default();
        for range in &batch.ranges {
            let topic = self.shared.names.command_of(&range.topic).ok_or_else(|| {
                halt(format!("names the topic {}, which this installation does not have", range.topic))
            })?;
            if range.from != state.frontier.next(topic) || range.topic_id != self.shared.facts.topic_ids[topic.index()]
            {
                return Err(halt(format!("does not continue the lane's frontier in {}", range.topic)));
            }
            let reader = match &mut self.topics[topic.index()] {
                Some(reader) => reader,
                none => {
                    none.insert(RangeReader::open(&self.shared.settings.kafka, &range.topic, self.lane, range.from)?)
                }
            };
            let skipped = batch.skipped.iter().filter(|position| position.topic == range.topic);
            reader.give_up(skipped.map(|position| position.offset));
            let partition = self.lane;
            let records = reader.read_to(range.to)?.into_iter().map(|record| InboundRecord {
                position: Position { topic, partition, offset: record.offset },
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers.into_iter().collect(),
            });
            ranges[topic.index()] = records.collect();
            after.set(topic, range.to);
        }
        Ok((merge(ranges), after))
    }
}
