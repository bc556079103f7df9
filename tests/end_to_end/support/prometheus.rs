//! A real Prometheus with the rules that the project ships, scraping workers.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::eventually;
use super::process::Process;
use super::stack::root;

pub struct Prometheus {
    address: String,
    targets: PathBuf,
    _process: Process,
}

impl Prometheus {
    /// Answers queries, and scrapes nobody yet.
    pub fn start(folder: &Path) -> Prometheus {
        let targets = folder.join("targets.json");
        fs::write(&targets, "[]").expect("the folder is there");
        let config = folder.join("prometheus.json");
        // JSON is YAML too.
        let job = json!({
            "job_name": "loyalty-worker",
            "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}],
        });
        let settings = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "rule_files": [rules()],
            "scrape_configs": [job],
        });
        fs::write(&config, settings.to_string()).expect("the folder is there");
        let address = free_address();
        let mut command = Command::new(tool("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start("prometheus", &mut command, &folder.join("prometheus-log"));
        let prometheus = Prometheus { address, targets, _process: process };
        eventually("Prometheus is ready", || prometheus.get("/-/ready", &[]).ok());
        prometheus
    }

    /// From now on it scrapes this worker, and no other.
    pub fn scrape(&self, worker: &str) {
        // It must never read half a file.
        let half = self.targets.with_extension("half");
        fs::write(&half, json!([{"targets": [worker]}]).to_string()).expect("the folder is there");
        fs::rename(&half, &self.targets).expect("one folder");
        eventually("the worker is scraped", || {
            let found = self.query(&format!("up{{instance=\"{worker}\"}} == 1"));
            (!found.is_empty()).then_some(())
        });
    }

    /// The values that an expression has now. Panics where Prometheus does not understand it.
    pub fn query(&self, expression: &str) -> Vec<f64> {
        let answer = self.get("/api/v1/query", &[("query", expression)]);
        let answer = answer.unwrap_or_else(|error| panic!("{expression}: {error}"));
        let samples = answer["data"]["result"].as_array().expect("a vector").iter();
        samples
            .map(|sample| sample["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number"))
            .collect()
    }

    /// All alert rules, as it has loaded them.
    pub fn alerts(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules", &[("type", "alert")]).expect("rules");
        let groups = answer["data"]["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let request = agent.get(format!("http://{}{path}", self.address)).query_pairs(query.iter().copied());
        let mut response = request.call().map_err(|error| error.to_string())?;
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if response.status() != 200 {
            return Err(text);
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// `promtool` with these arguments, in the folder of the rules: what it printed, and whether it was content.
pub fn promtool(arguments: &[&str]) -> (bool, String) {
    let folder = root().join("deploy/prometheus");
    let done = Command::new(tool("promtool")).args(arguments).current_dir(folder).output().expect("promtool runs");
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.success(), text)
}

fn rules() -> PathBuf {
    root().join("deploy/prometheus/alerts.yml")
}

/// Where `deploy/local/prometheus` puts it.
fn tool(name: &str) -> PathBuf {
    let path = root().join("target/stack/parts/prometheus").join(name);
    assert!(path.exists(), "{} is missing: `make test` brings it, or deploy/local/prometheus", path.display());
    path
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").to_string()
}
