//! The read side: what a person wants to know of one customer or one merchant. It reads beside the writers and locks nothing.

mod decision;
mod trial_balance;

use uuid::Uuid;

pub use decision::{decision, parked};
pub use trial_balance::{TrialBalance, trial_balance};

use crate::domain::command::{CustomerRef, RefKind};
use crate::domain::config::MerchantConfig;
use crate::domain::customer::parse_card_code;
use crate::domain::customer::stored_form;
use crate::domain::customer::{Customer, Identifier};
use crate::domain::parse_customer_id;
use crate::domain::{Account, CustomerId, Entry, MerchantId};
use crate::store::load::configs;
use crate::store::rows::{identity_key, read_customer, read_entry};
use crate::store::sql_types::Columns;
use crate::store::{Store, StoreError};

/// How many of the latest entries are shown.
const LATEST_ENTRIES: i32 = 10;

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
    let (id, keys) = match (reference.kind, reference.kind.identifier()) {
        (RefKind::CardCode, None) => (parse_card_code(&reference.value).map(|(id, _)| id), Vec::new()),
        (_, None) => (parse_customer_id(&reference.value), Vec::new()),
        (_, Some(kind)) => {
            let key = |value| identity_key(&Identifier { merchant_id: merchant.clone(), kind, value });
            (None, stored_form(kind, &reference.value).map(key).into_iter().collect::<Vec<_>>())
        }
    };
    let id = id.map(|CustomerId(id)| id);
    let statement = client.prepare_cached(include_str!("sql/customer.sql")).await?;
    let Some(row) = client.query_opt(&statement, &[&merchant.as_str(), &id, &keys]).await? else { return Ok(None) };
    let state = read_customer(&mut Columns::of(&row))?;
    let place = parse_card_code(&reference.value).map(|(_, place)| place);
    if reference.kind == RefKind::CardCode && place.is_none_or(|place| place >= state.customer.cards.len()) {
        return Ok(None);
    }
    let latest = state.accounts.iter().filter_map(|account| account.last_entry);
    let latest: Vec<Uuid> = latest.map(|entry| entry.0).collect();
    let statement = client.prepare_cached(include_str!("sql/latest_entries.sql")).await?;
    let entries = client.query(&statement, &[&latest, &LATEST_ENTRIES]).await?;
    let entries = entries.iter().map(read_entry).collect::<Result<_, _>>()?;
    Ok(Some(CustomerView { customer: state.customer, accounts: state.accounts, entries }))
}

/// All versions of everything that a merchant has configured; `None` where nobody has.
pub async fn merchant_config(store: &Store, merchant: &MerchantId) -> Result<Option<MerchantConfig>, StoreError> {
    let client = store.client().await?;
    let statement = client.prepare_cached(include_str!("../store/sql/config_versions.sql")).await?;
    let versions = client.query(&statement, &[&[merchant.as_str()].as_slice()]).await?;
    Ok(configs(&versions)?.remove(merchant))
}
