//! What stands before the clock starts: customers in Postgres, merchants configured, topics made.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::topic_partition_list::Offset;
use sha2::{Digest, Sha256};

use crate::backlog::PATIENCE;
use crate::fill::{self, Fill};
use crate::load::command::{Body, Command, Content, Encoding, Record, UnitRules};
use crate::load::encode::Encoder;
use crate::load::send::{Manner, Sender};
use crate::load::timeline::Timeline;
use crate::load::track::Tracker;
use crate::load::{MERCHANTS, now_micros, observe, registry};
use crate::support::Failure;
use crate::support::database::Database;
use crate::support::installation::{Installation, Stack};
use crate::support::processes::{Worker, check_signals};
use crate::topics;

/// An installation with customers and configured merchants, and no worker.
pub struct Scene {
    pub installation: Installation,
    pub lanes: i32,
    /// As senders commonly are.
    pub sender: Sender,
    /// Of the results that come from now on.
    pub results: BaseConsumer,
    is_copy: bool,
}

/// A filled database.
pub struct Base {
    database: String,
    /// It is too large to be copied for each run, so that each goes on where the one before has ended.
    in_place: bool,
}

/// A filled database to copy.
pub fn young_base(stack: &Stack, worker: &Path, customers: u64) -> Result<Base, Failure> {
    let database = "bench-young".to_owned();
    let installation = Installation::new(stack, worker, &database, &database)?;
    installation.run(&["migrate"])?;
    fill::fill(&stack.database_url(&database)?, Fill::young(customers))?;
    Ok(Base { database, in_place: false })
}

/// The large database that is made once and stays: made now if there is none yet, or none of this layout.
pub fn full_base(stack: &Stack, worker: &Path, customers: u64) -> Result<Base, Failure> {
    let database = FULL.to_owned();
    let base = Base { database: database.clone(), in_place: true };
    let filling = Fill::old(customers);
    let made_as = format!("{filling:?} {}", digest_of_layout());
    let server = Database::connect(&stack.postgres_url)?;
    let made = "select shobj_description(oid, 'pg_database') from pg_database where datname";
    if server.rows(&format!("{made} = '{database}'"))?.first().is_some_and(|row| row[0] == made_as) {
        return Ok(base);
    }
    server.execute(&format!("drop database if exists \"{database}\" with (force)"))?;
    println!("{filling:?} are put in place, once: this takes about ten minutes ...");
    let installation = Installation::new(stack, worker, &database, &database)?;
    installation.run(&["migrate"])?;
    fill::fill(&stack.database_url(&database)?, filling)?;
    server.execute(&format!("comment on database \"{database}\" is '{made_as}'"))?;
    Ok(base)
}

/// The one database that outlives a run.
const FULL: &str = "bench-full";

