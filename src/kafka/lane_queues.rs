//! The five queues of an open lane, each with a budget of its own.
//!
//! Partition queues are split off BEFORE the partitions are assigned, and never forwarded together: with one budget, topic A would
//! fill it, topic B would never be fetched, and the lane would wait for B for ever. This is FFI because the safe wrapper gives
//! neither the topic nor the offset of an end of partition.

use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::Offset;
use rdkafka::bindings as ffi;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::client::{LoggedContext, is_denied, is_unreadable};
use super::{FailureKind, KafkaFailure, headers};
use crate::domain::{CommandTopic, Frontier, Instant, Position};
use crate::record::{InboundRecord, TopicNames};

/// What a partition gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    Record(InboundRecord),
    /// The end of the partition for readers of committed records: `next` is past control records and aborted transactions, so the
    /// frontier may go there. It comes once per end, again when more was written after it.
    End {
        next: i64,
    },
}

/// Why a lane can't be read on. After one, every further read gives the same: open the lane anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The broker no longer, or not yet, holds this offset.
    #[error("{} has no offset {offset} any more, or not yet", topic.suffix())]
    OutOfRange { topic: CommandTopic, offset: i64 },
    /// What the broker holds from this offset on can't be read: tried again, it mostly can't either.
    #[error("{}/{offset}: {reason}", topic.suffix())]
    Unreadable { topic: CommandTopic, offset: i64, reason: String },
    #[error(transparent)]
    Failed(#[from] KafkaFailure),
}

