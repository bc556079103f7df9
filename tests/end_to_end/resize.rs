//! More lanes on the same topics: what fewer have decided is remembered, an interruption is ended by running it again, and nothing grows
//! while something is left to do.

use std::collections::HashMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::Message;
use rdkafka::topic_partition_list::Offset;
use serde_json::{Value, json};

use crate::load::MERCHANTS;
use crate::load::murmur2::partition_of;
use crate::load::observe::consumer;
use crate::support::commands::Shop;
use crate::support::published::Published;
use crate::support::topics::{ByHand, COMMANDS, Position};
use crate::support::{Installation, LANES, Traffic, eventually};

const MORE: i32 = 4;
const RESIZE: [&str; 4] = ["lanes", "resize", "--to", "4"];
/// In lane 0 of two and of four.
const STAYS: &str = MERCHANTS[0];
/// In lane 0 of two, and in one of four that was not there.
const MOVES: &str = MERCHANTS[2];

/// A credit for the customer of a merchant who has moved, from a sender who does not know it.
fn stale(shop: &Shop, key: &str) -> Position {
    let value = shop.credit(key, "ada", 6).to_string().into_bytes();
    let partition = Some(partition_of(MOVES.as_bytes(), LANES));
    let record = ByHand { key: Some(MOVES.as_bytes()), value: Some(&value), partition, ..ByHand::default() };
    shop.topics.write("credit", record)
}

fn assert_refused(installation: &Installation, arguments: &[&str], code: i32, parts: &[&str]) {
    let refused = installation.call(arguments);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert_eq!(refused.code, Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?} does not say {part:?}: {said}");
    }
}

#[test]
fn the_merchants_stay_and_move_as_the_tests_need_it() {
    assert_eq!((partition_of(STAYS.as_bytes(), LANES), partition_of(STAYS.as_bytes(), MORE)), (0, 0));
    assert_eq!((partition_of(MOVES.as_bytes(), LANES), partition_of(MOVES.as_bytes(), MORE)), (0, 2));
}

#[test]
fn what_fewer_lanes_decided_more_lanes_remember() {
    let mut installation = Installation::new("resize");
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 2_000, 20);
    traffic.await_all();
    traffic.assert_as_predicted(&installation);
    Shop::of(&installation, MOVES).open("ada");
    worker.finish();
    let first = accepted(&installation);
    let balances = installation.database().balances();
    let backup = format!("{}-backup", installation.database);
    installation.server().execute(&format!("create database \"{backup}\" template \"{}\"", installation.database));

    let said = installation.must(&RESIZE);
    assert!(said.contains("4 lanes are ready") && said.contains("Take a backup now"), "{said}");
    installation.lanes = MORE;
    assert_eq!(installation.must(&RESIZE), "There are 4 lanes.\n");
    installation.must(&["topics", "check"]);
    installation.must(&["topics", "create", "--lanes", "4"]);
    installation.must(&["topics", "adopt"]);
    assert_refused(&installation, &["topics", "create", "--lanes", "2"], 2, &["the topics have 4 partitions"]);

    let worker = installation.worker();
    worker.await_all_lanes();
    is_remembered(&installation, &first);
    assert_eq!(installation.database().balances(), balances);
    // A customer who has moved goes on where it was.
    let mut shop = Shop::of(&installation, MOVES);
    let credit = shop.credit("moved", "ada", 7);
    let result = shop.ask("credit", &credit);
    assert_eq!(
        (&result["command"]["partition"], &result["customer_version"], &result["balances"][0]["available"]),
        (&json!(2), &json!(2), &json!(7)),
        "{result}"
    );
    for merchant in MERCHANTS {
        Shop::of(&installation, merchant).open("somebody-new");
    }
    worker.finish();
    installation.assert_audit_holds();

    a_backup_from_before_is_refused(&installation, &backup);
    let mut several = installation.with_database(&installation.database);
    several.second_database = Some("elsewhere".to_owned());
    assert_refused(&several, &["lanes", "resize", "--to", "8"], 2, &["while one database has them all"]);
}

