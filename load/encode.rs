//! From records as the generator thinks of them to bytes with an address.

use super::avro::Writer;
use super::command::{
    Body, CARD_STAMPS, Command, Content, Encoding, Flaw, Identifier, Record, Reference, Topic, UnknownCustomer,
};
use super::murmur2::partition_of;
use super::timeline::Timeline;
use super::{MERCHANTS, json};

/// The registry's ids of the schemas, in the order of [`Topic::ALL`].
pub type SchemaIds = [u32; 4];

/// A record as Kafka takes it.
#[derive(Debug)]
pub struct Bytes {
    pub topic: Topic,
    pub partition: i32,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

pub struct Encoder {
    pub schema_ids: SchemaIds,
    pub lanes: i32,
    pub timeline: Timeline,
}

impl Encoder {
    pub fn encode(&mut self, record: &Record) -> Bytes {
        let topic = record.topic();
        let merchant = record.merchant().clone();
        let mut key = merchant.as_bytes().to_vec();
        let mut partition = partition_of(&key, self.lanes);
        let value = match &record.content {
            Content::Command { command, encoding: Encoding::Avro } => Some(self.avro(command)),
            Content::Command { command, encoding: Encoding::Json } => {
                Some(json::encode(command, &mut self.timeline).into_bytes())
            }
            Content::Broken { flaw, command, .. } => match flaw {
                Flaw::Garbage => Some(b"\xffnothing that anybody would call a record".to_vec()),
                Flaw::Tombstone => None,
                Flaw::CutAvro => {
                    let mut whole = self.avro(command);
                    whole.truncate(whole.len() * 2 / 3);
                    Some(whole)
                }
                Flaw::CutJson => {
                    let mut whole = json::encode(command, &mut self.timeline).into_bytes();
                    whole.truncate(whole.len() * 2 / 3);
                    Some(whole)
                }
                Flaw::UnknownSchema => {
                    let mut whole = self.avro(command);
                    whole[1..5].copy_from_slice(&999_999u32.to_be_bytes());
                    Some(whole)
                }
                Flaw::NoMerchant => Some(self.avro(&Command { merchant: "".into(), ..(**command).clone() })),
                Flaw::WrongKey => {
                    let other = MERCHANTS
                        .iter()
                        .find(|other| **other != &*merchant && partition_of(other.as_bytes(), self.lanes) == partition);
                    key = other.unwrap_or(&"somebody-else").as_bytes().to_vec();
                    Some(self.avro(command))
                }
                Flaw::WrongPartition => {
                    partition = (partition + 1) % self.lanes;
                    Some(self.avro(command))
                }
            },
        };
        Bytes { topic, partition, key, value }
    }

    fn avro(&mut self, command: &Command) -> Vec<u8> {
        let mut out = Writer::default();
        out.0.push(0);
        out.0.extend_from_slice(&self.schema_ids[command.topic().index()].to_be_bytes());
        out.string(&command.merchant).string(&command.key);
        out.option(command.customer.as_ref(), |out, reference| {
            let (kind, value) = match reference {
                Reference::CustomerId(value) => (0, value),
                Reference::By(identifier, value) => (1 + *identifier as i64, value),
            };
            out.long(kind).string(value);
        });
        out.option_long(command.occurred_at.map(|time| self.timeline.instant(time)));
        out.option_string(command.source);
        out.long(0); // no attributes
        self.avro_body(&mut out, &command.body);
        out.0
    }

    fn avro_body(&mut self, out: &mut Writer, body: &Body) {
        match body {
            Body::Settings { name, time_zone, match_by, max_age_s, unknown_customer } => {
                out.option_long(None); // effective_from
                out.long(0).nulls(1).option_string(*name).option_string(*time_zone); // no preset
                out.option(match_by.as_ref(), |out, kinds: &[Identifier; 3]| {
                    out.long(3);
                    for kind in kinds {
                        out.long(*kind as i64);
                    }
                    out.long(0);
                });
                out.option_long(*max_age_s).option_long(None);
                // The schema's words are `reject`, `enrol` and `park`.
                let (word, park_s) = match unknown_customer {
                    None => (None, None),
                    Some(UnknownCustomer::Enrol) => (Some(1), None),
                    Some(UnknownCustomer::Park { seconds }) => (Some(2), Some(*seconds)),
                };
                // phone to key_form; unknown_customer; park_s; nothing to clear; expected_version
                out.nulls(13).option_long(word).option_long(park_s).long(0).nulls(1);
            }
            Body::Unit { unit, name, scale, effective_from, rules } => {
                out.option_long(effective_from.map(|time| self.timeline.instant(time)));
                out.long(1).string(unit).string(name).long(i64::from(*scale));
                out.option_long(rules.expiry_days.map(i64::from)).long(rules.min_held).long(rules.min_amount);
                // description, points, currency, brand_id and value, floor, a step of 1, no attributes; no expected_version
                out.nulls(1).long(0).nulls(3).long(0).long(1).long(0).option_long(None);
            }
            Body::Card { card, initial } => {
                out.option_long(None); // effective_from
                out.long(3).string(card).string(card).long(CARD_STAMPS).long(*initial);
                out.long(0).long(0).option_long(None); // no rewards, active; no expected_version
            }
            Body::Upsert(profile) => {
                for identifier in &profile.identifiers {
                    out.option_string(identifier.as_deref());
                }
                out.option_string(profile.first_name.as_deref());
                out.option_string(profile.last_name.as_deref());
                out.option_string(profile.birth_date.as_deref());
                out.option_boolean(profile.active);
                out.option_boolean(profile.notify_email);
                out.option_boolean(profile.notify_phone);
                // upsert; on_match to brand_id; no metrics, metadata or clear; no source_version
                out.long(0).nulls(6).long(0).long(0).long(0).option_long(None);
                // no tier_id; no send_card_links; no referral_code
                out.nulls(1).option_string(profile.card).boolean(false).nulls(1);
            }
            Body::Credit { unit, amount, order, expires_at } => {
                out.long(0).string(unit).long(*amount).option_string(order.as_deref());
                out.option_string(None).option_string(None); // reason, title
                out.option_long(expires_at.map(|time| self.timeline.instant(time))).boolean(false);
            }
            Body::Redeem { unit, amount, order } => {
                out.long(0).string(unit).long(*amount).option_string(order.as_deref());
                out.option_string(None).boolean(false); // reason, skip_notifications
            }
        }
    }
}
