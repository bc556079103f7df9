//! Where a lane's topics end, asked of the brokers by a client of its own: on the connection that fetches, the question would wait
//! behind the fetch that waits for records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::client::{LoggedContext, plain_consumer};
use super::{FailureKind, KafkaFailure};
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::TopicNames;

/// A broker that takes longer is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct TopicEnds {
    consumer: Arc<BaseConsumer<LoggedContext>>,
    names: TopicNames,
    outage: Arc<Mutex<Outage>>,
}

/// Since when which ends are not known, and what was done about it.
#[derive(Debug, Default)]
struct Outage {
    /// The first and the last time.
    since: BTreeMap<(CommandTopic, i32), (Instant, Instant)>,
    reported: bool,
    looked: Option<Instant>,
}

const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
const REPORT_AFTER: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl TopicEnds {
    /// Does not wait for a broker.
    pub fn new(settings: &KafkaSettings, names: &TopicNames) -> Result<TopicEnds, KafkaFailure> {
        let consumer = plain_consumer(settings, "ends")?;
        Ok(TopicEnds { consumer: Arc::new(consumer), names: names.clone(), outage: Arc::default() })
    }

    /// The ends of a lane's topics for readers of committed records, in the order of [`CommandTopic::ALL`]. BLOCKS for about a millisecond,
    /// at most for a few seconds.
    pub fn of_lane(&self, lane: i32) -> Result<[i64; CommandTopic::COUNT], KafkaFailure> {
        let ends = self.of_lanes(&[lane])?;
        let mut known = [0; CommandTopic::COUNT];
        for topic in CommandTopic::ALL {
            known[topic.index()] = ends.first().and_then(|ends| ends[topic.index()]).ok_or_else(|| {
                let name = self.names.command(topic);
                KafkaFailure::new(
                    FailureKind::Unavailable,
                    asking(),
                    format!("no broker says where {name}/{lane} ends"),
                )
            })?;
        }
        Ok(known)
    }

    /// The same of several lanes, with one request to each broker that leads one of their partitions. `None` where no broker says it.
    pub fn of_lanes(&self, lanes: &[i32]) -> Result<Vec<[Option<i64>; CommandTopic::COUNT]>, KafkaFailure> {
        let mut asked = TopicPartitionList::with_capacity(CommandTopic::COUNT * lanes.len());
        for topic in CommandTopic::ALL {
            let name = self.names.command(topic);
            for lane in lanes {
                asked
                    .add_partition_offset(&name, *lane, Offset::End)
                    .map_err(|error| KafkaFailure::of(asking(), &error))?;
            }
        }
        // Its events are logs and errors of connections.
        self.consumer.poll(Duration::ZERO);
        let answer = match self.consumer.offsets_for_times(asked, PATIENCE) {
            Ok(answer) => answer,
            Err(error) => {
                let all = CommandTopic::ALL.into_iter().flat_map(|topic| lanes.iter().map(move |lane| (topic, *lane)));
                self.look_for_leaders(&all.collect::<Vec<_>>(), &error.to_string());
                return Err(KafkaFailure::of(asking(), &error));
            }
        };
        let mut ends = vec![[None; CommandTopic::COUNT]; lanes.len()];
        let (mut unknown, mut reason) = (Vec::new(), String::new());
        for topic in CommandTopic::ALL {
            let name = self.names.command(topic);
            for (lane, ends) in lanes.iter().zip(&mut ends) {
                let element = answer.find_partition(&name, *lane);
                match element.map(|element| (element.error(), element.offset())) {
                    Some((Ok(()), Offset::Offset(end))) => {
                        ends[topic.index()] = Some(end);
                        self.outage().since.remove(&(topic, *lane));
                        continue;
                    }
                    Some((Err(error), _)) => reason = error.to_string(),
                    Some((Ok(()), _)) | None => "no answer".clone_into(&mut reason),
                }
                unknown.push((topic, *lane));
            }
        }
        if !unknown.is_empty() {
            self.look_for_leaders(&unknown, &reason);
        }
        Ok(ends)
    }

    /// This client reads nothing, so librdkafka does not look for new leaders by itself: it would go on asking a broker that is gone until
    /// its metadata are five minutes old. Asked at most once a second.
    fn look_for_leaders(&self, unknown: &[(CommandTopic, i32)], reason: &str) {
        let now = Instant::now();
        let topics: BTreeSet<CommandTopic> = unknown.iter().map(|(topic, _)| *topic).collect();
        {
            let mut outage = self.outage();
            for partition in unknown {
                outage.since.entry(*partition).or_insert((now, now)).1 = now;
            }
            // A lane that went to another worker is not asked about any more.
            outage.since.retain(|_, (_, last)| now.duration_since(*last) < FORGOTTEN_AFTER);
            let lasts = outage.since.values().any(|(first, _)| now.duration_since(*first) > REPORT_AFTER);
            if lasts && !outage.reported {
                let topics: Vec<&str> = topics.iter().map(|topic| topic.suffix()).collect();
                tracing::warn!(?topics, reason, "the brokers do not say where these topics end; lanes wait for it");
            }
            outage.reported = lasts;
            if outage.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_AGAIN) {
                return;
            }
            outage.looked = Some(now);
        }
        for topic in topics {
            // Where one is not answered, the others are not either.
            if self.consumer.fetch_metadata(Some(&self.names.command(topic)), PATIENCE).is_err() {
                break;
            }
        }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asking() -> &'static str {
    "asking where the command topics end"
}
