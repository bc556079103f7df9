//! What a batch has to say, as one value of its outbox row: a byte for the format, then an LZ4 block with its length before it, of
//! [`OutboundRecords`]. A worker reads every format that was ever released, so that an outbox outlives an update.
//!
//! Damage that breaks the form is an error. Damage that does not is left to Postgres' own checksums.

use crate::record::OutboundRecords;

const POSTCARD_LZ4: u8 = 1;

/// LZ4 can't do better; a length that claims more is damaged, and must not be allocated.
const MAX_COMPRESSION: usize = 255;

/// Records as their outbox row holds them.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxValue(Vec<u8>);

/// The bytes are not an outbox value of a format that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbox value can't be read: {0}")]
pub struct DamagedOutbox(String);

impl OutboxValue {
    pub fn encode(records: &OutboundRecords) -> OutboxValue {
        let mut bytes = lz4_flex::block::compress_prepend_size(records.as_bytes());
        // In place: a second buffer for one byte more would be as large as the first.
        bytes.reserve_exact(1);
        bytes.insert(0, POSTCARD_LZ4);
        OutboxValue(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<OutboundRecords, DamagedOutbox> {
        let (format, block) = bytes.split_first().ok_or_else(|| DamagedOutbox("it is empty".to_owned()))?;
        if *format != POSTCARD_LZ4 {
            return Err(DamagedOutbox(format!("its format is {format}")));
        }
        let damaged = |error: &dyn std::fmt::Display| DamagedOutbox(error.to_string());
        let (size, compressed) = lz4_flex::block::uncompressed_size(block).map_err(|error| damaged(&error))?;
        if size > compressed.len().saturating_mul(MAX_COMPRESSION) {
            return Err(DamagedOutbox(format!("{} bytes can't hold {size}", compressed.len())));
        }
        let plain = lz4_flex::block::decompress(compressed, size).map_err(|error| damaged(&error))?;
        if plain.len() != size {
            return Err(DamagedOutbox(format!("{} bytes instead of {size}", plain.len())));
        }
        OutboundRecords::from_bytes(plain).map_err(|error| damaged(&error))
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
    use crate::record::{OutTopic, OutboundHeader, OutboundRecord};

    fn records() -> OutboundRecords {
        let event = "an event ".repeat(1000);
        let of_topics = [
            (OutTopic::Results, Some("a result")),
            (OutTopic::Customers, None),
            (OutTopic::Journal, Some("")),
            (OutTopic::Events, Some(event.as_str())),
        ];
        let mut records = OutboundRecords::default();
        for (topic, value) in of_topics {
            records.push(&OutboundRecord {
                topic,
                key: b"merchant-1".into(),
                value: value.map(|value| value.as_bytes().into()),
                headers: vec![OutboundHeader::new("traceparent", &[0, 255])],
            });
        }
        records
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = OutboxValue::encode(&records());
        assert!(value.as_bytes().len() < 1000, "{value:?}");
        let decoded = OutboxValue::decode(value.as_bytes()).unwrap();
        assert_eq!(decoded, records());
        let topics: Vec<OutTopic> = decoded.iter().map(|record| record.topic).collect();
        assert_eq!(topics, [OutTopic::Results, OutTopic::Customers, OutTopic::Journal, OutTopic::Events]);
        assert_eq!((decoded.len(), decoded.count(OutTopic::Events), decoded.count(OutTopic::DeadLetters)), (4, 1, 0));
        let none = OutboundRecords::default();
        assert_eq!(OutboxValue::decode(OutboxValue::encode(&none).as_bytes()), Ok(none));
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
        let bytes = [1, 8, 0, 0, 0, 0x80, 3, 1, 1, 1, 2, 2, 3, 0];
        let records = OutboxValue::decode(&bytes).unwrap();
        let value = Some([2, 3].as_slice().into());
        let record =
            OutboundRecord { topic: OutTopic::DeadLetters, key: [1].as_slice().into(), value, headers: vec![] };
        assert_eq!(records.iter().collect::<Vec<_>>(), [record]);
    }
}
