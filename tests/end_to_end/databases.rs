//! Lanes in different databases: each has what is its own, and any worker has any lane.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::load::MERCHANTS;
use crate::load::murmur2::partition_of;
use crate::support::commands::Shop;
use crate::support::database::Database;
use crate::support::topics::ByHand;
use crate::support::{Installation, LANES, Traffic, eventually};

#[test]
fn a_worker_takes_the_lanes_of_both_databases() {
    let installation = Installation::in_two_databases("two-databases");
    let first = installation.worker();
    first.await_all_lanes();
    let second = installation.worker();
    eventually("each has a lane", || (first.held() == 1 && second.held() == 1).then_some(()));
    let mut traffic = Traffic::start(&installation, 4_000, 40);
    traffic.await_answered(traffic.expected() / 4);
    first.kill();

    traffic.ends_as_predicted(&installation, second);
    let databases = installation.databases();
    assert_each_has_its_own(&databases);
    asks_the_right_database(&installation, &databases);
    a_wrong_range_is_refused(&installation);
    the_audit_sees_a_row_in_the_other_database(&installation, &databases);
}

#[test]
fn one_database_becomes_two_by_its_journal() {
    let installation = Installation::new("one-becomes-two");
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 2_000, 20);
    traffic.await_all();
    worker.finish();

    let installation = installation.with_two_databases();
    let said = installation.must(&["recover"]);
    assert!(said.contains(&format!("{LANES} lanes are up to date")), "{said}");
    traffic.assert_as_predicted(&installation);
    installation.assert_audit_holds();
    assert_each_has_its_own(&installation.databases());

    let worker = installation.worker();
    for lane in 0..LANES {
        Shop::of_lane(&installation, lane).open("somebody-new");
    }
    worker.finish();
    installation.assert_audit_holds();
    assert_each_has_its_own(&installation.databases());
}

#[test]
fn a_database_that_goes_away_stops_its_lanes_only() {
    let installation = Installation::in_two_databases("one-of-two-away");
    let worker = installation.worker();
    worker.await_all_lanes();
    let (mut stays, mut goes) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    goes.open("before");
    // It stays connected, to change what no worker can see.
    let hand = installation.databases().pop().expect("the second database");

    let_workers_in(&installation, false);
    worker.await_lane_state(1, "recovering");
    stays.open("meanwhile");
    let (status, body) = worker.ready();
    assert!(status == 200 && body["lanes"]["0"] == "held", "{body}");
    assert!(installation.must(&["customer", stays.merchant, "external_id:meanwhile"]).contains("meanwhile"));
    let looked = installation.call(&["skip", "credit/0/1000000", "--reason", "its database is there"]);
    assert!(looked.stderr.contains("lane 0 is not halted"), "{}", looked.stderr);

    // So it does in a worker that is started meanwhile.
    worker.kill();
    let worker = installation.worker();
    worker.await_lane(0);
    worker.await_lane_state(1, "recovering");
    stays.open("later");
    the_lanes_of_the_other_are_shown(&installation);
    let topics = installation.topics();
    let producer = topics.fence(&installation.name, 1);
    worker.await_log("lane recovers", worker.logged("lane recovers") + 2);
    assert!(topics.has_its_id(&producer, 1), "a lane whose database is away has made a producer");

    // What comes back need not be what went.
    hand.execute("update lane set lane = 5");
    let_workers_in(&installation, true);
    let wrong = "lanes 1-1 out of 2 in postgres.lane_urls has lane 5 out of 2";
    let reason = worker.await_halt(1);
    assert!(reason.contains(wrong), "{reason}");
    let refused = installation.call(&["run"]);
    assert!(refused.code == Some(1) && refused.stderr.contains(wrong), "{}", refused.stderr);

    hand.execute("update lane set lane = 1");
    goes.open("after");
    worker.finish();
    installation.assert_audit_holds();

    let settings = installation.database_settings();
    let nowhere =
        [(settings[0].0, "postgres://nobody@127.0.0.1:1/a"), (settings[1].0, "postgres://nobody@127.0.0.1:1/b")];
    let refused = installation.call_with(&["run"], &nowhere);
    assert!(refused.code == Some(1) && refused.stderr.contains("postgres.lane_urls (0-0)"), "{}", refused.stderr);
}

