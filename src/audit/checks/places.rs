//! Every row is in the database of its merchant's lane, where there are several databases.
//!
//! Entries are their customer's, and orders their entry's: what has strayed from those is in the wrong place too. Not judged are the outbox,
//! and what operators gave up or sent again.

use std::collections::HashMap;

use uuid::Uuid;

use super::super::facts::{Facts, Name};
use super::super::report::Check;
use crate::record::lane_of;

/// Nothing is to be checked where there is one database. To be asked before the ledger is sorted.
pub fn check(facts: &Facts) -> Option<Check> {
    let mut check = Check::new("places", "every row is in the database of its merchant's lane", "rows");
    let ledger = &facts.ledger;
    let (mut decisions, mut entries, mut customers) =
        (ledger.decisions.iter(), ledger.entries.iter(), ledger.customers.iter());
    let (mut orders, mut configs, mut parked) = (ledger.orders.iter(), ledger.configs.iter(), ledger.parked.iter());
    for database in &facts.databases {
        let lanes = database.lanes;
        let mut judge = |lane: Option<i32>, what: &dyn Fn() -> String| {
            check.examined += 1;
            match lane {
                Some(lane) if lanes.has(lane) => {}
                Some(lane) => {
                    check.fault(|| format!("the database of the lanes {lanes} has {} of lane {lane}", what()))
                }
                None => {
                    check.fault(|| format!("the database of the lanes {lanes} has {}, and not its customer", what()))
                }
            }
        };
        // An entry without its customer has no merchant.
        let lane = |merchant: Name| {
            let merchant = facts.names.text(merchant);
            (!merchant.is_empty()).then(|| lane_of(merchant.as_bytes(), lanes.of))
        };
        for row in decisions.by_ref().take(database.decisions) {
            judge(Some(row.position.partition), &|| format!("the decision on {:?}", row.position));
        }
        let mut ordered: HashMap<Uuid, Name> = HashMap::new();
        for row in entries.by_ref().take(database.entries) {
            ordered.extend(row.order.map(|order| (order, row.merchant)));
            judge(lane(row.merchant), &|| format!("entry {}", row.transaction));
        }
        for row in customers.by_ref().take(database.customers) {
            judge(lane(row.merchant), &|| format!("customer {}", row.customer));
        }
        for row in orders.by_ref().take(database.orders) {
            let merchant = ordered.get(&row.order).copied();
            judge(merchant.and_then(lane), &|| format!("the order of entry {}", row.transaction));
        }
        for row in configs.by_ref().take(database.configs) {
            let merchant = row.merchant;
            judge(lane(merchant), &|| format!("a configuration of merchant {}", facts.names.text(merchant)));
        }
        for row in parked.by_ref().take(database.parked) {
            judge(lane(row.merchant), &|| format!("the waiting {:?}", row.command));
        }
    }
    (!facts.databases.is_empty()).then_some(check)
}
