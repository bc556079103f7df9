//! One Kafka transaction and one Postgres transaction for each message, one message at a time in each partition: what "exactly once"
//! is often taken to ask for.
//!
//! Each partition has a thread with consumers, a transactional producer and a connection of its own. Postgres commits first; a crash
//! between the two commits delivers the command again, and its key answers it.
//!
//! What it does NOT do that the worker does, beside what [`super`] names: after such a crash the result says "duplicate" although its
//! first answer was never published; and partitions are assigned by hand, so another process takes none over.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use tokio::runtime::Runtime;

use super::PeerRun;
use super::command::{Command, Kind, Place};
use super::input::Input;
use super::ledger::Ledger;
use super::meter::Meter;
use crate::support::Failure;
use crate::support::installation::Stack;

const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub fn per_message(
    stack: &Stack,
    topic_prefix: &str,
    database: &str,
    lanes: i32,
    warm_up: Duration,
    measured: Duration,
) -> Result<PeerRun, Failure> {
    let input = Arc::new(Input::open(stack, topic_prefix, lanes)?);
    let backlog = input.backlog()?;
    let url = stack.database_url(database)?;
    let meter = Arc::new(Meter::default());
    // All are there before the first begins.
    let started: Vec<Lane> =
        (0..lanes).map(|number| Lane::start(&input, &url, number)).collect::<Result<_, Failure>>()?;
    let threads: Vec<JoinHandle<()>> =
        started.into_iter().map(|lane| lane.spawn(meter.clone())).collect::<Result<_, Failure>>()?;
    let run = meter.measure(backlog, warm_up, measured);
    let ended = threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok());
    let run = run?;
    meter.check()?;
    if ended { Ok(run) } else { Err("the thread of a lane has panicked".into()) }
}

/// Remembers a delivery that failed.
#[derive(Default)]
struct Deliveries(Mutex<Option<KafkaError>>);

impl Deliveries {
    fn check(&self) -> Result<(), Failure> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(format!("a result was not delivered: {error}").into()),
            None => Ok(()),
        }
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivery {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.clone());
        }
    }
}

/// One partition of both topics.
struct Lane {
    number: i32,
    input: Arc<Input>,
    /// In the order of [`Kind::ALL`].
    consumers: [BaseConsumer; 2],
    producer: BaseProducer<Deliveries>,
    /// Runs on the lane's own thread, so that a statement changes no thread.
    runtime: Runtime,
    ledger: Ledger,
}

impl Lane {
    fn start(input: &Arc<Input>, url: &str, number: i32) -> Result<Lane, Failure> {
        let consumer = |kind: Kind| -> Result<BaseConsumer, KafkaError> {
            let consumer: BaseConsumer = input.consumer_config(kind).create()?;
            consumer.assign(&offset(input.topic(kind), number, Offset::Beginning)?)?;
            Ok(consumer)
        };
        let consumers = [consumer(Kind::Credit)?, consumer(Kind::Redeem)?];
        let producer: BaseProducer<Deliveries> = input
            .producer_config()
            .set("transactional.id", format!("{}.{number}", input.run))
            .set("linger.ms", "0") // there is one record in a transaction
            .set("retry.backoff.ms", "10") // for a broker that is not yet through with the transaction before
            // The report of a success would be one more thing to wait for.
            .set("delivery.report.only.error", "true")
            .create_with_context(Deliveries::default())?;
        producer.init_transactions(STARTS_WITHIN)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ledger = runtime.block_on(Ledger::connect(url))?;
        Ok(Lane { number, input: input.clone(), consumers, producer, runtime, ledger })
    }

    fn spawn(self, meter: Arc<Meter>) -> Result<JoinHandle<()>, Failure> {
        let thread = std::thread::Builder::new().name(format!("peer-{}", self.number)).spawn(move || {
            if let Err(failure) = self.work(&meter) {
                meter.fail(failure);
            }
        })?;
        Ok(thread)
    }

    /// Takes from both topics by turns.
    fn work(&self, meter: &Meter) -> Result<(), Failure> {
        let mut left = [0; 2];
        for kind in Kind::ALL {
            left[kind as usize] = self.input.backlog_of(kind, self.number)?;
        }
        for kind in Kind::ALL.into_iter().cycle() {
            if meter.stopping() {
                break;
            }
            let consumer = &self.consumers[kind as usize];
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let command = Command::read(kind, &message?)?;
            let group = consumer.group_metadata().ok_or("a consumer without a group")?;
            self.transact(&command, &group)?;
            meter.count();
            left[kind as usize] -= 1;
            if left.contains(&0) {
                return Err(format!("the backlog of lane {} ended before the time was over", self.number).into());
            }
        }
        Ok(())
    }

    fn transact(&self, command: &Command, group: &ConsumerGroupMetadata) -> Result<(), Failure> {
        let Place { kind, partition, offset: place } = command.place;
        self.producer.begin_transaction()?;
        let answer = self.runtime.block_on(self.ledger.apply(command))?;
        let result = answer.to_json(command)?;
        let record = BaseRecord::to(&self.input.results).key(&command.merchant_id).payload(&result);
        self.producer.send(record).map_err(|(error, _)| error)?;
        let next = offset(self.input.topic(kind), partition, Offset::Offset(place + 1))?;
        self.producer.send_offsets_to_transaction(&next, group, Timeout::Never)?;
        self.await_delivery()?;
        self.producer.commit_transaction(Timeout::Never)?;
        Ok(())
    }

    /// The wrapper's commit_transaction would do it too, but 100 ms at a time.
    fn await_delivery(&self) -> Result<(), Failure> {
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            self.producer.context().check()?;
            std::thread::sleep(Duration::from_micros(50));
        }
        self.producer.context().check()
    }
}

fn offset(topic: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)?;
    Ok(list)
}
