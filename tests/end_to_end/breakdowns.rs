//! What the worker stands on dies with -9 under load and comes back: on a stack of their own, one after the other. And a registry that
//! is slow.

use std::time::{Duration, Instant};

use loyalty_worker::codec::{RegistryClient, framing, wire};
use loyalty_worker::config::RegistrySettings;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::commands::{Shop, credit_of_ada};
use crate::support::proxy::Proxy;
use crate::support::stack::{OwnStack, Stack, root};
use crate::support::topics::{ByHand, Position};
use crate::support::{Installation, Traffic, eventually};

#[test]
fn postgres_the_broker_and_the_registry_die_and_come_back() {
    let stack = OwnStack::up("outages");
    let addresses = stack.addresses();
    killed_under_load(&stack, &addresses, "postgres");
    killed_under_load(&stack, &addresses, "kafka");
    a_new_schema_waits_for_the_registry(&stack, &addresses);
}

fn killed_under_load(stack: &OwnStack, addresses: &Stack, part: &str) {
    let installation = Installation::on(addresses, part);
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 3_000, 30);
    traffic.await_flow();
    // The worker stands still for the moment of the kill, with whatever transactions it has open, so that the broker does not die
    // between the two steps of a commit. A broker that is its own controller then forgets the second step: it comes back with its old
    // leaders, loses them for a moment, takes their partitions for deleted and calls the commit complete without its markers (4.3,
    // TransactionMarkerChannelManager), and its offsets can't be read any more. No worker could mend that.
    worker.signal(Signal::SIGSTOP);
    stack.kill(part);
    worker.signal(Signal::SIGCONT);
    stack.start(part);
    traffic.await_all();
    assert!(worker.logged("lane recovers") > 0 || part == "kafka", "without Postgres no batch can have gone on");
    worker.finish();
    traffic.assert_as_predicted(&installation);
    installation.assert_audit_holds();
}

/// A sender begins to use a new version of the schema while the registry is away. The command waits, and with it its lane; the
/// other lane, which needs nothing of the registry, goes on.
fn a_new_schema_waits_for_the_registry(stack: &OwnStack, addresses: &Stack) {
    let installation = Installation::on(addresses, "registry");
    let worker = installation.worker();
    let (mut waiting, mut other) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    waiting.open("ada");
    other.open("bob");
    let id = register_credit_with(&installation, "note");

    stack.kill("registry");
    let position = send_credit_with_more(&waiting, id, "with-a-note");
    worker.await_log("the schema registry does not answer", 1);
    let credit = other.credit("while-the-registry-is-away", "bob", 5);
    assert_eq!(other.ask("credit", &credit)["status"], "accepted");
    eventually("the metric tells of it", || (worker.metric("loyalty_registry_waits_total") >= 1.0).then_some(()));

    // It can be told to stop meanwhile; the next one waits too.
    worker.finish();
    let worker = installation.worker();
    worker.await_log("the schema registry does not answer", 1);

    stack.start("registry");
    let result = waiting.answers.await_answer(&position).json;
    assert_eq!((&result["status"], &result["balances"][0]["available"]), (&json!("accepted"), &json!(70)), "{result}");
    worker.finish();
    installation.assert_audit_holds();
}

/// The registry takes each question and keeps its answers back. A lane that waits goes on hearing and telling, and nobody asks again before
/// the question has been given up.
#[test]
fn a_registry_that_is_slow_is_asked_once() {
    /// As long as the worker waits for one answer.
    const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);
    let installation = Installation::new("slow-registry");
    let registry = Proxy::before(&installation.stack.registry_url);
    // Batches of one, so that the last of many commands are not published yet when the lane comes to what it does not know.
    let slow = [("LOYALTY_REGISTRY__URL", &*registry.url), ("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "1")];
    let worker = installation.worker_with(&slow);
    let (mut waiting, mut other) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    waiting.open("ada");
    other.open("bob");

    let id = register_credit_with(&installation, "note");
    let question = format!("/schemas/ids/{id} ");
    let not_asked_yet = Instant::now();
    registry.hold();
    let known: Vec<_> =
        (0..20).map(|n| waiting.send("credit", &waiting.credit(&format!("known-{n}"), "ada", 1))).collect();
    let unknown = send_credit_with_more(&waiting, id, "with-a-note");
    registry.await_asked(&question);
    for position in &known {
        assert_eq!(waiting.answers.await_answer(position).json["status"], "accepted");
    }
    eventually("the lane hears that they are published", || {
        (worker.metric(r#"loyalty_lane_unpublished_batches{lane="0"}"#) == 0.0).then_some(())
    });
    eventually("the lane tells how long it has been waiting", || {
        (worker.metric(r#"loyalty_lane_lag_age_seconds{lane="0"}"#) >= 2.5).then_some(())
    });
    let credit = other.credit("while-the-registry-is-slow", "bob", 5);
    assert_eq!(other.ask("credit", &credit)["status"], "accepted");
    let asked = registry.asked(&question) as u32;
    let given_up = not_asked_yet.elapsed().as_secs_f64() / GIVEN_UP_AFTER.as_secs_f64();
    assert!(asked <= 1 + given_up as u32, "asked {asked} times in {:?}", not_asked_yet.elapsed());
    registry.let_go();
    assert_eq!(waiting.answers.await_answer(&unknown).json["status"], "accepted");

    // One that never answers is told of, and a worker that waits for it hears that it is to stop.
    let id = register_credit_with(&installation, "remark");
    registry.hold();
    let unknown = send_credit_with_more(&waiting, id, "with-a-remark");
    worker.await_log("the schema registry does not answer", 1);
    eventually("the metric tells of it", || (worker.metric("loyalty_registry_waits_total") >= 1.0).then_some(()));
    worker.stop_within(Duration::from_secs(3));
    registry.let_go();
    let worker = installation.worker_with(&slow);
    let result = waiting.answers.await_answer(&unknown).json;
    assert_eq!((&result["status"], &result["balances"][0]["available"]), (&json!("accepted"), &json!(20 + 2 * 70)));
    worker.finish();
    installation.assert_audit_holds();
}

/// A sender's new schema of credits; its id.
pub fn register_credit_with(installation: &Installation, field: &str) -> u32 {
    let registry = RegistryClient::new(&RegistrySettings::at(&installation.stack.registry_url)).expect("a client");
    let subject = format!("{}credit-value", installation.prefix);
    registry.register(&subject, &credit_with(field)).expect("registers")
}

/// 70 points for ada, by such a schema.
pub fn send_credit_with_more(shop: &Shop, id: u32, idempotency_key: &str) -> Position {
    let mut value = framing::confluent(id, Vec::new(), |out| {
        out.extend(wire::datum(&credit_of_ada(shop.merchant, idempotency_key, None)))
    });
    value.push(0); // the field more is null
    let key = Some(shop.merchant.as_bytes());
    shop.topics.write("credit", ByHand { key, value: Some(&value), ..ByHand::default() })
}

/// The schema of credits with one field more, which this worker has never seen.
fn credit_with(field: &str) -> String {
    let text = std::fs::read_to_string(root().join("schemas/credit.avsc")).expect("the schema");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    let command = schema["fields"].as_array_mut().expect("fields").last_mut().expect("the command");
    let fields = command["type"][0]["fields"].as_array_mut().expect("the fields of CreditAmount");
    fields.push(json!({ "name": field, "type": ["null", "string"], "default": null }));
    schema.to_string()
}
