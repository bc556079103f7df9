//! What a command is given to read: a file, or standard input.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::CliError;

/// Opens a file; - is standard input.
pub fn open(file: &Path) -> Result<Box<dyn Read>, CliError> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let opened = File::open(file).map_err(|error| CliError::Usage(format!("{}: {error}", file.display())))?;
    Ok(Box::new(opened))
}
