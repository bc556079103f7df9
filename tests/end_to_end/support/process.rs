//! A process of ours: what it says is kept line by line, its end is waited for, and it does not outlive the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::locked;

pub struct Process {
    what: String,
    pid: Pid,
    pub stdout: Arc<Lines>,
    pub stderr: Arc<Lines>,
    ended: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it; both outputs also go to `log`.
    pub fn start(what: &str, command: &mut Command, log: &Path) -> Process {
        let file = |extension| File::create(log.with_extension(extension)).expect("a log file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{what} does not start: {error}"));
        let (stdout, stderr) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        let readers = vec![
            read_into(&stdout, child.stdout.take().expect("piped"), file("out")),
            read_into(&stderr, child.stderr.take().expect("piped"), file("err")),
        ];
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let ended = Arc::new((Mutex::new(None), Condvar::new()));
        let end = ended.clone();
        std::thread::spawn(move || {
            let status = child.wait().expect("a child can be waited for");
            *locked(&end.0) = Some(status);
            end.1.notify_all();
        });
        Process { what: what.to_owned(), pid, stdout, stderr, ended, readers }
    }

    pub fn signal(&self, signal: Signal) {
        let ended = locked(&self.ended.0);
        assert!(ended.is_none(), "{} has ended before it got {signal}: {}", self.what, describe(ended.as_ref()));
        kill(self.pid, signal).expect("a process of ours takes signals");
    }

    pub fn has_ended(&self) -> bool {
        locked(&self.ended.0).is_some()
    }

    /// Waits for its end, and for the last line that it said.
    pub fn await_end(&mut self, patience: Duration) -> ExitStatus {
        let status =
            self.end_within(patience).unwrap_or_else(|| panic!("{} has not ended within {patience:?}", self.what));
        for reader in self.readers.drain(..) {
            reader.join().expect("reading does not panic");
        }
        status
    }

    fn end_within(&self, patience: Duration) -> Option<ExitStatus> {
        let (ended, changed) = &*self.ended;
        let waited = changed.wait_timeout_while(locked(ended), patience, |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.end_within(Duration::from_secs(10));
        }
        if std::thread::panicking() {
            eprintln!("---- {}, {}, said at last:", self.what, describe(locked(&self.ended.0).as_ref()));
            for lines in [&self.stdout, &self.stderr] {
                lines.last(40).iter().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

fn describe(status: Option<&ExitStatus>) -> String {
    match status {
        None => "which runs".to_owned(),
        Some(status) => match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("ended with exit code {}", status.code().unwrap_or(-1)),
        },
    }
}

/// What a process has said so far on one of its outputs.
#[derive(Default)]
pub struct Lines {
    said: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    pub fn all(&self) -> Vec<String> {
        locked(&self.said).clone()
    }

    pub fn text(&self) -> String {
        locked(&self.said).iter().map(|line| format!("{line}\n")).collect()
    }

    /// The first line so far with this.
    pub fn find(&self, part: &str) -> Option<String> {
        locked(&self.said).iter().find(|line| line.contains(part)).cloned()
    }

    pub fn count(&self, part: &str) -> usize {
        locked(&self.said).iter().filter(|line| line.contains(part)).count()
    }

    fn last(&self, count: usize) -> Vec<String> {
        let said = locked(&self.said);
        said[said.len().saturating_sub(count)..].to_vec()
    }

    /// Waits for the `nth` line, from 1, that contains `part`.
    pub fn await_nth(&self, part: &str, nth: usize, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        let mut said = locked(&self.said);
        loop {
            if let Some(line) = said.iter().filter(|line| line.contains(part)).nth(nth - 1) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(said);
                panic!("no line {nth} with {part:?} within {patience:?}");
            }
            said = self.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn read_into(lines: &Arc<Lines>, from: impl Read + Send + 'static, mut log: File) -> JoinHandle<()> {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(log, "{line}");
            locked(&lines.said).push(line);
            lines.more.notify_all();
        }
    })
}
