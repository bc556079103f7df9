//! Lanes that go from one worker to another while load is flowing.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Installation, LANES, Traffic, eventually};

#[test]
fn a_second_worker_joins_and_the_first_leaves() {
    let installation = Installation::new("rebalance");
    let first = installation.worker();
    first.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 4_000, 40);
    traffic.await_flow();

    let second = installation.worker();
    eventually("the lanes are spread over both", || (first.held() == 1 && second.held() == 1).then_some(()));
    traffic.await_answered(traffic.expected() / 2);
    first.stop();
    second.await_all_lanes();

    traffic.ends_as_predicted(&installation, second);
}

#[test]
fn a_worker_that_was_frozen_finds_its_lanes_taken_and_does_no_harm() {
    let installation = Installation::new("frozen");
    let frozen = installation.worker();
    frozen.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 4_000, 40);
    traffic.await_flow();

    // In the middle of whatever it does. Its session ends while it is frozen.
    frozen.signal(Signal::SIGSTOP);
    let successor = installation.worker();
    successor.await_all_lanes();
    frozen.signal(Signal::SIGCONT);
    frozen.await_log("lanes assigned", 2);
    eventually("both share the lanes again", || (frozen.held() + successor.held() == LANES as usize).then_some(()));

    traffic.await_all();
    frozen.stop();
    successor.finish();
    traffic.assert_as_predicted(&installation);
    installation.assert_audit_holds();
}

/// Both lanes lose their producers in the middle of the load; while they wait to recover, the worker is told to stop.
#[test]
fn a_worker_that_stops_while_its_lanes_recover_publishes_what_is_applied() {
    let installation = Installation::new("stopped-recovering");
    let worker = installation.worker();
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 4_000, 40);
    traffic.await_flow();
    for lane in 0..LANES {
        installation.topics().fence(&installation.name, lane);
    }
    worker.await_log("lane recovers", LANES as usize);
    let before = installation.database().one::<i64>("select count(*) from outbox");
    // The lanes pause after a fence, and then come in order first.
    worker.stop_within(Duration::from_secs(20));
    assert_eq!(installation.database().one::<i64>("select count(*) from outbox"), 0, "{before} waited");

    let successor = installation.worker();
    traffic.ends_as_predicted(&installation, successor);
}
