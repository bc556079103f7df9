//! One installation of the worker on the stack that runs: its database, its topics, its settings file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Failure;

/// Where the stack is; `deploy/local/with-stack` sets the variables.
#[derive(Debug, Clone)]
pub struct Stack {
    pub bootstrap: String,
    pub postgres_url: String,
    pub registry_url: String,
    pub dir: PathBuf,
}

impl Stack {
    pub fn from_environment() -> Result<Stack, Failure> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                format!("{name} is not set. Run this through `make`, or as: deploy/local/with-stack target/stack/try COMMAND")
            })
        };
        Ok(Stack {
            bootstrap: variable("KAFKA_BOOTSTRAP")?,
            postgres_url: variable("POSTGRES_URL")?,
            registry_url: variable("REGISTRY_URL")?,
            dir: PathBuf::from(variable("STACK_DIR")?),
        })
    }

    /// The URL of another database of the same server.
    pub fn database_url(&self, name: &str) -> Result<String, Failure> {
        let (server, _) = self.postgres_url.rsplit_once('/').ok_or("POSTGRES_URL names no database")?;
        Ok(format!("{server}/{name}"))
    }
}

/// Topics, database and settings under one name.
#[derive(Debug, Clone)]
pub struct Installation {
    pub stack: Stack,
    pub worker: PathBuf,
    pub topic_prefix: String,
    pub database: String,
    /// The settings file.
    pub settings: PathBuf,
}

impl Installation {
    /// `name` is also the prefix of the topics and the group, so installations on one stack do not meet. The database must not exist.
    pub fn new(stack: &Stack, worker: &Path, name: &str, database: &str) -> Result<Installation, Failure> {
        Self::copying(stack, worker, name, database, "template1")
    }

    /// The same with a database that begins as a copy of another, to which nobody may be connected.
    pub fn copying(
        stack: &Stack,
        worker: &Path,
        name: &str,
        database: &str,
        template: &str,
    ) -> Result<Installation, Failure> {
        if !worker.is_file() {
            return Err(format!("there is no worker at {}: build it first", worker.display()).into());
        }
        super::database::create(&stack.postgres_url, database, template)?;
        Self::on(stack, worker, name, database)
    }

    /// The same on a database that exists.
    pub fn on(stack: &Stack, worker: &Path, name: &str, database: &str) -> Result<Installation, Failure> {
        let url = stack.database_url(database)?;
        let settings = stack.dir.join(format!("{name}.toml"));
        let Stack { bootstrap, registry_url, .. } = stack;
        fs::write(
            &settings,
            format!(
                "[kafka]\nbootstrap_servers = \"{bootstrap}\"\ngroup = \"{name}\"\ntopic_prefix = \"{name}.\"\n\
                 client_id = \"worker-1\"\n# one broker, one copy: for a desk, never for production\ndevelopment = true\n\n\
                 [postgres]\nurl = \"{url}\"\n# a worker with 32 lanes needs 34\npool_size = 40\n\n[registry]\nurl = \"{registry_url}\"\n\n[http]\nlisten = \"127.0.0.1:0\"\n"
            ),
        )
        .map_err(|error| format!("{} can't be written: {error}", settings.display()))?;
        Ok(Installation {
            stack: stack.clone(),
            worker: worker.to_owned(),
            topic_prefix: format!("{name}."),
            database: database.to_owned(),
            settings,
        })
    }

    /// Tables, topics and their start positions, schemas.
    pub fn prepare(&self, lanes: i32) -> Result<(), Failure> {
        self.run(&["migrate"])?;
        self.run(&["topics", "create", "--lanes", &lanes.to_string()])?;
        self.run(&["schemas", "register"])?;
        Ok(())
    }

    /// A command of the worker with this installation's settings, for one's own wiring.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.worker);
        command.args(arguments).arg("--config").arg(&self.settings).stdin(Stdio::null());
        super::processes::die_with_me(&mut command);
        command
    }

    /// Runs a command of the worker to its end, and gives what it printed; an exit code other than 0 is a failure that quotes it.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self
            .command(arguments)
            .output()
            .map_err(|error| format!("{} can't be started: {error}", self.worker.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`loyalty-worker {}` ended with {}:\n{printed}{said}", arguments.join(" "), output.status).into())
    }
}
