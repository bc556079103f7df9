//! Reading the topics: partition by partition, read_committed, from the beginning, or from where an instant lies, to the end as of now.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Clock};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::de::DeserializeOwned;

use super::AuditError;
use super::facts::{Committed, DeadLetterFact, LaneFacts, Names, Published};
use super::schemas::{DecodeFault, Decoder, Schemas};
use super::since;
use super::wire::Context;
use crate::config::KafkaSettings;
use crate::domain::{CommandTopic, Instant, Position};
use crate::kafka::client::{LoggedContext, is_passing, is_unreadable, with_leader};
use crate::record::{OutTopic, TopicNames};

/// How long the broker may take to answer, or to send the next record of a partition that has one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fills in what the topics hold of every lane, or hold of it since an instant. Lanes are read side by side, one thread for each core.
pub fn read(
    settings: &KafkaSettings,
    schemas: &Schemas,
    since: Option<Instant>,
    lanes: &mut [LaneFacts],
) -> Result<Names, AuditError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(lanes.len());
    let slots: Vec<_> = lanes.iter_mut().map(std::sync::Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Names, AuditError> {
        let mut reader = Reader::new(settings, schemas, since)?;
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut lane = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            reader.read_lane(&mut lane)?;
        }
        Ok(reader.names)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut names = Names::default();
        for worker in workers {
            names.absorb(worker.join().map_err(|_| AuditError::Panicked)??);
        }
        Ok(names)
    })
}

/// The group's committed offsets of one lane.
pub fn committed(
    consumer: &BaseConsumer<LoggedContext>,
    topics: &TopicNames,
    lane: i32,
) -> Result<[Option<Committed>; CommandTopic::COUNT], AuditError> {
    let mut asked = TopicPartitionList::new();
    for topic in CommandTopic::ALL {
        asked.add_partition(&topics.command(topic), lane);
    }
    let answered = consumer.committed_offsets(asked, PATIENCE)?;
    let mut committed = [None; CommandTopic::COUNT];
    for element in answered.elements() {
        element.error()?;
        if let (Some(topic), Offset::Offset(offset)) = (topics.command_of(element.topic()), element.offset()) {
            committed[topic.index()] = Some(Committed { offset, batch: element.metadata().parse().ok() });
        }
    }
    Ok(committed)
}

/// A consumer of the worker's group that never joins it.
pub fn consumer(settings: &KafkaSettings) -> Result<BaseConsumer<LoggedContext>, AuditError> {
    let mut config = ClientConfig::new();
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", format!("{}-audit", settings.client_id))
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .set("fetch.queue.backoff.ms", "10")
        .set("max.partition.fetch.bytes", "8388608");
    Ok(config.create_with_context(LoggedContext::default())?)
}

struct Reader<'a> {
    consumer: BaseConsumer<LoggedContext>,
    topics: TopicNames,
    decoder: Decoder<'a>,
    names: Names,
    since: Option<Instant>,
}

/// What a partition holds, `[low, end)`, and where reading began.
struct Extent {
    low: i64,
    start: i64,
    end: i64,
}

