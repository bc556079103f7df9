//! What is held against what, once the workers are gone.

use std::collections::BTreeMap;

use crate::load::model::Prediction;
use crate::screen::title;
use crate::support::database::Database;
use crate::support::installation::Installation;
use crate::support::{Failure, thousands};

/// The balances and customers in Postgres against the generator's own books.
pub fn books(installation: &Installation, predicted: &Prediction, failures: &mut Vec<String>) -> Result<(), Failure> {
    title("The books");
    let database = Database::connect(&installation.stack.database_url(&installation.database)?)?;
    let mut balances = BTreeMap::new();
    for row in database.rows(
        "select merchant_id, unit_id, sum(available) from account group by 1, 2 having sum(available) <> 0 order by 1, 2",
    )? {
        if let [merchant, unit, sum] = row.as_slice() {
            balances.insert((merchant.clone(), unit.clone()), sum.parse::<i64>()?);
        }
    }
    let mut customers = BTreeMap::new();
    for row in database.rows("select merchant_id, count(*) from customer group by 1")? {
        if let [merchant, count] = row.as_slice() {
            customers.insert(merchant.clone(), count.parse::<u64>()?);
        }
    }
    for (merchant, count) in &customers {
        let held: Vec<String> = balances
            .range((merchant.clone(), String::new())..)
            .take_while(|((of, _), _)| of == merchant)
            .map(|((_, unit), sum)| format!("{} {unit}", thousands(sum.unsigned_abs())))
            .collect();
        println!("{merchant:<16} {:>7} customers hold {}", thousands(*count), held.join(", "));
    }
    if balances != predicted.balances {
        let wrong = predicted.balances.iter().find(|(key, sum)| balances.get(*key) != Some(*sum));
        failures.push(format!("the balances in Postgres are not the generator's, for example {wrong:?}"));
    } else if customers != predicted.customers {
        failures.push("the numbers of customers in Postgres are not the generator's".to_owned());
    } else {
        println!("These are the generator's own figures, to the point.");
    }
    Ok(())
}

/// The product's own audit.
pub fn audit(installation: &Installation, failures: &mut Vec<String>) {
    title("loyalty-worker audit --expect-idle");
    match installation.run(&["audit", "--expect-idle"]) {
        Ok(printed) => print!("{printed}"),
        Err(error) => {
            println!("{error}");
            failures.push("the audit found faults, or could not be made".to_owned());
        }
    }
}

/// Everything once more, from journal and topics, into an empty database.
pub fn recovery(original: &Installation, lanes: i32, failures: &mut Vec<String>) -> Result<(), Failure> {
    title("loyalty-worker recover, into an empty database");
    let name = original.topic_prefix.trim_end_matches('.');
    let recovered =
        Installation::new(&original.stack, &original.worker, name, &format!("{}-recovered", original.database))?;
    let done = recovered
        .run(&["migrate"])
        .and_then(|_| recovered.run(&["topics", "create", "--lanes", &lanes.to_string()]))
        .and_then(|_| recovered.run(&["recover"]));
    match done {
        Ok(printed) => print!("{printed}"),
        Err(error) => {
            println!("{error}");
            failures.push("recover failed".to_owned());
            return Ok(());
        }
    }
    let before = Database::connect(&original.stack.database_url(&original.database)?)?.digests()?;
    let after = Database::connect(&original.stack.database_url(&recovered.database)?)?.digests()?;
    for (table, digest) in &before {
        if after.get(table) == Some(digest) {
            println!("{table:<18} equal: {digest}");
        } else {
            println!(
                "{table:<18} DIFFERS: {digest}, recovered: {}",
                after.get(table).map_or("nothing", String::as_str)
            );
            failures.push(format!("the recovered table {table} is not equal to the original"));
        }
    }
    if before.len() != after.len() {
        failures.push("the recovered database has other tables".to_owned());
    }
    Ok(())
}
