//! Which of librdkafka's properties an installation may change, and what may be shown of them in errors.

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

/// Refuses the librdkafka properties that the guarantees rest on, naming the key and why. Unknown keys and impossible values are
/// refused here too, so that they are found at the start and not at the first assignment.
pub fn check_passthrough(properties: &BTreeMap<String, String>) -> Result<(), String> {
    for key in properties.keys() {
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| refused == key) {
            return Err(format!("the Kafka property {key} can't be set: {reason}"));
        }
        if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| alias == key) {
            return Err(format!("the Kafka property {key} is an alias: write {name}"));
        }
    }
    let mut config = ClientConfig::new();
    config.extend(properties.iter().map(|(key, value)| (key.clone(), value.clone())));
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(error @ KafkaError::ClientConfig(..)) => Err(format!("the Kafka property {}", describe(&error))),
        Err(error) => Err(error.to_string()),
    }
}

/// An error in words. What librdkafka says of a property repeats its value, which may be a password.
pub fn describe(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, value) => {
            format!("{key}: {}", without_rest(&description.replace(&format!("\"{value}\""), "***")))
        }
        other => other.to_string(),
    }
}

/// Without what is left of a property that librdkafka did not understand: it may be a secret.
pub fn without_rest(text: &str) -> &str {
    text.split(" beginning at:").next().unwrap_or_default()
}

const OWN_SETTING: &str = "it has a setting of its own";
const OFFSETS: &str = "offsets are committed in the worker's transactions only";
const COMPLETE: &str = "a record could be lost, doubled or put out of order";
const RECOVERY: &str = "recovery is measured with the worker's own value";

const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", OWN_SETTING),
    ("metadata.broker.list", OWN_SETTING),
    ("group.id", OWN_SETTING),
    ("client.id", OWN_SETTING),
    ("transactional.id", "it is made of the group and the lane"),
    ("group.instance.id", "kafka.instance_id sets it"),
    ("group.protocol", "lanes are handed over by the classic protocol"),
    ("group.remote.assignor", "lanes are handed over by the classic protocol"),
    ("partition.assignment.strategy", "lanes are handed over by the range assignor"),
    ("enable.auto.commit", OFFSETS),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("offset.store.method", OFFSETS),
    ("auto.offset.reset", "a lane must never skip to another offset"),
    ("isolation.level", "records of aborted transactions would be applied"),
    ("enable.partition.eof", "a lane must know where its topics end"),
    ("allow.auto.create.topics", "topics are made by `loyalty-worker topics create`"),
    ("check.crcs", "damaged records would be applied"),
    ("max.partition.fetch.bytes", "the memory of the queues rests on it"),
    ("enable.idempotence", COMPLETE),
    ("acks", COMPLETE),
    ("max.in.flight", COMPLETE),
    ("message.send.max.retries", COMPLETE),
    ("enable.gapless.guarantee", COMPLETE),
    ("queuing.strategy", COMPLETE),
    ("partitioner", "every sender and the worker must agree about the lane of a merchant"),
    ("partitioner_cb", "every sender and the worker must agree about the lane of a merchant"),
    ("message.max.bytes", "records are bounded before they are applied"),
    ("transaction.timeout.ms", RECOVERY),
    ("message.timeout.ms", RECOVERY),
    ("delivery.report.only.error", RECOVERY),
    ("test.mock.num.brokers", "it is no real cluster"),
];

/// librdkafka takes either name and the last one set wins; only one of them may be in use.
const ALIASES: &[(&str, &str)] = &[
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("request.required.acks", "acks"),
    ("retries", "message.send.max.retries"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), String> {
        check_passthrough(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn security_and_pace_may_be_set() {
        assert_eq!(check("sasl.mechanism", "PLAIN"), Ok(()));
        assert_eq!(check("linger.ms", "5"), Ok(()));
    }

    #[test]
    fn what_the_guarantees_rest_on_is_refused_by_name() {
        for (key, _) in REFUSED {
            assert!(check(key, "1").is_err_and(|message| message.contains(key)), "{key}");
        }
        assert_eq!(
            check("enable.auto.commit", "true"),
            Err("the Kafka property enable.auto.commit can't be set: offsets are committed in the worker's transactions only".into())
        );
    }

    #[test]
    fn an_alias_names_the_property_to_write() {
        assert_eq!(
            check("queue.buffering.max.ms", "5"),
            Err("the Kafka property queue.buffering.max.ms is an alias: write linger.ms".into())
        );
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_found_without_telling_the_value() {
        assert!(
            check("no.such.key", "secret")
                .is_err_and(|message| message.contains("no.such.key") && !message.contains("secret"))
        );
        assert!(
            check("security.protocol", "secret")
                .is_err_and(|message| message.contains("security.protocol") && !message.contains("secret"))
        );
        assert!(check("linger.ms", "soon").is_err_and(|message| message.contains("linger.ms")));
    }
}
