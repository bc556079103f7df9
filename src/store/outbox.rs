//! What a batch has to say, as one value of its outbox row: a byte for the format, then an LZ4 block with its length before it, of
//! postcard. A worker reads every format that was ever released, so that an outbox outlives an update.
//!
//! Damage that breaks the form is an error. Damage that does not is left to Postgres' own checksums.

use crate::record::OutboundRecord;

const POSTCARD_LZ4: u8 = 1;

/// LZ4 can't do better; a length that claims more is damaged, and must not be allocated.
const MOST_COMPRESSION: usize = 255;

/// Records as their outbox row holds them.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxValue(Vec<u8>);

/// The bytes are not an outbox value of a format that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbox value can't be read: {0}")]
pub struct DamagedOutbox(String);

impl OutboxValue {
    pub fn encode(records: &[OutboundRecord]) -> OutboxValue {
        let plain =
            postcard::to_stdvec(records).expect("slices and their fields have known lengths, so postcard can't fail");
        let mut bytes = vec![POSTCARD_LZ4];
        bytes.extend_from_slice(&lz4_flex::block::compress_prepend_size(&plain));
        OutboxValue(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Vec<OutboundRecord>, DamagedOutbox> {
        let (format, block) = bytes.split_first().ok_or_else(|| DamagedOutbox("it is empty".to_owned()))?;
        if *format != POSTCARD_LZ4 {
            return Err(DamagedOutbox(format!("its format is {format}")));
        }
        let damaged = |error: &dyn std::fmt::Display| DamagedOutbox(error.to_string());
        let (size, compressed) = lz4_flex::block::uncompressed_size(block).map_err(|error| damaged(&error))?;
        if size > compressed.len().saturating_mul(MOST_COMPRESSION) {
            return Err(DamagedOutbox(format!("{} bytes can't hold {size}", compressed.len())));
        }
        let plain = lz4_flex::block::decompress(compressed, size).map_err(|error| damaged(&error))?;
        if plain.len() != size {
            return Err(DamagedOutbox(format!("{} bytes instead of {size}", plain.len())));
        }
        let (records, rest) = postcard::take_from_bytes(&plain).map_err(|error| damaged(&error))?;
        if rest.is_empty() { Ok(records) } else { Err(DamagedOutbox(format!("{} bytes too many", rest.len()))) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for OutboxValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboxValue({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, OutTopic};

    fn records() -> Vec<OutboundRecord> {
        let record = |topic, value: Option<&str>| OutboundRecord {
            topic,
            key: b"merchant-1".to_vec(),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: vec![Header { name: "traceparent".to_owned(), value: vec![0, 255] }],
        };
        vec![
            record(OutTopic::Results, Some("a result")),
            record(OutTopic::Customers, None),
            record(OutTopic::Journal, Some("")),
            record(OutTopic::Events, Some(&"an event ".repeat(1000))),
        ]
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = OutboxValue::encode(&records());
        assert!(value.as_bytes().len() < 1000, "{value:?}");
        assert_eq!(OutboxValue::decode(value.as_bytes()), Ok(records()));
        assert_eq!(OutboxValue::decode(OutboxValue::encode(&[]).as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn damage_to_the_form_is_an_error() {
        let whole = OutboxValue::encode(&records()).0;
        for length in 0..whole.len() {
            assert!(OutboxValue::decode(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        let mut longer = whole.clone();
        longer.extend_from_slice(&[0; 8]);
        assert!(OutboxValue::decode(&longer).is_err(), "too long");
        // The format and the length.
        for place in 0..5 {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x40;
            assert!(OutboxValue::decode(&damaged).is_err(), "byte {place} damaged");
        }
    }

    /// So that an update never meets an outbox that it can't read: these bytes were written by the first release.
    #[test]
    fn the_format_stays_readable() {
        let record =
            OutboundRecord { topic: OutTopic::DeadLetters, key: vec![1], value: Some(vec![2, 3]), headers: vec![] };
        let bytes = [1, 9, 0, 0, 0, 0x90, 1, 3, 1, 1, 1, 2, 2, 3, 0];
        assert_eq!(OutboxValue::decode(&bytes), Ok(vec![record]));
    }
}
