//! Lines to standard output. A reader that goes away (`| head`) ends the command quietly.

use std::io::Write;

use super::CliError;

/// Prints one line.
pub fn line(text: impl std::fmt::Display) -> Result<(), CliError> {
    written(writeln!(std::io::stdout().lock(), "{text}"))
}

/// Prints text that has its own line ends.
pub fn text(text: impl std::fmt::Display) -> Result<(), CliError> {
    written(write!(std::io::stdout().lock(), "{text}"))
}

fn written(result: std::io::Result<()>) -> Result<(), CliError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::OutputClosed),
        Err(error) => Err(CliError::Failed(format!("standard output: {error}"))),
    }
}
