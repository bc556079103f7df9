//! `config default` and `config check`.

use clap::Subcommand;

use super::{CliError, output};
use crate::config::{ConfigError, Settings, default_file};

#[derive(Subcommand)]
pub enum Command {
    /// Print a settings file with every key, its default and what it does
    #[command(after_help = "Example:\n  loyalty-worker config default > loyalty-worker.toml")]
    Default,
    /// Load the settings as `run` would, and print them without their secrets
    #[command(after_help = "Exits with 2 when something is wrong, naming each key and where it stands.")]
    Check,
}

pub fn run(command: &Command, load: impl FnOnce() -> Result<Settings, ConfigError>) -> Result<(), CliError> {
    match command {
        Command::Default => output::text(default_file()),
        Command::Check => {
            let settings = load()?;
            output::line(format_args!("{settings:#?}"))
        }
    }
}
