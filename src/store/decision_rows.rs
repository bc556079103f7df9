//! Decided commands as rows of their memory, both ways.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::StoreError;
use super::sql_types::{AsRow, Columns, RowWriter, SqlError};
use crate::batch::NewDecision;
use crate::domain::command::{ContentHash, FieldProblem};
use crate::domain::{
    CommandTopic, CustomerId, Decision, Effect, KeyHash, Position, Rejection, RejectionCode, TransactionId,
};

impl AsRow for NewDecision {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let decision = &*self.decision;
        row.value(&Uuid::from_bytes(self.key_hash.0))?;
        row.value(&Uuid::from_bytes(self.content_hash.0))?;
        row.value(&decision.customer_id.map(|id| id.0))?;
        row.value(&decision.customer_version)?;
        row.value(&decision.config_version)?;
        row.instant(decision.occurred_at)?;
        row.instant(decision.decided_at)?;
        row.value(&self.position.offset)?;
        row.value(&self.position.partition)?;
        row.value(&self.position.topic.code())?;
        row.value(&decision.verdict.as_ref().map_or(REJECTED, |effect| effect.code()))?;
        if decision.entries.is_empty() {
            row.value(&None::<Vec<Uuid>>)?;
        } else {
            row.array(decision.entries.iter().map(|entry| entry.transaction_id.0))?;
        }
        row.value(&decision.verdict.as_ref().err().map(|rejection| Json(StoredRejection::of(rejection))))
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
    let rejection: Option<Json<StoredRejection>> = columns.take()?;
    let verdict = match (effect, Effect::from_code(effect), rejection) {
        (REJECTED, _, Some(Json(rejection))) => Err(rejection.read()?),
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

/// A rejection as `decision.rejection` holds it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRejection {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<StoredFieldProblem>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredFieldProblem {
    field: String,
    problem: String,
}

impl StoredRejection {
    fn of(rejection: &Rejection) -> StoredRejection {
        let field = |problem: &FieldProblem| StoredFieldProblem {
            field: problem.field.clone(),
            problem: problem.problem.clone(),
        };
        StoredRejection {
            code: rejection.code.code().to_owned(),
            message: rejection.message.clone(),
            fields: rejection.fields.iter().map(field).collect(),
            detail: rejection.detail.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
        }
    }

    fn read(self) -> Result<Rejection, StoreError> {
        let code = RejectionCode::from_code(&self.code)
            .ok_or_else(|| StoreError::corrupt(format!("this version does not know the rejection {:?}", self.code)))?;
        let field = |stored: StoredFieldProblem| FieldProblem { field: stored.field, problem: stored.problem };
        Ok(Rejection {
            code,
            message: self.message,
            fields: self.fields.into_iter().map(field).collect(),
            // A map of strings is read in the order of its keys, which is the domain's.
            detail: self.detail.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        })
    }
}
