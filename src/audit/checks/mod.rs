//! Judging what was read. Pure: facts in, a report out.

mod accounts;
mod offsets;
mod once;
mod order;
mod places;
mod publication;
mod results;
mod states;
mod versions;

#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::AuditOptions;
use super::facts::{CustomerFact, DecisionRow, EntryFact, EntryRow, Facts, LaneFacts, Name};
use super::report::{AuditReport, Check};
use super::since;
use crate::domain::{Frontier, Position};

/// Judges all facts. The checks stand in the order in which a reader would want to know.
pub fn judge(mut facts: Facts, options: &AuditOptions) -> AuditReport {
    // Before the ledger is sorted: its rows still stand by databases.
    let places = places::check(&facts);
    let ledger = &mut facts.ledger;
    ledger.decisions.sort_unstable_by_key(|row| row.position);
    ledger.entries.sort_unstable_by_key(|row| (row.customer, row.unit, row.seq));
    ledger.customers.sort_unstable_by_key(|row| row.customer);
    ledger.accounts.sort_unstable_by_key(|row| (row.customer, row.unit));
    let floors: Vec<Frontier> = facts.lanes.iter().map(LaneFacts::floors).collect();
    let view = View { facts: &facts, floors: &floors, since: options.since.is_some() };
    let (results, entries) = results::check(view);
    let (accounts, totals) = accounts::check(view);
    let (versions, causes) = versions::check(view);
    let mut checks: Vec<Check> = vec![
        offsets::readable(view),
        offsets::answered(view),
        once::results(view),
        once::events(view),
        results,
        entries,
        accounts,
        totals,
        accounts::orders(view),
        versions,
        causes,
        versions::configs(view),
        order::results(view),
        order::journal(view),
        states::states(view),
        states::identities(view),
        publication::check(view, options),
    ];
    checks.extend(places);
    if !view.since {
        return AuditReport { checks, left_out: &[] };
    }
    checks.retain(|check| check.name != "totals");
    AuditReport { checks, left_out: &since::LEFT_OUT }
}

/// The facts, sorted, with what finds its way in them.
#[derive(Clone, Copy)]
struct View<'a> {
    facts: &'a Facts,
    /// Of each lane: where the part begins whose answers are still there.
    floors: &'a [Frontier],
    /// The facts are those since an instant.
    since: bool,
}

impl<'a> View<'a> {
    fn lanes(self) -> &'a [LaneFacts] {
        &self.facts.lanes
    }

    fn lane(self, partition: i32) -> Option<&'a LaneFacts> {
        self.facts.lanes.get(usize::try_from(partition).ok()?)
    }

    /// Whether retention has left the answer to this command, and the audit has read it. Lanes that don't exist are judged, and found wrong.
    fn is_judgeable(self, command: Position) -> bool {
        let floor = usize::try_from(command.partition).ok().and_then(|index| self.floors.get(index));
        floor.is_none_or(|floor| command.offset >= floor.next(command.topic))
    }

    /// Whether a merchant of the first lane may be of the other by now: the lanes have grown, and it goes on by multiples of the first
    /// number.
    fn may_have_moved(self, from: i32, to: i32) -> bool {
        let distance = to - from;
        self.facts.grown_from.is_some_and(|first| distance > 0 && distance % first == 0)
    }

    fn decision(self, position: Position) -> Option<(usize, &'a DecisionRow)> {
        let decisions = &self.facts.ledger.decisions;
        let index = decisions.binary_search_by_key(&position, |row| row.position).ok()?;
        Some((index, &decisions[index]))
    }

    fn entry(self, customer: Uuid, unit: Name, seq: i64) -> Option<(usize, &'a EntryRow)> {
        let entries = &self.facts.ledger.entries;
        let index =
            entries.binary_search_by_key(&(customer, unit, seq), |row| (row.customer, row.unit, row.seq)).ok()?;
        Some((index, &entries[index]))
    }

    fn customer(self, customer: Uuid) -> Option<&'a CustomerFact> {
        let customers = &self.facts.ledger.customers;
        let index = customers.binary_search_by_key(&customer, |row| row.customer).ok()?;
        Some(&customers[index])
    }

    fn text(self, name: Name) -> &'a str {
        self.facts.names.text(name)
    }

    /// What is told of an entry and is not what its row says, if anything.
    fn entry_difference(self, told: &EntryFact, row: &EntryRow) -> Option<&'static str> {
        let before = i128::from(row.balance_after) - row.signed();
        let lots_agree = usize::try_from(told.lots_total) == Ok(row.lots.len()) && row.lots.starts_with(&told.lots);
        // Lists are cut, but never to nothing.
        let lots_cut = told.lots.len() < row.lots.len().min(100);
        let pairs = [
            ("transaction_id", told.transaction == row.transaction),
            ("kind", told.kind == row.kind),
            ("amount", told.amount == row.amount),
            ("balance_after", told.balance_after == row.balance_after),
            ("balance_before", i128::from(told.balance_before) == before),
            ("lots", lots_agree && !lots_cut),
            ("occurred_at", told.occurred_at == row.occurred_at),
            ("recorded_at", told.recorded_at == row.recorded_at),
        ];
        pairs.into_iter().find(|(_, equal)| !equal).map(|(field, _)| field)
    }
}
