//! The database is lost, or restored from a backup, and comes back from journal and topics alone.

use serde_json::Value;

use crate::breakdowns::{register_credit_with, send_credit_with_more};
use crate::support::commands::Shop;
use crate::support::proxy::Proxy;
use crate::support::{Installation, LANES, Traffic, eventually};

#[test]
fn an_empty_database_becomes_the_one_that_was_lost() {
    let installation = Installation::new("recover");
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 3_000, 30);
    traffic.await_flow();
    worker.kill();
    // By now it has a backlog, of which it takes a little at a time.
    let small = [("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "50"), ("LOYALTY_FAIL_POINT", "after-send-offsets:9")];
    installation.worker_with(&small).await_end();
    assert!(traffic.answered() < traffic.expected(), "it died after the load and not under it");
    let worker = installation.worker();
    traffic.await_all();
    worker.finish();
    traffic.assert_as_predicted(&installation);
    let lost = installation.database().digests();

    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), lost);

    goes_on(&restored);
}

/// The same installation on an empty database, when `recover` has done its work.
pub fn from_nothing(installation: &Installation) -> Installation {
    let restored = on_an_empty_database(installation, "anew");
    let said = restored.must(&["recover"]);
    assert!(said.contains(&format!("{LANES} lanes are up to date")), "{said}");
    restored
}

fn on_an_empty_database(installation: &Installation, name: &str) -> Installation {
    let name = format!("{}-{name}", installation.database);
    installation.server().execute(&format!("create database \"{name}\""));
    let restored = installation.with_database(&name);
    restored.must(&["migrate"]);
    restored.must(&["topics", "create", "--lanes", &LANES.to_string()]);
    restored
}

/// The registry did not have it when the record came, and has it when the database is brought back: the record stays a dead letter.
#[test]
fn a_schema_that_was_registered_later_changes_nothing() {
    let installation = Installation::new("recover-schema");
    let id = register_credit_with(&installation, "note");
    let registry = Proxy::before(&installation.stack.registry_url);
    registry.hide(&format!("/schemas/ids/{id} "));
    let worker = installation.worker_with(&[("LOYALTY_REGISTRY__URL", &*registry.url)]);
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    for key in ["first", "second"] {
        let position = send_credit_with_more(&shop, id, key);
        let letter = shop.answers.await_answer(&position);
        assert!(letter.is_dead_letter(), "{letter:?}");
        assert_eq!(letter.headers["__connect.errors.class.name"], "unknown_schema");
        let credit = shop.credit(&format!("after-the-{key}"), "ada", 5);
        assert_eq!(shop.ask("credit", &credit)["status"], "accepted");
    }
    worker.finish();
    let lost = installation.database().digests();

    // Also where a record that was a dead letter is more than the rules can do.
    let other = on_an_empty_database(&installation, "other");
    let done = other.call_with(&["recover"], &[("LOYALTY_POISON_KEY", "first")]);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(other.database().digests(), lost);

    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), lost);
    goes_on(&restored);
}

#[test]
fn a_restored_backup_rolls_forward() {
    let installation = Installation::new("backup");
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 3_000, 30);
    traffic.await_answered(traffic.expected() / 4);
    worker.finish();
    let backup = format!("{}-backup", installation.database);
    installation.server().execute(&format!("create database \"{backup}\" template \"{}\"", installation.database));
    let worker = installation.worker();
    traffic.await_all();
    worker.finish();
    let lost = installation.database().digests();

    let restored = installation.with_database(&backup);
    assert_ne!(restored.database().digests(), lost);
    let worker = restored.worker();
    for lane in 0..LANES {
        let reason = worker.await_halt(lane);
        assert!(reason.contains("Postgres lost data"), "{reason}");
    }
    let halted = |part: &str| {
        let lanes: Vec<Value> = serde_json::from_str(&restored.must(&["lanes", "--json"])).expect("JSON");
        lanes.iter().all(|lane| lane["halted"].as_str().unwrap_or_default().contains(part))
    };
    eventually("the operator sees why", || halted("Postgres lost data").then_some(()));
    worker.stop();

    // A group that nobody has used for a week loses its offsets. The journal still says what is published.
    restored.topics().forget_group(&restored.name);
    let worker = restored.worker();
    for lane in 0..LANES {
        let reason = worker.await_halt(lane);
        assert!(reason.contains("Postgres lost data"), "{reason}");
    }
    worker.stop();

    recover_while_a_worker_looks(&restored);
    assert_eq!(restored.database().digests(), lost);
    assert!(!halted("Postgres"));
    traffic.assert_as_predicted(&restored);
    let epochs = || restored.database().one::<i64>("select sum(epoch)::bigint from lane");
    let before = epochs();
    let again = restored.must(&["recover"]);
    assert!(again.contains("0 commands were applied again"), "{again}");
    assert_eq!(epochs(), before, "a lane that lacks nothing was taken from its owner");

    goes_on(&restored);
}

/// A worker that has a lane halted takes it over each time that it looks again: what is under way takes it back.
fn recover_while_a_worker_looks(installation: &Installation) {
    let (hand, lock) = (installation.database(), installation.database());
    let epoch = || hand.one::<i64>("select epoch from lane where lane = 0");
    let before = epoch();
    // Read once the lane is taken.
    lock.execute("begin; lock table skipped_record");
    std::thread::scope(|scope| {
        let recovers = scope.spawn(|| installation.must(&["recover"]));
        eventually("the lane is taken", || (epoch() > before).then_some(()));
        hand.execute("update lane set epoch = epoch + 1 where lane = 0");
        lock.execute("commit");
        let said = recovers.join().expect("recovered");
        assert!(said.contains(&format!("{LANES} lanes are up to date")), "{said}");
    });
    assert!(epoch() > before + 2, "it was taken, lost and taken again");
}

/// A worker takes up where the lost database stood, and the whole is still in order.
fn goes_on(installation: &Installation) {
    let worker = installation.worker();
    for lane in 0..LANES {
        Shop::of_lane(installation, lane).open("somebody-new");
    }
    worker.finish();
    installation.assert_audit_holds();
}
