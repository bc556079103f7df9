//! Topic ids and partition counts, by librdkafka's DescribeTopics, which the safe wrapper does not have.

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaRespErr;

use super::{FailureKind, KafkaFailure};
use crate::domain::CommandTopic;
use crate::record::TopicNames;

/// What a lane row remembers of the cluster, to notice another one or a topic made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    pub cluster_id: String,
    /// The partitions of every topic.
    pub lanes: i32,
    /// Kafka's ids of the command topics, in the order of [`CommandTopic::ALL`].
    pub topic_ids: [String; CommandTopic::COUNT],
}

/// A topic that exists.
#[derive(Debug, Clone)]
pub(super) struct DescribedTopic {
    /// Kafka's own; another one when the topic was deleted and made anew.
    pub(super) id: String,
    pub(super) partitions: i32,
    /// Of the partition that has the fewest.
    pub(super) replicas: usize,
}

/// The cluster's id and the command topics. Blocks.
pub(super) fn facts<C: ClientContext>(
    client: &Client<C>,
    names: &TopicNames,
    timeout: Duration,
) -> Result<ClusterFacts, KafkaFailure> {
    let doing = "reading the ids of the command topics";
    let asked = CommandTopic::ALL.map(|topic| names.command(topic));
    let found = topics(client, &asked, timeout)?;
    let mut facts = ClusterFacts { cluster_id: cluster_id(client, timeout)?, lanes: 0, topic_ids: Default::default() };
    for (index, (name, topic)) in asked.iter().zip(found).enumerate() {
        let topic = topic.ok_or_else(|| KafkaFailure::unexpected(doing, format!("{name} does not exist")))?;
        if index > 0 && topic.partitions != facts.lanes {
            let (other, lanes) = (&asked[0], facts.lanes);
            let differ = format!("{name} has {} partitions, {other} has {lanes}", topic.partitions);
            return Err(KafkaFailure::unexpected(doing, differ));
        }
        facts.lanes = topic.partitions;
        facts.topic_ids[index] = topic.id;
    }
    Ok(facts)
}

pub(super) fn cluster_id<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<String, KafkaFailure> {
    client.fetch_cluster_id(timeout).ok_or_else(|| {
        KafkaFailure::new(FailureKind::Unavailable, "reading the cluster's id", "no broker answered in time")
    })
}

/// The topics of these names, in their order; `None` for one that does not exist. Blocks.
pub(super) fn topics<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
    timeout: Duration,
) -> Result<Vec<Option<DescribedTopic>>, KafkaFailure> {
    let doing = || format!("describing {}", names.join(", "));
    let failed = |message: String| KafkaFailure::new(FailureKind::Unavailable, doing(), message);
    let c_names: Vec<CString> = names
        .iter()
        .map(|name| CString::new(name.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|error| KafkaFailure::new(FailureKind::Settings, doing(), error.to_string()))?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every pointer made here is owned by a guard that gives it back; the client outlives all of them. What belongs to the
    // event is copied before the event goes.
    unsafe {
        let rk = client.native_ptr();
        let mut pointers: Vec<_> = c_names.iter().map(|name| name.as_ptr()).collect();
        let wanted = Guard::new(
            ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            ffi::rd_kafka_TopicCollection_destroy,
        );
        let options = Guard::new(
            ffi::rd_kafka_AdminOptions_new(rk, ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            ffi::rd_kafka_AdminOptions_destroy,
        );
        let mut text = [0; 256];
        ffi::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, text.as_mut_ptr(), text.len());
        let queue = Guard::new(ffi::rd_kafka_queue_new(rk), ffi::rd_kafka_queue_destroy);
        ffi::rd_kafka_DescribeTopics(rk, wanted.0, options.0, queue.0);
        let event = ffi::rd_kafka_queue_poll(queue.0, timeout_ms);
        if event.is_null() {
            return Err(failed("no answer in time".into()));
        }
        let event = Guard::new(event, ffi::rd_kafka_event_destroy);
        if ffi::rd_kafka_event_error(event.0) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let text = ffi::rd_kafka_event_error_string(event.0);
            return Err(failed(CStr::from_ptr(text).to_string_lossy().into_owned()));
        }
        let result = ffi::rd_kafka_event_DescribeTopics_result(event.0);
        let mut count = 0;
        let found = ffi::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let found = if count == 0 { &[][..] } else { std::slice::from_raw_parts(found, count) };
        let mut described = vec![None; names.len()];
        for topic in found {
            let name = CStr::from_ptr(ffi::rd_kafka_TopicDescription_name(*topic)).to_string_lossy();
            let Some(index) = names.iter().position(|asked| *asked == *name) else { continue };
            let error = ffi::rd_kafka_TopicDescription_error(*topic);
            match ffi::rd_kafka_error_code(error) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => described[index] = Some(describe(*topic)),
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {}
                _ => {
                    let text = CStr::from_ptr(ffi::rd_kafka_error_string(error)).to_string_lossy();
                    return Err(failed(format!("{name}: {text}")));
                }
            }
        }
        Ok(described)
    }
}

/// # Safety
/// `topic` is a description without error, of an event that is alive.
unsafe fn describe(topic: *const ffi::rd_kafka_TopicDescription_t) -> DescribedTopic {
    // SAFETY: as the caller's; the array has `count` elements.
    unsafe {
        let id = ffi::rd_kafka_Uuid_base64str(ffi::rd_kafka_TopicDescription_topic_id(topic));
        let mut count = 0;
        let partitions = ffi::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let replicas = (0..count).map(|index| {
            let mut replicas = 0;
            ffi::rd_kafka_TopicPartitionInfo_replicas(*partitions.add(index), &mut replicas);
            replicas
        });
        DescribedTopic {
            id: CStr::from_ptr(id).to_string_lossy().into_owned(),
            partitions: i32::try_from(count).unwrap_or(i32::MAX),
            replicas: replicas.min().unwrap_or(0),
        }
    }
}

/// A native object and the function that gives it back.
struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Guard<T> {
    /// # Safety
    /// `object` belongs to the caller, who gives it away; `destroy` is its destructor.
    unsafe fn new(object: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Guard(object, destroy)
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: see `new`; called once.
        unsafe { (self.1)(self.0) }
    }
}
