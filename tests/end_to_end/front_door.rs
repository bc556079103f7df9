//! What the worker does for those who send commands, read what it publishes, and run it.

use std::time::Duration;

use loyalty_worker::codec::{framing, wire};
use loyalty_worker::telemetry::metrics::METRICS;
use serde_json::{Value, json};

use crate::load::registry;
use crate::support::commands::{Shop, credit_of_ada};
use crate::support::published::{Published, Record};
use crate::support::stack::Stack;
use crate::support::topics::ByHand;
use crate::support::{Installation, LANES, Traffic, eventually};

/// As an upgrade finds it, whose installation was made when there were fewer topics.
#[test]
fn a_topic_that_is_new_to_the_lanes_is_read_from_its_beginning() {
    let installation = Installation::new("new-topic");
    installation
        .database()
        .execute("update lane set topic_ids = topic_ids - 'reversal', positions = positions - 'reversal'");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let reversed = shop.ask("reversal", &shop.command("take-back", Some("ada"), json!({ "type": "transaction" })));
    assert_eq!(
        (&reversed["command_kind"], &reversed["rejection"]["code"]),
        (&json!("reversal"), &json!("unsupported_command")),
        "{reversed}"
    );
    worker.finish();
    let positions = installation.database().rows("select positions ->> 'reversal' from lane order by lane");
    assert_eq!(positions.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().len(), LANES as usize);
    installation.assert_audit_holds();
}