impl<'a> Reader<'a> {
    fn new(settings: &KafkaSettings, schemas: &'a Schemas, since: Option<Instant>) -> Result<Reader<'a>, AuditError> {
        Ok(Reader {
            consumer: consumer(settings)?,
            topics: TopicNames::new(settings.topic_prefix.as_str()),
            decoder: Decoder::new(schemas),
            names: Names::default(),
            since,
        })
    }

    /// The order matters while a worker runs: a state is read before its events and all before the journal, so that whatever was
    /// seen is explained by something that is still to be read. Commands are read up to the snapshot's frontier, whenever that is.
    fn read_lane(&mut self, lane: &mut LaneFacts) -> Result<(), AuditError> {
        self.read_states(lane)?;
        lane.results =
            self.read_records(lane, OutTopic::Results, |context, offset, wire| context.result(offset, wire))?;
        lane.dead_letters = self.read_dead_letters(lane)?;
        lane.events = self.read_records(lane, OutTopic::Events, |context, offset, wire| context.event(offset, wire))?;
        lane.journal =
            self.read_records(lane, OutTopic::Journal, |context, offset, wire| context.journal(offset, wire))?;
        if self.since.is_some() {
            since::begin_with_the_journal(lane, self.begin(OutTopic::Events, lane.lane, since::EDGE_SECONDS)?);
        }
        self.read_commands(lane)
    }

    fn read_commands(&mut self, lane: &mut LaneFacts) -> Result<(), AuditError> {
        let (frontier, floors) = (lane.frontier(), lane.floors());
        for topic in CommandTopic::ALL {
            let facts = &mut lane.commands[topic.index()];
            let asked = self.since.map_or(0, |_| floors.next(topic))..frontier.next(topic);
            let extent = read_partition(&self.consumer, &self.topics.command(topic), lane.lane, asked, |message| {
                facts.offsets.push(message.offset());
                Ok(())
            })?;
            (facts.low, facts.end) = (extent.start, extent.end);
        }
        Ok(())
    }

    /// Where a topic's part since the instant begins, or since so many seconds after it; 0 where all is wanted.
    fn begin(&self, topic: OutTopic, lane: i32, seconds: i64) -> Result<i64, AuditError> {
        let Some(since) = self.since else { return Ok(0) };
        let millis = since.saturating_add_seconds(seconds).micros() / 1000;
        let name = self.topics.out(topic);
        let found = with_leader(&self.consumer, &name, || {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&name, lane, Offset::Offset(millis.max(0)))?;
            let answered = self.consumer.offsets_for_times(asked, PATIENCE)?;
            answered.elements().first().map_or(Ok(None), |element| element.error().map(|()| Some(element.offset())))
        })?;
        // Else nothing has come since.
        Ok(if let Some(Offset::Offset(offset)) = found { offset } else { i64::MAX })
    }

