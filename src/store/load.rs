//! The first half of a batch's transaction: the fence, and everything that the batch starts from.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::{TryStreamExt, join};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::config_rows::read_config_version;
use super::decision_rows::{FoundDecision, read_decision};
use super::lane::Phase;
use super::parked_rows::read_parked;
use super::rows::{identity_key, read_customer, read_entry, read_memory};
use super::sql_types::{Columns, RowAt, Timestamptz};
use super::statements::Statements;
use super::{LaneConnection, StoreError, StoreErrorKind};
use crate::batch::{BatchPlan, DueQuery, LaneState, MAX_PARKED, Snapshot};
use crate::domain::config::MerchantConfig;
use crate::domain::customer::{Identifier, IdentifierKind};
use crate::domain::rule::Keys;
use crate::domain::{
    CustomerId, CustomerState, Decision, Entry, IdMap, KeyHash, Memory, MemoryKey, MerchantId, Parked, Remembered,
    TransactionId, rules,
};
use crate::fail_point;

impl LaneConnection {
    /// All versions of these merchants' configurations. A merchant that has none is not among them.
    pub async fn load_configs(
        &self,
        merchants: &[MerchantId],
    ) -> Result<HashMap<MerchantId, MerchantConfig>, StoreError> {
        let (client, statements) = self.parts();
        configs(&by_merchants(client, &statements.config_versions, merchants).await?)
    }

    /// Begins a batch's transaction: locks the lane row, makes sure that epoch and batch are as `state` has them, and loads what the plan
    /// names. One round trip, and a second one for what duplicates wrote or what is due. What is not named costs no query.
    pub async fn begin(&mut self, lane: i32, state: &LaneState, plan: &BatchPlan) -> Result<Snapshot, StoreError> {
        self.enter(Phase::Idle)?;
        let loaded = self.load(lane, state, plan).await;
        let (snapshot, found_at) = self.leave(loaded, Phase::Begun).await?;
        self.found_at = found_at;
        Ok(snapshot)
    }

    async fn load(
        &self,
        lane: i32,
        state: &LaneState,
        plan: &BatchPlan,
    ) -> Result<(Snapshot, IdMap<CustomerId, RowAt>), StoreError> {
        let (client, statements) = self.parts();
        let begun = async {
            client.batch_execute("begin isolation level read committed").await?;
            fail_point::reached("after-begin");
            Ok::<_, StoreError>(())
        };
        let locked = async {
            check_fence(client, statements, lane, state).await?;
            fail_point::reached("after-lane-lock");
            Ok::<_, StoreError>(())
        };
        // Sent in this order, without waiting; each statement sees what was committed when it runs, and so, after the lock, everything of
        // the owner before. `join` and not `try_join`: after a failure all others fail too, and the first is the one to tell.
        let (begun, locked, versions, decisions, customers, memory, due, parked) = join!(
            begun,
            locked,
            by_merchants(client, &statements.config_versions, &plan.merchants),
            decisions(client, statements, &plan.keys),
            customers(client, statements, &plan.customers, &plan.identifiers),
            self::memory(client, statements, &plan.memory),
            due(client, statements, plan.due.as_ref()),
            parked(client, statements, lane, plan),
        );
        begun?;
        locked?;
        let mut configs = configs(&versions?)?;
        let mut decisions = decisions?;
        let mut found = customers?;
        let due = due?;
        let FoundParked { parked, named: parked_named, due: parked_due } = parked?;
        let keys_of_parked: Vec<KeyHash> = parked.iter().map(Parked::key_hash).collect();
        let mut needed = Keys::default();
        parked.iter().for_each(|parked| rules::plan(&parked.command, &mut needed));

        // What the duplicates wrote, who is due, and what those need who wait: most batches have none of it.
        let entries: Vec<Uuid> = decisions.iter().flat_map(|found| found.entries.iter().map(|entry| entry.0)).collect();
        let (entries, due_customers, more_memory, refused) = join!(
            by_ids(client, &statements.entries, &entries),
            self::customers(client, statements, &due, &[]),
            self::memory(client, statements, &needed.memory),
            self::decisions(client, statements, &keys_of_parked),
        );
        let due_customers = due_customers?;
        // An expiry's event names the unit, and a member's its tier: both need the merchant's configuration, and time names no merchant.
        let merchants: BTreeSet<MerchantId> =
            due_customers.iter().map(|(_, state)| state.customer.merchant_id.clone()).collect();
        let merchants: Vec<MerchantId> = merchants.into_iter().filter(|it| !configs.contains_key(it)).collect();
        configs.extend(self.load_configs(&merchants).await?);
        found.extend(due_customers);
        // Of further deliveries whose first was refused at the same deadline, by a batch before: they wait still, and a command may name
        // whom they wait for before they are due again. A refusal wrote no entries.
        decisions.extend(refused?);
        let entries = entries?;
        let mut memory = memory?;
        memory.extend(more_memory?);

        let mut snapshot = Snapshot { configs, memory, due, parked, parked_named, parked_due, ..Snapshot::default() };
        snapshot.customers.reserve(found.len());
        snapshot.identities.reserve(found.len());
        let mut found_at = IdMap::default();
        found_at.reserve(found.len());
        for (row_at, state) in found {
            let id = state.customer.customer_id;
            found_at.insert(id, row_at);
            let named = |kind: IdentifierKind| {
                let held = (kind, state.customer.identifier(kind)?, state.customer.merchant_id.as_str());
                let of = |named: &Identifier| (named.kind, named.value.as_str(), named.merchant_id.as_str()).cmp(&held);
                plan.identifiers.binary_search_by(of).ok().map(|place| plan.identifiers[place].clone())
            };
            snapshot.identities.extend(IdentifierKind::ALL.into_iter().filter_map(named).map(|found| (found, id)));
            snapshot.customers.insert(id, state);
        }
        snapshot.remembered = remembered(decisions, &entries)?;
        Ok((snapshot, found_at))
    }
}

