//! What the bench does to topics by itself: each row has its own, and leaves none behind.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

use crate::support::Failure;

/// Deletes the topics whose names begin so.
pub fn delete(bootstrap: &str, prefix: &str) -> Result<(), Failure> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = client.fetch_metadata(None, Duration::from_secs(30))?;
    let named: Vec<&str> =
        metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(prefix)).collect();
    if named.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for deleted in runtime.block_on(admin.delete_topics(&named, &AdminOptions::new()))? {
        deleted.map_err(|(topic, error)| format!("{topic} can't be deleted: {error}"))?;
    }
    Ok(())
}
