//! Random faults under load, by seed: workers, Postgres, brokers and the registry are killed, frozen, stopped and cut off, one or two at once.
//! What is asked is asked from outside only: one answer per command, in order, with the content that was sent; balances that add up; gapless
//! versions; an audit that holds. And liveness: after a fault every lane gives results again within its time, and a lane that stands still
//! while it has work is seen in a metric that an alert uses.
//!
//! `TORTURE_SECONDS` says how long (a few minutes without it), `TORTURE_SEED` which faults. The table at the end is printed, and kept under
//! `target/torture`.

mod faults;
mod load;
mod scene;
mod sight;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use faults::Fault;
use load::Load;
use scene::Scene;
use sight::Sight;

use crate::load::rng::Rng;
use crate::support::stack::{OwnStack, root};

/// After a fault every lane gives results within this; after a broker was killed its leaders must be elected first.
const ALIVE_WITHIN: Duration = Duration::from_secs(30);
const ALIVE_AFTER_A_BROKER: Duration = Duration::from_secs(60);
/// Between two faults: so long the lanes work undisturbed.
const BREATH: Duration = Duration::from_secs(1);

#[test]
fn one_broker_under_random_faults() {
    torture(&OwnStack::up("torture"), "torture", false, 1);
}

#[test]
fn three_brokers_under_random_faults() {
    torture(&OwnStack::up_cluster("torture-3"), "torture-3", true, 2);
}

/// What the faults of one kind did.
#[derive(Default)]
struct Tally {
    gaps: Vec<Duration>,
    violations: usize,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn torture(stack: &OwnStack, name: &str, is_cluster: bool, seed: u64) {
    let seed = setting("TORTURE_SEED", seed);
    let budget = Duration::from_secs(setting("TORTURE_SECONDS", 100));
    let mut rng = Rng::new(seed);
    let mut scene = Scene::set(stack, name, is_cluster, &mut rng);
    println!("{name}: seed {seed}, {} lanes, {} workers, for {budget:?}", scene.lanes(), scene.workers());
    let load = Load::start(scene.installation());
    let sight = Sight::open(scene.lanes());
    load.await_all_lanes_since(Instant::now(), ALIVE_AFTER_A_BROKER).expect("the lanes work before the first fault");
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut violations: Vec<String> = Vec::new();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < budget {
        // A broker that dies comes first, whatever the seed: for clients that did not look for new leaders it lasted five minutes.
        let faults = match count {
            0 if is_cluster => vec![Fault::a_broker_killed()],
            _ => Fault::pick(&mut rng, is_cluster),
        };
        let named = faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" + ");
        let began = Instant::now();
        faults.iter().for_each(|fault| fault.begin(&mut scene));
        let held = Duration::from_millis(faults.iter().map(|fault| fault.holds_ms(&mut rng)).max().unwrap_or(0));
        sight.watch(&scene, &load, held);
        faults.iter().rev().for_each(|fault| fault.end(&mut scene));
        let ended = Instant::now();
        let patience = if faults.iter().any(Fault::takes_a_broker) { ALIVE_AFTER_A_BROKER } else { ALIVE_WITHIN };
        let alive = load.while_waiting_for_all_lanes(ended, patience, || sight.look(&scene, &load));
        let mut found = sight.take_violations();
        if let Err(dead) = alive {
            found.push(format!("{dead} gave no result within {patience:?}"));
            // They must come all the same before the next fault, or everything that follows would be found wrong too.
            load.await_all_lanes_since(ended, Duration::from_secs(180)).expect("the lanes come back at all");
        }
        let tally = tallies.entry(named.clone()).or_default();
        tally.gaps.push(load.longest_gap_since(began));
        tally.violations += found.len();
        violations.extend(found.into_iter().map(|what| format!("fault {count} ({named}): {what}")));
        count += 1;
        sight.watch(&scene, &load, BREATH);
    }
    let sent = load.finish();
    violations.extend(sent.violations(scene.installation()));
    scene.stop();
    let audit = scene.installation().call(&["audit", "--expect-idle"]);
    if audit.code != Some(0) {
        violations.push(format!("the audit does not hold:\n{}{}", audit.stdout, audit.stderr));
    }
    violations.extend(sent.differences_of_balances(scene.installation()));
    let report = report(name, seed, count, &sent, &tallies);
    println!("{report}");
    let folder = root().join("target/torture");
    std::fs::create_dir_all(&folder).expect("a folder for the reports");
    std::fs::write(folder.join(format!("{name}-{seed}.md")), &report).expect("the report is written");
    assert!(
        violations.is_empty(),
        "TORTURE_SEED={seed} breaks what must hold ({} times):\n{}",
        violations.len(),
        violations.join("\n")
    );
}

fn report(name: &str, seed: u64, faults: usize, sent: &load::Sent, tallies: &BTreeMap<String, Tally>) -> String {
    let mut text = format!(
        "{name}, seed {seed}: {faults} faults under {} commands and {} hostile records\n\n| fault | times | violations | longest gap, \
         median s | max s |\n|---|---|---|---|---|\n",
        sent.commands(),
        sent.hostile()
    );
    for (fault, tally) in tallies {
        let mut gaps = tally.gaps.clone();
        gaps.sort_unstable();
        let seconds = |gap: Option<&Duration>| gap.map_or(0.0, Duration::as_secs_f64);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {fault} | {} | {} | {:.1} | {:.1} |",
            gaps.len(),
            tally.violations,
            seconds(gaps.get(gaps.len() / 2)),
            seconds(gaps.last())
        );
    }
    text
}
