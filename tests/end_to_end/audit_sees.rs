//! The audit is worth something only if it fails: what holds is broken, one thing at a time, and it must see it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::load::now_micros;
use crate::support::commands::Shop;
use crate::support::published::{Published, Record};
use crate::support::topics::ByHand;
use crate::support::{Installation, LANES, Traffic, eventually};

/// An installation that has worked for a while and is in order.
fn in_order(name: &str) -> Installation {
    let installation = Installation::new(name);
    let worker = installation.worker();
    let mut traffic = Traffic::start(&installation, 600, 10);
    traffic.ends_as_predicted(&installation, worker);
    installation
}

/// The audit fails, and one of its lines has all of this.
fn assert_audit_finds(installation: &Installation, fault: &[&str]) {
    assert_finds(installation, &["audit", "--expect-idle"], fault);
}

fn assert_finds(installation: &Installation, audit: &[&str], fault: &[&str]) {
    let audit = installation.call(audit);
    assert_eq!(audit.code, Some(3), "{}{}", audit.stdout, audit.stderr);
    assert!(audit.stdout.ends_with(" found faults.\n"), "{}", audit.stdout);
    let found = audit.stdout.lines().any(|line| fault.iter().all(|part| line.contains(part)));
    assert!(found, "no line has {fault:?}:\n{}", audit.stdout);
}

#[test]
fn a_database_that_was_tampered_with() {
    let installation = in_order("tampered");
    let tampered = |statement: &str, fault: &[&str]| {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let copy = format!("{}-{}", installation.database, COPIES.fetch_add(1, Ordering::Relaxed));
        installation.server().execute(&format!("create database \"{copy}\" template \"{}\"", installation.database));
        let copy = installation.with_database(&copy);
        assert_eq!(copy.database().change(statement, &[]), 1, "{statement}");
        assert_audit_finds(&copy, fault);
    };
    let holder =
        "customer_id = (select customer_id from customer join account using (customer_id) where available > 0 limit 1)";
    let entry = "(customer_id, unit_id, seq) = (select customer_id, unit_id, seq from entry where kind = 1 limit 1)";
    // Another bit in one of the packed numbers of the first account and the first lot.
    let flipped = |column: &str, number: usize| {
        let last_byte = number * 8 + 7;
        let byte = format!("get_byte({column}, {last_byte}) # 1");
        format!("update customer set {column} = set_byte({column}, {last_byte}, {byte}) where {holder}")
    };
    let (available, remaining, last_entry) = (flipped("accounts", 3), flipped("lots", 4), flipped("accounts", 1));
    tampered(&available, &["lots"]);
    tampered(&remaining, &["lots"]);
    tampered(&last_entry, &["last entry"]);
    tampered(
        "update customer set phone_key = gen_random_uuid() where customer_id = (select customer_id from customer limit 1)",
        &["is not its identifier's"],
    );
    tampered(
        "update earned_order set order_key = gen_random_uuid() where order_key = (select order_key from earned_order limit 1)",
        &["no row reserves"],
    );
    tampered(&format!("update entry set amount = amount + 1 where {entry}"), &["amount"]);
    tampered(&format!("delete from entry where {entry}"), &["entr"]);
    tampered(
        "delete from decision where key_hash = (select key_hash from decision where effect = 4 limit 1)",
        &["the ledger has no decision"],
    );
    tampered(
        "update customer set first_name = 'Eve' where customer_id = (select min(customer_id::text)::uuid from customer)",
        &["first_name"],
    );
    tampered("update lane set batch = batch - 1 where lane = 0", &["is published, only"]);
}

#[test]
fn results_that_were_dropped_doubled_or_swapped() {
    let installation = in_order("results");
    let honest = Published::of(&installation, &["results"]).all();
    // What has waited may stand behind others.
    let in_turn = |record: &Record| record.partition == 0 && record.json["parked_at"].is_null();
    let lane_0: Vec<usize> = (0..honest.len()).filter(|index| in_turn(&honest[*index])).collect();
    let (one, other) = (lane_0[lane_0.len() / 3], lane_0[lane_0.len() / 2]);
    let place = |record: &Record| {
        let command = record.answers(&installation.prefix).expect("a command");
        format!("{}/{}/{}", command.topic, command.partition, command.offset)
    };

    // Written anew as they were, they are still right: what follows is seen for what it is.
    write_anew(&installation, "results", &honest);
    installation.assert_audit_holds();

    let mut dropped = honest.clone();
    let gone = dropped.remove(one);
    write_anew(&installation, "results", &dropped);
    assert_audit_finds(&installation, &[&place(&gone), "neither a result nor a dead letter"]);

    let mut doubled = honest.clone();
    doubled.insert(other, honest[one].clone());
    write_anew(&installation, "results", &doubled);
    assert_audit_finds(&installation, &[&place(&honest[one]), "answered twice"]);

    let mut swapped = honest.clone();
    swapped.swap(one, other);
    write_anew(&installation, "results", &swapped);
    assert_audit_finds(&installation, &["stands behind"]);
}

#[test]
fn an_event_and_a_state_that_were_dropped() {
    let installation = in_order("events");
    let honest = Published::of(&installation, &["events"]).all();
    let created = |record: &Record| record.json["type"] == "customer.created";
    let one = honest.iter().position(created).expect("somebody was created");
    let customer = honest[one].json["customer_id"].as_str().expect("a customer").to_owned();
    let mut dropped = honest.clone();
    dropped.remove(one);
    write_anew(&installation, "events", &dropped);
    assert_audit_finds(&installation, &[&customer, "version"]);
    write_anew(&installation, "events", &honest);
    installation.assert_audit_holds();

    let states = Published::of(&installation, &["customers"]).all();
    let kept: Vec<Record> = states.into_iter().filter(|state| state.json["customer_id"] != *customer).collect();
    write_anew(&installation, "customers", &kept);
    assert_audit_finds(&installation, &[&customer, "state"]);
}

