//! Every metric: declared once in [`METRICS`], recorded by one function each, which the shell calls (pure code returns facts).
//!
//! The recorders of the hot path are registered at the start, with every value that their labels can have, so that a count begins
//! at 0 and not with its first event. Before [`install`] all of them do nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::process;
use crate::domain::command::DeadLetterClass;
use crate::domain::{CommandTopic, Effect, Rejection, RejectionCode};
use crate::record::OutTopic;

pub use super::labels::{LaneState, RecoveryCause, Stage, Step};
pub use super::metrics_table::{Kind, METRICS, Metric};

/// Installs the recorder for the whole process. Called once, before anything is recorded; a second call changes nothing.
pub fn install() -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        // It fails only if some other code had installed one; then ours is still the one that is rendered.
        let registered = metrics::with_local_recorder(&recorder, Recorders::register);
        let _ = metrics::set_global_recorder(recorder);
        let _ = RECORDERS.set(registered);
        handle
    });
    Metrics(handle.clone())
}

/// Renders the metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process::render(&mut text);
        text
    }

    /// Folds the histograms' samples into their buckets. Without it they would pile up between two scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// A command was decided. A duplicate counts with the outcome of the first.
pub fn command_decided(topic: CommandTopic, verdict: &Result<Effect, Rejection>, duplicate: bool) {
    let Some(recorders) = RECORDERS.get() else { return };
    let outcome = match verdict {
        Ok(effect) => *effect as usize,
        Err(rejection) => {
            recorders.rejected[rejection.code as usize].increment(1);
            Effect::ALL.len()
        }
    };
    recorders.commands[topic.index()][outcome][usize::from(duplicate)].increment(1);
}

/// A command waits for its customer; once it is decided, it counts as decided.
pub fn command_parked() {
    record(|recorders| recorders.parked.increment(1));
}

/// How many commands of the lane wait for their customer.
pub fn parked_commands(lane: i32, commands: i64) {
    record(|recorders| recorders.lane(lane, |lane| lane.parked.set(commands as f64)));
}

/// A record was answered by a dead letter.
pub fn dead_letter(class: DeadLetterClass) {
    record(|recorders| recorders.dead_letters[class as usize].increment(1));
}

/// A batch was applied: how many commands it had, and how many accounts time alone settled in it.
pub fn batch_applied(commands: usize, due_settled: usize) {
    record(|recorders| {
        recorders.batch_commands.record(commands as f64);
        recorders.due_settled.increment(due_settled as u64);
    });
}

pub fn stage_seconds(stage: Stage, took: Duration) {
    record(|recorders| recorders.stages[stage as usize].record(took));
}

pub fn kafka_transaction_seconds(step: Step, took: Duration) {
    record(|recorders| recorders.steps[step as usize].record(took));
}

/// A Kafka transaction was committed with so many batches in it.
pub fn transaction_committed(batches: usize) {
    record(|recorders| recorders.transaction_batches.record(batches as f64));
}

/// So many records of a topic were published.
pub fn published(topic: OutTopic, records: usize) {
    record(|recorders| recorders.published[topic as usize].increment(records as u64));
}

/// From a command's timestamp in Kafka to the commit of its result, for the oldest command of a batch.
pub fn answered_after(delay: Duration) {
    record(|recorders| recorders.answer_delay.record(delay));
}

/// A topic was silent although the broker held more of it, and its lane went on without it.
pub fn passed_over(topic: CommandTopic) {
    record(|recorders| recorders.passed_over[topic.index()].increment(1));
}

/// A tick could not be written.
pub fn tick_failed() {
    record(|recorders| recorders.tick_failures.increment(1));
}

/// The registry did not answer, and a lane waits for it.
pub fn registry_waited() {
    record(|recorders| recorders.registry_waits.increment(1));
}

/// The recovery routine ran for a lane.
pub fn recovered(cause: RecoveryCause) {
    record(|recorders| recorders.recoveries[cause as usize].increment(1));
}

/// How many lanes there are, whoever has them.
pub fn configured_lanes(lanes: i32) {
    record(|recorders| recorders.configured_lanes.set(f64::from(lanes)));
}

/// How many records of a topic lie before the lane. `None`: not known, which is no number.
pub fn lag_records(lane: i32, topic: CommandTopic, records: Option<i64>) {
    let records = records.map_or(f64::NAN, |records| records as f64);
    record(|recorders| recorders.lane(lane, |lane| lane.lag[topic.index()].set(records)));
}

/// For how long the brokers have not said where the lane's topics end.
pub fn ends_unknown_seconds(lane: i32, unknown_for: Duration) {
    record(|recorders| recorders.lane(lane, |lane| lane.ends_unknown.set(unknown_for.as_secs_f64())));
}

/// For how long the oldest batch that is applied has waited for its publication.
pub fn unpublished_age_seconds(lane: i32, age: Duration) {
    record(|recorders| recorders.lane(lane, |lane| lane.unpublished_age.set(age.as_secs_f64())));
}

/// For how long the lane has waited for Postgres, Kafka or the registry.
pub fn step_seconds(lane: i32, took: Duration) {
    record(|recorders| recorders.lane(lane, |lane| lane.step.set(took.as_secs_f64())));
}

