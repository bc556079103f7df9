//! Reading a partition once more, forward and range by range, for replays.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Clock};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client::{LoggedContext, is_passing, is_unreadable, plain_consumer, with_leader};
use super::{FailureKind, KafkaFailure, headers};
use crate::config::KafkaSettings;
use crate::domain::Instant;
use crate::record::Header;

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A record of any topic.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    pub offset: i64,
    pub timestamp: Instant,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// Reads one partition forward. All calls BLOCK.
pub struct RangeReader {
    consumer: BaseConsumer<LoggedContext>,
    name: String,
    topic: String,
    partition: i32,
    /// The offset after the last record that was read.
    next: i64,
    /// Offsets that were given up: what can't be read there is passed.
    given_up: BTreeSet<i64>,
    /// Read, but beyond the range that was asked for.
    ahead: Option<StoredRecord>,
    /// The end is told only once.
    at_end: bool,
}

impl RangeReader {
    /// From the first record that the broker still holds.
    pub fn open_at_start(settings: &KafkaSettings, topic: &str, partition: i32) -> Result<RangeReader, KafkaFailure> {
        Self::open_at(settings, topic, partition, Offset::Beginning)
    }

    /// The partition's last record, and the first offset that it still holds. Control records are no records.
    pub fn last_of(
        settings: &KafkaSettings,
        topic: &str,
        partition: i32,
    ) -> Result<(Option<StoredRecord>, i64), KafkaFailure> {
        let consumer = plain_consumer(settings, "ends")?;
        let watermarks = with_leader(&consumer, topic, || consumer.fetch_watermarks(topic, partition, PATIENCE));
        let failed = |error| KafkaFailure::of(format!("asking where {topic}/{partition} ends"), &error);
        let (low, high) = watermarks.map_err(failed)?;
        // From ever further before the end: there stand the markers of transactions, and perhaps aborted ones.
        for back in [16, 1024, 65_536, i64::MAX] {
            let from = high.saturating_sub(back).max(low);
            let mut reader = Self::open(settings, topic, partition, from)?;
            let mut last = None;
            while let Some(record) = reader.read_next()? {
                last = Some(record);
            }
            if last.is_some() || from == low {
                return Ok((last, low));
            }
        }
        Ok((None, low))
    }

    pub fn open(settings: &KafkaSettings, topic: &str, partition: i32, from: i64) -> Result<RangeReader, KafkaFailure> {
        Self::open_at(settings, topic, partition, Offset::Offset(from))
    }

    fn open_at(
        settings: &KafkaSettings,
        topic: &str,
        partition: i32,
        from: Offset,
    ) -> Result<RangeReader, KafkaFailure> {
        let name = format!("{topic}/{partition}");
        let consumer = plain_consumer(settings, "ranges")?;
        let next = if let Offset::Offset(next) = from { next } else { 0 };
        let (topic, given_up) = (topic.to_owned(), BTreeSet::new());
        let reader = RangeReader { consumer, name, topic, partition, next, given_up, ahead: None, at_end: false };
        reader.begin(from)?;
        Ok(reader)
    }

    fn begin(&self, from: Offset) -> Result<(), KafkaFailure> {
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&self.topic, self.partition, from)
            .and_then(|()| self.consumer.assign(&assignment))
            .map_err(|error| KafkaFailure::of(format!("reading {}", self.name), &error))
    }

    /// What can't be read at these offsets is passed, and stands as a record without anything.
    pub fn give_up(&mut self, offsets: impl IntoIterator<Item = i64>) {
        self.given_up.extend(offsets);
    }

    /// The records before the offset `to`. What is missing there were control records, or records of aborted transactions.
    pub fn read_to(&mut self, to: i64) -> Result<Vec<StoredRecord>, KafkaFailure> {
        let mut records = Vec::new();
        while let Some(record) = self.read_next()? {
            if record.offset >= to {
                self.ahead = Some(record);
                break;
            }
            let is_last = record.offset + 1 == to;
            records.push(record);
            if is_last {
                break;
            }
        }
        Ok(records)
    }

    /// The next record; `None` at the partition's end, and from then on.
    pub fn read_next(&mut self) -> Result<Option<StoredRecord>, KafkaFailure> {
        if let Some(record) = self.ahead.take() {
            return Ok(Some(record));
        }
        if self.at_end {
            return Ok(None);
        }
        self.poll_until(Clock::now() + PATIENCE)
    }

    /// The next record, or `None` at the partition's end. An offset that the partition does not have yet is an error.
    pub fn read_within(&mut self, patience: Duration) -> Result<Option<StoredRecord>, KafkaFailure> {
        self.poll_until(Clock::now() + patience)
    }

    fn poll_until(&mut self, deadline: Clock) -> Result<Option<StoredRecord>, KafkaFailure> {
        loop {
            match self.consumer.poll(deadline.saturating_duration_since(Clock::now())) {
                Some(Ok(fetched)) => {
                    let record = stored(&fetched);
                    self.next = record.offset + 1;
                    return Ok(Some(record));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at_end = true;
                    return Ok(None);
                }
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_unreadable) => {
                    // Between the last record and this one may stand marks of transactions.
                    let Some(&offset) = self.given_up.range(self.next..).next() else {
                        return Err(KafkaFailure::of(format!("reading {}", self.name), &error));
                    };
                    self.next = offset + 1;
                    self.begin(Offset::Offset(self.next))?;
                    let (key, value, headers) = (None, None, Vec::new());
                    return Ok(Some(StoredRecord { offset, timestamp: Instant::EPOCH, key, value, headers }));
                }
                Some(Err(error)) if is_passing(&error) && Clock::now() < deadline => {}
                Some(Err(error)) => return Err(KafkaFailure::of(format!("reading {}", self.name), &error)),
                None => {
                    return Err(KafkaFailure::new(
                        FailureKind::Unavailable,
                        format!("reading {}", self.name),
                        "no answer from the brokers".to_owned(),
                    ));
                }
            }
        }
    }
}

fn stored(fetched: &BorrowedMessage<'_>) -> StoredRecord {
    StoredRecord {
        offset: fetched.offset(),
        timestamp: Instant::from_millis(fetched.timestamp().to_millis().unwrap_or_default()),
        key: fetched.key().map(<[u8]>::to_vec),
        value: fetched.payload().map(<[u8]>::to_vec),
        headers: headers::of_message(fetched),
    }
}
