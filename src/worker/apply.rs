//! One batch from records to an open transaction. The lane's work, its replay from the journal and the search for a poisoned record all
//! go through here, so that they decide alike.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant as Clock;

use futures_util::{StreamExt, stream};

use super::Shared;
use super::failure::LaneFailure;
use super::shared::RegistryPatience;
use crate::batch::{self, BatchPlan, ChangeSet, Configs, DueQuery, LaneState, MAX_PARKED};
use crate::codec::decode::NeedsSchema;
use crate::codec::encode::{EncodeError, EncodeInput};
use crate::domain::command::{Content, DeadLetter, DeadLetterClass, Delivery};
use crate::domain::{CommandTopic, Frontier, MerchantId, Position, Seed};
use crate::record::{InboundRecord, OutboundRecords, lane_of};
use crate::store::{LaneConnection, StoreError};
use crate::telemetry::metrics::{self, Stage};

/// What a lane keeps in memory between batches. It is right as long as the lane row says that the lane is ours.
pub(super) struct LaneMemory {
    pub lane: i32,
    configs: Configs,
    /// All merchants of the lane: whose accounts time settles.
    merchants: BTreeSet<MerchantId>,
    /// How many of the lane's commands wait for their customer. While none do, nobody looks for any.
    pub parked: i64,
    /// What the operator gave up, and why.
    skipped: HashMap<Position, String>,
}

/// A batch that is decided; its transaction is open.
pub(super) struct Decided {
    pub changes: ChangeSet,
    pub next: LaneState,
    pub skipped: Vec<Position>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect of the rules or of the encoder: this batch can't be decided.
    #[error("{0}")]
    Panicked(String),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Nothing is decided, and no transaction open: half of these are to be tried.
    #[error("too many wait for those whom a batch of {} records names", .0.len())]
    TooMuch(Vec<Delivery>),
}

impl LaneMemory {
    pub async fn load(shared: &Shared, connection: &mut LaneConnection, lane: i32) -> Result<LaneMemory, StoreError> {
        let known = connection.known_merchants().await?;
        let merchants = known.into_iter().filter(|merchant| is_of_lane(shared, merchant, lane)).collect();
        let skipped = shared.databases.of_lane(lane)?.skipped(lane).await?;
        let skipped = skipped
            .into_iter()
            .filter_map(|(topic, offset, reason)| {
                Some((Position { topic: shared.names.command_of(&topic)?, partition: lane, offset }, reason))
            })
            .collect();
        let parked = connection.parked_count(lane).await?;
        metrics::parked_commands(lane, parked);
        Ok(LaneMemory { lane, configs: Configs::default(), merchants, parked, skipped })
    }

    pub fn is_skipped(&self, record: Position) -> bool {
        self.skipped.contains_key(&record)
    }

    /// Replaces the skips by those that the journal has for a batch. Why is told only when the dead letter is published.
    pub fn skip_exactly(&mut self, skipped: impl Iterator<Item = (CommandTopic, i64)>) {
        let partition = self.lane;
        self.skipped = skipped.map(|(topic, offset)| (Position { topic, partition, offset }, String::new())).collect();
    }

    /// Decodes the records. Waits for the schema registry where it must be asked, for as long as it takes; it may be dropped meanwhile.
    pub async fn decode(
        &self,
        shared: &Shared,
        records: &[InboundRecord],
        patience: &mut RegistryPatience,
    ) -> Result<Vec<Delivery>, LaneFailure> {
        let started = Clock::now();
        let mut decoded: Vec<Option<Delivery>> = records.iter().map(|_| None).collect();
        loop {
            let mut needed = BTreeSet::new();
            for (slot, record) in decoded.iter_mut().zip(records).filter(|(slot, _)| slot.is_none()) {
                match self.decode_one(shared, record, started)? {
                    Ok(delivery) => *slot = Some(delivery),
                    Err(NeedsSchema { id }) => drop(needed.insert(id)),
                }
            }
            if needed.is_empty() {
                break;
            }
            learn(shared, needed, patience).await;
        }
        metrics::stage_seconds(Stage::Decode, started.elapsed());
        Ok(decoded.into_iter().flatten().collect())
    }

    /// The same without waiting: `None` where the schema registry must be asked, or a record can't be decoded because of a defect.
    pub fn decode_known(&self, shared: &Shared, records: &[InboundRecord]) -> Option<Vec<Delivery>> {
        let started = Clock::now();
        let deliveries = records.iter().map(|record| self.decode_one(shared, record, started).ok()?.ok()).collect();
        metrics::stage_seconds(Stage::Decode, started.elapsed());
        deliveries
    }

