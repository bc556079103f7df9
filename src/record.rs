//! Records as they come from Kafka and as they go there: bytes with an address, before and after all meaning.

use crate::domain::{CommandTopic, Instant, Position};

/// A record as fetched, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRecord {
    pub position: Position,
    /// The broker's time (`LogAppendTime`).
    pub timestamp: Instant,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone, which no command topic may hold.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// One Kafka header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    pub name: String,
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// A topic that the worker writes. Its records go to the partition of their lane, whatever their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum OutTopic {
    Results,
    Events,
    Customers,
    DeadLetters,
    Journal,
}

impl OutTopic {
    pub const ALL: [OutTopic; 5] =
        [OutTopic::Results, OutTopic::Events, OutTopic::Customers, OutTopic::DeadLetters, OutTopic::Journal];

    /// The name without the installation's prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            OutTopic::Results => "results",
            OutTopic::Events => "events",
            OutTopic::Customers => "customers",
            OutTopic::DeadLetters => "dead-letters",
            OutTopic::Journal => "journal",
        }
    }
}

/// A record that is ready to be sent: its bytes exist before the batch commits, so that nothing can fail afterwards.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OutboundRecord {
    pub topic: OutTopic,
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// The lane of a key among so many: murmur2, as Java's default partitioner, so that every sender agrees.
pub fn lane_of(key: &[u8], lanes: i32) -> i32 {
    // SAFETY: the function reads `keylen` bytes at `key` and ignores the other pointers.
    unsafe {
        rdkafka::bindings::rd_kafka_msg_partitioner_murmur2(
            std::ptr::null(),
            key.as_ptr().cast(),
            key.len(),
            lanes,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    }
}

/// Topic names of one installation: a prefix and the fixed suffixes.
#[derive(Debug, Clone)]
pub struct TopicNames {
    prefix: String,
}

impl TopicNames {
    pub fn new(prefix: impl Into<String>) -> Self {
        TopicNames { prefix: prefix.into() }
    }

    pub fn command(&self, topic: CommandTopic) -> String {
        format!("{}{}", self.prefix, topic.suffix())
    }

    pub fn out(&self, topic: OutTopic) -> String {
        format!("{}{}", self.prefix, topic.suffix())
    }

    /// The command topic of that full name.
    pub fn command_of(&self, name: &str) -> Option<CommandTopic> {
        let suffix = name.strip_prefix(self.prefix.as_str())?;
        CommandTopic::ALL.into_iter().find(|topic| topic.suffix() == suffix)
    }
}