#[test]
fn one_of_the_databases_is_restored_beside_the_worker() {
    let installation = Installation::in_two_databases("one-of-two-restored");
    let worker = installation.worker();
    worker.await_all_lanes();
    let (mut stays, mut loses) = (Shop::of_lane(&installation, 0), Shop::of_lane(&installation, 1));
    stays.open("before");
    loses.open("before");
    let second = installation.second_database.as_deref().expect("two databases");
    let server = installation.server();
    let_workers_in(&installation, false);
    server.execute(&format!("create database \"{second}-backup\" template \"{second}\""));
    let_workers_in(&installation, true);
    loses.open("lost");

    server.execute(&format!("drop database \"{second}\" with (force)"));
    server.execute(&format!("alter database \"{second}-backup\" rename to \"{second}\""));
    eventually("the lane of the restored database halts", || {
        let (_, body) = worker.ready();
        body["halted"]["1"].as_str()?.contains("Postgres lost data").then_some(())
    });
    stays.open("meanwhile");
    let epoch = || installation.database().one::<i64>("select epoch from lane");
    let before = epoch();
    let said = installation.must(&["recover"]);
    assert!(said.contains("lane 0   lacks nothing") && said.contains("2 lanes are up to date"), "{said}");
    assert_eq!(epoch(), before, "a lane that lacks nothing was taken from its worker");

    // The lane goes on by itself.
    loses.open("after");
    worker.finish();
    assert!(installation.must(&["customer", loses.merchant, "external_id:lost"]).contains("lost"));
    installation.assert_audit_holds();
}

/// Or has them lose the second database. A test's own connections stay.
fn let_workers_in(installation: &Installation, allowed: bool) {
    let second = installation.second_database.as_deref().expect("two databases");
    let server = installation.server();
    server.execute(&format!("alter database \"{second}\" with allow_connections {allowed}"));
    if !allowed {
        server.execute(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = '{second}' and application_name = 'loyalty-worker'"
        ));
    }
}

fn the_lanes_of_the_other_are_shown(installation: &Installation) {
    for arguments in [&["lanes"][..], &["lanes", "--json"]] {
        let told = installation.call(arguments);
        assert_eq!(told.code, Some(1), "{}{}", told.stdout, told.stderr);
        assert!(told.stderr.contains("the lanes 1-1 are not shown: "), "{}", told.stderr);
        assert!(told.stderr.contains("postgres.lane_urls (1-1)"), "{}", told.stderr);
        if arguments.len() == 1 {
            assert!(told.stdout.lines().count() == 2 && told.stdout.contains("\n   0  worker-"), "{}", told.stdout);
        } else {
            let lanes: Vec<Value> = serde_json::from_str(&told.stdout).expect("JSON");
            assert!(lanes.len() == 1 && lanes[0]["lane"] == 0 && lanes[0]["applied_batch"] != 0, "{lanes:?}");
        }
    }
}

fn assert_each_has_its_own(databases: &[Database]) {
    for (lane, database) in (0..).zip(databases) {
        assert_eq!(database.one::<i32>("select lane from lane"), lane);
        assert_eq!(database.one::<i32>("select distinct \"partition\" from decision"), lane);
        for table in ["config_version", "customer"] {
            assert_eq!(merchants_in(database, table), merchants_of(lane), "{table} of lane {lane}");
        }
        let strays = "select count(*) from entry left join customer using (customer_id) where merchant_id is null";
        assert_eq!(database.one::<i64>(strays), 0);
        let strays = "select count(*) from earned_order left join entry e using (transaction_id) where e.seq is null";
        assert_eq!(database.one::<i64>(strays), 0);
    }
}

fn merchants_of(lane: i32) -> BTreeSet<String> {
    MERCHANTS.into_iter().filter(|id| partition_of(id.as_bytes(), LANES) == lane).map(str::to_owned).collect()
}

fn merchants_in(database: &Database, table: &str) -> BTreeSet<String> {
    database.rows(&format!("select distinct merchant_id from {table}")).iter().map(|row| row.get(0)).collect()
}

