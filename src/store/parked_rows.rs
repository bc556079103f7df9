//! Commands that wait, as rows, both ways. A command is kept as it was understood, so that neither its record nor a schema is needed later.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::StoreError;
use super::rows::identity_key;
use super::sql_types::{AsRow, Columns, RowWriter, SqlError, Unstorable};
use crate::domain::command::{Body, Command, ContentHash, CreditAmount, CustomerRef, Envelope, RedeemAmount, RefKind};
use crate::domain::customer::{Identifier, IdentifierKind};
use crate::domain::{CommandTopic, IdempotencyKey, Instant, MerchantId, Parked, Position, Seed, UnitId};

impl AsRow for Parked {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        row.value(&Uuid::from_bytes(self.seed.digest))?;
        // The lane: a command that begins to wait stands in its partition. The row may move with the merchant later, its record stays.
        row.value(&self.position.partition)?;
        row.value(&self.place)?;
        row.value(&self.position.offset)?;
        row.value(&self.position.partition)?;
        row.value(&self.position.topic.code())?;
        row.instant(self.record_time)?;
        row.instant(self.parked_at)?;
        row.instant(self.deadline)?;
        row.value(&self.config_version)?;
        row.value(&identity_key(&self.awaits))?;
        row.value(&Uuid::from_bytes(self.key_hash().0))?;
        row.value(&Uuid::from_bytes(self.command.content_hash.0))?;
        row.value(&self.command.envelope.merchant_id.as_str())?;
        row.value(&serde_json::to_vec(&StoredCommand::of(self)?)?)
    }
}

pub(crate) fn read_parked(row: &Row) -> Result<Parked, StoreError> {
    let mut columns = Columns::of(row);
    let place = columns.take()?;
    let digest = columns.take::<Uuid>()?.into_bytes();
    let offset = columns.take()?;
    let partition = columns.take()?;
    let position = Position { topic: columns.code(CommandTopic::from_code)?, partition, offset };
    let record_time = columns.instant()?;
    let parked_at = columns.instant()?;
    let deadline = columns.instant()?;
    let config_version = columns.take()?;
    let content_hash = ContentHash(columns.take::<Uuid>()?.into_bytes());
    let stored: StoredCommand = serde_json::from_slice(columns.take::<&[u8]>()?).map_err(|error| {
        // Where and not what: the error's own words may quote an identifier.
        let (class, column) = (error.classify(), error.column());
        StoreError::corrupt(format!(
            "the command at {position:?}, which waits, can't be read: {class:?} at byte {column}"
        ))
    })?;
    let (awaits, command) = stored.read(content_hash)?;
    let seed = Seed { digest, at: record_time };
    Ok(Parked {
        position,
        seed,
        record_time,
        place,
        parked_at,
        deadline,
        config_version,
        awaits,
        command: Box::new(command),
    })
}

/// A command as `parked.command` holds it. What is added here must have a default: rows of the version before are read, too.
#[derive(Serialize, Deserialize)]
struct StoredCommand {
    merchant_id: String,
    idempotency_key: String,
    /// The kind of the reference and of what is awaited, as it was sent and as it is compared.
    reference: String,
    value: String,
    awaits: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_time: Option<i64>,
    body: StoredBody,
}

/// By the names that results carry.
#[derive(Serialize, Deserialize)]
enum StoredBody {
    #[serde(rename = "credit.amount")]
    CreditAmount {
        unit: String,
        amount: i64,
        order_id: Option<String>,
        reason: Option<String>,
        title: Option<String>,
        expires_at: Option<i64>,
        skip_notifications: bool,
    },
    #[serde(rename = "redeem.amount")]
    RedeemAmount {
        unit: String,
        amount: i64,
        order_id: Option<String>,
        reason: Option<String>,
        skip_notifications: bool,
    },
}

impl StoredCommand {
    fn of(parked: &Parked) -> Result<StoredCommand, SqlError> {
        let Command { envelope, body, content_hash: _, traceparent, original_time } = &*parked.command;
        let Envelope { merchant_id, idempotency_key, customer, occurred_at, source, attributes } = envelope;
        let Some(CustomerRef { kind: RefKind::Identifier(kind), value }) = customer else {
            return Err(Unstorable("a command that waits for no identifier").into());
        };
        Ok(StoredCommand {
            merchant_id: merchant_id.to_string(),
            idempotency_key: idempotency_key.to_string(),
            reference: kind.field().to_owned(),
            value: value.clone(),
            awaits: parked.awaits.value.clone(),
            occurred_at: occurred_at.map(Instant::micros),
            source: source.clone(),
            attributes: attributes.clone(),
            traceparent: traceparent.as_deref().map(str::to_owned),
            original_time: original_time.map(Instant::micros),
            body: StoredBody::of(body)?,
        })
    }

    fn read(self, content_hash: ContentHash) -> Result<(Identifier, Command), StoreError> {
        let kind = IdentifierKind::ALL.into_iter().find(|kind| kind.field() == self.reference);
        let kind = kind.ok_or_else(|| StoreError::corrupt("a command waits for an identifier of an unknown kind"))?;
        let merchant_id = MerchantId::new(self.merchant_id);
        let awaits = Identifier { merchant_id: merchant_id.clone(), kind, value: self.awaits };
        let envelope = Envelope {
            merchant_id,
            idempotency_key: IdempotencyKey::new(self.idempotency_key),
            customer: Some(CustomerRef { kind: RefKind::Identifier(kind), value: self.value }),
            occurred_at: self.occurred_at.map(Instant::from_micros),
            source: self.source,
            attributes: self.attributes,
        };
        let command = Command {
            envelope,
            body: self.body.read(),
            content_hash,
            traceparent: self.traceparent.map(Into::into),
            original_time: self.original_time.map(Instant::from_micros),
        };
        Ok((awaits, command))
    }
}

impl StoredBody {
    fn of(body: &Body) -> Result<StoredBody, SqlError> {
        match body.clone() {
            Body::CreditAmount(credit) => {
                let CreditAmount { unit, amount, order_id, reason, title, expires_at, skip_notifications } = credit;
                let (unit, expires_at) = (unit.to_string(), expires_at.map(Instant::micros));
                Ok(StoredBody::CreditAmount { unit, amount, order_id, reason, title, expires_at, skip_notifications })
            }
            Body::RedeemAmount(RedeemAmount { unit, amount, order_id, reason, skip_notifications }) => {
                let unit = unit.to_string();
                Ok(StoredBody::RedeemAmount { unit, amount, order_id, reason, skip_notifications })
            }
            Body::CustomerUpsert(_) | Body::Settings(_) | Body::Unit(_) | Body::Object(_) | Body::Malformed(_) => {
                Err(Unstorable("a command of a kind that waits for nobody").into())
            }
        }
    }

    fn read(self) -> Body {
        match self {
            StoredBody::CreditAmount { unit, amount, order_id, reason, title, expires_at, skip_notifications } => {
                let (unit, expires_at) = (UnitId::new(unit), expires_at.map(Instant::from_micros));
                Body::CreditAmount(CreditAmount {
                    unit,
                    amount,
                    order_id,
                    reason,
                    title,
                    expires_at,
                    skip_notifications,
                })
            }
            StoredBody::RedeemAmount { unit, amount, order_id, reason, skip_notifications } => {
                let unit = UnitId::new(unit);
                Body::RedeemAmount(RedeemAmount { unit, amount, order_id, reason, skip_notifications })
            }
        }
    }
}
