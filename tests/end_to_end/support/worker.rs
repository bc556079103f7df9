//! The worker as its operator has it: a process with a log, signals, and an address.

use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::process::Process;
use super::{PATIENCE, eventually};

/// A stop is finished within this.
const STOP: Duration = Duration::from_secs(10);

pub struct Worker {
    process: Process,
    lanes: i32,
}

impl Worker {
    pub fn new(process: Process, lanes: i32) -> Worker {
        Worker { process, lanes }
    }

    /// Waits until it has all lanes and works on them.
    pub fn await_all_lanes(&self) -> &Worker {
        for lane in 0..self.lanes {
            self.await_lane(lane);
        }
        self
    }

    /// Waits until it holds a lane in order.
    pub fn await_lane(&self, lane: i32) {
        self.await_lane_state(lane, "held");
    }

    /// How many lanes it holds in order.
    pub fn held(&self) -> usize {
        let (_, body) = self.ready();
        let lanes = body["lanes"].as_object().expect("lanes by number");
        lanes.values().filter(|state| *state == "held").count()
    }

    /// Waits until a lane is halted, and gives the reason.
    pub fn await_halt(&self, lane: i32) -> String {
        self.await_lane_state(lane, "halted");
        let (_, body) = self.ready();
        body["halted"][lane.to_string()].as_str().expect("a reason").to_owned()
    }

    pub fn await_lane_state(&self, lane: i32, state: &str) {
        self.process.stderr.await_nth("worker starts", 1, PATIENCE);
        eventually(&format!("lane {lane} is {state}"), || {
            assert!(!self.process.has_ended(), "the worker has ended");
            (self.ready().1["lanes"][lane.to_string()] == state).then_some(())
        });
    }

    /// Waits until its log has a line with this, the `nth` of them.
    pub fn await_log(&self, part: &str, nth: usize) -> String {
        self.process.stderr.await_nth(part, nth, PATIENCE)
    }

    pub fn logged(&self, part: &str) -> usize {
        self.process.stderr.count(part)
    }

    pub fn log(&self) -> Vec<String> {
        self.process.stderr.all()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL, and its end.
    pub fn kill(mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.await_end(PATIENCE);
    }

    /// Stops it when it has all lanes in order, so that nothing is left to do: a lane that is just being recovered ends at once, and
    /// what it has not published waits for its next owner.
    pub fn finish(self) {
        self.await_all_lanes();
        self.stop();
    }

    /// SIGTERM: it ends in order, with exit code 0, within seconds.
    pub fn stop(self) {
        self.stop_within(STOP);
    }

    pub fn stop_within(mut self, patience: Duration) {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.await_end(patience);
        assert_eq!(status.code(), Some(0), "a worker that was asked to stop ended with {status}");
    }

    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Waits for the end of a worker that was asked to stop.
    pub fn stopped(mut self) {
        let status = self.process.await_end(PATIENCE);
        assert_eq!(status.code(), Some(0), "a worker that was asked to stop ended with {status}");
    }

    /// Waits until it ends by itself.
    pub fn await_end(&mut self) -> ExitStatus {
        self.process.await_end(PATIENCE)
    }

    pub fn ready(&self) -> (u16, Value) {
        self.get_json("/ready")
    }

    pub fn live(&self) -> (u16, Value) {
        self.get_json("/live")
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics").1
    }

    /// The same of a worker that may be killed, frozen or starting.
    pub fn metrics_if_it_answers(&self) -> Option<String> {
        let line = self.process.stderr.find("worker starts")?;
        let line: Value = serde_json::from_str(&line).ok()?;
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(1))).build().new_agent();
        let mut response = agent.get(format!("http://{}/metrics", line["http"].as_str()?)).call().ok()?;
        response.body_mut().read_to_string().ok()
    }

    /// The value of one series, named as it is written: `loyalty_lane_state{lane="0",state="halted"}`.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("there is no {series} in\n{text}"))
    }

    pub fn get_json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(path);
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path} answers {text:?}: {error}")))
    }

    /// Of its metrics, as host:port.
    pub fn address(&self) -> String {
        let line = self.process.stderr.await_nth("worker starts", 1, PATIENCE);
        let line: Value = serde_json::from_str(&line).expect("the log is JSON");
        line["http"].as_str().expect("the log tells the address").to_owned()
    }

    fn get(&self, path: &str) -> (u16, String) {
        let address = self.address();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut response =
            agent.get(format!("http://{address}{path}")).call().unwrap_or_else(|error| panic!("{path}: {error}"));
        (response.status().as_u16(), response.body_mut().read_to_string().expect("text"))
    }
}