/// A part of the commands that were accepted when they came first: where each stood, with its key and its value.
fn accepted(installation: &Installation) -> Vec<(Position, Vec<u8>, Vec<u8>)> {
    let results = Published::of(installation, &["results"]).all();
    let first =
        results.iter().filter(|result| result.json["status"] == "accepted" && result.json["duplicate"] == false);
    let first: Vec<Position> =
        first.step_by(5).map(|result| result.answers(&installation.prefix).expect("a position")).collect();
    assert!(first.len() > 100, "only {} commands were accepted", first.len());

    let (bootstrap, prefix) = (&installation.stack.bootstrap, &installation.prefix);
    let topics = &COMMANDS[..7];
    let commands = consumer(bootstrap, prefix, topics, installation.lanes, Offset::Beginning).expect("a consumer");
    let mut sent = HashMap::new();
    eventually("the commands are read again", || {
        while let Some(Ok(message)) = commands.poll(Duration::from_millis(100)) {
            let topic = message.topic().strip_prefix(prefix.as_str()).expect("a topic of the installation").to_owned();
            let position = Position { topic, partition: message.partition(), offset: message.offset() };
            let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
            sent.insert(position, (bytes(message.key()), bytes(message.payload())));
        }
        first.iter().all(|position| sent.contains_key(position)).then_some(())
    });
    let with_bytes = |position: Position| {
        let (key, value) = sent[&position].clone();
        (position, key, value)
    };
    first.into_iter().map(with_bytes).collect()
}

/// Sent again, each is the duplicate of the command that stands where its merchant was then.
fn is_remembered(installation: &Installation, first: &[(Position, Vec<u8>, Vec<u8>)]) {
    let topics = installation.topics();
    let send = |(stood, key, value): &(Position, Vec<u8>, Vec<u8>)| {
        topics.write(&stood.topic, ByHand { key: Some(key), value: Some(value), ..ByHand::default() })
    };
    let again: Vec<Position> = first.iter().map(send).collect();
    let mut results = Published::of(installation, &["results"]);
    for ((stood, _, _), stands) in first.iter().zip(&again) {
        let result = results.await_answer(stands).json;
        let original = &result["original"];
        assert_eq!(
            (&result["status"], &result["duplicate"], &original["partition"], &original["offset"]),
            (&json!("accepted"), &json!(true), &json!(stood.partition), &json!(stood.offset)),
            "{result}"
        );
    }
    let moved = first.iter().zip(&again).filter(|((stood, _, _), stands)| stood.partition != stands.partition).count();
    assert!(moved > 0 && moved < first.len(), "{moved} of {} commands belong elsewhere now", first.len());
}

/// Neither of a database from before nor of an empty one can be made what it was with more lanes than its batches knew.
fn a_backup_from_before_is_refused(installation: &Installation, backup: &str) {
    let restored = installation.with_database(backup);
    let refusal = ["Postgres knows 2 lanes, but the topics have 4 partitions", "restore one that was made after"];
    assert_refused(&restored, &["recover"], 1, &refusal);
    assert_refused(&restored, &RESIZE, 1, &["Postgres lost data", "restore one that was made after"]);
    let lanes: i64 = restored.database().one("select count(*) from lane where lanes = 2 and grown_from is null");
    assert_eq!(lanes, 2);

    let anew = format!("{}-anew", installation.database);
    installation.server().execute(&format!("create database \"{anew}\""));
    let restored = installation.with_database(&anew);
    restored.must(&["migrate"]);
    restored.must(&["topics", "create", "--lanes", "4"]);
    assert_refused(&restored, &["recover"], 1, &["batch 1: was decided when there were 2 lanes, and now there are 4"]);
}

