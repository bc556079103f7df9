//! What a command is given to read: a file, or standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::CliError;

/// Opens a file; - is standard input. A byte order mark at the beginning, which some editors write, is passed over.
pub fn open(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    let wrong = |error: std::io::Error| CliError::Usage(format!("{}: {error}", file.display()));
    let opened: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(file).map_err(wrong)?)
    };
    let mut reader = BufReader::with_capacity(64 * 1024, opened);
    let mark = reader.fill_buf().map_err(wrong)?.starts_with(BYTE_ORDER_MARK);
    reader.consume(if mark { BYTE_ORDER_MARK.len() } else { 0 });
    Ok(Box::new(reader))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
