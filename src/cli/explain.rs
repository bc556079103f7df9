//! `customer --explain`: what became of one command, and why.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{CliError, output};
use crate::config::Settings;
use crate::domain::command::{CustomerRef, RefKind};
use crate::domain::{
    Account, Decision, Direction, Entry, EntryKind, IdempotencyKey, Lot, LotId, MerchantId, Parked, Remembered,
};
use crate::query;
use crate::store::Databases;

pub async fn run(merchant: &str, key: &str, as_json: bool, settings: &Settings) -> Result<(), CliError> {
    let (merchant, key) = (MerchantId::new(merchant), IdempotencyKey::new(key));
    let store = Databases::connect_merchant(&settings.postgres, &merchant).await.map_err(CliError::failed)?;
    // In this order: one that is decided in between is found twice, in the other not at all.
    let parked = query::parked(&store, &merchant, &key).await.map_err(CliError::failed)?;
    let found = query::decision(&store, &merchant, &key).await.map_err(CliError::failed)?;
    let Some(remembered) = found else {
        if let Some(parked) = parked {
            return if as_json { output::json(waiting_object(&parked)) } else { output::text(waiting_page(&parked)) };
        }
        return Err(CliError::Failed(format!(
            "no command of merchant {} with the idempotency key {} has been decided. It may not have been read yet \
             (`loyalty-worker lanes`), be a dead letter, or have been rejected in a way that is not remembered (unknown_merchant, \
             invalid_idempotency_key, idempotency_conflict)",
            output::escaped(merchant.as_str()),
            output::escaped(key.as_str())
        )));
    };
    // Lots as they are now: what of them is spent, the entries say.
    let accounts = match remembered.decision.customer_id {
        Some(id) => {
            let reference = CustomerRef { kind: RefKind::CustomerId, value: id.to_string() };
            let view = query::customer(&store, &merchant, &reference).await.map_err(CliError::failed)?;
            view.map(|view| view.accounts).unwrap_or_default()
        }
        None => Vec::new(),
    };
    if as_json { output::json(object(&remembered, &accounts)) } else { output::text(page(&remembered, &accounts)) }
}

fn waiting_page(parked: &Parked) -> String {
    let awaits = &parked.awaits;
    format!(
        "{:<14}{:?}  (topic/partition/offset)\n{:<14}{}\n{:<14}parked since {}, until {}\n{:<14}a customer with {}:{}\n",
        "command",
        parked.position,
        "occurred",
        parked.command.occurred_at(parked.record_time),
        "outcome",
        parked.parked_at,
        parked.deadline,
        "waits for",
        awaits.kind.field(),
        output::escaped(&awaits.value)
    )
}

fn waiting_object(parked: &Parked) -> Value {
    let position = parked.position;
    json!({
        "command": {"topic": position.topic.suffix(), "partition": position.partition, "offset": position.offset},
        "occurred_at": parked.command.occurred_at(parked.record_time).to_string(),
        "status": "parked",
        "parked_at": parked.parked_at.to_string(),
        "deadline": parked.deadline.to_string(),
        "waits_for": {"kind": parked.awaits.kind.field(), "value": parked.awaits.value},
        "config_version": parked.config_version,
    })
}

