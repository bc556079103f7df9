//! Commands that come before their customer: they wait over crashes, restarts and the loss of the database, and are answered once.

use loyalty_worker::batch::MAX_PARKED;
use loyalty_worker::domain::parking::MAX_WAITING;
use serde_json::{Value, json};

use crate::load::now_micros;
use crate::recover::from_nothing;
use crate::support::commands::Shop;
use crate::support::published::{Published, Record};
use crate::support::topics::{ByHand, Position};
use crate::support::{Installation, eventually};

#[test]
fn what_waits_outlives_its_workers_and_is_answered_once() {
    let installation = Installation::new("parking");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let accepted = |result: Value| assert_eq!(result["status"], "accepted", "{result}");
    accepted(shop.ask("merchant-config", &shop.points("unit")));

    // Ticks come by themselves, and nobody else does.
    accepted(shop.ask("merchant-config", &parking(&shop, "for-a-second", 1)));
    let in_vain = shop.send("credit", &shop.credit("in-vain", "nobody", 5));
    let refused = shop.answers.await_answer(&in_vain).json;
    assert_eq!(refused["rejection"]["code"], "unknown_customer", "{refused}");
    let mut events = Published::of(&installation, &["events"]);
    let told = parked(&mut events, &in_vain);
    assert_eq!(refused["decided_at"], told["parked"]["deadline"]);
    assert_eq!(refused["parked_at"], told["recorded_at"]);

    accepted(shop.ask("merchant-config", &parking(&shop, "for-a-day", 86_400)));
    let first = shop.send("credit", &shop.credit("early", "ada", 100));
    let again = shop.send("credit", &shop.credit("early", "ada", 100));
    let conflict = shop.ask("credit", &shop.credit("early", "ada", 101));
    assert_eq!(conflict["rejection"]["code"], "idempotency_conflict", "{conflict}");
    let spent = shop.send("redeem", &shop.redeem("spend", "ada", 30));
    let never = shop.send("credit", &shop.credit("for-eve", "eve", 7));
    for position in [&first, &again, &spent, &never] {
        assert_eq!(parked(&mut events, position)["customer_id"], Value::Null);
    }
    assert_eq!(worker.metric("loyalty_lane_parked_commands{lane=\"0\"}"), 4.0);
    assert_eq!(worker.metric("loyalty_parked_commands_total"), 5.0);
    let lanes: Value = serde_json::from_str(&installation.must(&["lanes", "--json"])).expect("JSON");
    assert_eq!((&lanes[0]["parked_commands"], &lanes[1]["parked_commands"]), (&json!(4), &json!(0)), "{lanes}");
    assert_eq!(explained(&installation, &shop, "early")["status"], "parked");
    worker.finish();
    installation.assert_audit_holds();

    // Nobody works when she comes; then several die over it.
    let hello = shop.send("customer-upsert", &shop.customer("hello", "ada"));
    for point in ["after-begin", "before-commit", "after-commit", "half-produced"] {
        installation.worker_with(&[("LOYALTY_FAIL_POINT", point)]).await_end();
    }
    let worker = installation.worker();
    let created = shop.answers.await_answer(&hello).json;
    assert_eq!((&created["effect"], &created["customer_version"]), (&json!("created"), &json!(1)), "{created}");
    let earned = shop.answers.await_answer(&first).json;
    assert_eq!((&earned["customer_version"], &earned["duplicate"]), (&json!(2), &json!(false)), "{earned}");
    assert_eq!(earned["customer_id"], created["customer_id"]);
    let repeated = shop.answers.await_answer(&again).json;
    assert_eq!((&repeated["customer_version"], &repeated["duplicate"]), (&json!(2), &json!(true)), "{repeated}");
    let redeemed = shop.answers.await_answer(&spent).json;
    assert_eq!((&redeemed["customer_version"], &redeemed["balances"][0]["available"]), (&json!(3), &json!(70)));
    assert_eq!(explained(&installation, &shop, "early")["status"], "accepted");
    worker.finish();
    installation.assert_audit_holds();
    let results = Published::of(&installation, &["results"]).all();
    let answers = |position: &Position| {
        results.iter().filter(|record| record.answers(&installation.prefix).as_ref() == Some(position)).count()
    };
    assert_eq!([&first, &again, &spent, &in_vain, &never].map(answers), [1, 1, 1, 1, 0]);

    // One waits still, also in a database that was made anew of what was published.
    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), installation.database().digests());
    let worker = restored.worker();
    accepted(shop.ask("customer-upsert", &shop.customer("hello-eve", "eve")));
    accepted(shop.answers.await_answer(&never).json);
    assert_eq!(worker.metric("loyalty_lane_parked_commands{lane=\"0\"}"), 0.0);
    worker.finish();
    restored.assert_audit_holds();
}

