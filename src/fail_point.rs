//! Named places where a test kills the worker. Only builds with the feature `fail-points` contain them.

/// Every place, in the order in which a batch passes them. Tests iterate over it. `lanes resize` has one of its own, `after-partitions`.
#[cfg(feature = "fail-points")]
pub const ALL: [&str; 10] = [
    "after-poll",
    "after-begin",
    "after-lane-lock",
    "before-commit",
    "after-commit",
    "after-begin-transaction",
    "half-produced",
    "after-send-offsets",
    "after-commit-transaction",
    "before-outbox-delete",
];

/// Kills the process here with SIGKILL when `LOYALTY_FAIL_POINT` is this name, or `name:n` at the n-th passage.
#[cfg(feature = "fail-points")]
pub fn reached(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSAGES: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let setting = std::env::var("LOYALTY_FAIL_POINT").ok()?;
        match setting.split_once(':') {
            Some((name, passage)) => Some((name.to_owned(), passage.parse().ok()?)),
            None => Some((setting, 1)),
        }
    });
    if let Some((point, passage)) = wanted
        && point == name
        && PASSAGES.fetch_add(1, Ordering::SeqCst) + 1 == *passage
    {
        eprintln!("fail point {name} reached: killing the process");
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn reached(_name: &str) {}

/// Panics when a command carries the idempotency key that `LOYALTY_POISON_KEY` names: a defect of the rules, for tests.
#[cfg(feature = "fail-points")]
pub fn poison(idempotency_key: &str) {
    if std::env::var("LOYALTY_POISON_KEY").is_ok_and(|key| key == idempotency_key) {
        panic!("poisoned by LOYALTY_POISON_KEY");
    }
}

#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn poison(_idempotency_key: &str) {}