#[test]
fn an_interruption_is_ended_by_running_it_again() {
    let mut installation = Installation::new("resize-killed");
    let worker = installation.worker();
    for merchant in [STAYS, MOVES] {
        Shop::of(&installation, merchant).open("ada");
    }
    worker.finish();

    // It died between two topics.
    installation.topics().grow("redeem", MORE as usize);
    let mend = "loyalty-worker lanes resize --to 4";
    eventually("the broker tells the new partitions", || {
        (installation.call(&["topics", "check"]).code == Some(3)).then_some(())
    });
    let half_grown: [(&[&str], i32); 3] = [(&["run"], 1), (&["topics", "check"], 3), (&["topics", "adopt"], 3)];
    for (arguments, code) in half_grown {
        assert_refused(&installation, arguments, code, &["it has 4 partitions", mend]);
    }
    assert_refused(&installation, &["lanes", "resize", "--to", "6"], 2, &["redeem has 4 partitions"]);

    // It died between the topics and Postgres.
    let killed = installation.call_with(&RESIZE, &[("LOYALTY_FAIL_POINT", "after-partitions")]);
    assert_eq!(killed.code, None, "{}{}", killed.stdout, killed.stderr);
    let knows = "Postgres knows 2 lanes, but the topics have 4 partitions";
    for arguments in
        [&["run"][..], &["lanes"], &["recover"], &["topics", "adopt"], &["topics", "create", "--lanes", "4"]]
    {
        assert_refused(&installation, arguments, 1, &[knows, mend]);
    }

    // Senders were not stopped: one knows of the new partitions, one does not.
    installation.lanes = MORE;
    let mut shop = Shop::of(&installation, MOVES);
    let meanwhile = shop.send("credit", &shop.credit("meanwhile", "ada", 5));
    let stale = stale(&shop, "stale");
    assert_eq!((meanwhile.partition, stale.partition), (2, 0));
    let said = installation.must(&RESIZE);
    assert!(said.contains("4 lanes are ready") && said.contains("nobody has read yet: 1"), "{said}");

    let worker = installation.worker();
    assert_eq!(shop.answers.await_answer(&meanwhile).json["status"], "accepted");
    let letter = shop.answers.await_answer(&stale);
    assert_eq!(letter.headers["__connect.errors.class.name"], "wrong_partition");
    let replayed = installation.must(&["dead-letters", "replay", "--class", "wrong_partition", "--wait", "60"]);
    let result: Value = serde_json::from_str(&replayed).expect("one line of JSON");
    assert_eq!(
        (&result["status"], &result["command"]["partition"], &result["balances"][0]["available"]),
        (&json!("accepted"), &json!(2), &json!(11)),
        "{result}"
    );
    worker.finish();
    installation.assert_audit_holds();
}

/// And is decided before what begins to wait in the new lane.
#[test]
fn what_waits_for_a_customer_goes_with_its_merchant() {
    let mut installation = Installation::new("resize-parked");
    let parked = |lane: i32| format!("loyalty_lane_parked_commands{{lane=\"{lane}\"}}");
    let worker = installation.worker();
    let early = [STAYS, MOVES].map(|merchant| {
        let mut shop = Shop::of(&installation, merchant);
        let parking = shop.command("settings", None, json!({ "type": "settings", "unknown_customer": "park" }));
        shop.ask("merchant-config", &parking);
        shop.ask("merchant-config", &shop.points("unit"));
        shop.send("credit", &shop.credit("early", "ada", 5))
    });
    eventually("both wait", || (worker.metric(&parked(0)) == 2.0).then_some(()));
    worker.finish();

    installation.must(&RESIZE);
    installation.lanes = MORE;
    installation.assert_audit_holds();
    let worker = installation.worker();
    worker.await_all_lanes();
    assert_eq!([0, 1, 2, 3].map(|lane| worker.metric(&parked(lane))), [1.0, 0.0, 1.0, 0.0]);
    for ((merchant, lane), early) in [(STAYS, 0), (MOVES, 2)].into_iter().zip(&early) {
        let mut shop = Shop::of(&installation, merchant);
        let later = shop.send("credit", &shop.credit("later", "ada", 6));
        assert_eq!((early.partition, later.partition), (0, lane));
        shop.ask("customer-upsert", &shop.customer("hello", "ada"));
        for (position, version, available) in [(early, 2, 5), (&later, 3, 11)] {
            let result = shop.answers.await_answer(position).json;
            let came = (&result["customer_version"], &result["balances"][0]["available"]);
            assert_eq!(came, (&json!(version), &json!(available)), "{result}");
        }
    }
    worker.finish();
    installation.assert_audit_holds();
}