    fn read_records<T: DeserializeOwned, F>(
        &mut self,
        lane: &mut LaneFacts,
        topic: OutTopic,
        fact: impl Fn(&mut Context<'_>, i64, T) -> Result<F, String>,
    ) -> Result<Published<F>, AuditError> {
        let edge = if topic == OutTopic::Journal { 0 } else { -since::EDGE_SECONDS };
        let asked = self.begin(topic, lane.lane, edge)?..i64::MAX;
        let topics = &self.topics;
        let topic_of = |name: &str| topics.command_of(name);
        let mut context = Context { names: &mut self.names, topic_of: &topic_of };
        let mut records = Vec::new();
        let decoder = &mut self.decoder;
        let extent = read_partition(&self.consumer, &topics.out(topic), lane.lane, asked, |message| {
            lane.read += 1;
            let offset = message.offset();
            match decoder.decode(message.payload()) {
                Ok(wire) => match fact(&mut context, offset, wire) {
                    Ok(fact) => records.push(fact),
                    Err(reason) => lane.unreadable.push(unreadable(topic, lane.lane, offset, &reason)),
                },
                Err(DecodeFault::Unreadable(reason)) => {
                    lane.unreadable.push(unreadable(topic, lane.lane, offset, &reason));
                }
                Err(DecodeFault::Fatal(error)) => return Err(error),
            }
            Ok(())
        })?;
        // Whether something came since and was removed can't be known then. A working lane's journal is never still.
        let Extent { low, start, end } = extent;
        if topic == OutTopic::Journal && self.since.is_some() && low > 0 && start == low && low < end {
            return Err(AuditError::TooLongAgo { lane: lane.lane });
        }
        Ok(self.published(low, records))
    }

    /// Since an instant, nothing is missing: the journal has been seen to reach so far back.
    fn published<T>(&self, low: i64, records: Vec<T>) -> Published<T> {
        Published { truncated: self.since.is_none() && low > 0, records }
    }

    /// Keeps the last value of each key and decodes only that: most states are replaced soon.
    fn read_states(&mut self, lane: &mut LaneFacts) -> Result<(), AuditError> {
        let mut last: HashMap<Vec<u8>, (i64, Vec<u8>)> = HashMap::new();
        let topic = OutTopic::Customers;
        let number = lane.lane;
        let asked = self.begin(topic, number, -since::EDGE_SECONDS)?..i64::MAX;
        read_partition(&self.consumer, &self.topics.out(topic), number, asked, |message| {
            lane.read += 1;
            let key = message.key().unwrap_or_default();
            match message.payload() {
                None => drop(last.remove(key)),
                Some(value) => match last.get_mut(key) {
                    Some((offset, kept)) => {
                        *offset = message.offset();
                        kept.clear();
                        kept.extend_from_slice(value);
                    }
                    None => drop(last.insert(key.to_vec(), (message.offset(), value.to_vec()))),
                },
            }
            Ok(())
        })?;
        let topics = &self.topics;
        let topic_of = |name: &str| topics.command_of(name);
        let mut context = Context { names: &mut self.names, topic_of: &topic_of };
        for (key, (offset, value)) in last {
            match self.decoder.decode(Some(&value)) {
                Ok(wire) => {
                    let state = context.state(offset, wire);
                    if key.ends_with(format!("/{}", state.profile.customer).as_bytes()) {
                        lane.states.push(state);
                    } else {
                        lane.unreadable.push(unreadable(topic, number, offset, "its key is not that of its customer"));
                    }
                }
                Err(DecodeFault::Unreadable(reason)) => {
                    lane.unreadable.push(unreadable(topic, number, offset, &reason));
                }
                Err(DecodeFault::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_dead_letters(&mut self, lane: &mut LaneFacts) -> Result<Published<DeadLetterFact>, AuditError> {
        let mut records = Vec::new();
        let topics = &self.topics;
        let topic = OutTopic::DeadLetters;
        let asked = self.begin(topic, lane.lane, -since::EDGE_SECONDS)?..i64::MAX;
        let extent = read_partition(&self.consumer, &topics.out(topic), lane.lane, asked, |message| {
            lane.read += 1;
            let offset = message.offset();
            match origin(message, topics) {
                Some(record) => records.push(DeadLetterFact { offset, record }),
                None => {
                    lane.unreadable.push(unreadable(topic, lane.lane, offset, "its headers name no command record"))
                }
            }
            Ok(())
        })?;
        Ok(self.published(extent.low, records))
    }
}

fn unreadable(topic: OutTopic, lane: i32, offset: i64, reason: &str) -> String {
    format!("{}/{lane}/{offset}: {reason}", topic.suffix())
}

/// Where a dead letter comes from, by Connect's headers: the last ones, because what a sender wrote comes first.
fn origin(message: &BorrowedMessage<'_>, topics: &TopicNames) -> Option<Position> {
    let headers = message.headers()?;
    let text = |name: &str| {
        let header = headers.iter().filter(|header| header.key == name).last()?;
        std::str::from_utf8(header.value?).ok()
    };
    Some(Position {
        topic: topics.command_of(text("__connect.errors.topic")?)?,
        partition: text("__connect.errors.partition")?.parse().ok()?,
        offset: text("__connect.errors.offset")?.parse().ok()?,
    })
}

/// Reads what a partition holds of the offsets that are asked for.
fn read_partition(
    consumer: &BaseConsumer<LoggedContext>,
    topic: &str,
    partition: i32,
    asked: Range<i64>,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), AuditError>,
) -> Result<Extent, AuditError> {
    let (low, end) = with_leader(consumer, topic, || consumer.fetch_watermarks(topic, partition, PATIENCE))?;
    let (start, stop) = (low.max(asked.start), end.min(asked.end));
    let extent = Extent { low, start, end };
    if start >= stop {
        return Ok(extent);
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(start))?;
    consumer.assign(&assignment)?;
    let mut heard = Clock::now();
    let mut next = start;
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                if message.partition() != partition || message.topic() != topic {
                    continue;
                }
                if message.offset() >= stop {
                    break;
                }
                each(&message)?;
                next = message.offset() + 1;
                if next >= stop {
                    break;
                }
                heard = Clock::now();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) if is_passing(&error) => {}
            // Its bytes can't be read; its answer is in the dead letters.
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_unreadable) => {
                next += 1;
                if next >= stop {
                    break;
                }
                let mut assignment = TopicPartitionList::new();
                assignment.add_partition_offset(topic, partition, Offset::Offset(next))?;
                consumer.assign(&assignment)?;
                heard = Clock::now();
            }
            Some(Err(error)) => return Err(error.into()),
            None if heard.elapsed() > PATIENCE => {
                return Err(AuditError::Stalled { topic: topic.to_owned(), partition });
            }
            None => {}
        }
    }
    consumer.unassign()?;
    Ok(extent)
}
