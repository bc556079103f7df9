//! The worker's two halves by themselves, with the worker's own code: its SQL driven from memory, without Kafka, and its Kafka, without
//! Postgres. What the whole reaches lies below both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use loyalty_worker::batch::{self, Configs, LaneState};
use loyalty_worker::codec::encode::{EncodeInput, JournalBatch};
use loyalty_worker::codec::{Decoder, Encoder, RegistryClient, outcomes_hash};
use loyalty_worker::config::Settings;
use loyalty_worker::domain::command::Delivery;
use loyalty_worker::domain::{CommandTopic, Frontier, Instant as Time, Position};
use loyalty_worker::kafka::commands::CommandConsumer;
use loyalty_worker::kafka::lane_queues::{Fetched, LaneQueues};
use loyalty_worker::kafka::publisher::{PublishJob, PublishReport, Publisher};
use loyalty_worker::record::{Headers, InboundRecord, OutboundRecords, TopicNames};
use loyalty_worker::store::{OutboxValue, Store};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::backlog::PATIENCE;
use crate::load::command::Topic;
use crate::load::encode;
use crate::load::timeline::Timeline;
use crate::load::{now_micros, registry};
use crate::scene::Scene;
use crate::support::Failure;
use crate::trade::{Market, Trade};

/// As the worker's own batches.
const BATCH: usize = 2_000;
/// As the worker's default setting.
const DUE_LIMIT: usize = 1_000;

/// Commands per second of the worker's SQL, and one of the batches that it made.
pub fn sql_alone(scene: &Scene, market: Market, commands: u64) -> Result<(f64, OutboundRecords), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let settings = settings(scene)?;
        let store = Store::connect(settings.postgres.first().ok_or("the settings name no database")?).await?;
        let registry = RegistryClient::new(&settings.registry)?;
        let names = TopicNames::new(settings.kafka.topic_prefix.clone());
        let encoder = Encoder::register(&registry, &names, settings.output.encoding).await?;
        let lanes = in_memory(scene, market, commands, &Decoder::new(scene.lanes, registry)).await?;

        let begun = Instant::now();
        let mut tasks = Vec::new();
        for (lane, deliveries) in (0..).zip(lanes) {
            let (store, encoder, names) = (store.clone(), encoder.clone(), names.clone());
            tasks.push(tokio::spawn(async move { apply(&store, &encoder, &names, lane, deliveries).await }));
        }
        let mut batch = OutboundRecords::default();
        for task in tasks {
            batch = task.await??;
        }
        Ok((commands as f64 / begun.elapsed().as_secs_f64(), batch))
    })
}

/// The deliveries of each lane, decoded.
async fn in_memory(
    scene: &Scene,
    market: Market,
    commands: u64,
    decoder: &Decoder,
) -> Result<Vec<Vec<Delivery>>, Failure> {
    let installation = &scene.installation;
    let mut to_bytes = encode::Encoder {
        schema_ids: registry::schema_ids(&installation.stack.registry_url, &installation.topic_prefix)?,
        lanes: scene.lanes,
        timeline: Timeline::new(now_micros()),
    };
    let mut trade = Trade::new(market);
    let mut lanes: Vec<Vec<Delivery>> = (0..scene.lanes).map(|_| Vec::new()).collect();
    for _ in 0..commands {
        let bytes = to_bytes.encode(&trade.next_record());
        let topic = match bytes.topic {
            Topic::MerchantConfig => CommandTopic::MerchantConfig,
            Topic::CustomerUpsert => CommandTopic::CustomerUpsert,
            Topic::Credit => CommandTopic::Credit,
            Topic::Redeem => CommandTopic::Redeem,
        };
        let lane = &mut lanes[usize::try_from(bytes.partition)?];
        let record = InboundRecord {
            // Far behind what the topics hold.
            position: Position { topic, partition: bytes.partition, offset: (1 << 40) + lane.len() as i64 },
            timestamp: Time::from_micros(now_micros()),
            key: Some(bytes.key),
            value: bytes.value,
            headers: Headers::default(),
        };
        let delivery = match decoder.decode(&record, "") {
            Ok(delivery) => delivery,
            Err(unknown) => {
                decoder.learn(unknown.id).await?;
                decoder.decode(&record, "").map_err(|_| "a schema that was learned is unknown")?
            }
        };
        lane.push(delivery);
    }
    Ok(lanes)
}

