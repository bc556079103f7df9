//! The books of a merchant, added up: what was issued, what became of it, and what is held.

use tokio_postgres::Client;

use crate::domain::{MerchantId, UnitId};
use crate::store::StoreError;

/// One merchant's books in one unit. Sums are in minor units, and may leave 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialBalance {
    pub merchant_id: MerchantId,
    pub unit_id: UnitId,
    /// Who have an account.
    pub customers: i64,
    pub entries: i64,
    pub earned: String,
    pub redeemed: String,
    pub expired: String,
    /// The sum of all accounts' balances.
    pub outstanding: String,
    /// The sum of what remains of all lots.
    pub in_lots: String,
    /// earned - redeemed - expired = outstanding = in lots, less debt.
    pub holds: bool,
}

/// All books, or one merchant's, at one moment. It reads the whole ledger.
pub async fn trial_balance(client: &Client, merchant: Option<&MerchantId>) -> Result<Vec<TrialBalance>, StoreError> {
    let merchant = merchant.map(MerchantId::as_str);
    let rows = client.query(include_str!("sql/trial_balance.sql"), &[&merchant]).await?;
    let read = |row: &tokio_postgres::Row| {
        Ok(TrialBalance {
            merchant_id: MerchantId::new(row.try_get::<_, &str>(0)?),
            unit_id: UnitId::new(row.try_get::<_, &str>(1)?),
            customers: row.try_get(2)?,
            entries: row.try_get(3)?,
            earned: row.try_get(4)?,
            redeemed: row.try_get(5)?,
            expired: row.try_get(6)?,
            outstanding: row.try_get(7)?,
            in_lots: row.try_get(8)?,
            holds: row.try_get(9)?,
        })
    };
    rows.iter().map(read).collect()
}
