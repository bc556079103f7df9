//! One installation: a database, topics and a group of its own, made by the product's own commands.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::database::Database;
use super::process::Process;
use super::stack::{Stack, root};
use super::topics::Topics;
use super::{LANES, PATIENCE, Place, Worker};

/// How long a worker may be silent before the group gives its lanes away: the least that a broker allows.
pub const SESSION: Duration = Duration::from_secs(6);

pub struct Installation {
    pub stack: Stack,
    /// Also the group's.
    pub name: String,
    pub prefix: String,
    pub database: String,
    /// How many there are; a test that changes it says so here.
    pub lanes: i32,
    /// Of lane 1, where it has a database of its own.
    pub second_database: Option<String>,
    folder: PathBuf,
    started: AtomicU32,
    _place: Place,
}

/// A command that has ended.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Installation {
    /// Ready for a worker, on the stack that all tests share.
    pub fn new(name: &str) -> Installation {
        Installation::on(&Stack::shared(), name)
    }

    pub fn on(stack: &Stack, name: &str) -> Installation {
        let installation = Installation::bare(stack, name);
        installation.prepare();
        installation
    }

    /// With so many lanes, and every record kept so many times.
    pub fn with_lanes(stack: &Stack, name: &str, lanes: i32, replication: i32) -> Installation {
        let mut installation = Installation::bare(stack, name);
        installation.lanes = lanes;
        installation.must(&["migrate"]);
        let (lanes, replication) = (lanes.to_string(), replication.to_string());
        installation.must(&["topics", "create", "--lanes", &lanes, "--replication", &replication]);
        installation.must(&["schemas", "register"]);
        installation
    }

    /// Each of the two lanes has a database of its own.
    pub fn in_two_databases(name: &str) -> Installation {
        let mut installation = Installation::bare(&Stack::shared(), name);
        installation.divide();
        installation
    }

    /// The same topics and group, and an empty database for each of the two lanes.
    pub fn with_two_databases(&self) -> Installation {
        let first = format!("{}-first", self.database);
        self.server().execute(&format!("create database \"{first}\""));
        let mut installation = self.with_database(&first);
        installation.divide();
        installation
    }

    fn divide(&mut self) {
        let second = format!("{}-second", self.database);
        self.server().execute(&format!("create database \"{second}\""));
        self.second_database = Some(second);
        self.prepare();
    }

    fn prepare(&self) {
        self.must(&["migrate"]);
        self.must(&["topics", "create", "--lanes", &LANES.to_string()]);
        self.must(&["schemas", "register"]);
    }

    /// An empty database, and nothing else.
    pub fn bare(stack: &Stack, name: &str) -> Installation {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let place = Place::take();
        let name = format!("e2e-{}-{}-{name}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = root().join("target/end_to_end").join(&name);
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        let installation = Installation {
            stack: stack.clone(),
            prefix: format!("{name}."),
            database: name.clone(),
            lanes: LANES,
            second_database: None,
            name,
            folder,
            started: AtomicU32::new(0),
            _place: place,
        };
        installation.server().execute(&format!("create database \"{}\"", installation.database));
        installation
    }

    /// The same topics and group with another database.
    pub fn with_database(&self, database: &str) -> Installation {
        Installation {
            stack: self.stack.clone(),
            name: self.name.clone(),
            prefix: self.prefix.clone(),
            database: database.to_owned(),
            lanes: self.lanes,
            second_database: None,
            folder: self.folder.clone(),
            started: AtomicU32::new(self.started.load(Ordering::Relaxed) + 100),
            _place: Place::beside(),
        }
    }

    /// The server's own database, for making and dropping others.
    pub fn server(&self) -> Database {
        Database::open(&self.stack.postgres_url)
    }

    pub fn database(&self) -> Database {
        Database::open(&self.stack.database_url(&self.database))
    }

    /// All that it has, in the order of their lanes.
    pub fn databases(&self) -> Vec<Database> {
        self.database_settings().iter().map(|(_, url)| Database::open(url)).collect()
    }

    /// Each database's setting and address.
    pub fn database_settings(&self) -> Vec<(&'static str, String)> {
        let url = self.stack.database_url(&self.database);
        match &self.second_database {
            None => vec![("LOYALTY_POSTGRES__URL", url)],
            Some(second) => vec![
                ("LOYALTY_POSTGRES__LANE_URLS__0_0", url),
                ("LOYALTY_POSTGRES__LANE_URLS__1_1", self.stack.database_url(second)),
            ],
        }
    }

    pub fn topics(&self) -> Topics {
        Topics::new(&self.stack.bootstrap, &self.prefix, self.lanes)
    }

    /// A command of the product, to its end.
    pub fn call(&self, arguments: &[&str]) -> Done {
        self.call_with(arguments, &[])
    }

    pub fn call_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
        let mut process = self.start(arguments, environment);
        let status = process.await_end(PATIENCE);
        Done { code: status.code(), stdout: process.stdout.text(), stderr: process.stderr.text() }
    }

    /// Runs a command with this on its standard input.
    pub fn call_saying(&self, arguments: &[&str], said: &str) -> Done {
        let mut command = self.command(arguments, &[]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It may end without reading.
        let _ = child.stdin.take().expect("piped").write_all(said.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// A command that goes on until it is interrupted, which it is when it has said something of what is done meanwhile.
    pub fn follow(&self, arguments: &[&str], mut act: impl FnMut()) {
        let mut process = self.start(arguments, &[]);
        super::eventually("a line", || {
            act();
            (process.stdout.count("") > 0).then_some(())
        });
        process.signal(Signal::SIGINT);
        process.await_end(PATIENCE);
    }

    pub fn must(&self, arguments: &[&str]) -> String {
        let done = self.call(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?} failed:\n{}{}", done.stdout, done.stderr);
        done.stdout
    }

    pub fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    pub fn worker_with(&self, environment: &[(&str, &str)]) -> Worker {
        Worker::new(self.start(&["run"], environment), self.lanes)
    }

    /// The audit finds nothing wrong and nothing left to do.
    pub fn assert_audit_holds(&self) {
        let audit = self.call(&["audit", "--expect-idle"]);
        assert_eq!(audit.code, Some(0), "the audit of {} does not hold:\n{}{}", self.name, audit.stdout, audit.stderr);
    }

    /// For what a test writes beside the logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let number = self.started.load(Ordering::Relaxed);
        let mut command = self.command(arguments, environment);
        let what = format!("loyalty-worker {}", arguments.join(" "));
        Process::start(&what, &mut command, &self.folder.join(format!("{number:02}-{}", arguments[0])))
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(env!("CARGO_BIN_EXE_loyalty-worker"));
        // Neither a developer's settings file nor their environment counts.
        command.args(arguments).current_dir(&self.folder);
        std::env::vars().filter(|(name, _)| name.starts_with("LOYALTY_")).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command
            .env("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", &self.stack.bootstrap)
            .env("LOYALTY_KAFKA__GROUP", &self.name)
            .env("LOYALTY_KAFKA__TOPIC_PREFIX", &self.prefix)
            .env("LOYALTY_KAFKA__CLIENT_ID", format!("worker-{number}"))
            .env("LOYALTY_KAFKA__DEVELOPMENT", "true")
            .env("LOYALTY_KAFKA__PROPERTIES__SESSION__TIMEOUT__MS", SESSION.as_millis().to_string())
            .envs(self.database_settings())
            .env("LOYALTY_REGISTRY__URL", &self.stack.registry_url)
            .env("LOYALTY_WORKER__TICK_INTERVAL_MS", "200")
            .env("LOYALTY_HTTP__LISTEN", "127.0.0.1:0")
            .env("LOYALTY_LOG__FORMAT", "json")
            .envs(environment.iter().copied());
        command
    }
}

impl Drop for Installation {
    /// What a failed test leaves is there to be looked at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- left as they are: the logs in {}, the database {:?}, the topics {}*",
                self.folder.display(),
                self.database,
                self.prefix
            );
            return;
        }
        for database in std::iter::once(&self.database).chain(&self.second_database) {
            self.server().execute(&format!("drop database if exists \"{database}\" with (force)"));
        }
        if self.database == self.name {
            self.topics().delete_all();
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