fn page(remembered: &Remembered, accounts: &[Account]) -> String {
    let decision = &remembered.decision;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<14}{}", output::escaped(&value));
    };
    line("command", format!("{:?}  (topic/partition/offset)", remembered.position));
    line("occurred", decision.occurred_at.to_string());
    line("decided", decision.decided_at.to_string());
    match &decision.verdict {
        Ok(effect) => line("outcome", format!("accepted, {}", effect.name())),
        Err(rejection) => {
            line("outcome", format!("rejected, {}", rejection.code.name()));
            line("", rejection.message.clone());
            rejection.fields.iter().for_each(|bad| line("", format!("{}: {}", bad.field, bad.problem)));
            rejection.detail.iter().for_each(|(name, value)| line("", format!("{name} = {value}")));
        }
    }
    if let Some(id) = decision.customer_id {
        let version =
            decision.customer_version.map_or_else(String::new, |version| format!(", version {version} after it"));
        line("customer", format!("{id}{version}"));
    }
    line("judged by", judges(decision));
    for entry in &decision.entries {
        let sign = if entry.kind.direction() == Direction::Credit { '+' } else { '-' };
        let kind = entry.kind.name();
        line(
            "entry",
            format!("{kind} {sign}{} {}, balance {} after it", entry.amount, entry.unit_id, entry.balance_after),
        );
        for share in &entry.lots {
            let now = lot(accounts, entry, share.lot_id).map_or_else(
                || "spent, expired or gone".to_owned(),
                |lot| {
                    let expiry = lot.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                    format!("{} of {} left, expires {expiry}", lot.remaining, lot.amount)
                },
            );
            line("", format!("lot {}: {} (now {now})", share.lot_id, share.amount));
        }
    }
    text
}

/// The versions of the merchant's configuration that were in force.
fn judges(decision: &Decision) -> String {
    let settings =
        decision.config_version.map_or_else(|| "no settings".to_owned(), |it| format!("settings version {it}"));
    let mut units: Vec<String> = decision
        .entries
        .iter()
        .filter_map(|entry| Some(format!("{} {} version {}", judge(entry), entry.unit_id, entry.unit_version?)))
        .collect();
    units.dedup();
    [vec![settings], units].concat().join(", ")
}

fn judge(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Stamp => "card",
        EntryKind::EarnAmount | EntryKind::RedeemAmount | EntryKind::Expire => "unit",
    }
}

fn lot<'a>(accounts: &'a [Account], entry: &Entry, lot: LotId) -> Option<&'a Lot> {
    let account = accounts.iter().find(|account| account.unit_id == entry.unit_id)?;
    account.lots.iter().find(|held| held.lot_id == lot)
}

fn object(remembered: &Remembered, accounts: &[Account]) -> Value {
    let decision = &remembered.decision;
    let position = remembered.position;
    let rejection = decision.verdict.as_ref().err().map(|rejection| {
        json!({
            "code": rejection.code.name(),
            "message": rejection.message,
            "fields": rejection.fields.iter().map(|bad| json!({"field": bad.field, "problem": bad.problem})).collect::<Vec<_>>(),
            "detail": rejection.detail.iter().map(|(name, value)| (name.to_string(), json!(value))).collect::<serde_json::Map<_, _>>(),
        })
    });
    let entries: Vec<Value> = decision
        .entries
        .iter()
        .map(|entry| {
            let share = |share: &crate::domain::LotShare| {
                let now = lot(accounts, entry, share.lot_id);
                json!({
                    "lot_id": share.lot_id.to_string(),
                    "amount": share.amount,
                    "remaining": now.map_or(0, |lot| lot.remaining),
                    "expires_at": now.and_then(|lot| lot.expires_at).map(|at| at.to_string()),
                })
            };
            json!({
                "transaction_id": entry.transaction_id.to_string(),
                "kind": entry.kind.name(),
                "unit": entry.unit_id.as_str(),
                "unit_version": entry.unit_version,
                "amount": entry.amount,
                "balance_after": entry.balance_after,
                "lots": entry.lots.iter().map(share).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "command": {"topic": position.topic.suffix(), "partition": position.partition, "offset": position.offset},
        "occurred_at": decision.occurred_at.to_string(),
        "decided_at": decision.decided_at.to_string(),
        "status": if rejection.is_none() { "accepted" } else { "rejected" },
        "effect": decision.verdict.as_ref().ok().map(|effect| effect.name()),
        "rejection": rejection,
        "customer_id": decision.customer_id.map(|id| id.to_string()),
        "customer_version": decision.customer_version,
        "config_version": decision.config_version,
        "entries": entries,
    })
}
