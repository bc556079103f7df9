//! `completions` and `man`: what a package installs beside the binary.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CliError, CommandLine, output};

#[derive(Args)]
#[command(
    after_help = "Example:\n  loyalty-worker completions bash > /usr/share/bash-completion/completions/loyalty-worker"
)]
pub struct Completions {
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Example:\n  loyalty-worker man /usr/local/share/man/man1")]
pub struct Man {
    /// The folder to write them to, one for each command
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn completions(options: &Completions) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut CommandLine::command(), "loyalty-worker", &mut script);
    output::text(String::from_utf8_lossy(&script))
}

pub fn man(options: &Man) -> Result<(), CliError> {
    let written = clap_mangen::generate_to(CommandLine::command(), &options.dir);
    written.map_err(|error| CliError::Failed(format!("{}: {error}", options.dir.display())))
}