/// Who sends and waits is told that the command waits, and does not wait with it.
#[test]
fn a_sender_is_told_that_a_command_waits() {
    let installation = Installation::new("parking-sender");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.ask("merchant-config", &shop.points("unit"));
    shop.ask("merchant-config", &parking(&shop, "for-a-day", 86_400));
    let mut credit = shop.credit("early", "ada", 100);
    credit["topic"] = json!("credit");
    let file = installation.folder().join("early.jsonl");
    std::fs::write(&file, credit.to_string()).expect("written");
    let said = installation.must(&["send", file.to_str().expect("a path"), "--wait", "--json"]);
    let said: Value = serde_json::from_str(&said).expect("one JSON line");
    assert_eq!((&said["type"], &said["parked"]["idempotency_key"]), (&json!("command.parked"), &json!("early")));
    worker.finish();
    installation.assert_audit_holds();
}

/// More wait for those who come at once than one batch decides: it is halved, and all are answered, once and in their order.
#[test]
fn a_crowd_that_waits_is_let_in_by_halves() {
    const GUESTS: usize = 25;
    let installation = Installation::new("parking-crowd");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.ask("merchant-config", &shop.points("unit"));
    shop.ask("merchant-config", &parking(&shop, "for-a-day", 86_400));
    let send = |name: &str, topic: &str, commands: Vec<Value>| {
        let line = |mut command: Value| {
            command["topic"] = json!(topic);
            command.to_string() + "\n"
        };
        let file = installation.folder().join(name);
        std::fs::write(&file, commands.into_iter().map(line).collect::<String>()).expect("written");
        installation.must(&["send", file.to_str().expect("a path")]);
    };
    let waiting = GUESTS * MAX_WAITING;
    assert!(waiting > MAX_PARKED);
    let credit = |nth: usize| shop.credit(&format!("gift-{nth}"), &format!("guest-{}", nth % GUESTS), 1);
    send("gifts.jsonl", "credit", (0..waiting).map(credit).collect());
    eventually("all wait", || {
        (worker.metric("loyalty_lane_parked_commands{lane=\"0\"}") == waiting as f64).then_some(())
    });
    worker.finish();

    // Nobody works when they come, so that they are there together.
    let hello = |nth: usize| shop.customer(&format!("hello-{nth}"), &format!("guest-{nth}"));
    send("guests.jsonl", "customer-upsert", (0..GUESTS).map(hello).collect());
    let last = shop.send("credit", &shop.credit("last", &format!("guest-{}", GUESTS - 1), 1));
    let worker = installation.worker();
    let answer = shop.answers.await_answer(&last).json;
    assert_eq!(answer["balances"][0]["available"], MAX_WAITING + 1, "{answer}");
    worker.finish();
    installation.assert_audit_holds();
    let results = Published::of(&installation, &["results"]).all();
    let late = results.iter().filter(|result| !result.json["parked_at"].is_null());
    assert_eq!(late.filter(|result| result.json["effect"] == "applied").count(), waiting);
    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), installation.database().digests());
}

/// A defect that shows only where a command is decided that has waited: the record that makes its customer is given up, and sent again when
/// the worker is mended.
#[test]
fn a_poisoned_command_that_waits_is_got_past() {
    let installation = Installation::new("parking-poison");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.ask("merchant-config", &shop.points("unit"));
    shop.ask("merchant-config", &parking(&shop, "for-a-day", 86_400));
    let early = shop.send("credit", &shop.credit("poison", "ada", 5));
    parked(&mut Published::of(&installation, &["events"]), &early);
    worker.finish();
    let refused = installation.call(&["skip", &format!("credit/0/{}", early.offset), "--reason", "impatience"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("waits for its customer"), "{}", refused.stderr);

    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let hello = shop.send("customer-upsert", &shop.customer("hello", "ada"));
    let reason = worker.await_halt(0);
    let place = format!("{}customer-upsert/0/{}", installation.prefix, hello.offset);
    assert!(reason.contains(&place), "{reason}");
    installation.must(&["skip", &place, "--reason", "defect 4712"]);
    assert!(shop.answers.await_answer(&hello).is_dead_letter());
    let other = shop.ask("customer-upsert", &shop.customer("hello-bob", "bob"));
    assert_eq!(other["status"], "accepted", "{other}");
    assert_eq!(explained(&installation, &shop, "poison")["status"], "parked");
    worker.finish();

    let worker = installation.worker();
    installation.must(&["dead-letters", "replay", "--class", "skipped", "--wait", "60"]);
    let earned = shop.answers.await_answer(&early).json;
    assert_eq!((&earned["customer_version"], &earned["balances"][0]["available"]), (&json!(2), &json!(5)), "{earned}");
    worker.finish();
    installation.assert_audit_holds();
    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), installation.database().digests());
}

