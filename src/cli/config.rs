//! `config`: the worker's settings (`default`, `check`), and a merchant's configuration as a file (`export`, `apply`).

pub mod apply;
mod difference;
mod document;
pub mod export;

use clap::Subcommand;

use super::{CliError, output};
use crate::config::{ConfigError, default_file};

#[derive(Subcommand)]
pub enum Command {
    /// Print a settings file with every key, its default and what it does
    #[command(after_help = "Example:\n  loyalty-worker config default > loyalty-worker.toml")]
    Default,
    /// Load the settings as `run` would, and print them as a settings file, with passwords masked
    #[command(after_help = "Exits with 2 when something is wrong, naming each key and where it stands.")]
    Check,
    /// Print a merchant's configuration as a file
    Export(export::Options),
    /// Make a merchant's configuration what a file says
    Apply(apply::Options),
}

pub fn print_default() -> Result<(), CliError> {
    output::text(default_file())
}

/// What can be printed can be written to a file, but for the passwords.
pub fn check(shown: Result<String, ConfigError>) -> Result<(), CliError> {
    output::text(shown?)
}
