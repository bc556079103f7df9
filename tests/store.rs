//! The store against a real Postgres: what is written is read, and nobody writes who does not own the lane.

#[path = "store/fixtures.rs"]
mod fixtures;
#[path = "store/membership.rs"]
mod membership;
#[path = "store/parked.rs"]
mod parked;
#[path = "store/session.rs"]
mod session;

use std::sync::Arc;

use fixtures::*;
use futures_util::{join, poll};
use loyalty_worker::batch::{BatchPlan, DueQuery, LaneState, RowChanges};
use loyalty_worker::config::LaneRange;
use loyalty_worker::domain::command::{CustomerRef, RefKind};
use loyalty_worker::domain::customer::{Customer, IdentifierKind};
use loyalty_worker::domain::{
    Account, CommandTopic, CustomerChange, Effect, Entry, Frontier, Instant, Lot, LotId, LotShare, Memory, Outcome,
    Remembered, TransactionId,
};
use loyalty_worker::query;
use loyalty_worker::record::{OutTopic, OutboundRecord, OutboundRecords};
use loyalty_worker::store::{LaneConnection, OutboxRow, OutboxValue, Store, StoreErrorKind};
use uuid::Uuid;

#[tokio::test]
async fn migrations_are_applied_once() {
    let database = Database::empty().await;
    let store = &database.store;
    let all = ["0001_loyalty"];
    assert_eq!(store.pending_migrations().await.unwrap(), all);
    let unmigrated = store.lane_connection().await.err().unwrap();
    assert_eq!(unmigrated.kind, StoreErrorKind::Fatal);
    assert!(unmigrated.message.contains("migrate"), "{unmigrated}");

    let (one, other) = join!(store.migrate(), store.migrate());
    let mut applied = [one.unwrap(), other.unwrap()].concat();
    applied.sort();
    assert_eq!(applied, all);
    assert_eq!(store.migrate().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.pending_migrations().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_migration_that_changed_is_refused() {
    let database = Database::new().await;
    database.execute("insert into schema_migration (name, checksum) values ('9999_later', '')").await;
    assert_eq!(database.store.pending_migrations().await.unwrap(), Vec::<String>::new());
    database.execute("update schema_migration set checksum = 'another' where name = '0001_loyalty'").await;
    for refused in [database.store.pending_migrations().await, database.store.migrate().await] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Fatal);
        assert!(refused.message.contains("0001_loyalty"), "{refused}");
    }
}

#[tokio::test]
async fn a_database_that_has_another_ranges_lane_is_refused() {
    let database = Database::new().await;
    let of = identity().lanes;
    for (first, last, of, is_its) in [(LANE, of - 1, of, true), (0, LANE - 1, of, false), (0, LANE, LANE + 1, false)] {
        let connected = Store::connect(&settings(&database.url, Some(LaneRange { first, last, of }))).await;
        let refused = connected.err().map(|error| (error.kind, error.message.contains("postgres.lane_urls")));
        assert_eq!(refused, (!is_its).then_some((StoreErrorKind::Fatal, true)), "{first}-{last} of {of}");
    }
}

#[tokio::test]
async fn registering_again_keeps_the_lane() {
    let database = Database::new().await;
    let elsewhere = Frontier([1; CommandTopic::COUNT]);
    assert!(!database.store.register_lane(&identity(), &elsewhere, at(0)).await.unwrap());
    let mut connection = database.store.lane_connection().await.unwrap();
    let (found, state) = connection.take_over(LANE, "a test", &ids()).await.unwrap().unwrap();
    assert_eq!(found, identity());
    assert!(state.epoch > 0);
    assert_eq!((state.batch, state.frontier, state.lane_time), (0, START, Instant::EPOCH));
    assert!(!state.due_pending);
    assert!(connection.take_over(LANE + 1, "a test", &ids()).await.unwrap().is_none());
}

