//! Workers that can't do a lane's work: of another installation, without rights, or with the name of another. None of them may keep a lane
//! from a worker that can.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::commands::Shop;
use crate::support::database::Database;
use crate::support::{Installation, LANES, Worker, eventually};

/// A worker that has both lanes, and a shop with a customer in each.
fn serving(installation: &Installation, settings: &[(&str, &str)]) -> (Worker, [Shop; LANES as usize]) {
    let worker = installation.worker_with(settings);
    worker.await_all_lanes();
    let shops = [0, 1].map(|lane| {
        let mut shop = Shop::of_lane(installation, lane);
        shop.open("ada");
        shop
    });
    (worker, shops)
}

/// A session of another client that holds the lane's row until it rolls back.
fn lock_of_lane_0(installation: &Installation) -> Database {
    let session = installation.database();
    session.execute("begin; select from lane where lane = 0 for update");
    session
}

fn assert_serves(shop: &mut Shop, key: &str) {
    let credit = shop.credit(key, "ada", 5);
    assert_eq!(shop.ask("credit", &credit)["status"], "accepted");
}

/// Ends with a refusal that says this, and returns its log.
fn assert_ends(mut worker: Worker, parts: &[&str]) -> String {
    let status = worker.await_end();
    let log = worker.log().concat();
    assert_eq!(status.code(), Some(1), "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
    log
}

#[test]
fn a_second_installation_on_the_same_database_touches_nothing() {
    let installation = Installation::new("second-installation");
    let (worker, [mut shop, _]) = serving(&installation, &[]);
    let database = installation.database();
    let epochs = "select string_agg(epoch::text, ',' order by lane) from lane";
    let before: String = database.one(epochs);

    let stranger = [("LOYALTY_KAFKA__GROUP", "another-installation")];
    let said = [installation.name.as_str(), "another-installation", "kafka.group"];
    assert_ends(installation.worker_with(&stranger), &said);
    assert_eq!(database.one::<String>(epochs), before, "a stranger has taken a lane");
    let halted: i64 = database.one("select count(*) from lane where halted is not null");
    assert_eq!(halted, 0, "a stranger has written to a lane's row");
    assert_serves(&mut shop, "goes-on");
    assert_eq!(worker.logged("lane recovers"), 0);
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn an_owner_is_told_who_took_its_lane() {
    let installation = Installation::new("taken");
    let (worker, [mut shop, _]) = serving(&installation, &[]);
    installation
        .database()
        .execute("update lane set epoch = epoch + 1, owner = 'somebody on host there' where lane = 0");
    let credit = shop.credit("waits-for-it", "ada", 5);
    let sent = shop.send("credit", &credit);
    let line = worker.await_log("it was taken by somebody on host there", 1);
    assert!(line.contains("lane 0 is at epoch"), "{line}");
    assert_eq!(shop.answers.await_answer(&sent).json["status"], "accepted");
    let owner: String = installation.database().one("select owner from lane where lane = 0");
    assert!(owner.contains(&format!("of group {} on host ", installation.name)), "{owner}");
    worker.finish();
}

/// A role of the server, which goes with the test.
struct Role<'a> {
    installation: &'a Installation,
    name: String,
}

impl<'a> Role<'a> {
    fn new(installation: &'a Installation, purpose: &str) -> Role<'a> {
        let name = format!("{}-{purpose}", installation.name);
        installation.server().execute(&format!("create role \"{name}\" login"));
        Role { installation, name }
    }

    fn url(&self) -> String {
        let url = self.installation.stack.database_url(&self.installation.database);
        let (_, rest) = url.split_once('@').unwrap_or_else(|| panic!("no user in {url}"));
        format!("postgres://{}@{rest}", self.name)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        self.installation.database().execute(&format!("drop owned by \"{name}\""));
        self.installation.server().execute(&format!("drop owned by \"{name}\"; drop role \"{name}\""));
    }
}

#[test]
fn a_worker_without_rights_does_not_start() {
    let installation = Installation::new("no-rights");
    let reader = Role::new(&installation, "reader");
    installation.must(&["migrate", "--grant-read-to", &reader.name]);
    let url = reader.url();
    let worker = installation.worker_with(&[("LOYALTY_POSTGRES__URL", &url)]);
    let said = [
        format!("the role {} of postgres.url lacks rights", reader.name),
        "update on lane (epoch)".to_owned(),
        format!("loyalty-worker migrate --grant-to {}", reader.name),
    ];
    assert_ends(worker, &said.each_ref().map(String::as_str));
}

/// As after a rollout of a version, or of rights, that can't do the work: the other worker gets all lanes.
#[test]
fn a_worker_that_loses_its_rights_gives_its_lanes_to_one_that_has_them() {
    let installation = Installation::new("lost-rights");
    let role = Role::new(&installation, "worker");
    installation.must(&["migrate", "--grant-to", &role.name]);
    let healthy = installation.worker();
    let url = role.url();
    let unfit = installation.worker_with(&[("LOYALTY_POSTGRES__URL", &url)]);
    eventually("each has a lane", || (healthy.held() == 1 && unfit.held() == 1).then_some(()));
    let mut shops: Vec<Shop> = (0..LANES).map(|lane| Shop::of_lane(&installation, lane)).collect();
    shops.iter_mut().for_each(|shop| shop.open("ada"));

    installation.database().execute(&format!("revoke insert on outbox from \"{}\"", role.name));
    let waiting: Vec<_> = shops.iter().map(|shop| shop.send("credit", &shop.credit("waits", "ada", 5))).collect();
    assert_ends(unfit, &["permission denied for table outbox"]);
    healthy.await_all_lanes();
    for (shop, position) in shops.iter_mut().zip(&waiting) {
        assert_eq!(shop.answers.await_answer(position).json["status"], "accepted");
    }
    assert_eq!(healthy.ready().0, 200);
    // Started again it is refused before it can take a lane.
    let again = installation.worker_with(&[("LOYALTY_POSTGRES__URL", &url)]);
    let said = assert_ends(again, &["lacks rights that a worker needs: insert on outbox"]);
    assert!(!said.contains("lanes assigned"), "{said}");
    healthy.finish();
    installation.assert_audit_holds();
}

/// Longer than all else that a handover takes.
const LONG_SESSION: (&str, &str) = ("LOYALTY_KAFKA__PROPERTIES__SESSION__TIMEOUT__MS", "60000");
const SESSION: Duration = Duration::from_secs(60);

#[test]
fn a_worker_that_crashed_takes_its_lanes_again_without_waiting_for_a_session() {
    let installation = Installation::new("same-name");
    let named = [LONG_SESSION, ("LOYALTY_KAFKA__INSTANCE_ID", "pod-0")];
    let (worker, [mut shop, _]) = serving(&installation, &named);
    worker.kill();
    let killed = Instant::now();
    let again = installation.worker_with(&named);
    assert_serves(&mut shop, "after-the-crash");
    assert!(killed.elapsed() < SESSION, "it has waited for the session's end");
    again.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_worker_that_stops_leaves_its_lanes_at_once() {
    let installation = Installation::new("leaves");
    let first = installation.worker_with(&[LONG_SESSION]);
    let second = installation.worker_with(&[LONG_SESSION]);
    eventually("each has a lane", || (first.held() == 1 && second.held() == 1).then_some(()));
    first.stop();
    let stopped = Instant::now();
    second.await_all_lanes();
    assert!(stopped.elapsed() < SESSION, "the lanes have waited for the session's end");
    second.finish();
}

#[test]
fn of_two_workers_of_one_name_one_ends_and_says_why() {
    let installation = Installation::new("one-name");
    let named = [("LOYALTY_KAFKA__INSTANCE_ID", "pod-0")];
    let older = installation.worker_with(&named);
    older.await_all_lanes();
    let younger = installation.worker_with(&named);
    // They fence each other in turn, until one has had enough.
    let said = ["another worker joins the group under the name of this one", "kafka.instance_id"];
    let (ended, other) = eventually_ends(older, younger);
    assert_ends(ended, &said);
    other.await_all_lanes();
    other.finish();
}

/// Whichever of the two ends first, and the other.
fn eventually_ends(one: Worker, other: Worker) -> (Worker, Worker) {
    eventually("one of them ends", || (one.has_ended() || other.has_ended()).then_some(()));
    if one.has_ended() { (one, other) } else { (other, one) }
}

#[test]
fn a_lane_that_waits_for_a_lock_is_seen_and_holds_up_no_other() {
    let installation = Installation::new("locked");
    let (worker, [mut locked, mut other]) = serving(&installation, &[]);
    let stranger = lock_of_lane_0(&installation);
    let pid: i32 = stranger.one("select pg_backend_pid()");
    let waits = locked.send("credit", &locked.credit("waits", "ada", 5));
    worker.await_lane_state(0, "stalled");
    let (status, body) = worker.ready();
    assert_eq!((status, &body["stalled"]["0"]), (200, &json!("a batch in Postgres")), "{body}");
    let line = worker.await_log("the lane stands still", 1);
    assert!(line.contains(&format!("pid {pid}, user postgres")), "{line}");
    assert_eq!(worker.metric(r#"loyalty_lane_state{lane="0",state="stalled"}"#), 1.0);
    eventually("its age and its step show", || {
        let age = worker.metric(r#"loyalty_lane_lag_age_seconds{lane="0"}"#);
        let step = worker.metric(r#"loyalty_lane_step_seconds{lane="0"}"#);
        (age > 5.0 && step > 5.0).then_some(())
    });
    assert_serves(&mut other, "next-to-it");
    // Its time-out makes it recover, which waits for the same row.
    worker.await_log("lane recovers", 1);
    worker.await_lane_state(0, "recovering");
    stranger.execute("rollback");
    assert_eq!(locked.answers.await_answer(&waits).json["status"], "accepted");
    worker.await_all_lanes();
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_worker_that_is_to_stop_while_one_lane_hangs_leaves_the_others_at_once() {
    let installation = Installation::new("hung-stop");
    let patience = [LONG_SESSION, ("LOYALTY_WORKER__SHUTDOWN_TIMEOUT_MS", "15000")];
    let (worker, [mut locked, mut other]) = serving(&installation, &patience);
    let stranger = lock_of_lane_0(&installation);
    let waits = locked.send("credit", &locked.credit("waits", "ada", 5));
    worker.await_lane_state(0, "stalled");
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    let successor = installation.worker_with(&patience);
    assert_serves(&mut other, "from-the-successor");
    assert_eq!(successor.logged("worker starts"), 1);
    worker.stopped();
    stranger.execute("rollback");
    assert_eq!(locked.answers.await_answer(&waits).json["status"], "accepted");
    successor.finish();
    installation.assert_audit_holds();
}
