//! Kafka, Postgres and a registry: those that the tests share, and those of one test, which may break them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the parts are.
#[derive(Debug, Clone)]
pub struct Stack {
    pub bootstrap: String,
    pub postgres_url: String,
    pub registry_url: String,
}

impl Stack {
    /// The one that the tests share.
    pub fn shared() -> Stack {
        Stack::of(|name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!(
                    "{name} is not set. These tests need Kafka, Postgres and a registry: `make test` brings them, or start them by \
                     `deploy/local/stack up target/stack/dev` and take the addresses from target/stack/dev/env"
                )
            })
        })
    }

    fn of(value: impl Fn(&str) -> String) -> Stack {
        Stack {
            bootstrap: value("KAFKA_BOOTSTRAP"),
            postgres_url: value("POSTGRES_URL"),
            registry_url: value("REGISTRY_URL"),
        }
    }

    /// The address of another database of the same server.
    pub fn database_url(&self, database: &str) -> String {
        let (server, _) = self.postgres_url.rsplit_once('/').expect("a database at the end of POSTGRES_URL");
        format!("{server}/{database}")
    }
}

/// What Kafka's kafka-log-dirs.sh prints.
pub fn log_dirs(arguments: &[&str]) -> String {
    let done = Command::new(script_path()).arg("log-dirs").args(arguments).output().expect("deploy/local/stack");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// What a secured stack has beside the addresses of every stack, which are its administrator's.
#[derive(Debug, Clone)]
pub struct Secured {
    pub kafka_sasl: String,
    /// For clients with a certificate.
    pub kafka_ssl: String,
    /// host:port
    pub postgres: String,
    pub ca: String,
    /// One that signed nothing here.
    pub other_ca: String,
    /// With its key, and for the user `worker`.
    pub worker_certificate: String,
    /// Of every user and role.
    pub password: String,
}

/// A stack of a test's own. It is brought down when this goes, and also when the tests are killed: a process outside their group waits
/// for the end of its standard input. After a failure its files stay, for its logs.
pub struct OwnStack {
    dir: PathBuf,
    guard: Child,
}

impl OwnStack {
    pub fn up(name: &str) -> OwnStack {
        OwnStack::begin(name, &["up"])
    }

    /// With three brokers.
    pub fn up_cluster(name: &str) -> OwnStack {
        OwnStack::begin(name, &["up", "--cluster"])
    }

    /// With TLS, passwords and ACLs.
    pub fn up_secured(name: &str) -> OwnStack {
        OwnStack::begin(name, &["up", "--secure"])
    }

    fn begin(name: &str, up: &[&str]) -> OwnStack {
        let dir = root().join(format!("target/stack/{name}-{}", std::process::id()));
        let script = "read -r wipe || wipe=--wipe; exec \"$0\" down ${wipe:+$wipe} \"$1\"";
        let guard = Command::new("setsid")
            .args(["bash", "-c", script])
            .args([&script_path(), &dir])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("setsid and bash");
        let stack = OwnStack { dir, guard };
        stack.call(up);
        stack
    }

    pub fn addresses(&self) -> Stack {
        Stack::of(self.environment())
    }

    pub fn secured(&self) -> Secured {
        let value = self.environment();
        Secured {
            kafka_sasl: value("KAFKA_SASL_BOOTSTRAP"),
            kafka_ssl: value("KAFKA_SSL_BOOTSTRAP"),
            postgres: value("POSTGRES_TLS_ADDRESS"),
            ca: value("TLS_CA"),
            other_ca: value("TLS_OTHER_CA"),
            worker_certificate: value("TLS_WORKER_CERTIFICATE"),
            password: value("SECURE_PASSWORD"),
        }
    }

    fn environment(&self) -> impl Fn(&str) -> String {
        let text = self.call(&["env"]);
        move |name| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("the stack has no {name}:\n{text}")).to_owned()
        }
    }

    /// Gives the stack's users the rights that an installation's parts need.
    pub fn allow(&self, prefix: &str, group: &str) {
        let parts = ["worker", "sender", "listener", "operator"].map(|part| format!("{part}=User:{part}"));
        let done = Command::new(script_path()).arg("acls").arg(&self.dir).args([prefix, group]).args(parts).output();
        let done = done.expect("deploy/local/stack");
        assert!(done.status.success(), "stack acls failed: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Takes one right on a topic away from a user.
    pub fn forbid(&self, user: &str, operation: &str, topic: &str) {
        let done = Command::new(script_path()).arg("forbid").arg(&self.dir).args([user, operation, topic]).output();
        let done = done.expect("deploy/local/stack");
        assert!(done.status.success(), "stack forbid failed: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// SIGKILL.
    pub fn kill(&self, part: &str) {
        self.call(&["kill", part]);
    }

    /// SIGTERM, and its end.
    pub fn stop(&self, part: &str) {
        self.call(&["stop", part]);
    }

    /// Each partition of a cluster, Kafka's own too, gets another leader.
    pub fn move_leaders(&self) {
        self.call(&["move-leaders"]);
    }

    /// SIGSTOP, until it is thawed.
    pub fn freeze(&self, part: &str) {
        self.call(&["freeze", part]);
    }

    pub fn thaw(&self, part: &str) {
        self.call(&["thaw", part]);
    }

    /// Returns once it answers.
    pub fn start(&self, part: &str) {
        self.call(&["start", part]);
    }

    fn call(&self, arguments: &[&str]) -> String {
        let done = Command::new(script_path()).args(arguments).arg(&self.dir).output().expect("deploy/local/stack");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "stack {arguments:?} failed: {stderr}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        let stdin = self.guard.stdin.take();
        if std::thread::panicking() {
            eprintln!("---- the stack's logs are in {}", self.dir.display());
            let _ = stdin.as_ref().map(|mut stdin| stdin.write_all(b"\n"));
        }
        drop(stdin);
        let _ = self.guard.wait();
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script_path() -> PathBuf {
    root().join("deploy/local/stack")
}
