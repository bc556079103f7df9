//! What is printed at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::model::Prediction;
use crate::load::track::{Seen, percentile};
use crate::run::Ran;
use crate::support::installation::Installation;
use crate::support::thousands;

pub fn title(text: &str) {
    println!("\n{text}\n{}", "-".repeat(text.chars().count()));
}

/// Every outcome as predicted and as it came.
pub fn outcomes(predicted: &Prediction, seen: &Seen, failures: &mut Vec<String>) {
    title("What became of the commands");
    println!("{:<26} {:<28} {:>11} {:>11}", "command", "outcome", "predicted", "came");
    let mut differ = 0;
    let mut line = |kind: &str, verdict: &str, predicted: u64, came: u64| {
        let mark = if predicted == came { "" } else { "  <- differs" };
        differ += u64::from(predicted != came);
        println!("{kind:<26} {verdict:<28} {:>11} {:>11}{mark}", thousands(predicted), thousands(came));
    };
    let all: BTreeSet<_> = predicted.outcomes.keys().chain(seen.outcomes.keys()).collect();
    for outcome in all {
        let verdict = if outcome.duplicate { format!("{} (again)", outcome.verdict) } else { outcome.verdict.clone() };
        line(&outcome.kind, &verdict, count(&predicted.outcomes, outcome), count(&seen.outcomes, outcome));
    }
    let came: BTreeMap<&str, u64> = seen.dead_letters.iter().map(|(class, count)| (class.as_str(), *count)).collect();
    let classes: BTreeSet<&str> = predicted.dead_letters.keys().chain(came.keys()).copied().collect();
    for class in classes {
        line("dead letter", class, count(&predicted.dead_letters, &class), count(&came, &class));
    }
    line("lots expired", "events", predicted.expiries, seen.expiries);
    line("all", "answers", predicted.answers(), seen.answered);
    if differ > 0 {
        failures.push(format!("{differ} of the counts differ from what the generator predicted"));
    }
}

fn count<K: Ord>(counts: &BTreeMap<K, u64>, key: &K) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

pub fn speed(ran: &Ran) {
    title("How fast, and what the kills cost");
    let seen = ran.tracker.lock();
    let seconds = |micros: i64| micros as f64 / 1e6;
    let millis = |micros: i64| micros as f64 / 1e3;
    let sending = seconds(ran.sent_all - ran.began);
    println!(
        "sent          {} records in {sending:.1} s, {}/s",
        thousands(seen.sent),
        thousands((seen.sent as f64 / sending) as u64)
    );
    println!(
        "last answer   {:.1} s after the last record was sent",
        seconds((seen.last_arrival - ran.sent_all).max(0))
    );
    let first_kill = ran.kills.first().map_or(i64::MAX, |kill| kill.at);
    // A worker that has just started has no lane yet; a command that is in hand at the kill waits for the next worker.
    let calm = seen.latencies_sent_between(ran.began + 2_500_000, first_kill - 1_500_000);
    let all = seen.latencies();
    println!("latency       from sending to the result in the reader's hand");
    println!(
        "  undisturbed   p50 {:.0} ms, p99 {:.0} ms",
        millis(percentile(&calm, 50)),
        millis(percentile(&calm, 99))
    );
    println!("  with kills    p50 {:.0} ms, p99 {:.0} ms", millis(percentile(&all, 50)), millis(percentile(&all, 99)));
    println!("  without       {} commands that waited for their customer", thousands(seen.waited));
    for (number, kill) in (1..).zip(&ran.kills) {
        match kill.flowing_after {
            Some(after) => println!(
                "kill {number}        {} undecided at the time; no result for {:.1} s, nothing lost, nothing twice",
                thousands(kill.undecided),
                after.as_secs_f64()
            ),
            None => println!("kill {number}        no result came after it"),
        }
    }
}

pub fn where_next(installation: &Installation) {
    title("Where to look next");
    let stack = installation.stack.dir.display();
    let (settings, worker) = (installation.settings.display(), installation.worker.display());
    println!("make up                                  a stack and a worker that stay, to play with");
    println!("less {stack}/worker-1.log");
    println!("deploy/local/stack up {stack}    this stack once more, with all that is in it; then for example:");
    println!("  {worker} --config {settings} customer bakery-lindt external_id:c-000001");
    println!("  {worker} --config {settings} tail --help");
    println!("README.md, then ARCHITECTURE.md");
}
