//! How far a consumer may commit, where commands end in another order than they began.

use std::collections::{BTreeSet, HashMap};

use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::command::{Kind, Place};

#[derive(Default)]
struct Partition {
    /// Read, and not yet answered.
    under_way: BTreeSet<i64>,
    /// Behind the last that was read.
    next: i64,
    committed: i64,
}

impl Partition {
    /// Everything before it has been answered.
    fn done_up_to(&self) -> i64 {
        self.under_way.first().copied().unwrap_or(self.next)
    }
}

#[derive(Default)]
pub struct Progress(HashMap<(Kind, i32), Partition>);

impl Progress {
    pub fn read(&mut self, place: Place) {
        let partition = self.0.entry((place.kind, place.partition)).or_default();
        partition.under_way.insert(place.offset);
        partition.next = place.offset + 1;
    }

    pub fn answered(&mut self, place: Place) {
        if let Some(partition) = self.0.get_mut(&(place.kind, place.partition)) {
            partition.under_way.remove(&place.offset);
        }
    }

    /// What can be committed of a topic since it was asked the last time.
    pub fn take_committable(&mut self, kind: Kind, topic: &str) -> Result<Option<TopicPartitionList>, KafkaError> {
        let mut list = TopicPartitionList::new();
        let of_topic = self.0.iter_mut().filter(|((of, _), _)| *of == kind);
        for (&(_, number), partition) in of_topic {
            let done = partition.done_up_to();
            if done > partition.committed {
                list.add_partition_offset(topic, number, Offset::Offset(done))?;
                partition.committed = done;
            }
        }
        Ok((list.count() > 0).then_some(list))
    }
}
