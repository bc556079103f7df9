//! `kafka` against a real broker: `KAFKA_BOOTSTRAP` says where. Every test has topics and a group of its own.

#[path = "kafka/ranges.rs"]
mod ranges;

#[path = "kafka/lane.rs"]
mod lane;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lane::{Lane, credits_from};
use loyalty_worker::config::KafkaSettings;
use loyalty_worker::domain::{CommandTopic, Frontier};
use loyalty_worker::kafka::client::plain_consumer;
use loyalty_worker::kafka::commands::{CommandConsumer, Committed};
use loyalty_worker::kafka::group::{Group, GroupEvent};
use loyalty_worker::kafka::lane_queues::{Fetched, IntakeError, LaneQueues};
use loyalty_worker::kafka::publisher::{PublishErrorKind, PublishJob, PublishReport, Published, Publisher};
use loyalty_worker::kafka::sender::CommandSender;
use loyalty_worker::kafka::ticks::TickWriter;
use loyalty_worker::kafka::topics::{self, TopicProblem, TopicProblemKind};
use loyalty_worker::record::{Header, OutTopic, OutboundHeader, OutboundRecord, OutboundRecords, TopicNames, lane_of};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Headers;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[tokio::test]
async fn topics_are_created_once_and_pass_the_check() {
    let kafka = Kafka::new();
    let made = topics::create(&kafka.settings, &kafka.names, 4, 1).await.unwrap();
    assert_eq!((made.created.len(), made.existing.len()), (13, 0));
    let again = topics::create(&kafka.settings, &kafka.names, 4, 1).await.unwrap();
    assert_eq!((again.created.len(), again.existing.len()), (0, 13));

    let (facts, problems) = topics::check(&kafka.settings, &kafka.names).await.unwrap();
    assert_eq!(problems, []);
    assert_eq!(facts.lanes, 4);
    assert!(!facts.cluster_id.is_empty());
    let mut ids = facts.topic_ids.to_vec();
    ids.dedup();
    assert!(ids.len() == CommandTopic::COUNT && ids.iter().all(|id| id.len() == 22), "{ids:?}");
    assert_eq!(kafka.consumer().facts().unwrap(), facts);

    let production = KafkaSettings { development: false, ..kafka.settings.clone() };
    let (_, problems) = topics::check(&production, &kafka.names).await.unwrap();
    assert_eq!(problems.len(), 13);
    assert!(problems.iter().all(|problem| problem.kind == TopicProblemKind::MinInSyncReplicas));

    assert!(topics::create(&kafka.settings, &kafka.names, 257, 1).await.is_err());
}