async fn check_fence(client: &Object, statements: &Statements, lane: i32, state: &LaneState) -> Result<(), StoreError> {
    let lost = |message: String| Err(StoreError::new(StoreErrorKind::LaneLost, message));
    let Some(row) = client.query_opt(&statements.lane_lock, &[&lane]).await? else {
        return lost(format!("lane {lane} has no row any more"));
    };
    let (epoch, batch, owner): (i64, i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if (epoch, batch) != (state.epoch, state.batch) {
        return lost(format!(
            "lane {lane} is at epoch {epoch}, batch {batch}, and not at epoch {}, batch {}; it was taken by {}",
            state.epoch,
            state.batch,
            owner.unwrap_or("an unknown owner")
        ));
    }
    Ok(())
}

/// Versions come in ascending order.
pub(crate) fn configs(versions: &[Row]) -> Result<HashMap<MerchantId, MerchantConfig>, StoreError> {
    let mut configs: HashMap<MerchantId, MerchantConfig> = HashMap::new();
    for row in versions {
        let (merchant, object) = read_config_version(row)?;
        if !configs.entry(merchant.clone()).or_default().push(object) {
            return Err(StoreError::corrupt(format!("the configuration of merchant {merchant} lacks versions")));
        }
    }
    Ok(configs)
}

async fn decisions(
    client: &Object,
    statements: &Statements,
    keys: &[KeyHash],
) -> Result<Vec<FoundDecision>, StoreError> {
    let keys: Vec<Uuid> = keys.iter().map(|key| Uuid::from_bytes(key.0)).collect();
    by_ids(client, &statements.decisions, &keys).await?.iter().map(read_decision).collect()
}

fn remembered(decisions: Vec<FoundDecision>, entries: &[Row]) -> Result<IdMap<KeyHash, Remembered>, StoreError> {
    let mut by_id: IdMap<TransactionId, Arc<Entry>> = IdMap::default();
    for row in entries {
        let entry = read_entry(row)?;
        by_id.insert(entry.transaction_id, Arc::new(entry));
    }
    let mut remembered = IdMap::default();
    for FoundDecision { key_hash, position, content_hash, decision, entries } in decisions {
        let entries = entries.iter().map(|id| by_id.get(id).cloned()).collect::<Option<Vec<_>>>();
        let entries = entries.ok_or_else(|| {
            StoreError::corrupt(format!("the ledger lacks an entry that the command at {position:?} wrote"))
        })?;
        let decision = Arc::new(Decision { entries, ..decision });
        remembered.insert(key_hash, Remembered { position, content_hash, decision });
    }
    Ok(remembered)
}

async fn due(
    client: &Object,
    statements: &Statements,
    query: Option<&DueQuery>,
) -> Result<Vec<CustomerId>, StoreError> {
    let Some(query) = query.filter(|query| !query.merchants.is_empty() && query.limit > 0) else {
        return Ok(Vec::new());
    };
    let merchants: Vec<&str> = query.merchants.iter().map(MerchantId::as_str).collect();
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let rows = client.query(&statements.due, &[&merchants, &Timestamptz(query.until), &limit]).await?;
    rows.iter().map(|row| Ok(CustomerId(row.try_get(0)?))).collect()
}

/// Commands that wait.
#[derive(Default)]
struct FoundParked {
    /// In the order of their places.
    parked: Vec<Parked>,
    /// How many of them the plan names.
    named: usize,
    /// How many of them wait until what is due.
    due: usize,
}

async fn parked(
    client: &Object,
    statements: &Statements,
    lane: i32,
    plan: &BatchPlan,
) -> Result<FoundParked, StoreError> {
    if !plan.parked {
        return Ok(FoundParked::default());
    }
    let awaited: Vec<Uuid> = plan.identifiers.iter().map(identity_key).collect();
    let keys: Vec<Uuid> = plan.keys.iter().map(|key| Uuid::from_bytes(key.0)).collect();
    // Whoever is found twice counts twice. So where it cuts, more than the most have come.
    let most = 2 * MAX_PARKED as i64 + 1;
    let due = async {
        let Some(query) = &plan.due else { return Ok(Vec::new()) };
        let limit = DueQuery::parked_limit(query.limit) as i64;
        client.query(&statements.parked_due, &[&lane, &Timestamptz(query.until), &limit]).await
    };
    let parameters: [&(dyn ToSql + Sync); 3] = [&awaited, &keys, &most];
    let (due, named) = join!(due, client.query(&statements.parked, &parameters));
    let due = due?.iter().map(read_parked).collect::<Result<Vec<_>, _>>()?;
    let mut found = FoundParked { parked: Vec::new(), named: 0, due: due.len() };
    found.parked = named?.iter().map(read_parked).collect::<Result<Vec<_>, _>>()?;
    in_order(&mut found.parked);
    found.named = found.parked.len();
    found.parked.extend(due);
    in_order(&mut found.parked);
    Ok(found)
}

/// By their places, each once.
fn in_order(parked: &mut Vec<Parked>) {
    parked.sort_by_key(|parked| parked.place);
    parked.dedup_by_key(|parked| parked.place);
}

async fn by_merchants(
    client: &Object,
    statement: &Statement,
    merchants: &[MerchantId],
) -> Result<Vec<Row>, StoreError> {
    if merchants.is_empty() {
        return Ok(Vec::new());
    }
    let merchants: Vec<&str> = merchants.iter().map(MerchantId::as_str).collect();
    Ok(client.query(statement, &[&merchants]).await?)
}

async fn by_ids(client: &Object, statement: &Statement, ids: &[Uuid]) -> Result<Vec<Row>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(client.query(statement, &[&ids]).await?)
}

