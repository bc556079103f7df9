//! `postgres.lane_urls`: which database has which lanes.

use std::collections::BTreeMap;
use std::fmt;

use super::value::Kind;

/// The lanes of one database out of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRange {
    pub first: i32,
    pub last: i32,
    /// How many lanes all ranges have together. So a merchant's database can be found without asking Kafka.
    pub of: i32,
}

impl LaneRange {
    pub fn has(self, lane: i32) -> bool {
        (self.first..=self.last).contains(&lane)
    }

    pub fn count(self) -> i32 {
        self.last - self.first + 1
    }
}

impl fmt::Display for LaneRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The ranges in the order of their lanes, each with its database's address. The error says what is wrong, and names no address.
pub(super) fn ranges(urls: &BTreeMap<String, String>) -> Result<Vec<(LaneRange, String)>, String> {
    let mut found = Vec::with_capacity(urls.len());
    for (range, url) in urls {
        let (first, last) = bounds(range).ok_or_else(|| {
            // An address in a range's place: there may be a password in it.
            let named =
                if range.contains([':', '/', '@']) { "the name of an entry".to_owned() } else { format!("{range:?}") };
            format!("{named} is no range of lanes, such as \"0-15\" or \"3-3\"")
        })?;
        if !Kind::PostgresUrl.accepts(url) {
            return Err(format!("the lanes {range} need an address: {}", Kind::PostgresUrl.expectation()));
        }
        if urls.iter().any(|(other, same)| other != range && same == url) {
            return Err(format!("the lanes {range} and others have one address: make them one range"));
        }
        found.push((first, last, url));
    }
    found.sort_unstable();
    let mut of = 0;
    for (first, last, _) in &found {
        if *first > of {
            return Err(format!("lane {of} is in no range, though lane {first} is"));
        }
        if *first < of {
            return Err(format!("lane {first} is in two ranges"));
        }
        of = last + 1;
    }
    let ranges = found.into_iter().map(|(first, last, url)| (LaneRange { first, last, of }, url.clone()));
    Ok(ranges.collect())
}

fn bounds(range: &str) -> Option<(i32, i32)> {
    let (first, last) = range.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first.into(), last.into()))
}
