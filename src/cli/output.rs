//! Lines to standard output. A reader that goes away (`| head`) ends the command quietly.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;

use super::CliError;
use crate::domain::is_invisible;

/// Prints one line. What senders wrote in it must have been [`escaped`].
pub fn line(text: impl std::fmt::Display) -> Result<(), CliError> {
    written(writeln!(std::io::stdout().lock(), "{}", visible(&text.to_string())))
}

/// Prints text that has its own line ends.
pub fn text(text: impl std::fmt::Display) -> Result<(), CliError> {
    written(write!(std::io::stdout().lock(), "{}", visible(&text.to_string())))
}

/// Prints JSON. Characters that could deceive are written as JSON's escapes, which say the same.
pub fn json(value: impl std::fmt::Display) -> Result<(), CliError> {
    let text = value.to_string();
    let mut shown = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if (c.is_control() && c != '\n') || is_invisible(c) {
            let mut units = [0; 2];
            // Writing to a String cannot fail.
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    written(writeln!(std::io::stdout().lock(), "{shown}"))
}

/// A text from outside, for a line that people read: what would move the cursor, colour the terminal or hide itself is written as an escape,
/// and so is a line end, which would forge a line.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// For an output of several lines: its own line ends and tabs stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_unsafe = |c: char| (c.is_control() || is_invisible(c)) && !stays(c);
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn written(result: std::io::Result<()>) -> Result<(), CliError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::OutputClosed),
        Err(error) => Err(CliError::Failed(format!("standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_not_move_the_cursor_or_forge_a_line() {
        assert_eq!(escaped("Ada"), "Ada");
        assert_eq!(escaped("Ada\nlane 1 is halted"), "Ada\\nlane 1 is halted");
        assert_eq!(escaped("\u{1b}[2J\u{202e}x\u{200b}"), "\\u{1b}[2J\\u{202e}x\\u{200b}");
        assert_eq!(visible("one\ttwo\n\u{9b}31m"), "one\ttwo\n\\u{9b}31m");
        assert_eq!(escaped("Zoë 张三 👩‍👩‍👧"), "Zoë 张三 👩‍👩‍👧", "a joiner between two letters or pictures is no trick");
    }
}