/// How many problems `topics check` would name now; not a number where the topics can't be checked.
pub fn topic_problems(problems: Option<usize>) {
    record(|recorders| recorders.topic_problems.set(problems.map_or(f64::NAN, |problems| problems as f64)));
}

/// How old the oldest record is that the lane has not applied; 0 when there is none, and not a number when that is unknown.
pub fn lag_age_seconds(lane: i32, age: Option<Duration>) {
    let age = age.map_or(f64::NAN, |age| age.as_secs_f64());
    record(|recorders| recorders.lane(lane, |lane| lane.age.set(age)));
}

/// Batches of the lane that are applied and not yet published.
pub fn unpublished_batches(lane: i32, batches: i64) {
    record(|recorders| recorders.lane(lane, |lane| lane.unpublished.set(batches as f64)));
}

/// Exactly one state of a lane is 1.
pub fn lane_state(lane: i32, state: LaneState) {
    record(|recorders| recorders.lane(lane, |lane| lane.enter(Some(state))));
}

/// This worker has the lane no longer: all its gauges go to 0, so that sums over workers are right.
pub fn lane_released(lane: i32) {
    record(|recorders| recorders.lane(lane, LaneRecorders::clear));
}

static RECORDERS: OnceLock<Recorders> = OnceLock::new();

fn record(how: impl FnOnce(&Recorders)) {
    if let Some(recorders) = RECORDERS.get() {
        how(recorders);
    }
}

fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in &METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                .expect("the table's histograms have buckets");
        }
    }
    builder.build_recorder()
}

/// Topic by outcome by whether it is a duplicate; the last outcome is `rejected`.
type CommandCounters = [[[Counter; 2]; Effect::ALL.len() + 1]; CommandTopic::COUNT];

struct Recorders {
    commands: CommandCounters,
    rejected: [Counter; RejectionCode::ALL.len()],
    parked: Counter,
    dead_letters: [Counter; DeadLetterClass::ALL.len()],
    batch_commands: Histogram,
    due_settled: Counter,
    stages: [Histogram; Stage::ALL.len()],
    steps: [Histogram; Step::ALL.len()],
    transaction_batches: Histogram,
    published: [Counter; OutTopic::ALL.len()],
    answer_delay: Histogram,
    passed_over: [Counter; CommandTopic::COUNT],
    tick_failures: Counter,
    registry_waits: Counter,
    recoveries: [Counter; RecoveryCause::ALL.len()],
    configured_lanes: Gauge,
    topic_problems: Gauge,
    lanes: Mutex<HashMap<i32, LaneRecorders>>,
}

impl Recorders {
    /// Registers everything with the recorder in force.
    fn register() -> Recorders {
        for metric in &METRICS {
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
                Kind::Process => {}
            }
        }
        gauge!(
            "loyalty_build_info",
            "version" => env!("CARGO_PKG_VERSION"),
            "rules_version" => crate::domain::RULES_VERSION.to_string()
        )
        .set(1.0);
        Recorders {
            commands: CommandTopic::ALL.map(|topic| {
                let outcomes: [&'static str; Effect::ALL.len() + 1] = std::array::from_fn(|index| {
                    Effect::ALL.get(index).map_or("rejected", |effect| effect.name())
                });
                outcomes.map(|outcome| {
                    ["false", "true"].map(|duplicate| {
                        if topic == CommandTopic::Clock {
                            return Counter::noop(); // ticks are no commands
                        }
                        counter!("loyalty_commands_total", "topic" => topic.suffix(), "outcome" => outcome, "duplicate" => duplicate)
                    })
                })
            }),
            rejected: RejectionCode::ALL.map(|code| counter!("loyalty_rejected_commands_total", "code" => code.name())),
            parked: counter!("loyalty_parked_commands_total"),
            dead_letters: DeadLetterClass::ALL
                .map(|class| counter!("loyalty_dead_letter_records_total", "class" => class.name())),
            batch_commands: histogram!("loyalty_batch_commands"),
            due_settled: counter!("loyalty_due_settled_accounts_total"),
            stages: Stage::ALL.map(|stage| histogram!("loyalty_batch_stage_seconds", "stage" => stage.name())),
            steps: Step::ALL.map(|step| histogram!("loyalty_kafka_transaction_seconds", "step" => step.name())),
            transaction_batches: histogram!("loyalty_kafka_transaction_batches"),
            published: OutTopic::ALL
                .map(|topic| counter!("loyalty_published_records_total", "topic" => topic.suffix())),
            answer_delay: histogram!("loyalty_answer_delay_seconds"),
            passed_over: CommandTopic::ALL
                .map(|topic| counter!("loyalty_passed_over_topics_total", "topic" => topic.suffix())),
            tick_failures: counter!("loyalty_tick_failures_total"),
            registry_waits: counter!("loyalty_registry_waits_total"),
            recoveries: RecoveryCause::ALL
                .map(|cause| counter!("loyalty_recoveries_total", "cause" => cause.name())),
            configured_lanes: gauge!("loyalty_configured_lanes"),
            topic_problems: gauge!("loyalty_topic_problems"),
            lanes: Mutex::new(HashMap::new()),
        }
    }

    fn lane(&self, lane: i32, how: impl FnOnce(&LaneRecorders)) {
        let mut lanes: MutexGuard<'_, _> = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        how(lanes.entry(lane).or_insert_with(|| LaneRecorders::register(lane)));
    }
}

