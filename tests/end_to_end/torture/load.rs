//! A light load that never ends: every lane gets commands all the time, and every answer is noted with the moment when it came.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use crate::load::murmur2::partition_of;
use crate::load::rng::Rng;
use crate::support::published::Published;
use crate::support::topics::Position;
use crate::support::{Installation, locked};

/// Of each lane.
const PACE: Duration = Duration::from_millis(60);
const CUSTOMERS: usize = 5;
/// A thread that wants to run every 50 ms and did not for so long was not let: the machine stood still, which is a fault of its own.
const STANDS_STILL: Duration = Duration::from_secs(2);

/// What was sent at a position.
#[derive(Debug, Clone)]
enum Sending {
    Credit {
        key: String,
        amount: i64,
    },
    /// The same command once more.
    Again {
        key: String,
    },
    /// Answered in one way or another.
    Other,
    Hostile,
}

#[derive(Default)]
struct Noted {
    sent: HashMap<Position, Sending>,
    /// Since when a lane has had something that was acknowledged, without any result.
    waits_since: BTreeMap<i32, Instant>,
    answered: HashMap<Position, usize>,
    /// The offsets of each topic and partition's answers, in the order in which they came; results and dead letters, which are topics of
    /// their own, have no order between them.
    order: BTreeMap<(bool, String, i32), Vec<i64>>,
    /// When results of each lane came.
    results: BTreeMap<i32, Vec<Instant>>,
    /// Of accepted commands, once each: customer's external id, amount.
    balances: BTreeMap<String, i64>,
    applied: HashMap<String, Value>,
    wrong: Vec<String>,
    /// When the machine itself went on after it had stood still.
    machine_went_on: Option<Instant>,
}

pub struct Load {
    noted: Arc<Mutex<Noted>>,
    /// No more is sent; then no more is read.
    sent_all: Arc<AtomicBool>,
    read_all: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    reader: JoinHandle<()>,
    lanes: i32,
}

/// What was sent and answered in the end.
pub struct Sent {
    noted: Arc<Mutex<Noted>>,
}

struct Reports {
    noted: Arc<Mutex<Noted>>,
    prefix: String,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sending>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, sent: Box<Sending>) {
        let mut noted = locked(&self.noted);
        match delivery {
            Ok(message) => {
                let topic = message.topic().strip_prefix(&self.prefix).unwrap_or_default().to_owned();
                let position = Position { topic, partition: message.partition(), offset: message.offset() };
                noted.waits_since.entry(message.partition()).or_insert_with(Instant::now);
                noted.sent.insert(position, *sent);
            }
            Err((error, _)) => noted.wrong.push(format!("a command was not delivered: {error}")),
        }
    }
}

/// A merchant of each lane.
pub fn merchants(lanes: i32) -> Vec<String> {
    let of_lane = |lane: i32| {
        let mut names = (0..).map(|number| format!("shop-{number}"));
        names.find(|name| partition_of(name.as_bytes(), lanes) == lane).expect("some name is of this lane")
    };
    (0..lanes).map(of_lane).collect()
}

