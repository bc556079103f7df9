//! Where records stand.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::values::words::words;

words! {
    /// A topic that commands come from. The order is the rank that breaks ties of time: a merchant's configuration first, ticks last.
    CommandTopic {
        MerchantConfig = 1 "merchant-config",
        CustomerUpsert = 2 "customer-upsert",
        CustomerLifecycle = 3 "customer-lifecycle",
        Credit = 4 "credit",
        Redeem = 5 "redeem",
        Reservation = 6 "reservation",
        Reversal = 7 "reversal",
        Clock = 8 "clock",
    }
}

impl CommandTopic {
    pub const COUNT: usize = Self::ALL.len();

    /// The name without the installation's prefix.
    pub fn suffix(self) -> &'static str {
        self.name()
    }

    /// Its place in [`CommandTopic::ALL`] and in every per-topic array.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The address of one inbound record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub topic: CommandTopic,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic.suffix(), self.partition, self.offset)
    }
}

/// The positions of a lane: the NEXT offset of each command topic, in the order of [`CommandTopic::ALL`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frontier(pub [i64; CommandTopic::COUNT]);

impl Frontier {
    pub fn next(&self, topic: CommandTopic) -> i64 {
        self.0[topic.index()]
    }

    pub fn set(&mut self, topic: CommandTopic, next: i64) {
        self.0[topic.index()] = next;
    }

    /// Takes a record in, and gives its place among those of the lane: each is greater than all before it.
    pub fn pass(&mut self, position: Position) -> i64 {
        self.set(position.topic, self.next(position.topic).max(position.offset.saturating_add(1)));
        self.0.iter().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (CommandTopic, i64)> + '_ {
        CommandTopic::ALL.into_iter().map(|topic| (topic, self.next(topic)))
    }
}

impl fmt::Debug for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(topic, next)| (topic.suffix(), next))).finish()
    }
}
