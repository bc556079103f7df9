//! What stands before the clock starts: customers in Postgres, merchants configured, topics made.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::topic_partition_list::Offset;

use crate::load::command::{Body, Command, Content, Encoding, Record, UnitRules};
use crate::load::encode::{Encoder, Timeline};
use crate::load::send::Sender;
use crate::load::track::Tracker;
use crate::load::{MERCHANTS, now_micros, observe, registry};
use crate::support::Failure;
use crate::support::database::Database;
use crate::support::installation::{Installation, Stack};
use crate::support::processes::{Worker, check_signals};

/// An installation with customers and configured merchants, and no worker.
pub struct Scene {
    pub installation: Installation,
    pub lanes: i32,
    pub sender: Sender,
    /// Of the results that come from now on.
    pub results: BaseConsumer,
}

/// A migrated database with that many customers, to copy. Each has two identifiers, and an account with one lot and its entry.
pub fn base(stack: &Stack, worker: &Path, name: &str, customers: u64) -> Result<String, Failure> {
    let installation = Installation::new(stack, worker, name, &format!("{name}-base"))?;
    installation.run(&["migrate"])?;
    let database = Database::connect(&stack.database_url(&installation.database)?)?;
    let merchants = MERCHANTS.map(|id| format!("'{id}'")).join(", ");
    let of_all = format!(
        "from (select i, ('01900000-0000-8000-8000-' || lpad(to_hex(i), 12, '0'))::uuid as id, \
         (array[{merchants}])[1 + i % {}] as merchant from generate_series(1, {customers}) i) c",
        MERCHANTS.len()
    );
    // The first lot and its entry have their customer's id, in two numbers.
    let id = "x'0190000000008000'::bigint, (x'8000000000000000'::bigint | i)";
    for insert in [
        format!(
            "insert into customer (customer_id, external_key, email_key, merchant_id, version, status, external_id, email, first_name, notify_email, \
             notify_phone, created_at, updated_at, unit_ids, accounts, lots) \
             select id, lookup_key(merchant, 'external_id', 'c-' || i), lookup_key(merchant, 'email', 'c' || i || '@example.com'), \
             merchant, 2, 1, 'c-' || i, 'c' || i || '@example.com', 'Customer', true, false, now(), now(), \
             array['points'], array[1, {id}, 1000, 0, 0, 0, 1000, 0, null], \
             array[1, {id}, 1000, 1000, (extract(epoch from now()) * 1000000)::bigint, null] {of_all}"
        ),
        format!(
            "insert into entry (transaction_id, customer_id, unit_id, seq, kind, amount, balance_after, occurred_at, recorded_at) \
             select id, id, 'points', 1, 1, 1000, 1000, now(), now() {of_all}"
        ),
        // Only what is full: of empty tables Postgres would take it from here that they stay so.
        "vacuum analyze customer, entry".to_owned(),
    ] {
        check_signals()?;
        database.execute(&insert)?;
    }
    Ok(installation.database)
}

/// A copy of the base with topics of its own. Merchants are configured by commands, as they always are.
pub fn set(stack: &Stack, worker: &Path, name: &str, base: &str, lanes: i32) -> Result<Scene, Failure> {
    let name = format!("{name}-{lanes}");
    let installation = Installation::copying(stack, worker, &name, &name, base)?;
    installation.prepare(lanes)?;
    let database = Database::connect(&stack.database_url(&installation.database)?)?;
    // As they are while a worker has been at work for a while.
    database.execute("create extension pg_prewarm")?;
    database.execute(
        "select pg_prewarm(oid) from pg_class where relkind in ('r', 'i') and relnamespace = 'public'::regnamespace",
    )?;
    database.execute("checkpoint")?;

    let prefix = installation.topic_prefix.as_str();
    let results = observe::consumer(&stack.bootstrap, prefix, &["results"], lanes, Offset::Beginning)?;
    let encoder = Encoder {
        schema_ids: registry::schema_ids(&stack.registry_url, prefix)?,
        lanes,
        timeline: Timeline::new(now_micros()),
    };
    let mut sender = Sender::new(&stack.bootstrap, prefix, encoder, Arc::new(Tracker::default()))?;
    let configurations = configurations();
    for record in &configurations {
        sender.send(record)?;
    }
    sender.await_acknowledgements()?;

    let mut configurator = Worker::start(&installation, &name)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut decided = 0;
    while decided < configurations.len() {
        check_signals()?;
        configurator.check(&stack.dir)?;
        if Instant::now() > deadline {
            return Err("the merchants' configuration was not decided within a minute".into());
        }
        decided += usize::from(matches!(results.poll(Duration::from_millis(50)), Some(Ok(_))));
    }
    let (status, _) = configurator.terminate(Duration::from_secs(10))?;
    if !status.success() {
        return Err(format!("the worker ended with {status}").into());
    }
    Ok(Scene { installation, lanes, sender, results })
}

fn configurations() -> Vec<Record> {
    let rules = UnitRules { expiry_days: None, min_held: 0, min_amount: 1 };
    let of_merchant = |merchant: &&str| {
        let settings = Body::Settings { name: None, time_zone: Some("Europe/Berlin"), match_by: None, max_age_s: None };
        let unit = Body::Unit { unit: "points", name: "Points", scale: 0, effective_from: None, rules };
        let merchant: Arc<str> = (*merchant).into();
        [("settings", settings), ("unit", unit)].map(|(key, body)| {
            let command = Command {
                merchant: merchant.clone(),
                key: format!("configure-{key}"),
                customer: None,
                occurred_at: None,
                source: None,
                body,
                unknown_field: false,
            };
            Record {
                content: Content::Command { command: Arc::new(command), encoding: Encoding::Avro },
                traceparent: None,
            }
        })
    };
    MERCHANTS.iter().flat_map(of_merchant).collect()
}
