//! `customer`: one customer, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{CliError, explain, output};
use crate::config::Settings;
use crate::domain::command::{CustomerRef, RefKind};
use crate::domain::customer::IdentifierKind;
use crate::domain::customer::card_code;
use crate::domain::{Account, CustomerTier, Direction, Entry, Gender, MerchantId, Metric};
use crate::query::{self, CustomerView};
use crate::store::Databases;

#[derive(Args)]
#[command(
    long_about = "Shows a customer as the database has it: profile, accounts, lots in the order in which they are spent, and the last \
                  entries of the ledger. Amounts are in minor units.",
    after_help = "Examples:
  loyalty-worker customer shop-1 external_id:ada
  loyalty-worker customer shop-1 email:ada@example.com --json
  loyalty-worker customer shop-1 01971e5c-0000-8000-8000-000000000000
  loyalty-worker customer shop-1 --explain order-17

Exits with 1 when there is no such customer or command."
)]
pub struct Options {
    merchant: String,
    /// A customer's id, or KIND:VALUE with the kind external_id, phone, email or card_code
    #[arg(value_parser = reference, required_unless_present = "explain", conflicts_with = "explain")]
    reference: Option<CustomerRef>,
    /// Show what became of the command with this idempotency key instead: where it stood, its entries and lots, what judged it; or for whom
    /// it waits, and until when
    #[arg(long, value_name = "KEY")]
    explain: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(options: Options, settings: Settings) -> Result<(), CliError> {
    let Some(reference) = &options.reference else {
        let key = options.explain.as_deref().unwrap_or_default();
        return explain::run(&options.merchant, key, options.json, &settings).await;
    };
    let merchant = MerchantId::new(options.merchant.as_str());
    let store = Databases::connect_merchant(&settings.postgres, &merchant).await.map_err(CliError::failed)?;
    let found = query::customer(&store, &merchant, reference).await.map_err(CliError::failed)?;
    match found {
        Some(view) if options.json => output::json(object(&view)),
        Some(view) => output::text(page(&view)),
        None => Err(CliError::Failed(format!("the merchant {merchant} has no such customer"))),
    }
}

fn reference(text: &str) -> Result<CustomerRef, String> {
    if let Some((kind, value)) = text.split_once(':') {
        let kind = match IdentifierKind::ALL.into_iter().find(|known| known.field() == kind) {
            Some(known) => known.into(),
            None if kind == "card_code" => RefKind::CardCode,
            None => return Err("the kind must be external_id, phone, email or card_code".to_owned()),
        };
        return Ok(CustomerRef { kind, value: value.to_owned() });
    }
    if uuid::Uuid::try_parse(text).is_err() {
        return Err("neither an id (a UUID) nor KIND:VALUE, such as external_id:ada".to_owned());
    }
    Ok(CustomerRef { kind: RefKind::CustomerId, value: text.to_owned() })
}

fn page(view: &CustomerView) -> String {
    let customer = &view.customer;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<14}{}", output::escaped(&value));
        }
    };
    line("customer", customer.customer_id.to_string());
    line("merchant", customer.merchant_id.to_string());
    let incomplete = if customer.incomplete { ", incomplete" } else { "" };
    line("status", format!("{}{incomplete}", customer.status.name()));
    line("version", customer.version.to_string());
    line("name", customer.full_name().unwrap_or_default());
    for kind in IdentifierKind::ALL {
        line(kind.field(), customer.identifier(kind).unwrap_or_default().to_owned());
    }
    line("birth date", customer.birth_date.map(|date| date.to_string()).unwrap_or_default());
    line("registered", customer.registered_on.map(|date| date.to_string()).unwrap_or_default());
    line("gender", customer.gender.map(Gender::name).unwrap_or_default().to_owned());
    line("language", customer.language.clone().unwrap_or_default());
    line("brand", customer.brand_id.clone().unwrap_or_default());
    line("metrics", pairs(customer.metrics.iter().map(|(key, metric)| (key, decimal(*metric)))));
    line("metadata", pairs(customer.metadata.iter()));
    line("source version", customer.source_version.map(|version| version.to_string()).unwrap_or_default());
    let wanted = [("email", customer.notify_email), ("phone", customer.notify_phone)];
    line("notify by", wanted.iter().filter(|(_, wanted)| *wanted).map(|(way, _)| *way).collect::<Vec<_>>().join(", "));
    line("programme", customer.programme_id.clone().unwrap_or_default());
    line("tier", customer.tier.as_ref().map(tier_line).unwrap_or_default());
    line("referred by", customer.referrer_id.map(|id| id.to_string()).unwrap_or_default());
    for (place, card) in customer.cards.iter().enumerate() {
        let code = card_code(customer.customer_id, place);
        line("card", format!("{}, code {code}, since {}", card.card_id, card.enrolled_at));
    }
    line("created", customer.created_at.to_string());
    line("updated", customer.updated_at.to_string());
    for account in &view.accounts {
        write_account(&mut text, account);
    }
    if !view.entries.is_empty() {
        text.push_str("\nlast entries\n");
    }
    for entry in &view.entries {
        let sign = if entry.kind.direction() == Direction::Credit { '+' } else { '-' };
        let _ = writeln!(
            text,
            "  {:<28} {:<14} {:>14} {:<12} balance {:>14}  {}",
            entry.recorded_at.to_string(),
            entry.kind.name(),
            format!("{sign}{}", entry.amount),
            output::escaped(entry.unit_id.as_str()),
            entry.balance_after,
            entry.cause.map_or_else(|| "by time".to_owned(), |cause| format!("{cause:?}")),
        );
    }
    text
}