struct LaneRecorders {
    lag: [Gauge; CommandTopic::COUNT],
    age: Gauge,
    ends_unknown: Gauge,
    unpublished: Gauge,
    unpublished_age: Gauge,
    step: Gauge,
    parked: Gauge,
    states: [Gauge; LaneState::ALL.len()],
}

impl LaneRecorders {
    fn register(lane: i32) -> LaneRecorders {
        let lane = lane.to_string();
        LaneRecorders {
            lag: CommandTopic::ALL
                .map(|topic| gauge!("loyalty_lane_lag_records", "lane" => lane.clone(), "topic" => topic.suffix())),
            age: gauge!("loyalty_lane_lag_age_seconds", "lane" => lane.clone()),
            ends_unknown: gauge!("loyalty_lane_ends_unknown_seconds", "lane" => lane.clone()),
            unpublished: gauge!("loyalty_lane_unpublished_batches", "lane" => lane.clone()),
            unpublished_age: gauge!("loyalty_lane_unpublished_age_seconds", "lane" => lane.clone()),
            step: gauge!("loyalty_lane_step_seconds", "lane" => lane.clone()),
            parked: gauge!("loyalty_lane_parked_commands", "lane" => lane.clone()),
            states: LaneState::ALL
                .map(|state| gauge!("loyalty_lane_state", "lane" => lane.clone(), "state" => state.name())),
        }
    }

    fn enter(&self, entered: Option<LaneState>) {
        for (state, gauge) in LaneState::ALL.into_iter().zip(&self.states) {
            gauge.set(if Some(state) == entered { 1.0 } else { 0.0 });
        }
    }

    fn clear(&self) {
        let gauges =
            [&self.age, &self.ends_unknown, &self.unpublished, &self.unpublished_age, &self.step, &self.parked];
        self.lag.iter().chain(gauges).for_each(|gauge| gauge.set(0.0));
        self.enter(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything, rendered once with a lane in it.
    fn rendered() -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            let recorders = Recorders::register();
            recorders.lane(3, |lane| lane.enter(Some(LaneState::Held)));
            recorders.stages[Stage::Fold as usize].record(0.004);
        });
        Metrics(recorder.handle()).render()
    }

    #[test]
    fn every_metric_is_rendered_with_help_type_and_its_unit_in_the_name() {
        let text = rendered();
        for metric in &METRICS {
            let name = metric.name;
            assert!(name.starts_with("loyalty_") || matches!(metric.kind, Kind::Process), "{name}");
            assert!(text.contains(&format!("# HELP {name} {}\n", metric.help)), "{name} has no help");
            let kind = match metric.kind {
                Kind::Histogram(_) => "histogram",
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Process if name.ends_with("_total") => "counter",
                Kind::Process => "gauge",
            };
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is not a {kind}");
            assert!(metric.help.len() > 20 && metric.help.ends_with('.'), "{name}: {:?}", metric.help);
            let unit = format!("_{}", metric.unit);
            let base = name.strip_suffix("_total").unwrap_or(name);
            assert!(base.ends_with(&unit), "{name} does not name its unit, {}", metric.unit);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        }
    }

    #[test]
    fn every_rendered_metric_is_declared_with_its_labels() {
        for line in rendered().lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let metric = METRICS
                .iter()
                .find(|metric| match metric.kind {
                    Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|suffix| name.strip_suffix(suffix) == Some(metric.name)),
                    _ => metric.name == name,
                })
                .unwrap_or_else(|| panic!("{name} is not declared"));
            for label in labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('=')) {
                assert!(label.0 == "le" || metric.labels.contains(&label.0), "{name} has the label {}", label.0);
            }
        }
    }

    #[test]
    fn histograms_have_buckets_and_are_no_summaries() {
        let text = rendered();
        assert!(!text.contains("quantile="), "{text}");
        let fold = "loyalty_batch_stage_seconds_bucket{stage=\"fold\",le=";
        assert!(text.contains(&format!("{fold}\"0.0025\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("{fold}\"0.005\"}} 1\n")), "{text}");
    }

    #[test]
    fn the_enums_index_the_recorders() {
        for (index, effect) in Effect::ALL.into_iter().enumerate() {
            assert_eq!(effect as usize, index);
        }
        for (index, code) in RejectionCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
        }
        for (index, class) in DeadLetterClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
        for (index, topic) in OutTopic::ALL.into_iter().enumerate() {
            assert_eq!(topic as usize, index);
        }
        assert!(Stage::ALL.into_iter().enumerate().all(|(index, stage)| stage as usize == index));
        assert!(Step::ALL.into_iter().enumerate().all(|(index, step)| step as usize == index));
        assert!(RecoveryCause::ALL.into_iter().enumerate().all(|(index, cause)| cause as usize == index));
    }
}
