//! One Postgres transaction for each command, many commands at once: what careful teams write.
//!
//! A consumer of each topic reads, and each command goes to one of the tasks by its customer, so that a customer's commands stay in order.
//! A task has a connection of its own. Results are produced without waiting for each; an offset is committed once the broker has
//! acknowledged the results of all records before it. A crash delivers some commands again, and their keys answer them.
//!
//! What it does NOT do that the worker does, beside what [`super`] names: after a crash results may be published twice, and the results of
//! a merchant are not in the order of its commands, only those of a customer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PeerRun;
use super::command::{Command, Kind, Place};
use super::input::Input;
use super::ledger::Ledger;
use super::meter::Meter;
use super::progress::Progress;
use crate::support::Failure;
use crate::support::installation::Stack;

/// How many commands may wait for each task, so that none waits for the reader.
const QUEUE: usize = 64;
const COMMIT_EVERY: Duration = Duration::from_millis(500);
const FLUSHED_WITHIN: Duration = Duration::from_secs(30);

pub fn per_command(
    stack: &Stack,
    topic_prefix: &str,
    database: &str,
    lanes: i32,
    parallel: usize,
    warm_up: Duration,
    measured: Duration,
) -> Result<PeerRun, Failure> {
    let input = Input::open(stack, topic_prefix, lanes)?;
    let backlog = input.backlog()?;
    let shared = Arc::new(Shared::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let peer = runtime.block_on(Peer::start(input, &stack.database_url(database)?, parallel, shared.clone()))?;
    let run = shared.meter.measure(backlog, warm_up, measured);
    let ended = runtime.block_on(peer.end());
    let run = run?;
    ended?;
    shared.meter.check()?;
    Ok(run)
}

#[derive(Default)]
struct Shared {
    meter: Meter,
    progress: Mutex<Progress>,
}

impl Shared {
    fn with_progress<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hears from the broker which results it has.
struct Deliveries(Arc<Shared>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// Of the command that the result answers.
    type DeliveryOpaque = Box<Place>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, place: Box<Place>) {
        match delivery {
            Ok(_) => {
                self.0.with_progress(|progress| progress.answered(*place));
                self.0.meter.count();
            }
            Err((error, _)) => self.0.meter.fail(format!("a result was not delivered: {error}").into()),
        }
    }
}

/// What runs until the meter says stop.
struct Peer {
    reader: JoinHandle<Consumers>,
    tasks: Vec<JoinHandle<()>>,
    producer: Arc<ThreadedProducer<Deliveries>>,
    shared: Arc<Shared>,
}

impl Peer {
    async fn start(input: Input, url: &str, parallel: usize, shared: Arc<Shared>) -> Result<Peer, Failure> {
        let input = Arc::new(input);
        let context = Deliveries(shared.clone());
        let producer = Arc::new(input.producer_config().create_with_context(context)?);
        let (mut queues, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..parallel {
            let (queue, commands) = mpsc::channel(QUEUE);
            let task =
                Task { ledger: Ledger::connect(url).await?, producer: Arc::clone(&producer), input: input.clone() };
            let shared = shared.clone();
            tasks.push(tokio::spawn(async move {
                if let Err(failure) = task.work(commands).await {
                    shared.meter.fail(failure);
                }
            }));
            queues.push(queue);
        }
        let consumers = Consumers::subscribed(input)?;
        let reader = tokio::spawn({
            let shared = shared.clone();
            async move {
                if let Err(failure) = consumers.read(&queues, &shared).await {
                    shared.meter.fail(failure);
                }
                consumers
            }
        });
        Ok(Peer { reader, tasks, producer, shared })
    }

    /// Waits until what was read is answered and committed.
    async fn end(self) -> Result<(), Failure> {
        let consumers = self.reader.await?;
        for task in self.tasks {
            task.await?;
        }
        self.producer.flush(FLUSHED_WITHIN)?;
        consumers.commit(&self.shared, CommitMode::Sync)
    }
}

/// One for each topic.
struct Consumers {
    credits: StreamConsumer,
    redeems: StreamConsumer,
    input: Arc<Input>,
}

impl Consumers {
    fn subscribed(input: Arc<Input>) -> Result<Consumers, KafkaError> {
        let subscribed = |kind: Kind| -> Result<StreamConsumer, KafkaError> {
            let consumer: StreamConsumer = input.consumer_config(kind).create()?;
            consumer.subscribe(&[input.topic(kind)])?;
            Ok(consumer)
        };
        Ok(Consumers { credits: subscribed(Kind::Credit)?, redeems: subscribed(Kind::Redeem)?, input })
    }

    /// Hands out commands, and commits what is done.
    async fn read(&self, queues: &[mpsc::Sender<Command>], shared: &Shared) -> Result<(), Failure> {
        let mut commits = tokio::time::interval(COMMIT_EVERY);
        while !shared.meter.stopping() {
            // Where several are ready, one of them is chosen at random.
            let (kind, message) = tokio::select! {
                _ = commits.tick() => {
                    self.commit(shared, CommitMode::Async)?;
                    continue;
                }
                message = self.credits.recv() => (Kind::Credit, message?),
                message = self.redeems.recv() => (Kind::Redeem, message?),
            };
            let command = Command::read(kind, &message)?;
            shared.with_progress(|progress| progress.read(command.place));
            // Who receives no more has failed, and said so.
            if queues[task_of(&command, queues.len())].send(command).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, shared: &Shared, mode: CommitMode) -> Result<(), Failure> {
        for (kind, consumer) in [(Kind::Credit, &self.credits), (Kind::Redeem, &self.redeems)] {
            let offsets = shared.with_progress(|progress| progress.take_committable(kind, self.input.topic(kind)))?;
            if let Some(offsets) = offsets {
                consumer.commit(&offsets, mode)?;
            }
        }
        Ok(())
    }
}

fn task_of(command: &Command, tasks: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (&command.merchant_id, &command.external_id).hash(&mut hasher);
    (hasher.finish() % tasks as u64) as usize
}

/// Decides the commands of some of the customers.
struct Task {
    ledger: Ledger,
    producer: Arc<ThreadedProducer<Deliveries>>,
    input: Arc<Input>,
}

impl Task {
    async fn work(&self, mut commands: mpsc::Receiver<Command>) -> Result<(), Failure> {
        while let Some(command) = commands.recv().await {
            let answer = self.ledger.apply(&command).await?;
            self.publish(&command, &answer.to_json(&command)?).await?;
        }
        Ok(())
    }

    /// Hands a result to the producer; it is acknowledged later.
    async fn publish(&self, command: &Command, result: &[u8]) -> Result<(), KafkaError> {
        loop {
            let record = BaseRecord::with_opaque_to(&self.input.results, Box::new(command.place))
                .key(&command.merchant_id)
                .payload(result);
            match self.producer.send(record).map_err(|(error, _)| error) {
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                sent => return sent,
            }
        }
    }
}