/// An instant, in whole milliseconds as brokers have them, when all that has been done is over and nothing else has begun.
fn now_and_not_before() -> String {
    let millis = now_micros() / 1000 + 1;
    eventually("the next millisecond", || (now_micros() / 1000 > millis).then_some(()));
    jiff::Timestamp::from_millisecond(millis).expect("an instant").to_string()
}

/// The audit of what was published since then holds; what it examined of results.
fn assert_holds_since(installation: &Installation, since: &str) -> u64 {
    let told = installation.must(&["audit", "--expect-idle", "--since", since]);
    assert!(told.contains("\nnot  ") && told.contains(" of what was published since "), "{told}");
    let line = told.lines().find(|line| line.contains("every result says")).expect("a line");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn an_audit_since_an_instant_holds_wherever_the_instant_lies() {
    let installation = Installation::new("since-anywhere");
    let worker = installation.worker();
    let mut traffic = Traffic::start(&installation, 1_500, 30);
    let mut instants = vec![now_and_not_before()];
    for part in 1..4 {
        traffic.await_answered(traffic.expected() * part / 4);
        instants.push(now_and_not_before());
    }
    traffic.await_all();
    instants.push(now_and_not_before());
    worker.finish();
    let examined: Vec<u64> = instants.iter().map(|since| assert_holds_since(&installation, since)).collect();
    assert!(examined.is_sorted_by(|one, other| one >= other), "{examined:?}");
    assert!(examined[0] > 0 && examined[4] == 0, "{examined:?}");
    assert_holds_since(&installation, "24h");
}

#[test]
fn an_audit_since_an_instant_sees_what_was_broken_since() {
    let installation = Installation::new("since");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    shop.ask("credit", &shop.credit("order-1", "ada", 70));
    let since = now_and_not_before();
    shop.open("bob");
    shop.ask("credit", &shop.credit("order-2", "bob", 80));
    // A duplicate of a command of before, and a customer of before who is only refused something.
    shop.ask("credit", &shop.credit("order-1", "ada", 70));
    shop.ask("redeem", &shop.redeem("order-3", "ada", 1_000));
    worker.finish();
    installation.assert_audit_holds();
    assert_eq!(assert_holds_since(&installation, &since), 5);
    let finds = |fault: &[&str]| assert_finds(&installation, &["audit", "--expect-idle", "--since", &since], fault);

    // Their rows: damaged, seen or not seen, and mended.
    let database = installation.database();
    let of = |who: &str| format!("customer_id = (select customer_id from customer where external_id = '{who}')");
    let change = |statement: String| assert_eq!(database.change(&statement, &[]), 1, "{statement}");
    change(format!("update entry set amount = amount + 1 where {}", of("bob")));
    finds(&["amount", "is not the ledger's"]);
    change(format!("update entry set amount = amount - 1 where {}", of("bob")));
    change(format!("update customer set first_name = 'Eve' where {}", of("bob")));
    finds(&["first_name"]);
    change(format!("update customer set first_name = 'Ada' where {}", of("bob")));
    // Nobody has asked for this decision since.
    change(format!("update decision set effect = 2 where effect = 1 and {}", of("ada")));
    assert_holds_since(&installation, &since);
    assert_audit_finds(&installation, &["it says created, the ledger updated"]);
    change(format!("update decision set effect = 1 where effect = 2 and {}", of("ada")));

    // Their records: written anew they are all of now, and told from those of before by the commands that they answer.
    let honest = Published::of(&installation, &["results"]).all();
    let of_key = |key: &str| honest.iter().position(|record| record.json["idempotency_key"] == key).expect("a result");
    let without = |gone: usize| {
        let mut records = honest.clone();
        records.remove(gone);
        write_anew(&installation, "results", &records);
    };
    without(of_key("order-1"));
    assert_holds_since(&installation, &since);
    assert_audit_finds(&installation, &["neither a result nor a dead letter"]);
    without(of_key("order-2"));
    finds(&["neither a result nor a dead letter"]);
    write_anew(&installation, "results", &[&honest[..], &honest[of_key("order-1")..][..1]].concat());
    finds(&["was answered before, and since by results/0/"]);
    write_anew(&installation, "results", &honest);
    assert_holds_since(&installation, &since);
    let events = Published::of(&installation, &["events"]).all();
    let of_bob = events.iter().rposition(|event| event.json["type"] == "customer.created").expect("bob was created");
    let kept = [&events[..of_bob], &events[of_bob + 1..]].concat();
    write_anew(&installation, "events", &kept);
    finds(&["expected was event 0 of version 1"]);
}

/// Deletes an outgoing topic and fills it again. Nothing remembers the ids of outgoing topics, only of those that commands come in on.
fn write_anew(installation: &Installation, topic: &str, records: &[Record]) {
    installation.topics().delete(topic);
    installation.must(&["topics", "create", "--lanes", &LANES.to_string()]);
    let topics = installation.topics();
    for record in records {
        topics.write(
            topic,
            ByHand {
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.raw_headers,
                partition: Some(record.partition),
            },
        );
    }
}