/// Of all that decides what the full tables are like.
fn digest_of_layout() -> String {
    let parts = [include_str!("../../migrations/0001_loyalty.sql"), include_str!("fill.rs")];
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes what a bench that was interrupted has left.
pub fn clear(stack: &Stack) -> Result<(), Failure> {
    drop_databases(stack, "bench-%")?;
    topics::delete(&stack.bootstrap, "bench-")
}

/// All but the one that outlives a run.
pub fn drop_databases(stack: &Stack, like: &str) -> Result<(), Failure> {
    let server = Database::connect(&stack.postgres_url)?;
    let found = format!("select datname from pg_database where datname like '{like}' and datname <> '{FULL}'");
    for database in server.rows(&found)?.concat() {
        server.execute(&format!("drop database \"{database}\" with (force)"))?;
    }
    Ok(())
}

/// A copy of the base, or the base itself, with topics of its own. Merchants are configured by commands, as they always are.
pub fn set(stack: &Stack, worker: &Path, name: &str, base: &Base, lanes: i32) -> Result<Scene, Failure> {
    let installation = if base.in_place {
        let database = Database::connect(&stack.database_url(&base.database)?)?;
        // The lanes of the last run were those of other topics.
        database.execute("delete from lane; delete from outbox")?;
        Installation::on(stack, worker, name, &base.database)?
    } else {
        Installation::copying(stack, worker, name, name, &base.database)?
    };
    installation.prepare(lanes)?;
    let database = Database::connect(&stack.database_url(&installation.database)?)?;
    // What commands read at random is in memory as far as it finds room there, as while a worker has been at work for a while.
    database.execute("create extension if not exists pg_prewarm")?;
    for relation in ["customer", "decision_pkey", "memory_pkey", "customer_external_key"] {
        database.execute(&format!("select pg_prewarm('{relation}')"))?;
    }
    database.execute("checkpoint")?;
    let is_configured = database.rows("select count(*) from config_version where kind = 'unit'")?.concat().concat()
        == MERCHANTS.len().to_string();

    let prefix = installation.topic_prefix.as_str();
    let results = observe::consumer(&stack.bootstrap, prefix, &["results"], lanes, Offset::Beginning)?;
    let mut sender = sender(&installation, lanes, Manner::Gathering)?;
    let configurations = if is_configured { Vec::new() } else { configurations() };
    for record in &configurations {
        sender.send(record)?;
    }
    sender.await_acknowledgements()?;
    let scene = Scene { installation, lanes, sender, results, is_copy: !base.in_place };
    if !configurations.is_empty() {
        let mut configurator = scene.start_worker()?;
        await_results(&scene.results, configurations.len() as u64, || configurator.check(&stack.dir))?;
        stop_worker(configurator)?;
    }
    Ok(scene)
}

fn sender(installation: &Installation, lanes: i32, manner: Manner) -> Result<Sender, Failure> {
    let (stack, prefix) = (&installation.stack, installation.topic_prefix.as_str());
    let encoder = Encoder {
        schema_ids: registry::schema_ids(&stack.registry_url, prefix)?,
        lanes,
        timeline: Timeline::new(now_micros()),
    };
    Sender::new(&stack.bootstrap, prefix, encoder, Arc::new(Tracker::default()), manner)
}

/// By SIGTERM.
pub fn stop_worker(worker: Worker) -> Result<(), Failure> {
    let (status, _) = worker.terminate(Duration::from_secs(10))?;
    if !status.success() {
        return Err(format!("the worker ended with {status} after SIGTERM").into());
    }
    Ok(())
}

impl Scene {
    pub fn start_worker(&self) -> Result<Worker, Failure> {
        Worker::start(&self.installation, &format!("{}worker", self.installation.topic_prefix))
    }

    /// One that sends each command at once: where one is under way at a time, any other would seem slow itself.
    pub fn prompt_sender(&self) -> Result<Sender, Failure> {
        sender(&self.installation, self.lanes, Manner::Prompt)
    }

    /// Removes its database, if that is a copy, and its topics.
    pub fn clear(self) -> Result<(), Failure> {
        let Scene { installation, is_copy, .. } = self;
        let stack = &installation.stack;
        if is_copy {
            Database::connect(&stack.postgres_url)?
                .execute(&format!("drop database \"{}\" with (force)", installation.database))?;
        }
        topics::delete(&stack.bootstrap, &installation.topic_prefix)
    }
}

/// Reads so many results. The time is that from the first to the last.
pub fn await_results(
    results: &BaseConsumer,
    count: u64,
    mut still_fine: impl FnMut() -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let (mut first, mut last) = (None, Instant::now());
    let mut read = 0;
    while read < count {
        match results.poll(Duration::from_millis(50)) {
            Some(Ok(_)) => {
                read += 1;
                if first.is_none() || read == count || read % 1024 == 0 {
                    last = Instant::now();
                    first.get_or_insert(last);
                }
            }
            Some(Err(_)) | None => {
                check_signals()?;
                still_fine()?;
                if last.elapsed() > PATIENCE {
                    return Err(format!("after {read} results none came for {} s", PATIENCE.as_secs()).into());
                }
            }
        }
    }
    Ok(last.duration_since(first.unwrap_or(last)))
}

fn configurations() -> Vec<Record> {
    let rules = UnitRules { expiry_days: None, min_held: 0, min_amount: 1 };
    let of_merchant = |merchant: &&str| {
        let time_zone = Some("Europe/Berlin");
        let settings =
            Body::Settings { name: None, time_zone, match_by: None, max_age_s: None, unknown_customer: None };
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
