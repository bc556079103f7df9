//! What the worker can't mend by itself halts the lane that it concerns, and only that: the worker stays up and says what to do.

use serde_json::json;

use crate::support::commands::Shop;
use crate::support::topics::ByHand;
use crate::support::{Installation, LANES, Worker, eventually};

/// Two merchants, one in each lane, and a worker that has served both and stopped.
fn served() -> (Installation, Shop, Shop) {
    let installation = Installation::new("halts");
    let worker = installation.worker();
    let (mut halted, mut other) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    halted.open("ada");
    other.open("bob");
    worker.finish();
    (installation, halted, other)
}

/// Lane 0 is halted and says why, everywhere; lane 1 goes on.
fn assert_lane_0_is_halted(worker: &Worker, other: &mut Shop, reason: &[&str]) {
    let told = worker.await_halt(0);
    for part in reason {
        assert!(told.contains(part), "{part:?} is not in the reason: {told}");
    }
    let line = worker.await_log("lane halted", 1);
    let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
    assert_eq!((&line["lane"], &line["reason"], &line["level"]), (&json!(0), &json!(told), &json!("ERROR")));
    assert_eq!(worker.metric(r#"loyalty_lane_state{lane="0",state="halted"}"#), 1.0);
    assert_eq!(worker.metric(r#"loyalty_lane_state{lane="0",state="held"}"#), 0.0);

    let credit = other.credit("while-the-other-is-halted", "bob", 5);
    assert_eq!(other.ask("credit", &credit)["status"], "accepted");
    assert_eq!(worker.metric(r#"loyalty_lane_state{lane="1",state="held"}"#), 1.0);
    assert_eq!((worker.live().0, worker.ready().0), (200, 200), "a halted lane leaves the worker ready");
}

/// What waited for the lane is answered once it has been mended, by the same worker.
fn assert_lane_0_goes_on(worker: Worker, installation: &Installation, halted: &mut Shop, waiting: &str) {
    let credit = halted.credit(waiting, "ada", 7);
    let result = halted.ask("credit", &credit);
    assert_eq!(
        (&result["status"], &result["duplicate"]),
        (&json!("accepted"), &json!(true)),
        "sent once before: {result}"
    );
    assert_eq!(worker.metric(r#"loyalty_lane_state{lane="0",state="halted"}"#), 0.0);
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn postgres_behind_kafka() {
    let (installation, mut halted, mut other) = served();
    let database = installation.database();
    database.execute("update lane set batch = batch - 1 where lane = 0");

    halted.send("credit", &halted.credit("waits", "ada", 7));
    let worker = installation.worker();
    let applied: i64 = database.one("select batch from lane where lane = 0");
    let reason = [
        &format!("Kafka has published batch {}, but Postgres has applied only {applied}", applied + 1),
        "Postgres lost data",
        "loyalty-worker recover",
    ];
    assert_lane_0_is_halted(&worker, &mut other, &reason);

    database.execute("update lane set batch = batch + 1 where lane = 0");
    assert_lane_0_goes_on(worker, &installation, &mut halted, "waits");
}

#[test]
fn another_cluster() {
    let (installation, mut halted, mut other) = served();
    let database = installation.database();
    let cluster: String = database.one("select cluster_id from lane where lane = 0");
    database.execute("update lane set cluster_id = 'staging' where lane = 0");
    let reason =
        format!("Postgres belongs to Kafka cluster staging, but this is cluster {cluster}: connect the worker to");
    let refused = installation.call(&["run"]);
    assert!(refused.code == Some(1) && refused.stderr.contains(&reason), "{:?}: {}", refused.code, refused.stderr);

    database.execute(&format!("update lane set cluster_id = '{cluster}' where lane = 0"));
    let worker = installation.worker();
    for (shop, customer) in [(&mut halted, "ada"), (&mut other, "bob")] {
        let credit = shop.credit("goes-on", customer, 7);
        assert_eq!(shop.ask("credit", &credit)["status"], "accepted");
    }
    worker.finish();
}

#[test]
fn records_that_retention_removed_before_they_were_read() {
    let (installation, halted, mut other) = served();
    let unread = halted.send("credit", &halted.credit("lost", "ada", 7));
    halted.topics.cut("credit", 0, unread.offset + 1);

    let worker = installation.worker();
    let next = unread.offset;
    let reason = [
        &format!(
            "goes on at offset {next} of {}credit, but the broker holds {} to {}",
            installation.prefix,
            next + 1,
            next + 1
        ),
        "records were lost to retention",
    ];
    assert_lane_0_is_halted(&worker, &mut other, &reason);
    worker.stop();
}

#[test]
fn a_topic_made_anew() {
    let (installation, halted, _other) = served();
    halted.topics.delete("redeem");
    // It makes what is missing, and refuses it once the broker tells the new topic's id.
    let create = ["topics", "create", "--lanes", &LANES.to_string()];
    eventually("the lanes' redeem is known to be another topic", || {
        (installation.call(&create).code == Some(1)).then_some(())
    });

    let worker = installation.worker();
    for lane in 0..LANES {
        let reason = worker.await_halt(lane);
        let said = format!("the topic {}redeem was deleted and made again", installation.prefix);
        assert!(reason.contains(&said) && reason.contains("Restore the topic"), "{reason}");
    }
    assert_eq!((worker.live().0, worker.ready().0), (200, 503), "none of its lanes works");
    worker.stop();
}

#[test]
fn only_what_halts_a_lane_is_given_up() {
    let installation = Installation::new("skips");
    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let refused = |position: &str, reason: &str| {
        let done = installation.call(&["skip", position, "--reason", "none"]);
        assert!(done.code == Some(1) && done.stderr.contains(reason), "{position}: {:?} {}", done.code, done.stderr);
    };
    refused("credit/0/0", "lane 0 is not halted at any record");
    refused("credit/0/1000000", "lane 0 is not halted at any record");
    refused("credit/7/0", "there is no lane 7");

    let poison = shop.send("credit", &shop.credit("poison", "ada", 1));
    let next = shop.send("credit", &shop.credit("next", "ada", 1));
    let halt = worker.await_halt(0);
    let place = format!("{}credit/0/{}", installation.prefix, poison.offset);
    assert!(halt.contains(&place), "{halt}");
    eventually("the lane's row names the record", || {
        let named: Option<i64> = installation.database().one("select halted_offset from lane where lane = 0");
        named.map(|offset| assert_eq!(offset, poison.offset))
    });
    let after = format!("credit/0/{}", next.offset);
    refused(&after, &format!("lane 0 is halted at {place}"));

    // Given up all the same, by somebody who has seen it, and taken back.
    let shown = installation.call_saying(&["skip", &after, "--reason", "by hand", "--force"], "yes\n");
    assert!(shown.code == Some(0) && shown.stdout.contains("\"idempotency_key\":\"next\""), "{}", shown.stdout);
    let unsure = installation.call_saying(&["skip", &after, "--reason", "by hand", "--force"], "no\n");
    assert!(unsure.code == Some(1) && unsure.stderr.contains("not confirmed"), "{}", unsure.stderr);
    let nothing = installation.call_saying(&["skip", "credit/0/1000000", "--reason", "by hand", "--force"], "yes\n");
    assert_eq!(nothing.code, Some(1), "{}", nothing.stdout);
    assert!(installation.must(&["skip", "--list"]).contains(&format!("{}{after}: by hand", installation.prefix)));
    installation.must(&["skip", "--undo", &after]);
    assert_eq!(installation.must(&["skip", "--list"]), "No skip is pending.\n");
    assert_eq!(installation.call(&["skip", "--undo", &after]).code, Some(1));

    installation.must(&["skip", &place, "--reason", "defect 4711"]);
    assert!(shop.answers.await_answer(&poison).is_dead_letter());
    assert_eq!(shop.answers.await_answer(&next).json["status"], "accepted");
    refused(&place, "its lane has passed it");
    worker.finish();
    installation.assert_audit_holds();
}

/// Some kilobytes that unpack to more than the client takes.
#[test]
fn a_record_that_can_not_be_read_until_it_is_skipped() {
    let installation = Installation::new("unreadable");
    let worker = installation.worker();
    let (mut halted, mut other) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    halted.open("ada");
    other.open("bob");
    let before = halted.send("credit", &halted.credit("before", "ada", 1));
    let bomb = halted.topics.write_bomb("credit", halted.merchant, 60_000_000);
    let after = halted.send("credit", &halted.credit("after", "ada", 2));
    let place = format!("{}credit/0/{}", installation.prefix, bomb.offset);
    let reason = [&format!("can't apply the record {place}:"), "receive.message.max.bytes"];
    assert_lane_0_is_halted(&worker, &mut other, &reason);

    installation.must(&["skip", &place, "--reason", "a bomb"]);
    let letter = halted.answers.await_answer(&bomb);
    assert!(letter.is_dead_letter() && letter.value.is_none(), "{letter:?}");
    let message = &letter.headers["__connect.errors.exception.message"];
    assert!(message.contains("whose bytes can't be read: a bomb"), "{message}");
    for position in [&before, &after] {
        assert_eq!(halted.answers.await_answer(position).json["status"], "accepted");
    }
    worker.finish();
    installation.assert_audit_holds();

    // From the journal it comes to the same.
    let restored = crate::recover::from_nothing(&installation);
    assert_eq!(restored.database().digests(), installation.database().digests());
}

/// A hundred thousand headers of a byte each take megabytes.
#[test]
fn a_command_with_more_headers_than_anybody_needs() {
    let installation = Installation::new("headers");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let mut headers: Vec<(String, Vec<u8>)> = (0..900).map(|_| ("h".to_owned(), b"1".to_vec())).collect();
    headers.push(("traceparent".to_owned(), b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec()));
    let sent = shop.send_with("credit", &shop.credit("many-headers", "ada", 1), &headers);
    let answer = shop.answers.await_answer(&sent);
    assert_eq!(answer.json["status"], "accepted");
    assert_eq!(answer.headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let record =
        ByHand { key: Some(shop.merchant.as_bytes()), value: Some(b"no command"), headers: &headers, partition: None };
    let (_, letter) = shop.ask_in_vain("credit", record);
    let kept = letter.raw_headers.iter().filter(|(name, _)| name == "h").count();
    assert_eq!(kept, 64, "the first of them go with the dead letter");
    assert_eq!(letter.headers["loyalty.omitted"], "headers", "and the dead letter says that there were more");
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_poisoned_record_until_it_is_skipped() {
    let installation = Installation::new("poison");
    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let (mut halted, mut other) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    halted.open("ada");
    other.open("bob");

    // In the middle of others, which may share a batch with it.
    let before: Vec<_> =
        (0..20).map(|n| halted.send("credit", &halted.credit(&format!("before-{n}"), "ada", 1))).collect();
    let poison = halted.send("credit", &halted.credit("poison", "ada", 1_000));
    let after: Vec<_> =
        (0..20).map(|n| halted.send("credit", &halted.credit(&format!("after-{n}"), "ada", 1))).collect();

    let place = format!("{}credit/0/{}", installation.prefix, poison.offset);
    let reason = [&format!("can't apply the record {place}:"), &*format!("loyalty-worker skip {place} --reason")];
    assert_lane_0_is_halted(&worker, &mut other, &reason);

    // Each time that the lane looks again it gets as far as before; nobody may take that for mended.
    worker.await_log("lane recovered", worker.logged("lane recovered") + 1);
    assert_lane_0_is_halted(&worker, &mut other, &reason);
    let lanes = installation.must(&["lanes"]);
    assert!(lanes.contains("lane 0 is halted:") && lanes.contains(&place), "{lanes}");

    installation.must(&["skip", &place, "--reason", "defect 4711"]);
    let letter = halted.answers.await_answer(&poison);
    assert!(letter.is_dead_letter(), "{letter:?}");
    assert_eq!(letter.headers["__connect.errors.class.name"], "skipped");
    assert!(letter.headers["__connect.errors.exception.message"].contains("defect 4711"), "{:?}", letter.headers);
    assert_eq!(letter.value, Some(halted.credit("poison", "ada", 1_000).to_string().into_bytes()));
    for position in before.iter().chain(&after) {
        assert_eq!(halted.answers.await_answer(position).json["status"], "accepted");
    }
    eventually("it counts as mended", || {
        (worker.metric(r#"loyalty_lane_state{lane="0",state="halted"}"#) == 0.0).then_some(())
    });
    assert_eq!(worker.metric(r#"loyalty_dead_letter_records_total{class="skipped"}"#), 1.0);
    worker.finish();
    installation.assert_audit_holds();
}

/// The search asks Postgres, which may take long; whoever has the lane next meets the record again.
#[test]
fn the_search_for_a_poisoned_record_ends_when_the_worker_is_told_to_stop() {
    let installation = Installation::new("poison-stopped");
    let worker = installation.worker_with(&[("LOYALTY_POISON_KEY", "poison")]);
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    worker.await_all_lanes();

    // The search reads it; lanes that are held have done so.
    let (database, search) = (installation.database(), installation.database());
    search.execute("begin; lock table skipped_record in access exclusive mode");
    // They come together, so that there are beginnings to try.
    let keys = (0..20).map(|n| format!("before-{n}")).chain(["poison".to_owned()]);
    let keys = keys.chain((0..20).map(|n| format!("after-{n}")));
    let credits: Vec<_> = keys.map(|key| shop.credit(&key, "ada", 1).to_string().into_bytes()).collect();
    let sent = shop.topics.write_together("credit", shop.merchant, &credits);
    eventually("the search waits", || {
        let waiting = "select count(*) from pg_locks where not granted and relation = 'skipped_record'::regclass
                       and database = (select oid from pg_database where datname = current_database())";
        (database.one::<i64>(waiting) > 0).then_some(())
    });
    worker.stop();
    search.execute("commit");

    let worker = installation.worker();
    for position in &sent {
        assert_eq!(shop.answers.await_answer(position).json["status"], "accepted");
    }
    // The marker of the sender's transaction comes after its records, and is passed by a batch of its own.
    let behind_marker = sent.last().expect("there are records").offset + 2;
    let passed = "select (positions ->> 'credit')::bigint from lane where lane = 0";
    eventually("the marker is passed", || (database.one::<i64>(passed) == behind_marker).then_some(()));
    worker.finish();
    installation.assert_audit_holds();
}