#[tokio::test]
async fn every_new_row_comes_back() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    // The first with the lot that an earning makes, which is not stored.
    let earned = entry(1, "points", 1);
    let own_lot = LotShare { lot_id: LotId(earned.transaction_id.0), amount: earned.amount };
    let earned = Arc::new(Entry { lots: vec![own_lot], ..(*earned).clone() });
    let entries = vec![earned, entry(1, "points", 2), entry(1, "stamps", 3)];
    let mut outcomes = vec![
        decided(0, accepted(Effect::Applied, Some(1), vec![entries[2].clone(), entries[0].clone()])),
        decided(1, accepted(Effect::Created, Some(2), Vec::new())),
        decided(2, accepted(Effect::Updated, None, Vec::new())),
    ];
    outcomes.extend(rejections().into_iter().zip(3..).map(|(rejection, key)| decided(key, rejected(rejection))));
    let rows = RowChanges {
        customers: vec![
            changed(
                CustomerChange::Created,
                full_customer(1),
                vec![account(1, "points", Some(at(5)), 3), account(1, "stamps", None, 2)],
            ),
            created(Customer { email: Some("bare@example.com".to_owned()), ..bare_customer(2) }),
            created(bare_customer(3)),
        ],
        entries,
        memory: vec![(order("o1"), Memory::EarnedOrder(TransactionId(Uuid::from_u128(5))))],
        versions: config_versions(),
        ..RowChanges::default()
    };
    let state = decide(&mut connection, &state, &rows, &outcomes).await;

    let plan = BatchPlan {
        merchants: vec![merchant("m"), merchant("unknown")],
        keys: outcomes.iter().filter_map(|outcome| outcome.remembered_by).collect(),
        identifiers: vec![
            identifier("n", IdentifierKind::ExternalId, "external 1"),
            identifier("m", IdentifierKind::ExternalId, "nobody"),
            identifier("m", IdentifierKind::Email, "bare@example.com"),
        ],
        customers: vec![customer_id(1), customer_id(99)],
        memory: vec![order("o1"), order("o2")],
        parked: true,
        due: None,
    };
    let snapshot = load(&mut connection, &state, &plan).await;
    assert_eq!(snapshot.configs.len(), 1);
    let stored: Vec<_> = snapshot.configs[&merchant("m")].objects().map(|object| (merchant("m"), object)).collect();
    assert_eq!(stored, rows.versions);
    assert_eq!(snapshot.remembered.len(), outcomes.len());
    for Outcome { position, command, decision, remembered_by, .. } in &outcomes {
        let (content_hash, decision) = (command.content_hash, decision.clone());
        let expected = Remembered { position: *position, content_hash, decision };
        assert_eq!(snapshot.remembered[&remembered_by.expect("a key")], expected);
    }
    assert_eq!(snapshot.identities[&identifier("m", IdentifierKind::Email, "bare@example.com")], customer_id(2));
    assert_eq!(snapshot.customers.len(), 2, "the one that is named, and the one that the identifier led to");
    for row in &rows.customers[..2] {
        assert_eq!(snapshot.customers[&row.state.customer.customer_id], row.state);
    }
    assert_eq!(snapshot.memory.len(), 1);
    assert_eq!(snapshot.memory[&order("o1")], Memory::EarnedOrder(TransactionId(Uuid::from_u128(5))));
    database.has_row(&format!("earned_order where transaction_id = '{}'", Uuid::from_u128(5))).await;

    assert_eq!(connection.known_merchants().await.unwrap(), [merchant("m")]);
    assert_eq!(connection.load_configs(&plan.merchants).await.unwrap(), snapshot.configs);
}

