//! The table of metrics: what each is called, counts, means and is told apart by.

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// What its numbers count; the name ends with it (before `_total`).
    pub unit: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Counter,
    Gauge,
    /// With its buckets' upper bounds.
    Histogram(&'static [f64]),
    /// Read from the operating system when the metrics are asked for.
    Process,
}

/// From a quarter of a millisecond, which a fold of a few commands takes, to the minute of a transaction's time-out.
const SECONDS: &[f64] =
    &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const DELAY_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0];
const COMMANDS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
const BATCHES: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0];

pub const METRICS: [Metric; 30] = [
    Metric {
        name: "loyalty_commands_total",
        kind: Kind::Counter,
        unit: "commands",
        help: "Commands decided, by their topic and what became of them; a duplicate has the outcome of the first.",
        labels: &["topic", "outcome", "duplicate"],
    },
    Metric {
        name: "loyalty_rejected_commands_total",
        kind: Kind::Counter,
        unit: "commands",
        help: "Commands rejected, by the code that their senders got.",
        labels: &["code"],
    },
    Metric {
        name: "loyalty_parked_commands_total",
        kind: Kind::Counter,
        unit: "commands",
        help: "Commands that had to wait for their customer; each is also counted once it is decided.",
        labels: &[],
    },
    Metric {
        name: "loyalty_dead_letter_records_total",
        kind: Kind::Counter,
        unit: "records",
        help: "Records that could not be answered and went to the dead letters, by reason.",
        labels: &["class"],
    },
    Metric {
        name: "loyalty_batch_commands",
        kind: Kind::Histogram(COMMANDS),
        unit: "commands",
        help: "How many commands a batch had.",
        labels: &[],
    },
    Metric {
        name: "loyalty_due_settled_accounts_total",
        kind: Kind::Counter,
        unit: "accounts",
        help: "Accounts settled because their time had come, without a command that touched them.",
        labels: &[],
    },
    Metric {
        name: "loyalty_batch_stage_seconds",
        kind: Kind::Histogram(SECONDS),
        unit: "seconds",
        help: "Time that a batch spent in each of its stages.",
        labels: &["stage"],
    },
    Metric {
        name: "loyalty_kafka_transaction_seconds",
        kind: Kind::Histogram(SECONDS),
        unit: "seconds",
        help: "Time that a Kafka transaction spent in each of its steps.",
        labels: &["step"],
    },
    Metric {
        name: "loyalty_kafka_transaction_batches",
        kind: Kind::Histogram(BATCHES),
        unit: "batches",
        help: "How many applied batches one Kafka transaction published.",
        labels: &[],
    },
    Metric {
        name: "loyalty_published_records_total",
        kind: Kind::Counter,
        unit: "records",
        help: "Records published, by topic.",
        labels: &["topic"],
    },
    Metric {
        name: "loyalty_answer_delay_seconds",
        kind: Kind::Histogram(DELAY_SECONDS),
        unit: "seconds",
        help: "From the timestamp of a batch's oldest command in Kafka to the commit of its result.",
        labels: &[],
    },
    Metric {
        name: "loyalty_passed_over_topics_total",
        kind: Kind::Counter,
        unit: "topics",
        help: "Times that a lane went on without a topic which was silent although the broker held more of it.",
        labels: &["topic"],
    },
    Metric {
        name: "loyalty_tick_failures_total",
        kind: Kind::Counter,
        unit: "failures",
        help: "Ticks that could not be written; without ticks, time stands still in an idle lane.",
        labels: &[],
    },
    Metric {
        name: "loyalty_registry_waits_total",
        kind: Kind::Counter,
        unit: "waits",
        help: "Times that a lane had to wait because the schema registry did not answer.",
        labels: &[],
    },
    Metric {
        name: "loyalty_recoveries_total",
        kind: Kind::Counter,
        unit: "recoveries",
        help: "Times that a lane was recovered, by cause.",
        labels: &["cause"],
    },
    Metric {
        name: "loyalty_configured_lanes",
        kind: Kind::Gauge,
        unit: "lanes",
        help: "How many lanes the topics have; each should be held by one worker.",
        labels: &[],
    },
    Metric {
        name: "loyalty_topic_problems",
        kind: Kind::Gauge,
        unit: "problems",
        help: "Problems that the worker's own check of the topics found a minute ago or later; `topics check` names them.",
        labels: &[],
    },
    Metric {
        name: "loyalty_lane_lag_records",
        kind: Kind::Gauge,
        unit: "records",
        help: "Records between the lane's position and the end that the brokers report; NaN while that end is unknown.",
        labels: &["lane", "topic"],
    },
    Metric {
        name: "loyalty_lane_lag_age_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        help: "Age of the oldest record that the lane has not applied, also when it could not be fetched.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_ends_unknown_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        help: "Time since the brokers last reported the ends of all topics of the lane; 0 while they do.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_step_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        help: "Time that the lane's present step has waited for Postgres, Kafka or the schema registry; 0 while it waits for none.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_unpublished_batches",
        kind: Kind::Gauge,
        unit: "batches",
        help: "Batches applied in Postgres and not yet published in Kafka.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_unpublished_age_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        help: "Time that the oldest applied batch has waited for its publication.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_parked_commands",
        kind: Kind::Gauge,
        unit: "commands",
        help: "Commands that wait for their customer.",
        labels: &["lane"],
    },
    Metric {
        name: "loyalty_lane_state",
        kind: Kind::Gauge,
        unit: "state",
        help: "1 for the state that a lane of this worker is in; a halted lane waits for an operator, /ready says why.",
        labels: &["lane", "state"],
    },
    Metric {
        name: "loyalty_build_info",
        kind: Kind::Gauge,
        unit: "info",
        help: "Always 1; its labels say which version this is.",
        labels: &["version", "rules_version"],
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Process,
        unit: "bytes",
        help: "Memory of the process that is in RAM.",
        labels: &[],
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Process,
        unit: "seconds",
        help: "When the process was started, in seconds since 1970.",
        labels: &[],
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Process,
        unit: "fds",
        help: "File descriptors that the process has open.",
        labels: &[],
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Process,
        unit: "seconds",
        help: "Processor time that the process has used, in user and in kernel mode.",
        labels: &[],
    },
];
