//! Where records stand.

use std::fmt;

/// A topic that commands come from. The order is the rank that breaks ties of time: a merchant's configuration first, ticks last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandTopic {
    MerchantConfig,
    CustomerUpsert,
    Credit,
    Redeem,
    Clock,
}

impl CommandTopic {
    pub const ALL: [CommandTopic; 5] = [
        CommandTopic::MerchantConfig,
        CommandTopic::CustomerUpsert,
        CommandTopic::Credit,
        CommandTopic::Redeem,
        CommandTopic::Clock,
    ];
    pub const COUNT: usize = Self::ALL.len();

    /// The name without the installation's prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            CommandTopic::MerchantConfig => "merchant-config",
            CommandTopic::CustomerUpsert => "customer-upsert",
            CommandTopic::Credit => "credit",
            CommandTopic::Redeem => "redeem",
            CommandTopic::Clock => "clock",
        }
    }

    /// Its place in [`CommandTopic::ALL`] and in every per-topic array.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The number that stands for it in the database; never reused.
    pub fn code(self) -> i16 {
        match self {
            CommandTopic::MerchantConfig => 1,
            CommandTopic::CustomerUpsert => 2,
            CommandTopic::Credit => 3,
            CommandTopic::Redeem => 4,
            CommandTopic::Clock => 5,
        }
    }

    pub fn from_code(code: i16) -> Option<CommandTopic> {
        Self::ALL.into_iter().find(|topic| topic.code() == code)
    }
}

/// The address of one inbound record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
