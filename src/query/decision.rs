//! What became of one command, as the memory of decided commands has it.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{Decision, IdempotencyKey, KeyHash, MerchantId, Parked, Remembered, TransactionId};
use crate::store::decision_rows::{FoundDecision, read_decision};
use crate::store::parked_rows::read_parked;
use crate::store::rows::read_entry;
use crate::store::{Store, StoreError};

/// The decision on the command with this key, and where it stood. `None`: nobody decided it, or its rejection is not remembered.
pub async fn decision(
    store: &Store,
    merchant: &MerchantId,
    key: &IdempotencyKey,
) -> Result<Option<Remembered>, StoreError> {
    let client = store.client().await?;
    let key = Uuid::from_bytes(KeyHash::of(merchant, key).0);
    let statement = client.prepare_cached(include_str!("../store/sql/decisions.sql")).await?;
    let Some(row) = client.query_opt(&statement, &[&vec![key]]).await? else { return Ok(None) };
    let FoundDecision { position, content_hash, decision, entries, .. } = read_decision(&row)?;

    let statement = client.prepare_cached(include_str!("../store/sql/entries.sql")).await?;
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.0).collect();
    let mut found: HashMap<TransactionId, _> = HashMap::new();
    for row in client.query(&statement, &[&ids]).await? {
        let entry = read_entry(&row)?;
        found.insert(entry.transaction_id, Arc::new(entry));
    }
    let entries = entries.iter().map(|id| found.get(id).cloned()).collect::<Option<Vec<_>>>();
    let entries = entries.ok_or_else(|| StoreError::corrupt("the ledger lacks an entry of this command"))?;
    let decision = Arc::new(Decision { entries, ..decision });
    Ok(Some(Remembered { position, content_hash, decision }))
}

/// The command with this key, if it waits for its customer: its first delivery.
pub async fn parked(store: &Store, merchant: &MerchantId, key: &IdempotencyKey) -> Result<Option<Parked>, StoreError> {
    let client = store.client().await?;
    let key = Uuid::from_bytes(KeyHash::of(merchant, key).0);
    let statement = client.prepare_cached(include_str!("../store/sql/parked.sql")).await?;
    let rows = client.query(&statement, &[&Vec::<Uuid>::new(), &vec![key], &i64::MAX]).await?;
    let waiting = rows.iter().map(read_parked).collect::<Result<Vec<_>, _>>()?;
    Ok(waiting.into_iter().min_by_key(|parked| parked.place))
}
