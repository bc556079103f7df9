//! `trial-balance`: the books, added up.

use std::fmt::Write;

use clap::Args;
use serde_json::json;

use super::{CliError, output};
use crate::config::Settings;
use crate::domain::MerchantId;
use crate::query::{self, TrialBalance};
use crate::store::{Databases, StoreError};

#[derive(Args)]
#[command(
    long_about = "Adds up the books per merchant and unit: what was earned, redeemed and expired, what all accounts hold, and what remains in \
                  the lots. Amounts are in minor units. It is one statement (one for each database, with postgres.lane_urls), so one \
                  moment; it reads the whole ledger, and changes nothing.",
    after_help = "Examples:
  loyalty-worker trial-balance
  loyalty-worker trial-balance shop-1 --json

Exits with 0 when all books hold (earned - redeemed - expired = outstanding = in lots), and with 3 when some do not."
)]
pub struct Options {
    /// Only this merchant's; one that has none is an error
    merchant: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let books = books(options.merchant.as_deref().map(MerchantId::new).as_ref(), &settings).await;
    let books = books.map_err(CliError::failed)?;
    if let Some(merchant) = options.merchant.as_ref().filter(|_| books.is_empty()) {
        return Err(CliError::Failed(format!(
            "merchant {} has no books: no customer of it has ever had anything",
            output::escaped(merchant)
        )));
    }
    if options.json {
        for book in &books {
            output::json(object(book))?;
        }
    } else {
        output::text(table(&books))?;
    }
    if books.iter().all(|book| book.holds) { Ok(()) } else { Err(CliError::Found) }
}

/// Every merchant's, or one's, in their order.
async fn books(merchant: Option<&MerchantId>, settings: &Settings) -> Result<Vec<TrialBalance>, StoreError> {
    let stores = match merchant {
        Some(merchant) => vec![Databases::connect_merchant(&settings.postgres, merchant).await?],
        None => Databases::connect(&settings.postgres).await?.all().to_vec(),
    };
    let mut books = Vec::new();
    for store in &stores {
        books.extend(query::trial_balance(&store.plain_client().await?, merchant).await?);
    }
    books.sort_by(|a, b| (&a.merchant_id, &a.unit_id).cmp(&(&b.merchant_id, &b.unit_id)));
    Ok(books)
}

fn table(books: &[TrialBalance]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:<20} {:<12} {:>10} {:>10} {:>16} {:>16} {:>16} {:>16} {:>16}",
        "merchant", "unit", "customers", "entries", "earned", "redeemed", "expired", "outstanding", "in lots"
    );
    for book in books {
        let _ = writeln!(
            text,
            "{:<20} {:<12} {:>10} {:>10} {:>16} {:>16} {:>16} {:>16} {:>16}{}",
            output::escaped(book.merchant_id.as_str()),
            output::escaped(book.unit_id.as_str()),
            book.customers,
            book.entries,
            book.earned,
            book.redeemed,
            book.expired,
            book.outstanding,
            book.in_lots,
            if book.holds { "" } else { "  DOES NOT HOLD" }
        );
    }
    text
}

/// Sums are texts: they may leave what a JSON number holds exactly.
fn object(book: &TrialBalance) -> serde_json::Value {
    json!({
        "merchant_id": book.merchant_id.as_str(),
        "unit": book.unit_id.as_str(),
        "customers": book.customers,
        "entries": book.entries,
        "earned": book.earned,
        "redeemed": book.redeemed,
        "expired": book.expired,
        "outstanding": book.outstanding,
        "in_lots": book.in_lots,
        "holds": book.holds,
    })
}
