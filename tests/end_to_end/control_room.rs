//! What the operator looks at: dashboard, alerts and runbook, before a real Prometheus that scrapes a real worker.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::prometheus::{Prometheus, promtool};
use crate::support::stack::root;
use crate::support::{Installation, LANES, Traffic, eventually};

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let (is_content, text) = promtool(&arguments);
        assert!(is_content, "promtool {arguments:?}:\n{text}");
    }
}

#[test]
fn lanes_show_who_has_them_and_what_waits() {
    let installation = Installation::new("lanes");
    let lanes = || -> Vec<Value> { serde_json::from_str(&installation.must(&["lanes", "--json"])).expect("JSON") };
    let waiting = |lanes: &[Value]| -> i64 {
        let topics = lanes.iter().filter_map(|lane| lane["waiting_records"].as_object()).flatten();
        topics.filter(|(topic, _)| *topic != "clock").filter_map(|(_, records)| records.as_i64()).sum()
    };
    assert_eq!(installation.must(&["lanes"]).matches("nobody").count(), LANES as usize);

    let mut traffic = Traffic::start(&installation, 600, 6);
    traffic.await_sent();
    let before = lanes();
    assert_eq!(waiting(&before), traffic.expected() as i64, "{before:?}");
    assert!(before.iter().all(|lane| lane["owner"].is_null() && lane["published_batch"].is_null()), "{before:?}");

    let worker = installation.worker();
    worker.await_all_lanes();
    traffic.await_all();
    let after = eventually("all is applied and published", || {
        let lanes = lanes();
        lanes.iter().all(|lane| lane["applied_batch"] == lane["published_batch"]).then_some(lanes)
    });
    assert_eq!(waiting(&after), 0, "{after:?}");
    for (number, lane) in (0..LANES).zip(&after) {
        assert_eq!(lane["lane"], number);
        assert_eq!(lane["owner"]["host"], "127.0.0.1", "{lane}");
        assert!(text(&lane["owner"]["client_id"]).starts_with("worker-"), "{lane}");
    }
    worker.finish();
}

#[test]
fn a_lane_that_is_busy_tells_how_much_waits() {
    let installation = Installation::new("busy");
    let mut traffic = Traffic::start(&installation, 3_000, 10);
    traffic.await_sent();
    // Many small batches, without a moment between them: Kafka takes as many as come in one transaction.
    let settings = [("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "5"), ("LOYALTY_WORKER__MAX_UNPUBLISHED_BATCHES", "64")];
    let worker = installation.worker_with(&settings);
    worker.await_all_lanes();
    let mut most: f64 = 0.0;
    while traffic.answered() < traffic.expected() * 9 / 10 {
        most = most.max(worker.metric(r#"loyalty_lane_lag_records{lane="0",topic="credit"}"#));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert!(most > 100.0, "{most} credits waited at most, as the metrics tell");
    traffic.await_all();
    worker.finish();
}

#[test]
fn what_a_package_installs_beside_the_binary() {
    let installation = Installation::new("package");
    let script = installation.must(&["completions", "bash"]);
    assert!(script.contains("lanes") && script.contains("dead-letters"), "{script}");
    installation.must(&["man", &installation.folder().display().to_string()]);
    let page =
        fs::read_to_string(installation.folder().join("loyalty-worker-skip.1")).expect("a page for each command");
    assert!(page.contains("Give up one record"), "{page}");
}

/// With a symbol of another name, or one that the linker drops, the allocator would go by its defaults, and nothing would tell.
#[test]
fn the_allocator_goes_by_the_binarys_settings() {
    let mut version = Command::new(env!("CARGO_BIN_EXE_loyalty-worker"));
    let told = version.arg("--version").env("MALLOC_CONF", "stats_print:true").output().expect("the worker starts");
    let statistics = String::from_utf8_lossy(&told.stderr);
    assert!(statistics.lines().any(|line| line.trim() == "opt.narenas: 2"), "{statistics}");
}

#[test]
fn dashboard_and_alerts_find_their_data_and_a_halted_lane_is_seen() {
    let installation = Installation::new("control-room");
    let prometheus = Prometheus::start(installation.folder());
    let worker = installation.worker();
    worker.await_all_lanes();
    prometheus.scrape(&worker.address());
    let mut traffic = Traffic::start(&installation, 2_000, 20);
    traffic.await_all();

    // The interval reaches back to before the load, so that it does not matter how long this takes.
    for query in dashboard_queries() {
        let query = query.replace("$__rate_interval", "5m");
        eventually(&query, || prometheus.query(&query).into_iter().any(f64::is_finite).then_some(()));
    }
    let alerts = prometheus.alerts();
    assert!(alerts.len() > 10, "{} alerts", alerts.len());
    let runbook = fs::read_to_string(root().join("docs/runbook.md")).expect("the runbook");
    for alert in &alerts {
        let (name, query) = (text(&alert["name"]), text(&alert["query"]));
        for metric in metrics_in(query) {
            assert!(!prometheus.query(&metric).is_empty(), "{name} looks at {metric}, which has no data");
        }
        eventually(&format!("{name} is evaluated"), || {
            (alert_named(&prometheus, name)["health"] == "ok").then_some(())
        });
        assert!(runbook.contains(&format!("\n## {name}\n")), "the runbook has no section {name}");
        let address = format!("file:///usr/share/doc/loyalty-worker/runbook.md#{}", name.to_lowercase());
        assert_eq!(text(&alert["annotations"]["runbook_url"]), address);
    }
    let sections = runbook.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(sections, alerts.len(), "sections of the runbook, and alerts");

    // What a person sees who connects a worker to another cluster's database.
    worker.finish();
    let database = installation.database();
    let topic: String = database.one("select topic_ids ->> 'credit' from lane where lane = 0");
    database.execute("update lane set topic_ids = topic_ids || '{\"credit\": \"another\"}' where lane = 0");
    let worker = installation.worker();
    worker.await_halt(0);
    prometheus.scrape(&worker.address());
    let alert = alert_named(&prometheus, "LoyaltyLaneHalted");
    let query = text(&alert["query"]);
    eventually("the alert's condition holds", || (prometheus.query(query) == [1.0]).then_some(()));
    eventually("the alert is pending or fires", || {
        let state = alert_named(&prometheus, "LoyaltyLaneHalted")["state"].clone();
        (state != "inactive").then_some(())
    });
    database.execute(&format!(
        "update lane set topic_ids = topic_ids || jsonb_build_object('credit', '{topic}') where lane = 0"
    ));
    worker.await_all_lanes();
    eventually("the alert's condition is over", || prometheus.query(query).is_empty().then_some(()));
    worker.finish();
}

fn alert_named(prometheus: &Prometheus, name: &str) -> Value {
    let found = prometheus.alerts().into_iter().find(|alert| alert["name"] == name);
    found.unwrap_or_else(|| panic!("there is no alert {name}"))
}

fn dashboard_queries() -> Vec<String> {
    let dashboard = fs::read_to_string(root().join("deploy/grafana/loyalty-worker.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<String> = targets.map(|target| text(&target["expr"]).to_owned()).collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// The worker's metrics that an expression names.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("loyalty_")).map(str::to_owned).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