    /// A panic is a defect of the decoder, and names its record by itself.
    fn decode_one(
        &self,
        shared: &Shared,
        record: &InboundRecord,
        since: Clock,
    ) -> Result<Result<Delivery, NeedsSchema>, LaneFailure> {
        if let Some(reason) = self.skipped.get(&record.position) {
            return Ok(Ok(given_up(shared, record, reason)));
        }
        let topic_id = &shared.facts.topic_ids[record.position.topic.index()];
        let decode = || shared.decoder.decode_since(record, topic_id, since);
        catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| {
            let error = format!("the decoder panicked: {}", panic_text(&*panic));
            LaneFailure::poisoned(&shared.names, record.position, &error)
        })
    }

    /// Opens the batch's transaction, loads what it touches and decides it.
    pub async fn decide(
        &mut self,
        connection: &mut LaneConnection,
        state: &LaneState,
        deliveries: Vec<Delivery>,
        after: Frontier,
        due_limit: usize,
    ) -> Result<Decided, ApplyError> {
        let started = Clock::now();
        let due = self.due_query(state, &deliveries, due_limit);
        let plan = BatchPlan { parked: self.parked > 0, ..batch::plan(&deliveries, &self.configs, due) };
        metrics::stage_seconds(Stage::Plan, started.elapsed());

        let started = Clock::now();
        let snapshot = connection.begin(self.lane, state, &plan).await?;
        metrics::stage_seconds(Stage::Load, started.elapsed());
        if snapshot.parked_named > MAX_PARKED && deliveries.len() > 1 {
            connection.rollback().await?;
            return Err(ApplyError::TooMuch(deliveries));
        }

        let started = Clock::now();
        let skipped = skipped_of(&deliveries);
        let configs = &mut self.configs;
        // A panic leaves the book half written, but the book and the lane's memory are dropped with it: the lane halts.
        let folded = catch_unwind(AssertUnwindSafe(|| {
            batch::run(deliveries, snapshot, configs, state.lane_time, state.frontier, due_limit)
        }));
        let changes =
            folded.map_err(|panic| ApplyError::Panicked(format!("the rules panicked: {}", panic_text(&*panic))))?;
        metrics::stage_seconds(Stage::Fold, started.elapsed());

        let rows = &changes.rows;
        self.merchants.extend(rows.versions.iter().map(|(merchant, _)| merchant.clone()));
        self.parked += rows.parked.len() as i64 - rows.unparked.len() as i64;
        let next = LaneState {
            epoch: state.epoch,
            batch: state.batch + 1,
            lane_time: changes.lane_time,
            due_pending: changes.due_pending,
            frontier: after,
        };
        Ok(Decided { changes, next, skipped })
    }

    /// Time moves with ticks; what one batch leaves over goes on with the next.
    pub fn due_query(&self, state: &LaneState, deliveries: &[Delivery], limit: usize) -> Option<DueQuery> {
        let moves_time = deliveries.iter().any(|delivery| matches!(delivery.content, Content::Tick));
        if !moves_time && !state.due_pending {
            return None;
        }
        let until = deliveries.iter().map(|delivery| delivery.timestamp).fold(state.lane_time, Ord::max);
        Some(DueQuery { until, limit, merchants: self.merchants.iter().cloned().collect() })
    }
}

/// Makes a batch's records. A panic is a defect of the encoder, and is searched for like one of the rules.
pub(super) fn encode(shared: &Shared, input: &EncodeInput<'_>) -> Result<OutboundRecords, ApplyError> {
    let encoded = catch_unwind(AssertUnwindSafe(|| shared.encoder.encode(input)));
    Ok(encoded.map_err(|panic| ApplyError::Panicked(format!("the encoder panicked: {}", panic_text(&*panic))))??)
}

/// A record that is not looked at any more: not even the registry is asked for it.
fn given_up(shared: &Shared, record: &InboundRecord, reason: &str) -> Delivery {
    let position = record.position;
    let topic_id = &shared.facts.topic_ids[position.topic.index()];
    let seed = Seed::of_record(topic_id, position.partition, position.offset, record.timestamp);
    let content = Content::DeadLetter(DeadLetter {
        class: DeadLetterClass::Skipped,
        message: match record.is_unreadable() {
            true => {
                format!("The operator skipped this record, whose bytes can't be read: {reason}")
            }
            false => format!("The operator skipped this record: {reason}"),
        },
        schema_id: None,
    });
    Delivery { position, timestamp: record.timestamp, seed, content }
}

/// Asks the registry for schemas, some of them at once, until each has an answer.
async fn learn(shared: &Shared, needed: BTreeSet<u32>, patience: &mut RegistryPatience) {
    let mut needed: Vec<u32> = needed.into_iter().collect();
    while !needed.is_empty() {
        let answers = stream::iter(needed).map(|id| async move { (id, shared.decoder.learn(id).await) });
        let mut answers = std::pin::pin!(answers.buffer_unordered(LOOK_UPS_AT_ONCE));
        let (mut unanswered, mut failure) = (Vec::new(), None);
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(()) => *patience = RegistryPatience::new(),
                Err(error) => {
                    unanswered.push(id);
                    failure = Some(error);
                }
            }
        }
        if let (Some(error), Some(first)) = (failure, unanswered.first()) {
            patience.wait(*first, &error).await;
        }
        needed = unanswered;
    }
}

/// Of one lane. Other lanes ask for themselves, and do not wait for these.
const LOOK_UPS_AT_ONCE: usize = 8;

fn skipped_of(deliveries: &[Delivery]) -> Vec<Position> {
    let is_skipped = |delivery: &&Delivery| match &delivery.content {
        Content::DeadLetter(dead_letter) => dead_letter.class == DeadLetterClass::Skipped,
        Content::Command(_) | Content::Tick => false,
    };
    deliveries.iter().filter(is_skipped).map(|delivery| delivery.position).collect()
}

fn is_of_lane(shared: &Shared, merchant: &MerchantId, lane: i32) -> bool {
    lane_of(merchant.as_str().as_bytes(), shared.facts.lanes) == lane
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
