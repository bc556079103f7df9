//! Every row is in the database of its merchant's lane, where there are several databases.

use super::super::facts::{Facts, Name};
use super::super::report::Check;
use crate::record::lane_of;

/// Nothing is to be checked where there is one database. To be asked before the ledger is sorted.
pub fn check(facts: &Facts) -> Option<Check> {
    let mut check = Check::new("places", "every row is in the database of its merchant's lane", "rows");
    let ledger = &facts.ledger;
    let (mut decisions, mut customers, mut configs) =
        (ledger.decisions.iter(), ledger.customers.iter(), ledger.configs.iter());
    for database in &facts.databases {
        let lanes = database.lanes;
        let mut judge = |lane: i32, what: &dyn Fn() -> String| {
            check.examined += 1;
            if !lanes.has(lane) {
                check.fault(|| format!("the database of the lanes {lanes} has {} of lane {lane}", what()));
            }
        };
        let lane = |merchant: Name| lane_of(facts.names.text(merchant).as_bytes(), lanes.of);
        for row in decisions.by_ref().take(database.decisions) {
            judge(row.position.partition, &|| format!("the decision on {:?}", row.position));
        }
        for row in customers.by_ref().take(database.customers) {
            judge(lane(row.merchant), &|| format!("customer {}", row.customer));
        }
        for row in configs.by_ref().take(database.configs) {
            let merchant = row.merchant;
            judge(lane(merchant), &|| format!("a configuration of merchant {}", facts.names.text(merchant)));
        }
    }
    (!facts.databases.is_empty()).then_some(check)
}