/// What a lane does with its batches between Kafka and Kafka, in the order in which it does it.
async fn apply(
    store: &Store,
    encoder: &Encoder,
    names: &TopicNames,
    lane: i32,
    deliveries: Vec<Delivery>,
) -> Result<OutboundRecords, Failure> {
    let mut connection = store.lane_connection().await?;
    let (_, mut state) =
        connection.take_over(lane, "the benchmark", &Default::default()).await?.ok_or("the lane has no row")?;
    let mut configs = Configs::default();
    let mut made = OutboundRecords::default();
    let mut deliveries = deliveries.into_iter().peekable();
    while deliveries.peek().is_some() {
        let batch: Vec<Delivery> = deliveries.by_ref().take(BATCH).collect();
        let plan = batch::plan(&batch, &configs, None);
        let snapshot = connection.begin(lane, &state, &plan).await?;
        let changes = batch::run(batch, snapshot, &mut configs, state.lane_time, state.frontier, DUE_LIMIT);
        let next = LaneState { batch: state.batch + 1, lane_time: changes.lane_time, ..state.clone() };
        let journal = JournalBatch {
            lane,
            batch: next.batch,
            lane_time_before: state.lane_time,
            ranges: Vec::new(),
            due_settled: changes.due_settled,
            skipped: Vec::new(),
            settings: BTreeMap::new(),
            outcomes_hash: outcomes_hash(&changes),
        };
        let encode = async {
            let records = encoder.encode(&EncodeInput {
                changes: &changes,
                lane,
                names,
                group: "bench",
                records: &[],
                journal: &journal,
                room: made.as_bytes().len(),
            })?;
            let outbox = OutboxValue::encode(&records);
            Ok::<_, Failure>((records, outbox))
        };
        let (written, encoded) = tokio::join!(biased; connection.write(&changes.rows, &changes.outcomes), encode);
        written?;
        let (records, outbox) = encoded?;
        connection.advance(lane, &state, &next, Some(&outbox), Some(state.batch)).await?;
        connection.commit().await?;
        if records.len() > made.len() {
            made = records;
        }
        state = next;
    }
    Ok(made)
}

/// Commands per second of the worker's Kafka: the scene's backlog is read, and for every batch of it `batch` is published with the
/// offsets.
pub fn kafka_alone(scene: &Scene, commands: u64, batch: &OutboundRecords) -> Result<f64, Failure> {
    let settings = settings(scene)?;
    let names = TopicNames::new(settings.kafka.topic_prefix.clone());
    let consumer = CommandConsumer::new(&settings.kafka, &names)?;
    let mut lanes = Vec::new();
    for lane in 0..scene.lanes {
        let (reports, reported) = unbounded_channel();
        let publisher = Publisher::start(&settings.kafka, &names, &consumer, lane, reports, &|| true)?;
        let begin = Frontier([0; CommandTopic::COUNT]);
        lanes.push(KafkaLane {
            queues: consumer.open_lane(lane, &begin, || {})?,
            publisher,
            reported,
            frontier: begin,
            read: 0,
            waiting: 0,
            submitted: 0,
            published: 0,
        });
    }
    let begun = Instant::now();
    let mut heard = Instant::now();
    while lanes.iter().map(|lane| lane.read).sum::<usize>() < usize::try_from(commands)?
        || lanes.iter().any(|lane| lane.published < lane.submitted)
    {
        let mut has_moved = false;
        for lane in &mut lanes {
            has_moved |= lane.turn(batch)?;
        }
        if has_moved {
            heard = Instant::now();
        } else if heard.elapsed() > PATIENCE {
            return Err("Kafka alone stands still".into());
        } else {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(commands as f64 / begun.elapsed().as_secs_f64())
}

struct KafkaLane {
    queues: LaneQueues,
    publisher: Publisher,
    reported: UnboundedReceiver<PublishReport>,
    frontier: Frontier,
    read: usize,
    /// Of those, not yet answered by a batch.
    waiting: usize,
    submitted: i64,
    published: i64,
}

impl KafkaLane {
    /// Whether anything was there to do.
    fn turn(&mut self, batch: &OutboundRecords) -> Result<bool, Failure> {
        let mut has_moved = false;
        while let Ok(report) = self.reported.try_recv() {
            match report {
                PublishReport::Published(published) => self.published = published.batch,
                PublishReport::Failed(error) => return Err(error.into()),
            }
            has_moved = true;
        }
        // As the worker, which lets a few batches wait for their publication.
        if self.submitted - self.published >= 4 {
            return Ok(has_moved);
        }
        let mut fetched = Vec::new();
        for topic in [CommandTopic::CustomerUpsert, CommandTopic::Credit, CommandTopic::Redeem] {
            self.queues.read(topic, BATCH - fetched.len(), &mut fetched)?;
        }
        let mut records = 0;
        for one in fetched {
            if let Fetched::Record(record) = one {
                self.frontier.set(record.position.topic, record.position.offset + 1);
                records += 1;
            }
        }
        self.read += records;
        self.waiting += records;
        // The last few of a backlog are read and not published: they are too few to be seen in the rate.
        if self.waiting >= BATCH {
            self.waiting -= BATCH;
            self.submitted += 1;
            let records = batch.clone();
            self.publisher.submit(PublishJob { batch: self.submitted, frontier: self.frontier, records });
        }
        Ok(has_moved || records > 0)
    }
}

fn settings(scene: &Scene) -> Result<Settings, Failure> {
    Ok(Settings::load(Some(&scene.installation.settings), std::iter::empty())?)
}