/// What the open lanes share.
pub(super) struct Shared {
    pub(super) consumer: Arc<BaseConsumer<LoggedContext>>,
    pub(super) names: TopicNames,
    /// Records that came by the consumer's own queue and not by their partition's. None ever did; but one would be a lost
    /// command, since gaps in offsets are normal, so every lane that is open then fails.
    pub(super) strays: Arc<AtomicU64>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread holds the consumer too, and closes it: that takes 100 ms, and this may run on a tokio thread.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An open lane. Dropping it stops its fetching.
pub struct LaneQueues {
    queues: [PartitionQueue; CommandTopic::COUNT],
    assigned: TopicPartitionList,
    lane: i32,
    strays_at_open: u64,
    /// What can't be read of one topic does not end the reading of the others; every other error ends it.
    failed: [Option<IntakeError>; CommandTopic::COUNT],
    buffer: Vec<*mut ffi::rd_kafka_message_t>,
    shared: Arc<Shared>,
}

// SAFETY: the pointers are handles of librdkafka, which may be used by any thread; `buffer` is empty between calls.
unsafe impl Send for LaneQueues {}

impl LaneQueues {
    pub(super) fn open(
        shared: Arc<Shared>,
        lane: i32,
        frontier: &Frontier,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<LaneQueues, KafkaFailure> {
        let doing = || format!("opening lane {lane}");
        let wake = Arc::new(wake);
        let mut queues = Vec::with_capacity(CommandTopic::COUNT);
        let mut assigned = TopicPartitionList::with_capacity(CommandTopic::COUNT);
        for (topic, next) in frontier.iter() {
            let name = shared.names.command(topic);
            assigned
                .add_partition_offset(&name, lane, Offset::Offset(next))
                .map_err(|error| KafkaFailure::of(doing(), &error))?;
            queues.push(PartitionQueue::split(&shared, &name, lane, Arc::clone(&wake)).ok_or_else(|| {
                KafkaFailure::new(FailureKind::Settings, doing(), format!("{name} is no topic name"))
            })?);
        }
        let strays_at_open = shared.strays.load(Ordering::SeqCst);
        shared
            .consumer
            .incremental_assign(&assigned)
            .map_err(|error| KafkaFailure::new(FailureKind::Unavailable, doing(), error.to_string()))?;
        let queues = queues.try_into().unwrap_or_else(|_| unreachable!("one queue was made per topic"));
        Ok(LaneQueues {
            queues,
            assigned,
            lane,
            strays_at_open,
            failed: Default::default(),
            buffer: Vec::new(),
            shared,
        })
    }

    pub fn lane(&self) -> i32 {
        self.lane
    }

    /// Appends up to `max` records and ends of one topic. Fewer than `max` means that its queue was empty, so that `wake` will be
    /// called for what comes next. Never blocks. What was appended before an error is good.
    pub fn read(&mut self, topic: CommandTopic, max: usize, into: &mut Vec<Fetched>) -> Result<(), IntakeError> {
        let ends_all = |error: &&IntakeError| !matches!(error, IntakeError::Unreadable { .. });
        let failed = self.failed.iter().flatten().find(ends_all).or(self.failed[topic.index()].as_ref());
        if let Some(error) = failed {
            return Err(error.clone());
        }
        let read = self.fill(topic, max).and_then(|()| self.take(topic, into));
        if let Err(error) = &read {
            self.failed[topic.index()] = Some(error.clone());
        }
        read
    }

    /// Moves up to `max` native messages into `buffer`.
    fn fill(&mut self, topic: CommandTopic, max: usize) -> Result<(), IntakeError> {
        if self.shared.strays.load(Ordering::SeqCst) != self.strays_at_open {
            let message = "a record came by the consumer's queue and not by its partition's";
            return Err(KafkaFailure::new(FailureKind::Unavailable, "reading the lane's queues", message).into());
        }
        self.buffer.reserve(max);
        // SAFETY: the queue is alive, and the buffer has room for `max` pointers, of which the call writes as many as it returns.
        unsafe {
            let count =
                ffi::rd_kafka_consume_batch_queue(self.queues[topic.index()].queue, 0, self.buffer.as_mut_ptr(), max);
            match usize::try_from(count) {
                Ok(count) => self.buffer.set_len(count),
                Err(_) => {
                    let doing = format!("reading the queue of {}", topic.suffix());
                    return Err(KafkaFailure::new(FailureKind::Unavailable, doing, "the client refuses it").into());
                }
            }
        }
        Ok(())
    }

    /// Copies and destroys what `fill` brought, whatever becomes of it.
    fn take(&mut self, topic: CommandTopic, into: &mut Vec<Fetched>) -> Result<(), IntakeError> {
        let mut outcome = Ok(());
        into.reserve(self.buffer.len());
        for native in self.buffer.drain(..) {
            // SAFETY: each pointer is a message that we own until it is destroyed, once, here.
            unsafe {
                if outcome.is_ok() {
                    match copy(&*native, topic, &self.shared.names) {
                        Ok(fetched) => into.push(fetched),
                        Err(error) => outcome = Err(error),
                    }
                }
                ffi::rd_kafka_message_destroy(native);
            }
        }
        outcome
    }
}

impl Drop for LaneQueues {
    fn drop(&mut self) {
        // The queues are let go after this, by their own Drop, and the client after them.
        if let Err(error) = self.shared.consumer.incremental_unassign(&self.assigned) {
            tracing::warn!(lane = self.lane, "closing the lane's queues: {error}");
        }
    }
}

type Wake = Arc<Box<dyn Fn() + Send + Sync>>;

/// One partition's queue, with the callback that tells of its turning nonempty. Outlived by the client: see the order of fields above.
struct PartitionQueue {
    queue: *mut ffi::rd_kafka_queue_t,
    /// What the callback's pointer points to.
    wake: Wake,
}

impl PartitionQueue {
    /// Splits the queue off, which works before the partition is assigned. `None` where the name is impossible.
    fn split(shared: &Shared, topic: &str, partition: i32, wake: Wake) -> Option<PartitionQueue> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive; a null queue is not used; the callback's pointer is that of the box inside `wake`, which
        // does not move and lives until the callback has been disabled in `drop`.
        unsafe {
            let queue =
                ffi::rd_kafka_queue_get_partition(shared.consumer.client().native_ptr(), topic.as_ptr(), partition);
            if queue.is_null() {
                return None;
            }
            ffi::rd_kafka_queue_forward(queue, ptr::null_mut());
            let opaque: *const Box<dyn Fn() + Send + Sync> = &*wake;
            ffi::rd_kafka_queue_cb_event_enable(queue, Some(turned_nonempty), opaque as *mut c_void);
            Some(PartitionQueue { queue, wake })
        }
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: librdkafka calls the callback under the queue's lock and takes the same lock to disable it, so that after this
        // nobody calls the closure any more. The handle is given back once.
        unsafe {
            ffi::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            ffi::rd_kafka_queue_destroy(self.queue);
        }
        let _still_alive_until_here = &self.wake;
    }
}

unsafe extern "C" fn turned_nonempty(_client: *mut ffi::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: see `split`.
    let wake = unsafe { &*opaque.cast::<Box<dyn Fn() + Send + Sync>>() };
    wake();
}

/// # Safety
/// `native` is a message of a consumer's queue.
unsafe fn copy(
    native: &ffi::rd_kafka_message_t,
    topic: CommandTopic,
    names: &TopicNames,
) -> Result<Fetched, IntakeError> {
    match native.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Fetched::Record(InboundRecord {
            position: Position { topic, partition: native.partition, offset: native.offset },
            timestamp: unsafe { timestamp(native) },
            key: unsafe { bytes(native.key, native.key_len) },
            value: unsafe { bytes(native.payload, native.len) },
            headers: unsafe { headers::of_command(native) },
        })),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Ok(Fetched::End { next: native.offset }),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET => {
            Err(IntakeError::OutOfRange { topic, offset: native.offset })
        }
        _ => {
            // SAFETY: an error's message has a text, NUL-terminated, that lives as long as the message.
            let text = unsafe { CStr::from_ptr(ffi::rd_kafka_message_errstr(native)) };
            let reason = text.to_string_lossy().into_owned();
            if is_unreadable(native.err.into()) {
                return Err(IntakeError::Unreadable { topic, offset: native.offset, reason });
            }
            let kind = if is_denied(native.err.into()) { FailureKind::Denied } else { FailureKind::Unavailable };
            let doing = format!("reading {}/{}", names.command(topic), native.partition);
            Err(KafkaFailure::new(kind, doing, reason).into())
        }
    }
}

unsafe fn timestamp(native: &ffi::rd_kafka_message_t) -> Instant {
    let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: as for `copy`. The kind is not looked at: start-up refuses topics whose timestamps are not the broker's.
    Instant::from_millis(unsafe { ffi::rd_kafka_message_timestamp(native, &mut kind) })
}

unsafe fn bytes(start: *const c_void, length: usize) -> Option<Vec<u8>> {
    // SAFETY: as for `copy`: a non-null pointer has `length` bytes behind it.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) }.to_vec())
}
