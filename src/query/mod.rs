//! The read side: what a person wants to know of one customer. It reads beside the writers and locks nothing.

use crate::domain::command::CustomerRef;
use crate::domain::command::RefKind;
use crate::domain::customer::Customer;
use crate::domain::fields::{normalise, parse_customer_id};
use crate::domain::{Account, CustomerId, Entry, MerchantId};
use crate::store::rows::{read_account, read_customer, read_entry};
use crate::store::{Store, StoreError};

/// How many of the latest entries are shown.
const LATEST_ENTRIES: i64 = 10;

/// A customer, the accounts with their lots, and the latest entries of all of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerView {
    pub customer: Customer,
    pub accounts: Vec<Account>,
    pub entries: Vec<Entry>,
}

/// The customer that a merchant knows by an identifier, in any form that normalises to it, or by id. Each part is as of its own
/// statement: beside a lane at work, an entry may be newer than the account.
pub async fn customer(
    store: &Store,
    merchant: &MerchantId,
    reference: &CustomerRef,
) -> Result<Option<CustomerView>, StoreError> {
    let client = store.client().await?;
    let id = match reference.kind {
        RefKind::CustomerId => parse_customer_id(&reference.value),
        RefKind::Identifier(kind) => {
            let Some(value) = normalise(kind, &reference.value) else { return Ok(None) };
            let statement = client.prepare_cached(include_str!("sql/customer_of_identifier.sql")).await?;
            let row = client.query_opt(&statement, &[&merchant.as_str(), &kind.code(), &value]).await?;
            row.map(|row| row.try_get(0)).transpose()?.map(CustomerId)
        }
    };
    let Some(CustomerId(id)) = id else { return Ok(None) };
    let statement = client.prepare_cached(include_str!("sql/customer.sql")).await?;
    let Some(row) = client.query_opt(&statement, &[&id, &merchant.as_str()]).await? else { return Ok(None) };
    let customer = read_customer(&row)?;
    let statement = client.prepare_cached(include_str!("sql/accounts.sql")).await?;
    let accounts = client.query(&statement, &[&id]).await?.iter().map(read_account).collect::<Result<_, _>>()?;
    let statement = client.prepare_cached(include_str!("sql/latest_entries.sql")).await?;
    let entries = client.query(&statement, &[&id, &LATEST_ENTRIES]).await?;
    let entries = entries.iter().map(read_entry).collect::<Result<_, _>>()?;
    Ok(Some(CustomerView { customer, accounts, entries }))
}
