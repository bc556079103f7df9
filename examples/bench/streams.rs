//! The peer on Kafka Streams, a Java program under benches/kafka-streams: the same fold of credits and redeems over state stores.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::topic_partition_list::Offset;

use crate::load::observe;
use crate::scene::Scene;
use crate::support::Failure;
use crate::support::processes::{check_signals, die_with_me};

const PROGRAM: &str = "benches/kafka-streams/target/kafka-streams-peer.jar";

/// Lets it work off the scene's backlog, upserts aside, with a thread for each lane: commands per second from the first result to the
/// last of so many. What comes before the first `warm_up` results is its warm-up.
pub fn work_off(scene: &Scene, customers: u64, warm_up: u64, commands: u64) -> Result<f64, Failure> {
    if !Path::new(PROGRAM).is_file() {
        return Err(format!("there is no {PROGRAM}: build it as `make bench` does").into());
    }
    let installation = &scene.installation;
    let prefix = &installation.topic_prefix;
    let state = installation.stack.dir.join("streams-state");
    let mut command = Command::new("java");
    command
        // ParallelGC gives it a tenth more than the default.
        .args([
            "-Xmx4g",
            "-XX:+UseParallelGC",
            "-jar",
            PROGRAM,
            "--bootstrap",
            &installation.stack.bootstrap,
            "--prefix",
            prefix,
        ])
        .args(["--lanes", &scene.lanes.to_string(), "--threads", &scene.lanes.to_string()])
        .args(["--customers", &customers.to_string()])
        .arg("--state-dir")
        .arg(&state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    die_with_me(&mut command);
    let mut peer = Peer(command.spawn().map_err(|error| format!("java can't be started: {error}"))?);
    let said = BufReader::new(peer.0.stdout.take().ok_or("the peer has no output")?);
    if !said.lines().any(|line| line.is_ok_and(|line| line == "ready")) {
        return Err("the peer on Kafka Streams ended before it was ready".into());
    }
    let results: BaseConsumer =
        observe::consumer(&installation.stack.bootstrap, prefix, &["streams-results"], scene.lanes, Offset::Beginning)?;
    // Dropping its input would end it.
    let mut say = peer.0.stdin.take().ok_or("the peer has no input")?;
    say.write_all(b"go\n")?;
    say.flush()?;
    let mut still_fine = || match peer.0.try_wait()? {
        None => Ok(()),
        Some(status) => Err(format!("the peer on Kafka Streams ended with {status}").into()),
    };
    crate::scene::await_results(&results, warm_up, &mut still_fine)?;
    let flowing = crate::scene::await_results(&results, commands - warm_up, &mut still_fine)?;
    check_signals()?;
    drop(say);
    peer.0.wait()?;
    let _ = std::fs::remove_dir_all(&state);
    Ok((commands - warm_up) as f64 / flowing.max(Duration::from_millis(1)).as_secs_f64())
}

/// Killed when dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
