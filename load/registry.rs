//! The ids under which the registry knows the command topics' schemas.

use super::Failure;
use super::command::Topic;
use super::encode::SchemaIds;

/// Of the latest version of each topic's subject. The schemas must have been registered.
pub fn schema_ids(registry_url: &str, topic_prefix: &str) -> Result<SchemaIds, Failure> {
    let mut ids = SchemaIds::default();
    for topic in Topic::ALL {
        let url = format!("{registry_url}/subjects/{topic_prefix}{}-value/versions/latest", topic.suffix());
        let answer = ureq::get(&url)
            .call()
            .and_then(|mut response| response.body_mut().read_to_string())
            .map_err(|error| format!("the registry does not know the schema of {} ({url}): {error}", topic.suffix()))?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let id = answer.get("id").and_then(serde_json::Value::as_u64).and_then(|id| u32::try_from(id).ok());
        ids[topic.index()] = id.ok_or_else(|| format!("{url} answered without an id: {answer}"))?;
    }
    Ok(ids)
}