/// Customers by id or by an identifier, and where their rows lie.
async fn customers(
    client: &Object,
    statements: &Statements,
    ids: &[CustomerId],
    identifiers: &[Identifier],
) -> Result<Vec<(RowAt, Box<CustomerState>)>, StoreError> {
    if ids.is_empty() && identifiers.is_empty() {
        return Ok(Vec::new());
    }
    // Sorted, so that neighbours in an index are read together.
    let sorted = |mut keys: Vec<Uuid>| {
        keys.sort_unstable();
        keys
    };
    let of_kind = |kind: IdentifierKind| {
        let of_kind = identifiers.iter().filter(|identifier| identifier.kind == kind);
        sorted(of_kind.map(identity_key).collect())
    };
    let [external, phone, email] = IdentifierKind::ALL.map(of_kind);
    let ids = sorted(ids.iter().map(|id| id.0).collect());
    // Row by row: together, with the places of all their columns, they are megabytes.
    let mut rows = pin!(client.query_raw(&statements.customers, [ids, external, phone, email]).await?);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut columns = Columns::of(&row);
        found.push((columns.take()?, Box::new(read_customer(&mut columns)?)));
    }
    Ok(found)
}

async fn memory(
    client: &Object,
    statements: &Statements,
    keys: &[MemoryKey],
) -> Result<IdMap<MemoryKey, Memory>, StoreError> {
    let mut keys: Vec<Uuid> = keys.iter().map(|key| Uuid::from_bytes(key.0)).collect();
    keys.sort_unstable();
    by_ids(client, &statements.memory, &keys).await?.iter().map(read_memory).collect()
}