/// The commands for people: each asks the database of a merchant or of a record, or all of them.
fn asks_the_right_database(installation: &Installation, databases: &[Database]) {
    let books = installation.must(&["trial-balance"]);
    assert!(MERCHANTS.iter().all(|merchant| books.contains(merchant)), "{books}");
    let lanes: Vec<Value> = serde_json::from_str(&installation.must(&["lanes", "--json"])).expect("JSON");
    assert!(lanes.len() == 2 && lanes.iter().all(|lane| lane["applied_batch"] != 0), "{lanes:?}");

    let worker = installation.worker();
    for (lane, database) in (0..).zip(databases) {
        let mut shop = Shop::of_lane(installation, lane);
        shop.open("ada");
        assert!(installation.must(&["customer", shop.merchant, "external_id:ada"]).contains("ada@example.com"));
        assert!(
            installation.must(&["customer", shop.merchant, "--explain", "hello-ada"]).contains("accepted, created")
        );
        assert!(installation.must(&["config", "export", shop.merchant]).contains("\"points\""));
        assert!(installation.must(&["trial-balance", shop.merchant]).contains(shop.merchant));
        let record = ByHand { key: Some(shop.merchant.as_bytes()), value: Some(b"hello"), ..ByHand::default() };
        let (_, letter) = shop.ask_in_vain("credit", record);
        assert_eq!(letter.partition, lane);
        database.execute(&format!(
            "update lane set halted_topic = '{}credit', halted_offset = 1000000 where lane = {lane}",
            installation.prefix
        ));
        installation.must(&["skip", &format!("credit/{lane}/1000000"), "--reason", "to see where it is kept"]);
        assert_eq!(database.one::<i32>("select \"partition\" from skipped_record"), lane);
    }
    worker.finish();
    installation.must(&["dead-letters", "replay", "--class", "undecodable"]);
    for (lane, database) in (0..).zip(databases) {
        assert_eq!(database.one::<i32>("select distinct \"partition\" from replayed_record"), lane);
    }
    let listed = installation.must(&["dead-letters", "list", "--class", "undecodable", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let replayed = listed.iter().filter(|letter| !letter["replayed"].is_null());
    let partitions: BTreeSet<i64> = replayed.filter_map(|letter| letter["original"]["partition"].as_i64()).collect();
    assert_eq!(partitions, BTreeSet::from([0, 1]));
}

/// Else lanes would begin anew in the other's database.
fn a_wrong_range_is_refused(installation: &Installation) {
    let settings = installation.database_settings();
    let [(first_lane, first_url), (second_lane, second_url)] = settings.as_slice() else { panic!("{settings:?}") };
    let swapped = [(*first_lane, second_url.as_str()), (*second_lane, first_url.as_str())];
    let merchant = Shop::of_lane(installation, 0).merchant;
    for arguments in [
        &["run"][..],
        &["topics", "create", "--lanes", "2"],
        &["lanes"],
        &["audit"],
        &["trial-balance"],
        &["config", "export", merchant],
    ] {
        let refused = installation.call_with(arguments, &swapped);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("lanes 0-0 out of 2 in postgres.lane_urls has lane 1"), "{}", refused.stderr);
    }
    let refused = installation.call(&["topics", "create", "--lanes", "3"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("postgres.lane_urls has the lanes 0 to 1"), "{}", refused.stderr);
}

fn the_audit_sees_a_row_in_the_other_database(installation: &Installation, databases: &[Database]) {
    let merchant = Shop::of_lane(installation, 1).merchant;
    databases[0].execute(&format!(
        "create temp table moved as select * from config_version limit 1; update moved set merchant_id = '{merchant}'; \
         insert into config_version select * from moved"
    ));
    let audit = installation.call(&["audit"]);
    assert_eq!(audit.code, Some(3), "{}{}", audit.stdout, audit.stderr);
    let fault = format!("the database of the lanes 0-0 has a configuration of merchant {merchant} of lane 1");
    assert!(audit.stdout.contains(&fault), "{}", audit.stdout);
}
