//! Bad fields, collected so that the sender hears of all of them at once.

use crate::domain::command::FieldProblem;
use crate::domain::is_deceptive;

/// So many are named; a record of 256 KiB could have 50,000 of them, and the answer must not outgrow the question.
const MAX_PROBLEMS: usize = 100;
/// A path is the sender's text as well.
const MAX_PATH_CHARS: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<FieldProblem>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        if self.found.len() < MAX_PROBLEMS {
            self.found.push(FieldProblem { field: presentable(field), problem: problem.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.found.len() + self.more
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The envelope's first, wherever they were found.
    pub(super) fn into_found(mut self) -> Vec<FieldProblem> {
        if self.more > 0
            && let Some(last) = self.found.last_mut()
        {
            last.problem.push_str(&format!("; and {} more problems that are not listed", self.more));
        }
        self.found.sort_by_key(|bad| !bad.field.starts_with("envelope"));
        self.found
    }
}

/// Control characters (U+0000 would poison Postgres) are replaced, and long paths cut.
fn presentable(path: &str) -> String {
    path.chars().take(MAX_PATH_CHARS).map(|c| if is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