fn tier_line(tier: &CustomerTier) -> String {
    let by_hand = if tier.is_manual { ", assigned" } else { "" };
    format!("{} since {}{by_hand}", tier.tier_id, tier.since)
}

fn pairs(pairs: impl Iterator<Item = (impl Display, impl Display)>) -> String {
    pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// A metric as people write it: 1276 of scale 1 is 127.6.
fn decimal(metric: Metric) -> String {
    let (sign, digits) = (if metric.value < 0 { "-" } else { "" }, metric.value.unsigned_abs());
    match usize::try_from(metric.scale) {
        Ok(scale @ 1..) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        _ => format!("{sign}{digits}"),
    }
}

fn write_account(text: &mut String, account: &Account) {
    let _ = writeln!(
        text,
        "\n{}: {} available (pending {}, held {}, debt {}; earned {}, redeemed {} in all)",
        output::escaped(account.unit_id.as_str()),
        account.available,
        account.pending,
        account.held,
        account.debt,
        account.lifetime_earned,
        account.lifetime_redeemed
    );
    for lot in account.lots_in_spending_order() {
        let expiry = lot.expires_at.map_or_else(|| "never expires".to_owned(), |at| format!("expires {at}"));
        let _ = writeln!(
            text,
            "  lot {}  {:>14} of {:<14} issued {}  {expiry}",
            lot.lot_id, lot.remaining, lot.amount, lot.issued_at
        );
    }
}

fn object(view: &CustomerView) -> Value {
    let customer = &view.customer;
    json!({
        "customer_id": customer.customer_id.to_string(),
        "merchant_id": customer.merchant_id.as_str(),
        "status": customer.status.name(),
        "version": customer.version,
        "external_id": customer.external_id,
        "phone": customer.phone,
        "email": customer.email,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "name": customer.name,
        "birth_date": customer.birth_date.map(|date| date.to_string()),
        "registered_on": customer.registered_on.map(|date| date.to_string()),
        "gender": customer.gender.map(Gender::name),
        "language": customer.language,
        "brand_id": customer.brand_id,
        "metrics": customer.metrics.iter().map(|(key, it)| (key, json!({"value": it.value, "scale": it.scale}))).collect::<BTreeMap<_, _>>(),
        "metadata": customer.metadata,
        "source_version": customer.source_version,
        "incomplete": customer.incomplete,
        "programme_id": customer.programme_id,
        "tier": customer.tier.as_ref().map(tier_object),
        "referrer_id": customer.referrer_id.map(|id| id.to_string()),
        "cards": customer.cards.iter().enumerate().map(|(place, card)| json!({
            "card_id": card.card_id,
            "code": card_code(customer.customer_id, place),
            "enrolled_at": card.enrolled_at.to_string(),
        })).collect::<Vec<_>>(),
        "notify_email": customer.notify_email,
        "notify_phone": customer.notify_phone,
        "created_at": customer.created_at.to_string(),
        "updated_at": customer.updated_at.to_string(),
        "accounts": view.accounts.iter().map(account_object).collect::<Vec<_>>(),
        "entries": view.entries.iter().map(entry_object).collect::<Vec<_>>(),
    })
}

fn tier_object(tier: &CustomerTier) -> Value {
    json!({ "tier_id": tier.tier_id, "since": tier.since.to_string(), "manual": tier.is_manual })
}

fn account_object(account: &Account) -> Value {
    let lots: Vec<Value> = account
        .lots_in_spending_order()
        .iter()
        .map(|lot| {
            json!({
                "lot_id": lot.lot_id.to_string(),
                "amount": lot.amount,
                "remaining": lot.remaining,
                "issued_at": lot.issued_at.to_string(),
                "expires_at": lot.expires_at.map(|at| at.to_string()),
            })
        })
        .collect();
    json!({
        "unit": account.unit_id.as_str(),
        "available": account.available,
        "pending": account.pending,
        "held": account.held,
        "debt": account.debt,
        "balance": account.balance(),
        "lifetime_earned": account.lifetime_earned,
        "lifetime_redeemed": account.lifetime_redeemed,
        "lots": lots,
    })
}

fn entry_object(entry: &Entry) -> Value {
    json!({
        "transaction_id": entry.transaction_id.to_string(),
        "unit": entry.unit_id.as_str(),
        "seq": entry.seq,
        "kind": entry.kind.name(),
        "direction": entry.kind.direction().name(),
        "amount": entry.amount,
        "balance_before": entry.balance_before(),
        "balance_after": entry.balance_after,
        "order_id": entry.order_id,
        "reason": entry.reason,
        "title": entry.title,
        "cause": entry.cause.map(|cause| format!("{cause:?}")),
        "occurred_at": entry.occurred_at.to_string(),
        "recorded_at": entry.recorded_at.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_an_id_or_a_kind_with_a_value() {
        let email = reference("email:ada:x@example.com").expect("an e-mail address");
        assert_eq!(email.kind, RefKind::Email);
        assert_eq!(email.value, "ada:x@example.com");
        let id = reference("01971e5c-0000-8000-8000-000000000000").expect("an id");
        assert_eq!(id.kind, RefKind::CustomerId);
        assert_eq!(reference("card_code:7Z").map(|it| it.kind), Ok(RefKind::CardCode));
        assert!(reference("card:1").is_err_and(|problem| problem.contains("external_id, phone, email or card_code")));
        assert!(reference("ada").is_err_and(|problem| problem.contains("external_id:ada")));
    }
}
