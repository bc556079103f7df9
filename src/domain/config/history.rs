//! Versions of what a merchant configures: each for ever, judged by business time.
//!
//! In force at an instant is the greatest version that begins no later. So a change that begins before versions that wait for their time
//! would hide them; it makes each of them anew on top of itself.

use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::values::time::Instant;

/// What is configured, as it is from an instant on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Version<T> {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    /// Lane time.
    pub recorded_at: Instant,
    pub content: T,
}

impl<T> Deref for Version<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content
    }
}

/// All versions of one object, ascending from 1 without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct History<T>(Vec<Arc<Version<T>>>);

impl<T> Default for History<T> {
    fn default() -> Self {
        History(Vec::new())
    }
}

impl<T> History<T> {
    /// The version in force at a business time; `None` before there is any.
    pub fn at(&self, at: Instant) -> Option<&Arc<Version<T>>> {
        self.0.iter().rev().find(|version| version.effective_from <= at)
    }

    /// The version as it was known before an instant. A later one does not count: whether it is there yet when the instant is settled
    /// depends on the next command or tick.
    pub fn known_before(&self, at: Instant) -> Option<&Arc<Version<T>>> {
        self.0.iter().rev().find(|version| version.recorded_at < at && version.effective_from <= at)
    }

    pub fn latest(&self) -> Option<&Arc<Version<T>>> {
        self.0.last()
    }

    pub fn versions(&self) -> &[Arc<Version<T>>] {
        &self.0
    }

    /// What comes into force after an instant, in that order, without what a later version hides. Every version behind the one that is in
    /// force at the instant begins after it, and all before that one are hidden by it.
    pub fn after(&self, at: Instant) -> Vec<Arc<Version<T>>> {
        let mut pending: Vec<Arc<Version<T>>> = Vec::new();
        for version in self.0.iter().rev().take_while(|version| version.effective_from > at) {
            if pending.last().is_none_or(|next| version.effective_from < next.effective_from) {
                pending.push(version.clone());
            }
        }
        pending.reverse();
        pending
    }

    /// Takes the next version in: false, and nothing is taken, if its number is another.
    pub fn push(&mut self, version: Arc<Version<T>>) -> bool {
        let is_next = version.version == self.0.len() as i64 + 1;
        if is_next {
            self.0.push(version);
        }
        is_next
    }
}

impl<T: Clone + Default> History<T> {
    /// The versions that a change makes: the content itself, then whatever comes into force later anew, as `rebased` makes it of the version
    /// as it was, what it was made of, and what it is made of now.
    pub fn changed(
        &self,
        content: T,
        effective_from: Instant,
        recorded_at: Instant,
        rebased: impl Fn(&T, &T, &T) -> T,
    ) -> Vec<Arc<Version<T>>> {
        let pending = self.after(effective_from);
        let mut number = self.0.len() as i64;
        let mut made = |effective_from, content| {
            number += 1;
            Arc::new(Version { version: number, effective_from, recorded_at, content })
        };
        let mut before = self.at(effective_from).map_or_else(T::default, |in_force| in_force.content.clone());
        let mut versions = vec![made(effective_from, content)];
        for later in pending {
            let after = &versions[versions.len() - 1].content;
            let anew = rebased(&later.content, &before, after);
            before = later.content.clone();
            versions.push(made(later.effective_from, anew));
        }
        versions
    }
}
