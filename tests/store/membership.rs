//! Tiers, cards and programmes as rows.

use loyalty_worker::batch::{BatchPlan, DueQuery, RowChanges};
use loyalty_worker::domain::CustomerChange;
use loyalty_worker::domain::customer::Customer;

use crate::fixtures::*;

/// No command names the merchant of a customer whom time settles, and the events need its configuration: the unit, and a member's tier.
#[tokio::test]
async fn a_customer_who_is_due_brings_its_merchants_configuration() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let due = |customer: Customer| {
        let accounts = vec![account(customer.customer_id.0.as_u128(), "points", Some(at(10)), 1)];
        changed(CustomerChange::Created, customer, accounts)
    };
    let rows = RowChanges {
        customers: vec![due(bare_customer(1)), due(full_customer(2))],
        versions: config_versions(),
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;
    for limit in [1, 2] {
        let query = DueQuery { until: at(30), limit, merchants: vec![merchant("m")] };
        let snapshot = load(&mut connection, &state, &BatchPlan { due: Some(query), ..BatchPlan::default() }).await;
        assert_eq!((snapshot.due.len(), snapshot.configs.len()), (limit, 1), "{:?}", snapshot.due);
    }
}