#[tokio::test]
async fn every_changed_row_comes_back() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let given = identifier("m", IdentifierKind::Phone, "given");
    let accounts = |lots| vec![account(1, "points", None, lots), account(1, "stamps", None, 1)];
    let rows = RowChanges {
        customers: vec![
            changed(CustomerChange::Created, with_phone(full_customer(1), "given"), accounts(3)),
            created(with_phone(full_customer(2), "kept")),
            created(full_customer(3)),
            created(full_customer(4)),
        ],
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;

    let profile = Customer { version: 8, created_at: at(0), updated_at: at(9), ..bare_customer(1) };
    let receiver = Customer { version: 8, updated_at: at(9), ..with_phone(full_customer(2), "given") };
    let credited = Customer { version: 8, updated_at: at(9), ..full_customer(4) };
    let rows = RowChanges {
        customers: vec![
            changed(CustomerChange::Profile, receiver, Vec::new()),
            changed(CustomerChange::Profile, profile, accounts(5)),
            changed(CustomerChange::Accounts, credited, vec![account(4, "points", Some(at(5)), 1)]),
            changed(CustomerChange::NextDue, full_customer(3), vec![account(3, "points", Some(at(6)), 1)]),
        ],
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;

    let plan = BatchPlan {
        identifiers: vec![given.clone(), identifier("m", IdentifierKind::Phone, "kept")],
        customers: vec![customer_id(1), customer_id(3), customer_id(4)],
        ..BatchPlan::default()
    };
    let snapshot = load(&mut connection, &state, &plan).await;
    for row in rows.customers {
        assert_eq!(snapshot.customers[&row.state.customer.customer_id], row.state);
    }
    assert_eq!(snapshot.identities.get(&given), Some(&customer_id(2)));
    let gone = identifier("m", IdentifierKind::Phone, "kept");
    assert_eq!(snapshot.identities.get(&gone), None);
}

#[tokio::test]
async fn another_epoch_or_batch_means_that_the_lane_is_lost() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let state = apply(&mut connection, &state, &RowChanges::default()).await;
    for (epoch, batch) in [(-1, 1), (1, 1), (0, 0), (0, 2)] {
        let wrong = LaneState { epoch: state.epoch + epoch, batch, ..state.clone() };
        assert_eq!(refused(&mut connection, &wrong).await, StoreErrorKind::LaneLost);
    }
    let state = apply(&mut connection, &state, &RowChanges::default()).await;

    let (mut heir, taken) = database.owner().await;
    assert!(taken.epoch > state.epoch);
    assert_eq!(taken, LaneState { epoch: taken.epoch, ..state.clone() }, "all that was committed");
    assert_eq!(refused(&mut connection, &state).await, StoreErrorKind::LaneLost);
    // Who has lost the lane does not hold its row either.
    apply(&mut heir, &taken, &RowChanges::default()).await;
}

#[tokio::test]
async fn who_takes_over_waits_for_the_owners_transaction() {
    let database = Database::new().await;
    let (mut owner, state) = database.owner().await;
    let mut heir = database.store.lane_connection().await.unwrap();
    owner.begin(LANE, &state, &BatchPlan::default()).await.unwrap();
    let next = after(&state);
    let commit = async {
        write(&mut owner, &RowChanges::default(), &[], &state, &next).await.unwrap();
        owner.commit().await.unwrap();
    };
    let ids = ids();
    let (taken, ()) = join!(heir.take_over(LANE, "a test", &ids), commit);
    let (_, taken) = taken.unwrap().unwrap();
    assert!(taken.epoch > next.epoch);
    assert_eq!((taken.batch, taken.frontier), (next.batch, next.frontier));
}

#[tokio::test]
async fn what_was_not_committed_is_gone_with_its_connection() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    connection.begin(LANE, &state, &BatchPlan::default()).await.unwrap();
    let rows = RowChanges { customers: vec![created(full_customer(1))], ..RowChanges::default() };
    write(&mut connection, &rows, &[], &state, &after(&state)).await.unwrap();
    drop(connection);

    let (mut connection, taken) = database.owner().await;
    assert_eq!(taken.batch, state.batch);
    let named = BatchPlan { customers: vec![customer_id(1)], ..BatchPlan::default() };
    assert!(load(&mut connection, &taken, &named).await.customers.is_empty());
}

