//! Which member of the group has which lane, as the group's coordinator says.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::groups::{GroupList, GroupMemberInfo};

use super::KafkaFailure;
use super::client::plain_consumer;
use crate::config::KafkaSettings;
use crate::domain::CommandTopic;
use crate::record::TopicNames;

const PATIENCE: Duration = Duration::from_secs(10);

/// A worker, as the group knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub client_id: String,
    /// Its address, as the coordinator sees it.
    pub host: String,
}

/// The owners of the lanes that have one. While the group rebalances, none has. BLOCKS for up to 10 s.
pub fn owners(settings: &KafkaSettings, names: &TopicNames) -> Result<BTreeMap<i32, Owner>, KafkaFailure> {
    let clock = names.command(CommandTopic::Clock);
    let mut owners = BTreeMap::new();
    for member in group(settings)?.groups().iter().flat_map(|group| group.members()) {
        let Some(assignment) = member.assignment().filter(|bytes| !bytes.is_empty()) else { continue };
        let lanes = partitions_of(assignment, &clock)
            .ok_or_else(|| KafkaFailure::unexpected(asking(settings), "an assignment is not as a consumer's is"))?;
        let owner = owner(member);
        owners.extend(lanes.into_iter().map(|lane| (lane, owner.clone())));
    }
    Ok(owners)
}

/// Everybody who is in the group, with lanes or without. BLOCKS for up to 10 s.
pub fn members(settings: &KafkaSettings) -> Result<Vec<Owner>, KafkaFailure> {
    let groups = group(settings)?;
    Ok(groups.groups().iter().flat_map(|group| group.members()).map(owner).collect())
}

fn group(settings: &KafkaSettings) -> Result<GroupList, KafkaFailure> {
    plain_consumer(settings, "lanes")?
        .fetch_group_list(Some(&settings.group), PATIENCE)
        .map_err(|error| KafkaFailure::of(asking(settings), &error))
}

fn asking(settings: &KafkaSettings) -> String {
    format!("asking who is in the group {}", settings.group)
}

fn owner(member: &GroupMemberInfo) -> Owner {
    let host = member.client_host().trim_start_matches('/').to_owned();
    Owner { client_id: member.client_id().to_owned(), host }
}

/// Reads Kafka's `ConsumerProtocolAssignment`: a version, then each topic with its partitions, all numbers big-endian.
fn partitions_of(mut assignment: &[u8], topic: &str) -> Option<Vec<i32>> {
    let bytes = &mut assignment;
    let _version: [u8; 2] = take(bytes)?;
    let mut found = Vec::new();
    for _ in 0..i32::from_be_bytes(take(bytes)?) {
        let length = usize::try_from(i16::from_be_bytes(take(bytes)?)).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        for _ in 0..i32::from_be_bytes(take(bytes)?) {
            let partition = i32::from_be_bytes(take(bytes)?);
            if name == topic.as_bytes() {
                found.push(partition);
            }
        }
    }
    Some(found)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_names_the_partitions_of_each_topic() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        bytes.extend([0, 3, b'a', b'b', b'c', 0, 0, 0, 1, 0, 0, 0, 9]);
        bytes.extend([0, 1, b'c', 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 1, 0]);
        bytes.extend([0, 0, 0, 0]);
        assert_eq!(partitions_of(&bytes, "c"), Some(vec![4, 256]));
        assert_eq!(partitions_of(&bytes, "abc"), Some(vec![9]));
        assert_eq!(partitions_of(&bytes, "x"), Some(vec![]));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(partitions_of(&bytes[..cut], "c"), None, "cut at {cut}");
        }
    }
}
