//! Decided commands as rows of their memory, both ways.

use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::StoreError;
use super::sql_types::{AsRow, Columns, RowWriter, SqlError};
use crate::domain::command::ContentHash;
use crate::domain::{CommandTopic, CustomerId, Decision, Effect, KeyHash, Outcome, Position, Rejection, TransactionId};

/// A decision that is to be remembered, by its key.
pub(super) struct NewDecision<'a>(pub KeyHash, pub &'a Outcome);

impl AsRow for NewDecision<'_> {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let NewDecision(key_hash, Outcome { position, command, decision, .. }) = self;
        row.value(&Uuid::from_bytes(key_hash.0))?;
        row.value(&Uuid::from_bytes(command.content_hash.0))?;
        row.value(&decision.customer_id.map(|id| id.0))?;
        row.value(&decision.customer_version)?;
        row.value(&decision.config_version)?;
        row.instant(decision.occurred_at)?;
        row.instant(decision.decided_at)?;
        row.value(&position.offset)?;
        row.value(&position.partition)?;
        row.value(&position.topic.code())?;
        row.value(&decision.verdict.as_ref().map_or(REJECTED, |effect| effect.code()))?;
        if decision.entries.is_empty() {
            row.value(&None::<Vec<Uuid>>)?;
        } else {
            row.array(decision.entries.iter().map(|entry| entry.transaction_id.0))?;
        }
        row.value(&decision.verdict.as_ref().err().map(Json))
    }
}

/// Stands where an effect would.
const REJECTED: i16 = 0;

/// A remembered decision, still without its entries.
pub(crate) struct FoundDecision {
    pub key_hash: KeyHash,
    pub position: Position,
    pub content_hash: ContentHash,
    pub decision: Decision,
    pub entries: Vec<TransactionId>,
}

pub(crate) fn read_decision(row: &Row) -> Result<FoundDecision, StoreError> {
    let mut columns = Columns::of(row);
    let key_hash = KeyHash(columns.take::<Uuid>()?.into_bytes());
    let content_hash = ContentHash(columns.take::<Uuid>()?.into_bytes());
    let customer_id = columns.take::<Option<Uuid>>()?.map(CustomerId);
    let customer_version = columns.take()?;
    let config_version = columns.take()?;
    let occurred_at = columns.instant()?;
    let decided_at = columns.instant()?;
    let offset = columns.take()?;
    let partition = columns.take()?;
    let position = Position { topic: columns.code(CommandTopic::from_code)?, partition, offset };
    let effect: i16 = columns.take()?;
    let entries: Vec<Uuid> = columns.take::<Option<_>>()?.unwrap_or_default();
    let rejection: Option<Json<Rejection>> = columns.take()?;
    let verdict = match (effect, Effect::from_code(effect), rejection) {
        (REJECTED, _, Some(Json(rejection))) => Err(rejection),
        (_, Some(effect), None) => Ok(effect),
        _ => return Err(StoreError::corrupt("a decision that is neither an effect nor a rejection")),
    };
    let decision = Decision {
        verdict,
        customer_id,
        customer_version,
        config_version,
        entries: Vec::new(),
        occurred_at,
        decided_at,
    };
    let entries = entries.into_iter().map(TransactionId).collect();
    Ok(FoundDecision { key_hash, position, content_hash, decision, entries })
}