impl Load {
    pub fn start(installation: &Installation) -> Load {
        let noted = Arc::<Mutex<Noted>>::default();
        let (sent_all, read_all) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let reader = {
            let (noted, stop) = (noted.clone(), read_all.clone());
            let mut published = Published::answers(installation);
            let prefix = installation.prefix.clone();
            std::thread::spawn(move || {
                let mut looked = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    if looked.elapsed() > STANDS_STILL {
                        locked(&noted).machine_went_on = Some(Instant::now());
                    }
                    looked = Instant::now();
                    for record in published.read_for(Duration::from_millis(50)) {
                        note(&mut locked(&noted), &record, &prefix);
                    }
                }
            })
        };
        let sender = {
            let reports = Reports { noted: noted.clone(), prefix: installation.prefix.clone() };
            let producer: ThreadedProducer<Reports> = ClientConfig::new()
                .set("bootstrap.servers", &installation.stack.bootstrap)
                .set("client.id", "load")
                .set("acks", "all")
                .set("enable.idempotence", "true")
                .set("linger.ms", "0")
                .create_with_context(reports)
                .expect("a producer");
            let (stop, prefix, lanes) = (sent_all.clone(), installation.prefix.clone(), installation.lanes);
            std::thread::spawn(move || send(&producer, &prefix, lanes, &stop))
        };
        Load { noted, sent_all, read_all, sender, reader, lanes: installation.lanes }
    }

    /// Whether a lane has had work for so long, and has given no result.
    pub fn stands_still(&self, lane: i32, silent_for: Duration) -> bool {
        let noted = locked(&self.noted);
        let since = noted.waits_since.get(&lane).map(|since| (*since).max(noted.machine_went_on.unwrap_or(*since)));
        since.is_some_and(|since| since.elapsed() > silent_for)
    }

    pub fn await_all_lanes_since(&self, moment: Instant, patience: Duration) -> Result<(), String> {
        self.while_waiting_for_all_lanes(moment, patience, || {})
    }

    /// Waits until every lane has given a result after this moment.
    pub fn while_waiting_for_all_lanes(
        &self,
        moment: Instant,
        patience: Duration,
        mut look: impl FnMut(),
    ) -> Result<(), String> {
        loop {
            let missing: Vec<i32> = {
                let noted = locked(&self.noted);
                let has_come = |lane: &i32| {
                    noted.results.get(lane).and_then(|times| times.last()).is_some_and(|last| *last > moment)
                };
                (0..self.lanes).filter(|lane| !has_come(lane)).collect()
            };
            if missing.is_empty() {
                return Ok(());
            }
            let went_on = locked(&self.noted).machine_went_on;
            if moment.max(went_on.unwrap_or(moment)).elapsed() > patience {
                return Err(format!("lanes {missing:?}"));
            }
            look();
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// The longest time that any lane was without a result since then.
    pub fn longest_gap_since(&self, moment: Instant) -> Duration {
        let noted = locked(&self.noted);
        let gap = |times: &Vec<Instant>| {
            let first = times.partition_point(|at| *at < moment).saturating_sub(1);
            times[first..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        noted.results.values().map(gap).max().unwrap_or_default()
    }

    /// Sends no more, and waits until everything has been answered.
    pub fn finish(self) -> Sent {
        let Load { noted, sent_all, read_all, sender, reader, .. } = self;
        sent_all.store(true, Ordering::Relaxed);
        sender.join().expect("sending does not panic");
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let open = {
                let noted = locked(&noted);
                noted.sent.keys().filter(|position| !noted.answered.contains_key(position)).count()
            };
            if open == 0 || Instant::now() > deadline {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        read_all.store(true, Ordering::Relaxed);
        reader.join().expect("reading does not panic");
        Sent { noted }
    }
}

fn send(producer: &ThreadedProducer<Reports>, prefix: &str, lanes: i32, stop: &AtomicBool) {
    let merchants = merchants(lanes);
    let put = |topic: &str, lane: i32, value: Vec<u8>, sent: Sending| {
        let name = format!("{prefix}{topic}");
        let key = merchants[lane as usize].as_bytes();
        let record = BaseRecord::with_opaque_to(&name, Box::new(sent)).partition(lane).key(key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    };
    let command = |lane: i32, key: &str, customer: Option<String>, body: Value| {
        let mut envelope = json!({ "merchant_id": merchants[lane as usize], "idempotency_key": key });
        if let Some(external_id) = customer {
            envelope["customer"] = json!({ "kind": "external_id", "value": external_id });
        }
        json!({ "envelope": envelope, "command": body }).to_string().into_bytes()
    };
    for lane in 0..lanes {
        let unit = json!({ "type": "unit", "unit_id": "points", "name": "Points" });
        put("merchant-config", lane, command(lane, "unit", None, unit), Sending::Other);
    }
    producer.flush(Duration::from_secs(60)).expect("the brokers take the configuration");
    for lane in 0..lanes {
        for customer in 0..CUSTOMERS {
            let body = json!({ "external_id": format!("c-{customer}") });
            let key = format!("hello-{customer}");
            put("customer-upsert", lane, command(lane, &key, None, body), Sending::Other);
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the brokers take the customers");
    let mut rng = Rng::new(1);
    let mut number = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        for lane in 0..lanes {
            let customer = Some(format!("c-{}", number % CUSTOMERS));
            let key = format!("k-{number}");
            let credit = |amount: usize| json!({ "type": "amount", "unit": "points", "amount": amount });
            match rng.below(100) {
                0..3 => {
                    const HOSTILE: [&[u8]; 5] =
                        [b"{", b"\0\xff\xff\xff\xff\x01", b"\0\0\x0f\x42\x40\x01", b"", b"\x07"];
                    let hostile = rng.pick(&HOSTILE);
                    put("credit", lane, hostile.to_vec(), Sending::Hostile);
                }
                3..8 if number > 20 => {
                    let earlier = number - 1 - rng.below(15);
                    let customer = Some(format!("c-{}", earlier % CUSTOMERS));
                    let key = format!("k-{earlier}");
                    put("credit", lane, command(lane, &key, customer, credit(earlier)), Sending::Again { key });
                }
                8..20 => {
                    let body = json!({ "type": "amount", "unit": "points", "amount": 1 + rng.below(number) });
                    let key = format!("r-{number}");
                    put("redeem", lane, command(lane, &key, customer, body), Sending::Other);
                }
                _ => {
                    let sent = Sending::Credit { key: key.clone(), amount: number as i64 };
                    put("credit", lane, command(lane, &key, customer, credit(number)), sent);
                }
            }
        }
        std::thread::park_timeout(PACE);
    }
    producer.flush(Duration::from_secs(120)).expect("the brokers take what was sent");
}

fn note(noted: &mut Noted, record: &crate::support::published::Record, prefix: &str) {
    let Some(position) = record.answers(prefix) else { return };
    *noted.answered.entry(position.clone()).or_default() += 1;
    let order = (record.is_dead_letter(), position.topic.clone(), position.partition);
    noted.order.entry(order).or_default().push(position.offset);
    noted.results.entry(position.partition).or_default().push(Instant::now());
    noted.waits_since.remove(&position.partition);
    if record.is_dead_letter() || record.json["status"] != "accepted" {
        return;
    }
    let (merchant, key) = (&record.json["merchant_id"], &record.json["idempotency_key"]);
    let name = format!("{merchant}/{key}");
    let transactions = record.json["transactions"].clone();
    match noted.applied.get(&name) {
        // A duplicate tells the first outcome again.
        Some(first) if *first == transactions => {}
        Some(_) => noted.wrong.push(format!("{name} came to two outcomes")),
        None => {
            for entry in transactions.as_array().into_iter().flatten() {
                let sign = if entry["direction"] == "credit" { 1 } else { -1 };
                let amount = sign * entry["amount"].as_i64().unwrap_or(0);
                let account = format!("{}/{}", merchant.as_str().unwrap_or_default(), record.json["customer_id"]);
                *noted.balances.entry(account).or_default() += amount;
            }
            noted.applied.insert(name, transactions);
        }
    }
}

impl Sent {
    pub fn commands(&self) -> usize {
        let sent = locked(&self.noted).sent.len();
        sent - self.hostile()
    }

    pub fn hostile(&self) -> usize {
        locked(&self.noted).sent.values().filter(|sent| matches!(sent, Sending::Hostile)).count()
    }

    /// What does not hold of the answers.
    pub fn violations(&self, installation: &Installation) -> Vec<String> {
        let noted = locked(&self.noted);
        let mut found = noted.wrong.clone();
        for (position, sent) in &noted.sent {
            match noted.answered.get(position) {
                Some(1) => {}
                times => found.push(format!("{position:?} ({sent:?}) has {} answers", times.unwrap_or(&0))),
            }
        }
        for ((_, topic, partition), offsets) in &noted.order {
            if let Some(pair) = offsets.windows(2).find(|pair| pair[0] >= pair[1]) {
                found.push(format!("{topic}/{partition}: {} was answered before {}", pair[0], pair[1]));
            }
        }
        for sent in noted.sent.iter() {
            let (position, key, amount) = match sent {
                (position, Sending::Credit { key, amount }) => (position, key, Some(*amount)),
                (position, Sending::Again { key }) => (position, key, None),
                _ => continue,
            };
            let merchant = &merchants(installation.lanes)[position.partition as usize];
            let applied = noted.applied.get(&format!("{:?}/{key:?}", merchant));
            let came = applied.and_then(|entries| entries[0]["amount"].as_i64());
            if amount.is_some() && came != amount {
                found.push(format!("{position:?}: {amount:?} were sent under {key}, and {came:?} applied"));
            }
        }
        found
    }

    /// Where Postgres holds another balance than the results say.
    pub fn differences_of_balances(&self, installation: &Installation) -> Vec<String> {
        let rows = installation.database().rows(
            "select merchant_id || '/\"' || customer_id::text || '\"', sum(available)::bigint from account group by 1",
        );
        let held: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let noted = locked(&self.noted);
        let of = |balances: &BTreeMap<String, i64>, account: &String| balances.get(account).copied().unwrap_or(0);
        let accounts = held.keys().chain(noted.balances.keys());
        accounts
            .filter(|account| of(&held, account) != of(&noted.balances, account))
            .map(|account| {
                format!("{account} holds {}, and its results say {}", of(&held, account), of(&noted.balances, account))
            })
            .collect()
    }
}
