//! `config export`.

use clap::Args;

use super::document;
use crate::cli::{CliError, output};
use crate::config::Settings;
use crate::domain::MerchantId;
use crate::query;
use crate::store::Databases;

#[derive(Args)]
#[command(
    long_about = "Prints a merchant's configuration as one JSON document: the settings, units, tiers, cards and programmes that are in force, as the database has \
                  them. What is scheduled is not in it, and stays scheduled whatever is applied.\n\n`settings`, `units`, `tiers`, `cards` and `programmes` have the \
                  fields of the commands (schemas/merchant-config.avsc). Settings that are as they are at first are left out; all else is \
                  whole. `versions` says which versions these are: `config apply` refuses to change what somebody else has changed \
                  since. Take it out of the file, and it doesn't ask.",
    after_help = "Examples:
  loyalty-worker config export shop-1 > shop-1.json
  loyalty-worker config export shop-1 | jq '.merchant_id = \"shop-2\" | del(.versions)' > shop-2.json

Exits with 1 when nobody has configured the merchant."
)]
pub struct Options {
    /// The merchant's id
    #[arg(value_name = "MERCHANT")]
    merchant: String,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let merchant = MerchantId::new(options.merchant.as_str());
    let store = Databases::connect_merchant(&settings.postgres, &merchant).await.map_err(CliError::failed)?;
    let found = query::merchant_config(&store, &merchant).await.map_err(CliError::failed)?;
    let config = found.ok_or_else(|| {
        CliError::Failed(format!("there is no merchant {merchant}: no merchant-config command of it was ever applied"))
    })?;
    output::json(document::written(&merchant, &config, document::now(&config)).map_err(CliError::failed)?)
}