/// The same defect where nobody comes: it shows at the deadline, whatever record is there beside it, and that record is not blamed.
#[test]
fn a_poisoned_command_that_waits_in_vain_is_no_records_fault() {
    let (installation, mut shop, waiting) = waiting_in_vain("parking-poison-due", &["first", "poison"]);
    // One batch settles the first, and leaves the second to a batch that has a record of its own.
    shop.topics.write("clock", ByHand { value: Some(b"{}"), partition: Some(0), ..ByHand::default() });
    let innocent = shop.send("credit", &shop.credit("innocent", "ada", 7));
    let worker = installation.worker_with(&[
        ("LOYALTY_POISON_KEY", "poison"),
        ("LOYALTY_WORKER__MAX_DUE_PER_BATCH", "1"),
        ("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "1"),
    ]);
    let reason = worker.await_halt(0);
    assert!(reason.contains("can't settle what is due: the rules panicked"), "{reason}");
    worker.stop();

    let worker = installation.worker();
    assert_refused(&mut shop, &waiting);
    assert_eq!(shop.answers.await_answer(&innocent).json["status"], "accepted");
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn what_a_tick_makes_due_is_not_the_ticks_fault() {
    let (installation, mut shop, waiting) = waiting_in_vain("parking-poison-tick", &["poison"]);
    shop.topics.write("clock", ByHand { value: Some(b"{}"), partition: Some(0), ..ByHand::default() });
    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let reason = worker.await_halt(0);
    assert!(reason.contains("can't settle what is due: the rules panicked"), "{reason}");
    worker.stop();

    let worker = installation.worker();
    assert_refused(&mut shop, &waiting);
    worker.finish();
    installation.assert_audit_holds();
}

/// Commands for nobody whose deadlines have come while no worker was there to see it.
fn waiting_in_vain(name: &str, keys: &[&str]) -> (Installation, Shop, Vec<Position>) {
    let installation = Installation::new(name);
    // Without ticks nothing is due yet.
    let worker = installation.worker_with(&[("LOYALTY_WORKER__TICK_INTERVAL_MS", "60000")]);
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    shop.ask("merchant-config", &parking(&shop, "for-a-second", 1));
    let waiting: Vec<Position> = keys.iter().map(|key| shop.send("credit", &shop.credit(key, "nobody", 5))).collect();
    let last = waiting.last().expect("a key at least");
    let told = parked(&mut Published::of(&installation, &["events"]), last);
    worker.finish();
    let deadline: jiff::Timestamp = told["parked"]["deadline"].as_str().expect("an instant").parse().expect("RFC 3339");
    eventually("the deadlines have come", || (now_micros() > deadline.as_microsecond()).then_some(()));
    (installation, shop, waiting)
}

fn assert_refused(shop: &mut Shop, waiting: &[Position]) {
    for position in waiting {
        let refused = shop.answers.await_answer(position).json;
        assert_eq!(refused["rejection"]["code"], "unknown_customer", "{refused}");
    }
}

fn parking(shop: &Shop, key: &str, park_s: i64) -> Value {
    shop.command(key, None, json!({ "type": "settings", "unknown_customer": "park", "park_s": park_s }))
}

/// The event that says that a command waits.
fn parked(events: &mut Published, position: &Position) -> Value {
    let is_its = |record: &Record| {
        let cause = &record.json["cause"];
        record.json["type"] == "command.parked"
            && cause["topic"].as_str().is_some_and(|topic| topic.ends_with(&position.topic))
            && cause["partition"] == position.partition
            && cause["offset"] == position.offset
    };
    events.await_record(&format!("that {position:?} waits"), is_its).json
}

fn explained(installation: &Installation, shop: &Shop, key: &str) -> Value {
    let explained = installation.must(&["customer", shop.merchant, "--explain", key, "--json"]);
    serde_json::from_str(&explained).expect("JSON")
}
