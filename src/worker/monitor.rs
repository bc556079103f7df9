//! Once a second, apart from the lanes' own work: how far each lane is behind the brokers' ends, and what it waits for. So a lane that hangs
//! in Postgres, in Kafka or in the registry is visible from the first seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use super::Shared;
use super::session::elapsed_since;
use super::watch::{LaneView, LaneWatch, STALLED_AFTER, Wait};
use crate::domain::CommandTopic;
use crate::kafka::topics;
use crate::telemetry::metrics;

const INTERVAL: Duration = Duration::from_secs(1);
/// While the brokers do not answer for longer, what is known of the ends is unknown.
const ENDS_GOOD_FOR: Duration = Duration::from_secs(10);
/// How often the topics are checked as `topics check` does.
const TOPICS_INTERVAL: Duration = Duration::from_secs(60);

/// What is remembered of a lane from one look to the next.
struct Remembered {
    /// When the brokers last said where its topics end.
    ends_at: Clock,
    stalled: bool,
}

/// Runs until it is dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    tokio::join!(look_at_lanes(&shared), check_topics(&shared));
}

async fn look_at_lanes(shared: &Arc<Shared>) {
    let mut remembered: BTreeMap<i32, Remembered> = BTreeMap::new();
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let watches = shared.watches.all();
        remembered.retain(|lane, _| watches.iter().any(|watch| watch.lane == *lane));
        let ends = ends(shared, &watches).await;
        for (watch, ends) in watches.iter().zip(ends) {
            let lane =
                remembered.entry(watch.lane).or_insert_with(|| Remembered { ends_at: Clock::now(), stalled: false });
            shared.watches.while_owned(watch, || look_at(shared, watch, &ends, lane));
        }
    }
}

/// Where each lane's topics end. What no broker says is unknown.
async fn ends(shared: &Arc<Shared>, watches: &[Arc<LaneWatch>]) -> Vec<[Option<i64>; CommandTopic::COUNT]> {
    let unknown = || vec![[None; CommandTopic::COUNT]; watches.len()];
    if watches.is_empty() {
        return unknown();
    }
    let lanes: Vec<i32> = watches.iter().map(|watch| watch.lane).collect();
    let asked = shared.ends.clone();
    match tokio::task::spawn_blocking(move || asked.of_lanes(&lanes)).await {
        Ok(Ok(ends)) => ends,
        Ok(Err(_)) | Err(_) => unknown(),
    }
}

fn look_at(
    shared: &Arc<Shared>,
    watch: &LaneWatch,
    ends: &[Option<i64>; CommandTopic::COUNT],
    remembered: &mut Remembered,
) {
    let lane = watch.lane;
    if ends.iter().all(Option::is_some) {
        remembered.ends_at = Clock::now();
    }
    let unknown_for = remembered.ends_at.elapsed();
    let view = watch.view(ends);
    // One answer that is late changes nothing.
    let is_unknown = !view.is_placed || unknown_for > ENDS_GOOD_FOR;
    for topic in CommandTopic::ALL {
        let lag = view.lag[topic.index()];
        if lag.is_some() || is_unknown {
            metrics::lag_records(lane, topic, lag);
        }
    }
    metrics::ends_unknown_seconds(lane, if unknown_for < 2 * INTERVAL { Duration::ZERO } else { unknown_for });
    // What was fetched, or was seen to be there, has an age whatever else there may be.
    let age = age(&view);
    metrics::lag_age_seconds(lane, (!is_unknown || age > Duration::ZERO).then_some(age));
    metrics::unpublished_age_seconds(lane, view.unpublished_for.unwrap_or_default());
    metrics::step_seconds(lane, view.waits.map_or(Duration::ZERO, |(_, took)| took));
    // Without them the lane asks again and again, and each time waits for a moment only.
    let for_ends = (unknown_for > ENDS_GOOD_FOR).then_some((Wait::EndOffsets, unknown_for));
    let stalled = view.waits.filter(|(_, took)| *took > STALLED_AFTER).or(for_ends);
    if let Some((what, took)) = stalled.filter(|_| !remembered.stalled) {
        // Postgres may take long to answer, and the other lanes are looked at meanwhile.
        tokio::spawn(report_stall(Arc::clone(shared), lane, what, took, view.backend));
    }
    if stalled.is_none() && remembered.stalled {
        tracing::info!(lane, "the lane goes on");
    }
    remembered.stalled = stalled.is_some();
    shared.health.lane_stalled(lane, stalled.map(|(what, _)| what.name()));
}

async fn report_stall(shared: Arc<Shared>, lane: i32, what: Wait, took: Duration, backend: Option<i32>) {
    let blockers = match backend {
        Some(backend) if what.is_for_postgres() => blockers(&shared, lane, backend).await,
        Some(_) | None => Vec::new(),
    };
    tracing::warn!(lane, waits_for = what.name(), seconds = took.as_secs(), ?blockers, "the lane stands still");
}

/// The age of the oldest record that is not applied: by its timestamp where it was fetched, and else by when its end was first seen.
fn age(view: &LaneView) -> Duration {
    let by_timestamp = view.oldest.map_or(Duration::ZERO, elapsed_since);
    by_timestamp.max(view.behind_for)
}

/// The sessions of Postgres that hold what the lane's connection waits for. Their statements are not logged: they may hold personal data.
async fn blockers(shared: &Arc<Shared>, lane: i32, backend: i32) -> Vec<String> {
    let asked = async { shared.databases.of_lane(lane)?.blockers(backend).await };
    match tokio::time::timeout(Duration::from_secs(2), asked).await {
        Ok(Ok(blockers)) => blockers,
        Ok(Err(error)) => vec![format!("not known: {error}")],
        Err(_) => vec!["not known: Postgres does not answer".to_owned()],
    }
}

/// Topics may be changed while the worker runs: a partition that is added is no lane, so no worker would read it.
async fn check_topics(shared: &Arc<Shared>) {
    let (mut reported, mut is_known): (Vec<String>, bool) = (Vec::new(), true);
    loop {
        tokio::time::sleep(TOPICS_INTERVAL).await;
        match topics::check(&shared.settings.kafka, &shared.names).await {
            Ok((facts, problems)) => {
                let mut found: Vec<String> = problems.iter().map(ToString::to_string).collect();
                if facts.lanes != shared.facts.lanes && problems.is_empty() {
                    found.push(format!(
                        "the topics have {} partitions now, and had {} when this worker was started: what is sent to the new ones is not \
                         read before `loyalty-worker lanes resize` and a restart",
                        facts.lanes, shared.facts.lanes
                    ));
                }
                for problem in found.iter().filter(|problem| !reported.contains(problem)) {
                    tracing::error!(problem, "a topic is not as it must be");
                }
                metrics::topic_problems(Some(found.len()));
                is_known = true;
                reported = found;
            }
            Err(error) => {
                if std::mem::replace(&mut is_known, false) {
                    tracing::warn!(%error, "the topics can't be checked");
                }
                metrics::topic_problems(None);
            }
        }
    }
}
