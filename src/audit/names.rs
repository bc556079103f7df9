//! Texts as hashes: small, comparable, and without personal data.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

/// A text, as its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u64);

impl Name {
    pub fn of(text: &str) -> Name {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        Name(hasher.finish())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.0)
    }
}

/// The texts behind those names that are not personal: merchants, units, codes. For messages.
#[derive(Debug, Default, Clone)]
pub struct Names(HashMap<Name, Box<str>>);

impl Names {
    /// The name of a text that may be printed.
    pub fn keep(&mut self, text: &str) -> Name {
        let name = Name::of(text);
        self.0.entry(name).or_insert_with(|| text.into());
        name
    }

    pub fn text(&self, name: Name) -> &str {
        self.0.get(&name).map_or("?", |text| text)
    }

    pub fn absorb(&mut self, other: Names) {
        self.0.extend(other.0);
    }
}
