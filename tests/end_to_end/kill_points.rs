//! The worker is killed at each of its fail points while load is flowing, starts again, and nothing is lost or done twice.

use std::os::unix::process::ExitStatusExt;

use loyalty_worker::fail_point;
use nix::sys::signal::Signal;

use crate::support::{Installation, Traffic};

/// One test for each point, so that they run side by side.
macro_rules! kill_points {
    ($($test:ident at $point:literal,)*) => {
        $(
            #[test]
            fn $test() {
                dies_at($point);
            }
        )*

        #[test]
        fn every_fail_point_has_its_test() {
            assert_eq!([$($point),*], fail_point::ALL);
        }
    };
}

kill_points! {
    killed_after_poll at "after-poll",
    killed_after_begin at "after-begin",
    killed_after_lane_lock at "after-lane-lock",
    killed_before_commit at "before-commit",
    killed_after_commit at "after-commit",
    killed_after_begin_transaction at "after-begin-transaction",
    killed_with_half_the_records_produced at "half-produced",
    killed_after_send_offsets at "after-send-offsets",
    killed_after_commit_transaction at "after-commit-transaction",
    killed_before_outbox_delete at "before-outbox-delete",
}

/// The first batch of all: nothing has ever been published, and what was applied waits in the outbox.
#[test]
fn killed_before_the_first_publication() {
    let installation = Installation::new("first");
    let mut worker = installation.worker_with(&[("LOYALTY_FAIL_POINT", "after-commit")]);
    let mut traffic = Traffic::start(&installation, 600, 10);
    assert_eq!(worker.await_end().signal(), Some(Signal::SIGKILL as i32));
    let waiting = installation.database().rows("select lane from outbox where batch = 1");
    assert!(!waiting.is_empty(), "a lane's first batch is applied and not published");

    let worker = installation.worker();
    traffic.ends_as_predicted(&installation, worker);
}

/// Batches before the one that is hit, so that there is something before it and something after it.
const PASSAGES: u32 = 15;

fn dies_at(point: &str) {
    let installation = Installation::new(point);
    let mut worker = installation.worker_with(&[("LOYALTY_FAIL_POINT", &format!("{point}:{PASSAGES}"))]);
    worker.await_all_lanes();
    let mut traffic = Traffic::start(&installation, 2_000, 20);

    let ended = worker.await_end();
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "{ended}");
    assert_eq!(
        worker.log().last().map(String::as_str),
        Some(&*format!("fail point {point} reached: killing the process"))
    );
    assert!(traffic.answered() < traffic.expected(), "it died after the load and not under it");

    let worker = installation.worker();
    traffic.ends_as_predicted(&installation, worker);
}