/// Its session is over and its lanes have grown when it wakes: it has the old number in its memory, and may not work by it.
#[test]
fn a_worker_that_was_frozen_meanwhile_does_no_harm() {
    let mut installation = Installation::new("resize-frozen");
    // Without ticks it has nothing under way.
    let mut frozen = installation.worker_with(&[("LOYALTY_WORKER__TICK_INTERVAL_MS", "60000")]);
    frozen.await_all_lanes();
    Shop::of(&installation, MOVES).open("ada");
    let database = installation.database();
    eventually("nothing is under way", || (database.one::<i64>("select count(*) from outbox") == 0).then_some(()));
    frozen.signal(Signal::SIGSTOP);
    assert_refused(&installation, &RESIZE, 1, &["is in the group", "time-out"]);
    eventually("its session is over", || (installation.call(&RESIZE).code == Some(0)).then_some(()));
    installation.lanes = MORE;
    let mut shop = Shop::of(&installation, MOVES);
    let stale = stale(&shop, "stale");
    frozen.signal(Signal::SIGCONT);
    assert_eq!(frozen.await_end().code(), Some(1));
    let said = frozen.log().concat();
    assert!(said.contains("if the lanes have grown since this program was started, start it again"), "{said}");

    let worker = installation.worker();
    let letter = shop.answers.await_answer(&stale);
    assert!(letter.is_dead_letter(), "{letter:?}");
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn nothing_grows_while_something_is_left_to_do() {
    let installation = Installation::new("resize-refused");
    let database = installation.database();
    let refused = |arguments: &[&str], code: i32, part: &str| {
        assert_refused(&installation, arguments, code, &[part]);
        assert!(installation.must(&["topics", "check"]).contains("as they should be: 2 lanes"));
        assert_eq!(database.one::<i64>("select count(*) from lane where lanes = 2 and grown_from is null"), 2);
    };
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    worker.await_all_lanes();
    refused(&["lanes", "resize", "--to", "7"], 2, "two, three or more times as many");
    refused(&RESIZE, 1, "is in the group");
    worker.finish();

    refused(&["lanes", "resize", "--to", "3"], 2, "two, three or more times as many");
    refused(&["lanes", "resize", "--to", "257"], 2, "--to");
    database.execute(
        "insert into outbox (lane, batch, positions_before, positions_after, records)
         select lane, batch, positions, positions, '' from lane where lane = 0",
    );
    refused(&RESIZE, 1, "the outbox has 1 batches: start a worker, and stop it by SIGTERM");
    database.execute("delete from outbox; update lane set halted = 'a defect' where lane = 1");
    refused(&RESIZE, 1, "lane 1 is halted: a defect");
    database.execute("update lane set halted = null; update lane set batch = batch - 1 where lane = 0");
    refused(&RESIZE, 1, "Postgres lost data");
    database.execute("update lane set batch = batch + 1 where lane = 0");
    let waits = shop.send("credit", &shop.credit("waits", "ada", 5));
    refused(&RESIZE, 1, "lane 0 has 1 records that nobody has read: stop the senders");

    let worker = installation.worker();
    assert_eq!(shop.answers.await_answer(&waits).json["status"], "accepted");
    worker.finish();
    installation.must(&RESIZE);
}