#[tokio::test]
async fn the_check_names_what_is_wrong_and_how_to_mend_it() {
    let kafka = Kafka::new();
    let bootstrap = kafka.settings.bootstrap_servers.clone();
    let credit = kafka.names.command(CommandTopic::Credit);
    let redeem = kafka.names.command(CommandTopic::Redeem);
    let clock = kafka.names.command(CommandTopic::Clock);
    let customers = kafka.names.out(OutTopic::Customers);
    let log_append = ("message.timestamp.type", "LogAppendTime");
    kafka.create_by_hand(&credit, 4, &[]).await;
    kafka.create_by_hand(&redeem, 4, &[log_append, ("cleanup.policy", "compact")]).await;
    kafka.create_by_hand(&clock, 2, &[log_append]).await;
    kafka.create_by_hand(&customers, 4, &[("max.message.bytes", "2097152")]).await;

    let began = Instant::now();
    loop {
        let (_, problems) = topics::check(&kafka.settings, &kafka.names).await.unwrap();
        let missing: Vec<_> = problems.iter().filter(|problem| problem.kind == TopicProblemKind::Missing).collect();
        assert!(missing.iter().all(|problem| problem.mend == "Run `loyalty-worker topics create`"));
        // The broker hears of the new topics a little after the controller.
        if missing.len() == 9 {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{missing:?}");
    }

    topics::create(&kafka.settings, &kafka.names, 4, 1).await.unwrap();
    let (_, problems) = topics::check(&kafka.settings, &kafka.names).await.unwrap();
    let command = |topic: &str, property: &str| {
        format!(
            "Run `kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} \
             --add-config {property}`"
        )
    };
    let found: Vec<(TopicProblemKind, &str, &str)> = problems
        .iter()
        .map(|TopicProblem { kind, topic, mend, .. }| (*kind, topic.as_str(), mend.as_str()))
        .filter(|(kind, ..)| *kind != TopicProblemKind::PartitionCounts)
        .collect();
    assert_eq!(
        found,
        [
            (TopicProblemKind::TimestampType, &*credit, &*command(&credit, "message.timestamp.type=LogAppendTime")),
            (TopicProblemKind::Compacted, &*redeem, &*command(&redeem, "cleanup.policy=delete")),
            (TopicProblemKind::NotCompacted, &*customers, &*command(&customers, "cleanup.policy=compact")),
        ]
    );
    let counts: Vec<&str> = problems
        .iter()
        .filter(|problem| problem.kind == TopicProblemKind::PartitionCounts)
        .map(|problem| problem.topic.as_str())
        .collect();
    assert_eq!(counts, [clock.as_str()]);
}

#[tokio::test]
async fn queues_read_records_and_ends_past_control_records() {
    let kafka = Kafka::with_topics(2).await;
    let consumer = kafka.consumer();
    let upstream = kafka.upstream();
    let credit = kafka.names.command(CommandTopic::Credit);
    upstream.transaction(&credit, 1, &["a", "b", "c"], true);

    let mut lane = Lane::open(&consumer, 1, Frontier([0; CommandTopic::COUNT]));
    let got = lane.until_end(CommandTopic::Credit, 4);
    let [Fetched::Record(first), Fetched::Record(_), Fetched::Record(last), Fetched::End { next: 4 }] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!(format!("{:?}", last.position), "credit/1/2");
    assert_eq!(first.key.as_deref(), Some(&b"merchant"[..]));
    assert_eq!(first.value.as_deref(), Some(&b"a"[..]));
    assert_eq!(first.headers.kept, [Header { name: "traceparent".into(), value: b"00-1".to_vec() }]);
    assert!(first.timestamp.micros() > 1_600_000_000_000_000);
    assert_eq!(lane.until_end(CommandTopic::Redeem, 0), [Fetched::End { next: 0 }]);

    // Nothing of an aborted transaction, but its end.
    upstream.transaction(&credit, 1, &["d", "e"], false);
    assert_eq!(lane.until_end(CommandTopic::Credit, 7), [Fetched::End { next: 7 }]);
    assert_eq!(consumer.watermarks(1).unwrap()[CommandTopic::Credit.index()], (0, 7));
    assert_eq!(consumer.end_of(0, CommandTopic::Credit).unwrap(), 0);

    // Closed and opened again, as a recovery does: from the frontier, and nothing of before.
    drop(lane);
    for next in [1, 2, 0] {
        let mut lane = Lane::open(&consumer, 1, credits_from(next));
        assert_eq!(offsets(&lane.until_end(CommandTopic::Credit, 7)), (next..3).collect::<Vec<_>>());
    }

    let mut lane = Lane::open(&consumer, 1, credits_from(1_000));
    let error = lane.until_error(CommandTopic::Credit);
    assert_eq!(error, IntakeError::OutOfRange { topic: CommandTopic::Credit, offset: 1_000 });
    assert_eq!(lane.queues.read(CommandTopic::Redeem, 1, &mut Vec::new()), Err(error));
}

#[tokio::test]
async fn an_unread_topic_does_not_hold_up_another() {
    const RECORDS: i64 = 40_000;
    let kafka = Kafka::with_topics(1).await;
    let consumer = kafka.consumer();
    let upstream = kafka.upstream();
    let values: Vec<String> = (0..RECORDS).map(|n| format!("{n:0120}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    upstream.transaction(&kafka.names.command(CommandTopic::Credit), 0, &values, true);

    let mut lane = Lane::open(&consumer, 0, Frontier([0; CommandTopic::COUNT]));
    lane.until_end(CommandTopic::Redeem, 0);
    upstream.transaction(&kafka.names.command(CommandTopic::Redeem), 0, &["r"], true);
    assert_eq!(offsets(&lane.until_end(CommandTopic::Redeem, 2)), [0]);

    let credits = lane.until_end(CommandTopic::Credit, RECORDS + 1);
    assert!(offsets(&credits).into_iter().eq(0..RECORDS));
}

#[tokio::test]
async fn a_publisher_publishes_records_and_offsets_together() {
    let mut kafka = Kafka::with_topics(3).await;
    kafka.settings.properties.insert("linger.ms".into(), "40000".into()); // which a drain must not wait for
    let consumer = kafka.consumer();
    let (publisher, mut reports) = kafka.publisher(&consumer, 2).await;
    assert_eq!(consumer.committed(2).unwrap(), Committed::Never);

    let mut records = outbound(OutTopic::Results, "m", Some("accepted"), &[("kind", "credit.amount")]);
    for (topic, key, value) in [(OutTopic::Customers, "c", None), (OutTopic::Journal, "", Some(""))] {
        records.push(&outbound(topic, key, value, &[]).iter().next().unwrap());
    }
    let mut first = records.clone();
    let large = outbound(OutTopic::Events, "m", Some(&"x".repeat(700_000)), &[]); // one request each, one after the other
    (0..4).for_each(|_| first.push(&large.iter().next().unwrap()));
    publisher.submit(PublishJob { batch: 1, frontier: Frontier([1, 2, 3, 4, 5, 6, 7, 8]), records: first });
    let published = next_published(&mut reports).await;
    assert_eq!((published.batch, published.batches, published.records), (1, 1, 7));
    assert!(published.took.drain < Duration::from_secs(20), "{:?}", published.took);
    assert_eq!(
        consumer.committed(2).unwrap(),
        Committed::At { batch: 1, frontier: [1, 2, 3, 4, 5, 6, 7, 8].map(Some) }
    );
    assert_eq!(consumer.committed(1).unwrap(), Committed::Never);

    // What waits is published together, in order; `finish` leaves nothing behind.
    for batch in 2..=5 {
        publisher.submit(PublishJob {
            batch,
            frontier: Frontier([batch; CommandTopic::COUNT]),
            records: records.clone(),
        });
    }
    blocking(move || publisher.finish()).await;
    let mut batches = 1;
    while let Ok(report) = reports.try_recv() {
        batches += published_of(report).batches;
    }
    assert_eq!(batches, 5);
    assert_eq!(consumer.committed(2).unwrap(), Committed::At { batch: 5, frontier: [Some(5); CommandTopic::COUNT] });

    let results = kafka.read_all(&kafka.names.out(OutTopic::Results), 2);
    let headers = vec![("kind".to_owned(), b"credit.amount".to_vec())];
    assert_eq!(results, vec![(Some(b"m".to_vec()), Some(b"accepted".to_vec()), headers); 5]);
    assert_eq!(kafka.read_all(&kafka.names.out(OutTopic::Results), 0), []);
    assert_eq!(kafka.read_all(&kafka.names.out(OutTopic::Customers), 2)[0], (Some(b"c".to_vec()), None, vec![]));
    assert_eq!(kafka.read_all(&kafka.names.out(OutTopic::Journal), 2)[0], (Some(vec![]), Some(vec![]), vec![]));
}

#[tokio::test]
async fn a_fenced_publisher_reports_it_and_publishes_nothing() {
    let kafka = Kafka::with_topics(1).await;
    let consumer = kafka.consumer();
    let (old, mut old_reports) = kafka.publisher(&consumer, 0).await;
    let (new, mut new_reports) = kafka.publisher(&consumer, 0).await;
    let job = |batch, value| PublishJob {
        batch,
        frontier: Frontier([batch; CommandTopic::COUNT]),
        records: outbound(OutTopic::Results, "m", Some(value), &[]),
    };
    old.submit(job(7, "old"));
    match old_reports.recv().await {
        Some(PublishReport::Failed(error)) => assert_eq!(error.kind, PublishErrorKind::Fenced, "{error}"),
        other => panic!("the fenced publisher reported {other:?}"),
    }
    assert!(old_reports.recv().await.is_none(), "it has ended");
    new.submit(job(8, "new"));
    assert_eq!(next_published(&mut new_reports).await.batch, 8);
    assert_eq!(kafka.read_all(&kafka.names.out(OutTopic::Results), 0).len(), 1);
    assert_eq!(consumer.committed(0).unwrap(), Committed::At { batch: 8, frontier: [Some(8); CommandTopic::COUNT] });

    let began = Instant::now();
    drop(new);
    assert!(began.elapsed() < Duration::from_millis(50), "dropping does not wait");
    assert!(new_reports.recv().await.is_none(), "and ends the thread");
}

#[tokio::test]
async fn members_hand_lanes_over() {
    let kafka = Kafka::with_topics(4).await;
    let (first_events, mut first) = unbounded_channel();
    let group = Group::join(&kafka.member("pod-a"), &kafka.names, first_events).unwrap();
    assert_eq!(next_event(&mut first).await, GroupEvent::Assigned(vec![0, 1, 2, 3]));
    assert!(group.last_turn() < Duration::from_secs(2));

    let (second_events, mut second) = unbounded_channel();
    let joiner = Group::join(&kafka.member("pod-b"), &kafka.names, second_events).unwrap();
    assert_eq!(next_event(&mut first).await, GroupEvent::Revoked { lost: false });
    assert_eq!(next_event(&mut first).await, GroupEvent::Assigned(vec![0, 1]));
    assert_eq!(next_event(&mut second).await, GroupEvent::Assigned(vec![2, 3]));

    // While the group has members, B's metadata commits all the same.
    let consumer = kafka.consumer();
    let (publisher, mut reports) = kafka.publisher(&consumer, 0).await;
    publisher.submit(PublishJob {
        batch: 1,
        frontier: Frontier([1; CommandTopic::COUNT]),
        records: OutboundRecords::default(),
    });
    assert_eq!(next_published(&mut reports).await.batch, 1);

    blocking(move || group.leave()).await;
    assert_eq!(next_event(&mut second).await, GroupEvent::Revoked { lost: false });
    assert_eq!(next_event(&mut second).await, GroupEvent::Assigned(vec![0, 1, 2, 3]));
    blocking(move || joiner.leave()).await;
}

#[tokio::test]
async fn senders_and_ticks_reach_their_lanes() {
    let kafka = Kafka::with_topics(8).await;
    let sender = CommandSender::new(&kafka.settings, &kafka.names).unwrap();
    for merchant in ["m-1", "m-2", "ü", "a long merchant id"] {
        let (partition, offset) = sender.send(CommandTopic::Credit, merchant.as_bytes(), b"{}", &[]).await.unwrap();
        assert_eq!(partition, lane_of(merchant.as_bytes(), 8), "{merchant}");
        assert!(offset >= 0);
    }

    let ticks = TickWriter::new(&kafka.settings, &kafka.names).unwrap();
    ticks.write(3, b"tick");
    let consumer = kafka.consumer();
    let mut lane = Lane::open(&consumer, 3, Frontier([0; CommandTopic::COUNT]));
    let got = lane.until_end(CommandTopic::Clock, 1);
    let [Fetched::Record(tick), Fetched::End { next: 1 }] = &got[..] else { panic!("{got:?}") };
    assert_eq!((tick.key.as_deref(), tick.value.as_deref()), (None, Some(&b"tick"[..])));
    assert_eq!(ticks.failures(), 0);
}

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

struct Kafka {
    settings: KafkaSettings,
    names: TopicNames,
}

/// Key, value and headers.
type Read = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

impl Kafka {
    fn new() -> Kafka {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let bootstrap = std::env::var("KAFKA_BOOTSTRAP").expect(
            "KAFKA_BOOTSTRAP must name a Kafka broker: run `deploy/local/stack up target/stack/dev`, then take it from \
             target/stack/dev/env",
        );
        let name = format!("kafka-test-{}-{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let topic_prefix = format!("{name}.");
        Kafka {
            names: TopicNames::new(topic_prefix.clone()),
            settings: KafkaSettings {
                bootstrap_servers: bootstrap,
                group: name,
                topic_prefix,
                client_id: "kafka-test".into(),
                instance_id: None,
                development: true,
                properties: BTreeMap::new(),
            },
        }
    }

    async fn with_topics(lanes: i32) -> Kafka {
        let kafka = Kafka::new();
        topics::create(&kafka.settings, &kafka.names, lanes, 1).await.unwrap();
        kafka
    }

    fn member(&self, client_id: &str) -> KafkaSettings {
        KafkaSettings { client_id: client_id.into(), ..self.settings.clone() }
    }

    fn consumer(&self) -> CommandConsumer {
        CommandConsumer::new(&self.settings, &self.names).unwrap()
    }

    async fn publisher(&self, consumer: &CommandConsumer, lane: i32) -> (Publisher, UnboundedReceiver<PublishReport>) {
        let (settings, names, consumer) = (self.settings.clone(), self.names.clone(), consumer.clone());
        let (sender, reports) = unbounded_channel();
        let publisher =
            blocking(move || Publisher::start(&settings, &names, &consumer, lane, sender, &|| true)).await.unwrap();
        (publisher, reports)
    }

    fn upstream(&self) -> Upstream {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .set("transactional.id", format!("{}-upstream", self.settings.group))
            .create()
            .unwrap();
        producer.init_transactions(DEADLINE).unwrap();
        Upstream { producer }
    }

    async fn create_by_hand(&self, name: &str, partitions: i32, properties: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.settings.bootstrap_servers).create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = properties.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        for made in admin.create_topics(&[topic], &options).await.unwrap() {
            made.unwrap();
        }
    }

    /// All committed records of a partition.
    fn read_all(&self, topic: &str, partition: i32) -> Vec<Read> {
        let consumer = plain_consumer(&self.settings, "test").unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut all = Vec::new();
        loop {
            match consumer.poll(DEADLINE).expect("the end comes before the deadline") {
                Ok(record) => {
                    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
                    let headers =
                        headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
                    let (key, value) = (record.key().map(<[u8]>::to_vec), record.payload().map(<[u8]>::to_vec));
                    all.push((key, value, headers.collect()));
                }
                Err(KafkaError::PartitionEOF(_)) => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Somebody else's transactional producer.
struct Upstream {
    producer: BaseProducer,
}

impl Upstream {
    fn transaction(&self, topic: &str, partition: i32, values: &[&str], commit: bool) {
        self.producer.begin_transaction().unwrap();
        for value in values {
            let header = rdkafka::message::Header { key: "traceparent", value: Some("00-1") };
            let headers = rdkafka::message::OwnedHeaders::new().insert(header);
            let record = BaseRecord::to(topic).partition(partition).key("merchant").payload(*value).headers(headers);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(DEADLINE).unwrap();
        if commit {
            self.producer.commit_transaction(DEADLINE).unwrap();
        } else {
            self.producer.abort_transaction(DEADLINE).unwrap();
        }
    }
}

fn offsets(fetched: &[Fetched]) -> Vec<i64> {
    let offset = |fetched: &Fetched| match fetched {
        Fetched::Record(record) => Some(record.position.offset),
        Fetched::End { .. } => None,
    };
    fetched.iter().filter_map(offset).collect()
}

fn outbound(topic: OutTopic, key: &str, value: Option<&str>, headers: &[(&str, &str)]) -> OutboundRecords {
    let mut records = OutboundRecords::default();
    records.push(&OutboundRecord {
        topic,
        key: key.as_bytes().into(),
        value: value.map(|value| value.as_bytes().into()),
        headers: headers.iter().map(|(name, value)| OutboundHeader::new(name, value)).collect(),
    });
    records
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.unwrap()
}

async fn next_event(events: &mut UnboundedReceiver<GroupEvent>) -> GroupEvent {
    tokio::time::timeout(DEADLINE, events.recv()).await.expect("an event before the deadline").expect("a living group")
}

async fn next_published(reports: &mut UnboundedReceiver<PublishReport>) -> Published {
    published_of(tokio::time::timeout(DEADLINE, reports.recv()).await.expect("in time").expect("a living publisher"))
}

fn published_of(report: PublishReport) -> Published {
    match report {
        PublishReport::Published(published) => published,
        PublishReport::Failed(error) => panic!("{error}"),
    }
}
