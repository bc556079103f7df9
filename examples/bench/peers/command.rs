//! A command as the peers know it: a credit or a redeem, and where it stands in Kafka.

use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Message};
use uuid::{Builder, Uuid};

use crate::load::avro::Reader;
use crate::support::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Credit,
    Redeem,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Credit, Kind::Redeem];

    /// Also its topic, without the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Credit => "credit",
            Kind::Redeem => "redeem",
        }
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub kind: Kind,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug)]
pub struct Command {
    pub place: Place,
    pub merchant_id: String,
    pub idempotency_key: String,
    pub external_id: String,
    pub unit: String,
    pub amount: i64,
    pub order_id: Option<String>,
    pub recorded_ms: i64,
    pub occurred_at: Timestamp,
}

impl Command {
    pub fn read(kind: Kind, message: &BorrowedMessage<'_>) -> Result<Command, Failure> {
        let place = Place { kind, partition: message.partition(), offset: message.offset() };
        let recorded_ms = message.timestamp().to_millis().unwrap_or_default();
        let command = message.payload().and_then(|frame| Self::of_frame(place, recorded_ms, frame));
        command.ok_or_else(|| {
            format!("{}/{}/{} can't be read", message.topic(), message.partition(), message.offset()).into()
        })
    }

    /// Field by field, as `schemas/credit.avsc` and `schemas/redeem.avsc` have them.
    fn of_frame(place: Place, recorded_ms: i64, frame: &[u8]) -> Option<Command> {
        const EXTERNAL_ID: i64 = 1;
        let mut datum = Reader::of_frame(frame)?;
        let (merchant_id, idempotency_key) = (datum.string()?.to_owned(), datum.string()?.to_owned());
        let (reference, external_id) = datum.option(|customer| Some((customer.long()?, customer.string()?)))??;
        let external_id = (reference == EXTERNAL_ID).then(|| external_id.to_owned())?;
        let occurred_at = datum.option(Reader::long)?;
        let _source = datum.option(Reader::string)?;
        skip_attributes(&mut datum)?;
        let _amount_command = datum.long()?;
        let (unit, amount) = (datum.string()?.to_owned(), datum.long()?);
        // What follows, a reason and a title among it, is of no use to the peers.
        let order_id = datum.option(Reader::string)?.map(str::to_owned);
        let occurred_at = match occurred_at {
            Some(micros) => Timestamp::from_microsecond(micros),
            None => Timestamp::from_millisecond(recorded_ms),
        };
        let occurred_at = occurred_at.ok()?;
        Some(Command {
            place,
            merchant_id,
            idempotency_key,
            external_id,
            unit,
            amount,
            order_id,
            recorded_ms,
            occurred_at,
        })
    }

    /// A UUID of version 7 whose random part is the command's place: the same again if the record is delivered again.
    pub fn entry_id(&self) -> Uuid {
        let lane = (self.place.partition as u16) << 1 | self.place.kind as u16;
        let mut distinct = [0; 10];
        distinct[..2].copy_from_slice(&lane.to_be_bytes());
        distinct[2..].copy_from_slice(&self.place.offset.to_be_bytes());
        Builder::from_unix_timestamp_millis(self.recorded_ms.unsigned_abs(), &distinct).into_uuid()
    }
}

/// A map is written in blocks; one with a negative count says its length too.
fn skip_attributes(datum: &mut Reader<'_>) -> Option<()> {
    loop {
        let count = datum.long()?;
        if count == 0 {
            return Some(());
        }
        if count < 0 {
            datum.long()?;
        }
        for _ in 0..count.unsigned_abs() {
            let (_name, _value) = (datum.string()?, datum.string()?);
        }
    }
}
