//! Results, events and customers go out as JSON: once each, whatever crashes, and the audit proves it from JSON as it does from Avro.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::recover::from_nothing;
use crate::support::commands::Shop;
use crate::support::published::{Published, Record};
use crate::support::{Installation, Traffic};

const JSON: (&str, &str) = ("LOYALTY_OUTPUT__ENCODING", "json");
const FOR_OTHERS: [&str; 3] = ["results", "events", "customers"];

fn is_json(record: &Record) -> bool {
    record.value.as_ref().is_some_and(|value| value.starts_with(b"{"))
}

#[test]
fn json_goes_out_once() {
    let installation = Installation::new("json");
    let mut worker = installation.worker_with(&[JSON, ("LOYALTY_FAIL_POINT", "half-produced:15")]);
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 2_000, 20);
    assert_eq!(worker.await_end().signal(), Some(Signal::SIGKILL as i32));
    assert!(traffic.answered() < traffic.expected(), "it died after the load and not under it");
    let worker = installation.worker_with(&[JSON]);
    traffic.ends_as_predicted(&installation, worker);

    for record in Published::of(&installation, &FOR_OTHERS).all() {
        assert!(is_json(&record), "{record:?}");
        let media_type = record.headers.get("content-type").map(String::as_str);
        assert_eq!(media_type, (record.topic == "events").then_some("application/json"), "{record:?}");
    }
    let journal = Published::of(&installation, &["journal"]).all();
    assert!(!journal.is_empty() && !journal.iter().any(is_json));

    let worker = installation.worker_with(&[JSON]);
    let mut hello = Shop::of_lane(&installation, 0).customer("hello", "somebody-new");
    hello["topic"] = json!("customer-upsert");
    let file = installation.folder().join("hello.jsonl");
    std::fs::write(&file, hello.to_string()).expect("written");
    let result = installation.must(&["send", file.to_str().expect("a path"), "--wait", "--json"]);
    let result: Value = serde_json::from_str(&result).expect("one line of JSON");
    assert_eq!(result["effect"], "created", "{result}");
    worker.finish();
    installation.assert_audit_holds();

    // It compares what the JSON says, and does not pass over it.
    let renamed = "update customer set first_name = 'Eve' where customer_id = (select min(customer_id::text)::uuid from customer)";
    assert_eq!(installation.database().change(renamed, &[]), 1);
    let audit = installation.call(&["audit", "--expect-idle"]);
    assert!(audit.code == Some(3) && audit.stdout.contains("first_name"), "{}{}", audit.stdout, audit.stderr);
}

#[test]
fn the_encoding_may_change_between_runs() {
    let installation = Installation::new("json-then-avro");
    let first = installation.worker_with(&[JSON]);
    first.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 3_000, 30);
    traffic.await_flow();
    first.finish();
    // What this one leaves is applied, and JSON in the outbox: the next one publishes that byte for byte, and goes on in Avro.
    let mut killed = installation.worker_with(&[JSON, ("LOYALTY_FAIL_POINT", "after-commit")]);
    assert_eq!(killed.await_end().signal(), Some(Signal::SIGKILL as i32));
    assert!(!installation.database().rows("select lane from outbox").is_empty());
    assert!(traffic.answered() < traffic.expected(), "it died after the load and not under it");
    let worker = installation.worker();
    traffic.ends_as_predicted(&installation, worker);

    for topic in FOR_OTHERS {
        let records = Published::of(&installation, &[topic]).all();
        let json = records.iter().filter(|record| is_json(record)).count();
        assert!(json > 0 && json < records.len(), "{json} of {} {topic} are JSON", records.len());
        let shown = installation.must(&["tail", topic, "--from-beginning"]);
        let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        assert_eq!(shown.len(), records.len());
        assert!(shown.iter().all(|record| record["value"]["merchant_id"].is_string()));
    }

    // The journal's hashes are of what was decided, whatever was made of it.
    assert_eq!(from_nothing(&installation).database().digests(), installation.database().digests());
}
