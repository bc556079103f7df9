//! Records as they come from Kafka and as they go there: bytes with an address, before and after all meaning.

use std::borrow::Cow;

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
    pub headers: Headers,
}

impl InboundRecord {
    /// What stands for a record whose bytes can't be read, once it was given up. Its time is before all others, in a worker and in a replay
    /// alike, so that both put it in the same place.
    pub fn unreadable(position: Position) -> InboundRecord {
        InboundRecord { position, timestamp: Instant::EPOCH, key: None, value: None, headers: Headers::default() }
    }

    pub fn is_unreadable(&self) -> bool {
        self.timestamp == Instant::EPOCH
    }

    /// About as many bytes of memory as it takes.
    pub fn bytes(&self) -> usize {
        const OF_RECORD: usize = 200;
        const OF_HEADER: usize = 100;
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.kept.iter().map(|header| OF_HEADER + header.name.len() + header.value.len()).sum();
        OF_RECORD + length(&self.key) + length(&self.value) + headers
    }
}

/// One Kafka header, as fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Vec<u8>,
}

impl Header {
    pub fn new(name: &[u8], value: &[u8]) -> Header {
        Header { name: String::from_utf8_lossy(name).into_owned(), value: value.to_vec() }
    }
}

/// A command's headers, as far as they are kept: no command needs more, and each takes a hundred bytes of memory, however small it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    pub kept: Vec<Header>,
    /// Others were left out.
    pub are_cut: bool,
    bytes: usize,
}

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// What the worker itself reads is kept behind any number of others.
const READ_BY_THE_WORKER: [&str; 2] = [TRACEPARENT, ORIGINAL_TIME];

impl Headers {
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let bytes = name.len() + value.len();
        let is_read = READ_BY_THE_WORKER.iter().any(|read| read.as_bytes() == name);
        let fits = self.kept.len() < MAX_HEADERS && self.bytes + bytes <= MAX_HEADER_BYTES;
        if fits || is_read && bytes <= MAX_HEADER_BYTES {
            self.bytes += bytes;
            self.kept.push(Header::new(name, value));
        } else {
            self.are_cut = true;
        }
    }

    pub fn get(&self, name: &str) -> Option<&Header> {
        self.kept.iter().find(|header| header.name == name)
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(all: I) -> Headers {
        let mut headers = Headers::default();
        all.into_iter().for_each(|header| headers.push(header.name.as_bytes(), &header.value));
        headers
    }
}

/// W3C's header of a trace.
pub const TRACEPARENT: &str = "traceparent";

/// The header that says when a record came first: dead letters have it, and records that were sent again, whose business time it is.
/// RFC 3339.
pub const ORIGINAL_TIME: &str = "loyalty.original-time";

/// The header of a record that was sent again, one for each time: where its dead letter lies, and where it stood itself.
pub const REPLAY_OF: &str = "loyalty.replay-of";

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

/// A record to send. It borrows from what it is made of, or from the [`OutboundRecords`] that hold it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OutboundRecord<'a> {
    pub topic: OutTopic,
    #[serde(borrow, with = "serde_bytes")]
    pub key: Cow<'a, [u8]>,
    #[serde(borrow, with = "serde_bytes")]
    pub value: Option<Cow<'a, [u8]>>,
    #[serde(borrow)]
    pub headers: Vec<OutboundHeader<'a>>,
}

/// A header to send.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OutboundHeader<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow, with = "serde_bytes")]
    pub value: Cow<'a, [u8]>,
}

impl<'a> OutboundHeader<'a> {
    pub fn new(name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        OutboundHeader { name: name.into(), value: value.as_ref().into() }
    }
}

/// The records of one batch, in their order, ready to be sent: their bytes exist before the batch commits, so that nothing can fail
/// afterwards. One buffer holds all of them, one after the other in postcard's format: so the outbox stores it, and the publisher
/// reads it, without taking it apart.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OutboundRecords {
    bytes: Vec<u8>,
    counts: [usize; OutTopic::ALL.len()],
    /// Where each topic's first record begins.
    firsts: [Option<usize>; OutTopic::ALL.len()],
}

impl OutboundRecords {
    /// With room for so many bytes. A batch's are megabytes, and would be copied each time that their room is doubled.
    pub fn with_room(bytes: usize) -> OutboundRecords {
        OutboundRecords { bytes: Vec::with_capacity(bytes), ..OutboundRecords::default() }
    }

    pub fn push(&mut self, record: &OutboundRecord<'_>) {
        self.count_in(record.topic, self.bytes.len());
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(record, bytes)
            .expect("slices and their fields have known lengths, so postcard can't fail");
    }

    /// Reads what [`OutboundRecords::as_bytes`] gave. An error tells what is damaged.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<OutboundRecords, postcard::Error> {
        let mut records = OutboundRecords::default();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (record, after) = postcard::take_from_bytes::<OutboundRecord>(rest)?;
            records.count_in(record.topic, bytes.len() - rest.len());
            rest = after;
        }
        Ok(OutboundRecords { bytes, ..records })
    }

    fn count_in(&mut self, topic: OutTopic, begins: usize) {
        self.counts[topic as usize] += 1;
        self.firsts[topic as usize].get_or_insert(begins);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = OutboundRecord<'_>> {
        self.starting_at(0)
    }

    /// A topic's first record.
    pub fn first(&self, topic: OutTopic) -> Option<OutboundRecord<'_>> {
        self.starting_at(self.firsts[topic as usize]?).next()
    }

    fn starting_at(&self, begins: usize) -> impl Iterator<Item = OutboundRecord<'_>> {
        let mut rest = &self.bytes[begins..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (record, after) =
                postcard::take_from_bytes(rest).expect("the buffer holds what was pushed, or was read before");
            rest = after;
            Some(record)
        })
    }

    pub fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn count(&self, topic: OutTopic) -> usize {
        self.counts[topic as usize]
    }
}

impl std::fmt::Debug for OutboundRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
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

    pub fn prefix(&self) -> &str {
        &self.prefix
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