#[tokio::test]
async fn a_step_that_was_dropped_is_rolled_back_before_anything_else() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let empty = BatchPlan::default();
    {
        let mut begin = std::pin::pin!(connection.begin(LANE, &state, &empty));
        assert!(poll!(begin.as_mut()).is_pending());
    }
    assert_eq!(refused(&mut connection, &state).await, StoreErrorKind::Transient);
    assert!(connection.write(&RowChanges::default(), &[]).await.is_err());
    assert!(connection.commit().await.is_err());
    connection.rollback().await.unwrap();
    apply(&mut connection, &state, &RowChanges::default()).await;
}

#[tokio::test]
async fn the_outbox_holds_what_is_not_published() {
    let database = Database::new().await;
    let (mut connection, mut state) = database.owner().await;
    let records = |batch: i64| {
        let key = batch.to_string().into_bytes().into();
        let value = Some(vec![7; 5000].into());
        let mut records = OutboundRecords::default();
        records.push(&OutboundRecord { topic: OutTopic::Results, key, value, headers: Vec::new() });
        records
    };
    for forget in [None, None, Some(1)] {
        connection.begin(LANE, &state, &BatchPlan::default()).await.unwrap();
        let next = after(&state);
        let outbox = OutboxValue::encode(&records(next.batch));
        connection.write(&RowChanges::default(), &[]).await.unwrap();
        connection.advance(LANE, &state, &next, Some(&outbox), forget).await.unwrap();
        connection.commit().await.unwrap();
        state = next;
    }
    let row = |batch: i64| OutboxRow {
        batch,
        before: Frontier(START.0.map(|start| start + batch - 1)),
        after: Frontier(START.0.map(|start| start + batch)),
        records: records(batch),
    };
    assert_eq!(connection.unpublished(LANE).await.unwrap(), [row(2), row(3)]);
    connection.forget_published(LANE, 2).await.unwrap();
    assert_eq!(connection.unpublished(LANE).await.unwrap(), [row(3)]);
    assert_eq!(connection.unpublished(LANE + 1).await.unwrap(), []);
    database.execute("update outbox set records = '\\x00'").await;
    assert_eq!(connection.unpublished(LANE).await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn what_is_due_comes_in_order_up_to_the_limit() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let due = |number: u128, merchant_name: &str, next_due: [Option<i64>; 2]| {
        let accounts =
            ["points", "stamps"].into_iter().zip(next_due).map(|(unit, due)| account(number, unit, due.map(at), 1));
        let customer = Customer { merchant_id: merchant(merchant_name), ..bare_customer(number) };
        changed(CustomerChange::Created, customer, accounts.collect())
    };
    let rows = RowChanges {
        customers: vec![
            due(1, "m", [Some(30), None]),
            due(2, "n", [Some(40), Some(20)]),
            due(3, "m", [Some(20), Some(20)]),
            due(4, "other", [Some(10), None]),
            due(5, "m", [Some(31), None]),
            due(6, "m", [None, None]),
        ],
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;
    let expected = [2, 3, 1].map(customer_id);
    for limit in [0, 1, 2, 3, 100] {
        let query = DueQuery { until: at(30), limit, merchants: vec![merchant("m"), merchant("n")] };
        let snapshot = load(&mut connection, &state, &BatchPlan { due: Some(query), ..BatchPlan::default() }).await;
        assert_eq!(snapshot.due, expected[..limit.min(3)]);
        assert!(snapshot.due.iter().all(|customer| snapshot.customers.contains_key(customer)));
    }
}

#[tokio::test]
async fn skipped_records_are_known_by_lane() {
    let database = Database::new().await;
    let store = &database.store;
    assert!(store.skip("loyalty.redeem", LANE, 8, "a defect").await.unwrap());
    assert!(store.skip("loyalty.credit", LANE, 9, "a defect").await.unwrap());
    assert!(!store.skip("loyalty.credit", LANE, 9, "again").await.unwrap());
    assert!(store.skip("loyalty.credit", LANE + 1, 1, "a defect").await.unwrap());
    let because = "a defect".to_owned();
    let expected = [("loyalty.credit".to_owned(), 9, because.clone()), ("loyalty.redeem".to_owned(), 8, because)];
    assert_eq!(store.skipped(LANE).await.unwrap(), expected);
}

#[tokio::test]
async fn a_record_is_replayed_once_unless_it_is_wanted_again() {
    let database = Database::new().await;
    let store = &database.store;
    let mut replays = store.replays().await.unwrap();
    let sent_in_vain = replays.begin("loyalty.credit", LANE, 9, false).await.unwrap();
    assert!(sent_in_vain.is_some());
    drop(sent_in_vain);
    assert!(store.replayed().await.unwrap().is_empty());
    replays.begin("loyalty.credit", LANE, 9, false).await.unwrap().expect("not yet").done(LANE, 12).await.unwrap();
    assert!(replays.begin("loyalty.credit", LANE, 9, false).await.unwrap().is_none());
    replays.begin("loyalty.credit", LANE, 9, true).await.unwrap().expect("wanted").done(LANE, 15).await.unwrap();
    let replayed = store.replayed().await.unwrap();
    assert_eq!((replayed.len(), replayed[0].offset, replayed[0].times, replayed[0].new_offset), (1, 9, 2, 15));
}

#[tokio::test]
async fn writes_that_do_not_fit_are_refused_with_their_kind() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let outcomes = [decided(1, accepted(Effect::Updated, None, Vec::new()))];
    let state = decide(&mut connection, &state, &RowChanges::default(), &outcomes).await;

    let mut zero = full_customer(1);
    zero.first_name = Some("\0".to_owned());
    let mut late = full_customer(1);
    late.updated_at = Instant::from_micros(i64::MAX);
    // The number that stands for null where numbers are packed.
    let null = Account { debt: i64::MIN, ..account(1, "points", None, 1) };
    let customer = |changed| RowChanges { customers: vec![changed], ..RowChanges::default() };
    let cases = [
        (customer(changed(CustomerChange::Accounts, full_customer(1), Vec::new())), StoreErrorKind::Corrupt),
        (customer(changed(CustomerChange::Profile, full_customer(1), Vec::new())), StoreErrorKind::Corrupt),
        (RowChanges::default(), StoreErrorKind::Data),
        (customer(created(zero)), StoreErrorKind::Data),
        (customer(created(late)), StoreErrorKind::Data),
        (customer(changed(CustomerChange::Created, full_customer(1), vec![null])), StoreErrorKind::Data),
    ];
    for (rows, kind) in cases {
        connection.begin(LANE, &state, &BatchPlan::default()).await.unwrap();
        let again = if rows.customers.is_empty() { &outcomes[..] } else { &[] };
        let error = write(&mut connection, &rows, again, &state, &after(&state)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        // COMMIT would answer as if all were well.
        assert!(connection.commit().await.is_err());
    }
    apply(&mut connection, &state, &RowChanges::default()).await;
}

#[tokio::test]
async fn a_second_writer_is_noticed() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let rows = RowChanges { customers: vec![created(full_customer(1))], ..RowChanges::default() };
    let state = apply(&mut connection, &state, &rows).await;
    for change in [CustomerChange::Accounts, CustomerChange::Profile] {
        let found = BatchPlan { customers: vec![customer_id(1)], ..BatchPlan::default() };
        connection.begin(LANE, &state, &found).await.unwrap();
        database.execute("update customer set first_name = 'Somebody else'").await;
        let rows =
            RowChanges { customers: vec![changed(change, full_customer(1), Vec::new())], ..RowChanges::default() };
        let error = write(&mut connection, &rows, &[], &state, &after(&state)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn the_views_unpack_what_is_packed() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let accounts = vec![account(1, "points", Some(at(5)), 3), account(1, "stamps", None, 1)];
    let rows = RowChanges {
        customers: vec![changed(CustomerChange::Created, full_customer(1), accounts.clone())],
        entries: vec![entry(1, "points", 2)],
        ..RowChanges::default()
    };
    apply(&mut connection, &state, &rows).await;
    for Account { unit_id, entries, last_entry, available, lifetime_redeemed, next_due, lots, .. } in accounts {
        let due = next_due.map_or("is null".to_owned(), |due| format!("= '{due}'"));
        let last = last_entry.expect("an account with entries");
        database
            .has_row(&format!(
                "account where unit_id = '{unit_id}' and (entries, available, lifetime_redeemed) = \
                 ({entries}, {available}, {lifetime_redeemed}) and last_entry = '{last}' and next_due {due}"
            ))
            .await;
        for Lot { lot_id, amount, remaining, issued_at, expires_at } in lots {
            let expires = expires_at.map_or("is null".to_owned(), |at| format!("= '{at}'"));
            database
                .has_row(&format!(
                    "lot where (unit_id, lot_id) = ('{unit_id}', '{lot_id}') and (amount, remaining) = ({amount}, {remaining}) \
                     and issued_at = '{issued_at}' and expires_at {expires}"
                ))
                .await;
        }
    }
    for share in &entry(1, "points", 2).lots {
        database.has_row(&format!("entry_lot where (lot_id, amount) = ('{}', {})", share.lot_id, share.amount)).await;
    }
    let order =
        "(select lookup_key('m', 'o1') = encode(substring(sha256('\\x6d006f31'::bytea), 1, 16), 'hex')::uuid as same)";
    database.has_row(&format!("{order} as keys where same")).await;
}

#[tokio::test]
async fn a_decision_without_its_entry_is_corrupt() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let decided = decided(1, accepted(Effect::Applied, Some(1), vec![entry(1, "points", 1)]));
    let keys = decided.remembered_by.into_iter().collect();
    let state = decide(&mut connection, &state, &RowChanges::default(), &[decided]).await;
    let error = connection.begin(LANE, &state, &BatchPlan { keys, ..BatchPlan::default() }).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_customer_is_found_by_identifier_or_id() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let last_entry = Some(entry(1, "stamps", 4).transaction_id);
    let stamps = Account { entries: 4, last_entry, ..account(1, "stamps", None, 0) };
    let accounts = vec![account(1, "points", Some(at(5)), 2), stamps];
    let rows = RowChanges {
        customers: vec![changed(CustomerChange::Created, full_customer(1), accounts.clone())],
        entries: (1..=9).map(|seq| entry(1, "points", seq)).chain((1..=4).map(|seq| entry(1, "stamps", seq))).collect(),
        ..RowChanges::default()
    };
    apply(&mut connection, &state, &rows).await;
    let by_id = CustomerRef { kind: RefKind::CustomerId, value: customer_id(1).to_string() };
    let identified = |value: &str| CustomerRef { kind: RefKind::ExternalId, value: value.to_owned() };
    for reference in [by_id.clone(), identified("external 1")] {
        let view = query::customer(&database.store, &merchant("m"), &reference).await.unwrap().unwrap();
        assert_eq!(view.customer, full_customer(1));
        assert_eq!(view.accounts, accounts);
        let shown: Vec<_> = view.entries.iter().map(|entry| (entry.unit_id.as_str(), entry.seq)).collect();
        let expected = [("points", 9), ("points", 8), ("points", 7), ("points", 6), ("points", 5)].into_iter();
        let mixed = [("points", 4), ("stamps", 4), ("points", 3), ("stamps", 3), ("points", 2)];
        assert_eq!(shown, expected.chain(mixed).collect::<Vec<_>>());
        assert_eq!(view.entries[0], *entry(1, "points", 9));
    }
    let nobody = identified("x2");
    for (name, reference) in [("n", &by_id), ("m", &nobody)] {
        assert!(query::customer(&database.store, &merchant(name), reference).await.unwrap().is_none());
    }
}

fn with_phone(customer: Customer, phone: &str) -> Customer {
    Customer { phone: Some(phone.to_owned()), ..customer }
}

async fn refused(connection: &mut LaneConnection, state: &LaneState) -> StoreErrorKind {
    connection.begin(LANE, state, &BatchPlan::default()).await.unwrap_err().kind
}
