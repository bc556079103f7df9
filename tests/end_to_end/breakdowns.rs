//! What the worker stands on dies with -9 under load and comes back. On a stack of their own, one after the other.

use loyalty_worker::codec::{RegistryClient, framing, wire};
use loyalty_worker::config::RegistrySettings;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::commands::{Shop, credit_of_ada};
use crate::support::stack::{OwnStack, Stack, root};
use crate::support::topics::ByHand;
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
    let subject = format!("{}credit-value", installation.prefix);
    let id = RegistryClient::new(&RegistrySettings::at(&addresses.registry_url))
        .expect("a client")
        .register(&subject, &credit_with_a_note())
        .expect("registers");

    stack.kill("registry");
    let mut value = framing::confluent(id, Vec::new(), |out| {
        out.extend(wire::datum(&credit_of_ada(waiting.merchant, "with-a-note", None)))
    });
    value.push(0); // the note is null
    let key = Some(waiting.merchant.as_bytes());
    let position = waiting.topics.write("credit", ByHand { key, value: Some(&value), ..ByHand::default() });
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

/// The schema of credits with one field more, which this worker has never seen.
fn credit_with_a_note() -> String {
    let text = std::fs::read_to_string(root().join("schemas/credit.avsc")).expect("the schema");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    let command = schema["fields"].as_array_mut().expect("fields").last_mut().expect("the command");
    let fields = command["type"][0]["fields"].as_array_mut().expect("the fields of CreditAmount");
    fields.push(json!({ "name": "note", "type": ["null", "string"], "default": null }));
    schema.to_string()
}