#[test]
fn a_customers_first_day() {
    let installation = Installation::new("first-day");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let merchant = shop.merchant;

    // Nobody knows the merchant yet, and that is not remembered.
    let early = shop.ask("customer-upsert", &shop.customer("hello", "ada"));
    assert_eq!((&early["status"], &early["rejection"]["code"]), (&json!("rejected"), &json!("unknown_merchant")));
    let unit = shop.ask("merchant-config", &shop.points("points"));
    assert_eq!((&unit["command_kind"], &unit["effect"]), (&json!("merchant-config.unit"), &json!("created")));

    let created = shop.ask("customer-upsert", &shop.customer("hello", "ada"));
    assert_eq!((&created["effect"], &created["duplicate"]), (&json!("created"), &json!(false)), "{created}");
    let ada = created["customer_id"].as_str().expect("a customer").to_owned();

    let earned = shop.ask("credit", &shop.credit("order-1", "ada", 500));
    let entry = &earned["transactions"][0];
    assert_eq!(
        (
            &earned["status"],
            &earned["customer_id"],
            &entry["amount"],
            &entry["balance_before"],
            &entry["balance_after"]
        ),
        (&json!("accepted"), &json!(ada), &json!(500), &json!(0), &json!(500))
    );
    let again = shop.ask("credit", &shop.credit("order-1", "ada", 500));
    assert_eq!((&again["duplicate"], &again["original"]), (&json!(true), &earned["command"]));
    assert_eq!(
        (&again["transactions"], &again["customer_version"]),
        (&earned["transactions"], &earned["customer_version"])
    );
    let other = shop.ask("credit", &shop.credit("order-1", "ada", 600));
    assert_eq!(other["rejection"]["code"], "idempotency_conflict");

    let spent = shop.ask("redeem", &shop.redeem("spend-1", "ada", 120));
    assert_eq!(spent["balances"][0]["available"], 380, "{spent}");
    let poor = shop.ask("redeem", &shop.redeem("spend-2", "ada", 381));
    assert_eq!(poor["rejection"]["code"], "insufficient_points");
    assert_eq!(poor["rejection"]["detail"]["available"], "380", "{poor}");
    let wrong = shop.ask("credit", &shop.credit("order-2", "ada", 0));
    assert_eq!(
        (&wrong["rejection"]["code"], &wrong["rejection"]["fields"][0]["field"]),
        (&json!("invalid_fields"), &json!("command.amount"))
    );

    // What the services around it read.
    let of_ada = |record: &Record| record.json["customer_id"] == *ada;
    let mut events = Published::of(&installation, &["events"]);
    let redeemed =
        events.await_record("points.redeemed", |event| of_ada(event) && event.json["type"] == "points.redeemed");
    assert_eq!(
        (&redeemed.json["entry"]["amount"], &redeemed.json["version"]),
        (&json!(120), &json!(3)),
        "{redeemed:?}"
    );
    assert_eq!(
        (redeemed.headers["ce_type"].as_str(), redeemed.headers["merchant"].as_str()),
        ("points.redeemed", merchant)
    );
    let mut states = Published::of(&installation, &["customers"]);
    let state = states.await_record("the state of version 3", |state| of_ada(state) && state.json["version"] == 3);
    assert_eq!(state.key, Some(format!("{merchant}/{ada}").into_bytes()));
    assert_eq!(
        (&state.json["email"], &state.json["accounts"][0]["available"]),
        (&json!("ada@example.com"), &json!(380))
    );

    // The same for the operator, and the versions without a gap.
    let shown = installation.must(&["customer", merchant, "external_id:ada", "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("one JSON object");
    assert!(shown.to_string().contains(&ada), "{shown}");
    let told = |arguments: &[&str]| -> Vec<Value> {
        let told = installation.must(&[&["tail", "--from-beginning"], arguments].concat());
        told.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
    };
    let events = told(&["events", "--customer", &ada]);
    let versioned =
        |line: &Value| format!("{} {}", line["value"]["version"], line["value"]["type"].as_str().unwrap_or_default());
    let types: Vec<String> = events.iter().map(versioned).collect();
    assert_eq!(types, ["1 customer.created", "2 points.earned", "3 points.redeemed"]);
    // order-1 was sent three times: applied, repeated, and with another amount.
    let of_key = told(&["results", "--merchant", merchant, "--key", "order-1"]);
    let statuses: Vec<&Value> = of_key.iter().map(|line| &line["value"]["status"]).collect();
    assert_eq!(statuses, ["accepted", "accepted", "rejected"]);
    assert_eq!(told(&["results", "--merchant", "nobody"]), Vec::<Value>::new());
    let wrong = installation.call(&["tail", "events", "--key", "order-1"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("idempotency_key"), "{}", wrong.stderr);
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn the_lines_that_the_help_teaches() {
    let installation = Installation::new("help");
    let worker = installation.worker();
    let help = installation.must(&["send", "--help"]);
    let lines: Vec<&str> = help.lines().map(str::trim).filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 3, "{help}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.join("\n")).expect("written");
    let results = installation.must(&["send", file.path().to_str().expect("a path"), "--wait", "--json"]);
    let results: Vec<Value> = results.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result["status"] == "accepted"), "{results:?}");
    let page = installation.must(&["customer", "shop-1", "external_id:ada"]);
    assert!(page.contains("points: 500 available"), "{page}");
    worker.finish();
    installation.assert_audit_holds();
}

/// Each redeem was sent when the broker had the credit that pays for it, on another topic. A worker that catches up reads the two topics
/// by themselves, and must not take the second before the first.
#[test]
fn a_worker_that_catches_up_keeps_the_order_of_time() {
    let installation = Installation::new("order");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    worker.finish();
    let send = |n| {
        shop.send("credit", &shop.credit(&format!("earn-{n}"), "ada", 5));
        shop.send("redeem", &shop.redeem(&format!("spend-{n}"), "ada", 5))
    };
    let redeems: Vec<_> = (0..400).map(send).collect();
    let worker = installation.worker_with(&[("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "7")]);
    for redeem in &redeems {
        let result = shop.answers.await_answer(redeem).json;
        assert_eq!(result["status"], "accepted", "{result}");
    }
    worker.finish();
    installation.assert_audit_holds();
}

/// The same while the worker is at it: the credit is acknowledged before its redeem is sent, and that is enough.
#[test]
fn a_redeem_never_overtakes_the_credit_that_pays_for_it() {
    let installation = Installation::new("live-order");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let send = |n| {
        shop.send("credit", &shop.credit(&format!("earn-{n}"), "ada", 5));
        shop.send("redeem", &shop.redeem(&format!("spend-{n}"), "ada", 5))
    };
    let redeems: Vec<_> = (0..800).map(send).collect();
    for redeem in &redeems {
        let result = shop.answers.await_answer(redeem).json;
        assert_eq!(result["status"], "accepted", "{result}");
    }
    worker.stop();
    installation.assert_audit_holds();
}

#[test]
fn avro_and_json_mean_the_same_and_traces_pass_through() {
    let installation = Installation::new("encodings");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 1);
    shop.open("ada");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("traceparent".to_owned(), traceparent.as_bytes().to_vec())];
    let json_first = shop.send_with("credit", &shop.credit("order-1", "ada", 70), &headers);
    let first = shop.answers.await_answer(&json_first);
    assert_eq!(first.json["status"], "accepted");
    assert_eq!(first.headers["traceparent"], traceparent);
    let mut events = Published::of(&installation, &["events"]);
    let earned = events.await_record("points.earned", |event| event.json["type"] == "points.earned");
    assert_eq!(earned.headers["traceparent"], traceparent);

    let command = credit_of_ada(shop.merchant, "order-1", Some("another system"));
    let ids = registry::schema_ids(&installation.stack.registry_url, &installation.prefix).expect("registered");
    let value = framing::confluent(ids[2], Vec::new(), |out| out.extend(wire::datum(&command)));
    let avro = ByHand { key: Some(shop.merchant.as_bytes()), value: Some(&value), ..ByHand::default() };
    let position = shop.topics.write("credit", avro);
    let second = shop.answers.await_answer(&position);
    assert_eq!((&second.json["status"], &second.json["duplicate"]), (&json!("accepted"), &json!(true)), "{second:?}");
    assert_eq!(second.json["original"]["offset"], json_first.offset);
    assert_eq!(second.headers["source"], "another system");
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn what_cannot_be_answered_becomes_a_dead_letter() {
    let installation = Installation::new("dead");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let (merchant, elsewhere) = (shop.merchant.as_bytes(), Shop::of_lane(&installation, 1).merchant.as_bytes());
    let command = shop.credit("order-1", "ada", 70).to_string().into_bytes();
    let nobodys =
        json!({ "envelope": { "merchant_id": "", "idempotency_key": "k" }, "command": {} }).to_string().into_bytes();
    let unknown_schema = framing::confluent(4_000_000, Vec::new(), |out| out.extend(b"some"));
    let headers = [("traceparent".to_owned(), b"00-1".to_vec()), ("mine".to_owned(), vec![0xff, 0])];
    let with = |key, value, partition| ByHand { key: Some(key), value, headers: &headers, partition };
    let cases = [
        ("undecodable", with(merchant, Some(&b"hello"[..]), None)),
        ("undecodable", with(merchant, Some(&command[..command.len() / 2]), None)),
        ("undecodable", with(merchant, None, None)),
        ("unknown_schema", with(merchant, Some(&unknown_schema), None)),
        ("missing_merchant", with(merchant, Some(&nobodys), None)),
        ("wrong_key", with(elsewhere, Some(&command), Some(0))),
        ("wrong_partition", with(merchant, Some(&command), Some(1))),
    ];
    for (class, record) in cases {
        let (position, letter) = shop.ask_in_vain("credit", record.clone());
        let header = |name: &str| letter.headers.get(name).map(String::as_str);
        assert_eq!(header("__connect.errors.class.name"), Some(class), "{letter:?}");
        assert_eq!(header("__connect.errors.topic"), Some(&*format!("{}credit", installation.prefix)));
        assert_eq!(header("__connect.errors.partition"), Some(&*position.partition.to_string()));
        assert_eq!(header("__connect.errors.offset"), Some(&*position.offset.to_string()));
        let sentence = header("__connect.errors.exception.message").expect("a sentence");
        assert!(sentence.ends_with('.') && !sentence.contains("ada"), "{sentence}");
        assert_eq!(header("loyalty.group"), Some(&*installation.name));
        assert_eq!(header("loyalty.schema-id"), (class == "unknown_schema").then_some("4000000"));
        // As the sender sent it.
        assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (record.key, record.value));
        assert_eq!(letter.raw_headers[..2], headers);
        assert_eq!(letter.partition, position.partition);
    }
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn metrics_and_health_tell_what_it_does() {
    let installation = Installation::new("metrics");
    let worker = installation.worker();
    worker.await_all_lanes();
    assert_eq!(worker.ready().0, 200);
    assert_eq!(worker.ready().1["lanes"], json!({ "0": "held", "1": "held" }));
    assert_eq!((worker.live().0, &worker.live().1["live"]), (200, &json!(true)));

    let mut traffic = Traffic::start(&installation, 600, 10);
    traffic.await_all();
    let text = worker.metrics();
    for metric in &METRICS {
        assert!(text.contains(&format!("# HELP {} ", metric.name)), "{} has no help", metric.name);
        let named = |line: &str| {
            line.strip_prefix(metric.name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        };
        assert!(text.lines().any(named), "{} has no value", metric.name);
    }
    // A batch is counted when it is applied, which is before anybody can have read its results.
    let sum = |name: &str| -> f64 {
        let values = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        values.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")).sum()
    };
    let answers = sum("loyalty_commands_total") + sum("loyalty_dead_letter_records_total");
    assert_eq!(answers, traffic.expected() as f64);
    assert!(sum("loyalty_rejected_commands_total") > 0.0);
    assert_eq!(sum("loyalty_recoveries_total"), f64::from(LANES));
    eventually("everything is published and no lane lags", || {
        let settled = (0..LANES).all(|lane| {
            worker.metric(&format!("loyalty_lane_unpublished_batches{{lane=\"{lane}\"}}")) == 0.0
                && worker.metric(&format!("loyalty_lane_lag_records{{lane=\"{lane}\",topic=\"credit\"}}")) == 0.0
        });
        settled.then_some(())
    });
    worker.finish();
    traffic.assert_as_predicted(&installation);
    installation.assert_audit_holds();
}

#[test]
fn an_idle_worker_stops_at_once() {
    let installation = Installation::new("idle");
    let worker = installation.worker();
    worker.await_all_lanes();
    worker.stop_within(Duration::from_secs(3));
    installation.assert_audit_holds();
}

#[test]
fn a_worker_that_still_waits_for_kafka_stops_at_once() {
    let installation = Installation::bare(&Stack::shared(), "waits");
    installation.must(&["migrate"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address").to_string();
    let worker = installation.worker_with(&[("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", &address)]);
    worker.await_log("worker starts", 1);
    // It has asked, and nobody answers.
    let _asked = silent.accept().expect("the worker connects");
    assert_eq!((worker.ready().0, worker.live().0), (503, 200));
    worker.stop_within(Duration::from_secs(3));
}

#[test]
fn a_wrong_setting_stops_the_start_and_is_named() {
    let installation = Installation::bare(&Stack::shared(), "settings");
    let cases = [
        ("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "many", "worker.max_batch_commands"),
        ("LOYALTY_WORKER__MAX_BATCH_COMANDS", "10", "LOYALTY_WORKER__MAX_BATCH_COMMANDS"),
        ("LOYALTY_POSTGRES__URL", "mysql://root:secret@127.0.0.1/loyalty", "postgres.url"),
        ("LOYALTY_KAFKA__PROPERTIES__ENABLE__AUTO__COMMIT", "true", "enable.auto.commit"),
        ("LOYALTY_KAFKA__PROPERTIES__NO__SUCH__PROPERTY", "1", "no.such.property"),
    ];
    for (variable, value, named) in cases {
        let done = installation.call_with(&["run"], &[(variable, value)]);
        assert_eq!(done.code, Some(2), "{variable}: {}", done.stderr);
        assert!(done.stderr.contains(named) && !done.stderr.contains("secret"), "{variable}: {}", done.stderr);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let done = installation.call_with(&["run"], &[("LOYALTY_HTTP__LISTEN", &address)]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("http.listen"), "{}", done.stderr);
}

#[test]
fn who_speaks_another_protocol_than_the_broker_is_told_so() {
    let installation = Installation::bare(&Stack::shared(), "protocol");
    let tls = [("LOYALTY_KAFKA__PROPERTIES__SECURITY__PROTOCOL", "SSL")];
    let refused = installation.call_with(&["topics", "check"], &tls);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let last = refused.stderr.lines().last().unwrap_or_default();
    for said in ["no broker answered at", "kafka.bootstrap_servers", "SSL_HANDSHAKE", "security.protocol"] {
        assert!(last.contains(said), "{said:?} is not in the last line:\n{}", refused.stderr);
    }
}

#[test]
fn what_is_not_ready_is_refused_with_the_sentence_that_mends_it() {
    let installation = Installation::bare(&Stack::shared(), "refused");
    let refused = |arguments: &[&str], code: i32, sentence: &str| {
        let done = installation.call(arguments);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.code, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?} does not say {sentence:?}: {said}");
    };
    refused(&["run"], 1, "run `loyalty-worker migrate`");
    refused(&["topics", "create", "--lanes", "2"], 1, "run `loyalty-worker migrate` first");
    installation.must(&["migrate"]);
    refused(&["run"], 1, "the topic does not exist. Run `loyalty-worker topics create`");

    // A topic by somebody who did not know.
    installation.topics().create("credit", &[("message.timestamp.type", "CreateTime")]);
    let mend = format!("--entity-name {}credit --add-config message.timestamp.type=LogAppendTime", installation.prefix);
    refused(&["topics", "create", "--lanes", "2"], 3, &mend);
    refused(&["topics", "check"], 3, &mend);
    refused(&["run"], 1, &mend);
    installation.topics().delete("credit");
    let create = ["topics", "create", "--lanes", "2"];
    eventually("the broker tells the new topic's settings", || {
        (installation.call(&create).code == Some(0)).then_some(())
    });
    refused(&["topics", "create", "--lanes", "4"], 2, "the topics have 2 partitions and --lanes says 4");
    installation.must(&["topics", "check"]);
    let worker = installation.worker();
    worker.await_all_lanes();
    worker.finish();
}

#[test]
fn topics_that_another_tool_made_are_adopted() {
    let installation = Installation::new("adopt");
    let shop = Shop::of_lane(&installation, 0);
    shop.send("merchant-config", &shop.points("points"));
    for (from, waiting) in [("newest", 0), ("oldest", 1)] {
        let database = format!("{}-{from}", installation.database);
        installation.server().execute(&format!("create database \"{database}\""));
        let adopted = installation.with_database(&database);
        adopted.must(&["migrate"]);
        let said = adopted.must(&["topics", "adopt", "--from", from]);
        assert!(said.contains(&format!("{LANES} lanes are ready")), "{said}");
        let lanes: Vec<Value> = serde_json::from_str(&adopted.must(&["lanes", "--json"])).expect("JSON");
        assert_eq!(lanes[0]["waiting_records"]["merchant-config"], waiting, "{from}: {}", lanes[0]);
    }
    let nothing = Installation::bare(&Stack::shared(), "adopt-nothing");
    nothing.must(&["migrate"]);
    let refused = nothing.call(&["topics", "adopt"]);
    assert!(
        refused.code == Some(3) && refused.stdout.contains("does not exist"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
}
