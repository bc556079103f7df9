//! The compacted topic's last states equal the rows, and identities point where the customers say.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::super::facts::{AccountFact, AccountRow, CustomerFact, IdentifierRow, LaneFacts, LotFact, Name, StateFact};
use super::super::report::Check;
use super::View;

/// How many lots a state lists; it counts the others.
const LOTS_LISTED: usize = 64;

pub fn states(view: View<'_>) -> Check {
    let sentence = "the last state of every customer equals the row";
    let mut check = Check::new("states", sentence, "customers");
    let mut states: BTreeMap<Uuid, (&LaneFacts, &StateFact)> = BTreeMap::new();
    let mut beyond: HashSet<Uuid> = HashSet::new();
    let mut told: HashSet<Uuid> = HashSet::new();
    for lane in view.lanes() {
        beyond.extend(changed_since(view, lane));
        told.extend(lane.events.records.iter().filter_map(|event| event.customer));
        for state in &lane.states {
            let customer = state.profile.customer;
            if let Some(older) =
                states.insert(customer, (lane, state)).filter(|older| !has_moved(view, *older, (lane, state)))
            {
                let (older, newer) = (older.1.profile.version, state.profile.version);
                check.fault(|| {
                    format!("customer {customer} has states under two keys or in two lanes, of the versions {older} and {newer}")
                });
            }
        }
    }
    let accounts = &view.facts.ledger.accounts;
    for row in &view.facts.ledger.customers {
        check.examined += 1;
        match states.remove(&row.customer) {
            // Who has not changed since has no new state, and who has changed beyond the snapshot may have one after those that were read.
            None if view.since && (!told.contains(&row.customer) || beyond.contains(&row.customer)) => {}
            None => check.fault(|| format!("customer {} has a row, and no state", row.customer)),
            Some(_) if beyond.contains(&row.customer) => {}
            Some((lane, state)) => {
                let start = accounts.partition_point(|account| account.customer < row.customer);
                let count = accounts[start..].partition_point(|account| account.customer == row.customer);
                let mut problem = |problem: String| {
                    let place = format!("customers/{}/{}", lane.lane, state.offset);
                    check.fault(|| format!("{place}: customer {}: {problem}", row.customer));
                };
                compare_profile(&state.profile, row, &mut problem);
                let own = &accounts[start..start + count];
                compare_accounts(view, &state.accounts, own, &mut problem);
                compare_stamps(view, &state.stamps, own, &mut problem);
            }
        }
    }
    for (customer, (lane, state)) in states.into_iter().filter(|(customer, _)| !beyond.contains(customer)) {
        check
            .fault(|| format!("customers/{}/{}: customer {customer} has a state, and no row", lane.lane, state.offset));
    }
    check
}

/// Whether a state in an earlier lane was left behind when the lanes grew: the next state is a later version.
fn has_moved(view: View<'_>, older: (&LaneFacts, &StateFact), newer: (&LaneFacts, &StateFact)) -> bool {
    view.may_have_moved(older.0.lane, newer.0.lane) && older.1.profile.version < newer.1.profile.version
}

/// The customers whom the lane has changed since the snapshot: their last states are newer than their rows here.
fn changed_since<'a>(view: View<'a>, lane: &'a LaneFacts) -> impl Iterator<Item = Uuid> + 'a {
    let events: &[_] = if lane.moved_on() { &lane.events.records } else { &[] };
    events.iter().filter_map(move |event| {
        let customer = event.customer?;
        let version = view.customer(customer).map(|row| row.version);
        lane.is_event_beyond(event, version).then_some(customer)
    })
}

fn compare_profile(state: &CustomerFact, row: &CustomerFact, problem: &mut impl FnMut(String)) {
    if state.version != row.version {
        problem(format!("the state is of version {}, the row of {}", state.version, row.version));
    }
    let fields = [
        ("merchant_id", state.merchant == row.merchant),
        ("status", state.status == row.status),
        ("external_id", state.external_id == row.external_id),
        ("phone", state.phone == row.phone),
        ("email", state.email == row.email),
        ("first_name", state.first_name == row.first_name),
        ("last_name", state.last_name == row.last_name),
        ("birth_date", state.birth_date == row.birth_date),
        (
            "one of name, gender, registered_on, language, brand_id, source_version, metrics, metadata, incomplete, programme_id, tier, \
             referrer_id, cards",
            state.further == row.further,
        ),
        ("notify_email", state.notify_email == row.notify_email),
        ("notify_phone", state.notify_phone == row.notify_phone),
        ("created_at", state.created_at == row.created_at),
        ("updated_at", state.updated_at == row.updated_at),
    ];
    for (field, _) in fields.iter().filter(|(_, equal)| !equal) {
        problem(format!("{field} is not the row's"));
    }
}

fn compare_accounts(view: View<'_>, states: &[AccountFact], rows: &[AccountRow], problem: &mut impl FnMut(String)) {
    if states.len() != rows.len() {
        problem(format!("the state has {} accounts, the rows are {}", states.len(), rows.len()));
    }
    for row in rows {
        let unit = view.text(row.unit);
        let Some(state) = states.iter().find(|state| state.unit == row.unit) else {
            problem(format!("the state lacks its {unit} account"));
            continue;
        };
        if state.sums != row.sums || i128::from(state.balance) != row.sums.balance() {
            problem(format!("the balances of its {unit} account are not the row's"));
        }
        let mut lots: Vec<&LotFact> = row.lots.iter().collect();
        lots.sort_by_key(|lot| (lot.expires_at.unwrap_or(i64::MAX), lot.issued_at));
        lots.truncate(LOTS_LISTED);
        if usize::try_from(state.lots_total) != Ok(row.lots.len()) || !state.lots.iter().eq(lots) {
            problem(format!("the lots of its {unit} account are not the row's, in spending order"));
        }
    }
}

/// A card counts what its account has.
fn compare_stamps(view: View<'_>, stamps: &[(Name, i64)], rows: &[AccountRow], problem: &mut impl FnMut(String)) {
    for (card, stamps) in stamps {
        let is = rows.iter().find(|row| row.unit == *card).map_or(0, |row| row.sums.available);
        if *stamps != is {
            problem(format!("the state has {stamps} stamps on {}, the row {is}", view.text(*card)));
        }
    }
}

/// Who has an identifier, and whether it leads there.
pub fn identities(view: View<'_>) -> Check {
    let mut check = Check::new("identities", "every identifier leads to its one customer", "identifiers");
    let mut holders: HashMap<Uuid, Uuid> = HashMap::new();
    for IdentifierRow { customer, key, due } in &view.facts.ledger.identifiers {
        check.examined += 1;
        if key != due {
            check.fault(|| format!("customer {customer} is looked up by a key that is not its identifier's"));
        }
        if let Some(other) = due.and_then(|due| holders.insert(due, *customer)) {
            check.fault(|| format!("customers {other} and {customer} have the same identifier"));
        }
    }
    check
}
