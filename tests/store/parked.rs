//! Commands that wait, as rows.

use std::sync::Arc;

use loyalty_worker::batch::{BatchPlan, DueQuery, MAX_PARKED, RowChanges};
use loyalty_worker::domain::command::{
    Body, Command, ContentHash, CreditAmount, CustomerRef, Envelope, RedeemAmount, RefKind, Schedule,
};
use loyalty_worker::domain::customer::{Identifier, IdentifierKind};
use loyalty_worker::domain::{
    CommandTopic, Decision, IdempotencyKey, Instant, Memory, Parked, Position, Rejection, RejectionCode, Seed,
};

use super::fixtures::*;

fn parked(place: i64, key: &str, awaits: &str, deadline: i64) -> Parked {
    let is_credit = place % 2 == 0;
    let topic = if is_credit { CommandTopic::Credit } else { CommandTopic::Redeem };
    let body = if is_credit {
        Body::CreditAmount(CreditAmount {
            unit: unit("points"),
            amount: i64::MAX,
            order_id: Some(format!("o{place}").into()),
            reason: Some("\"why\"".to_owned()),
            title: None,
            expires_at: Some(Instant::LATEST),
            skip_notifications: true,
        })
    } else {
        let (order_id, reason) = (None, Some("é".to_owned()));
        Body::RedeemAmount(RedeemAmount {
            unit: unit("points"),
            amount: 1,
            order_id,
            reason,
            skip_notifications: false,
        })
    };
    let envelope = Envelope {
        merchant_id: merchant("m"),
        idempotency_key: IdempotencyKey::new(key),
        customer: Some(CustomerRef { kind: RefKind::Email, value: awaits.to_uppercase() }),
        occurred_at: is_credit.then(|| at(1)),
        source: is_credit.then(|| "till".to_owned()),
        attributes: [("a".to_owned(), "\n\"".to_owned()), ("b".to_owned(), String::new())].into(),
    };
    let content_hash = ContentHash([7; 16]);
    let traceparent = is_credit.then(|| Arc::from("00-1-2-00"));
    let original_time = (!is_credit).then(|| at(2));
    let record_time = at(3);
    Parked {
        position: Position { topic, partition: LANE, offset: 100 + place },
        seed: Seed::of_record("topic", LANE, 100 + place, record_time),
        record_time,
        place,
        parked_at: at(4),
        deadline: at(deadline),
        config_version: is_credit.then_some(2),
        awaits: email(awaits),
        command: Box::new(Command {
            topic,
            envelope,
            schedule: Schedule::default(),
            body: Some(body),
            problems: Vec::new(),
            content_hash,
            traceparent,
            original_time,
        }),
    }
}

fn email(value: &str) -> Identifier {
    Identifier { merchant_id: merchant("m"), kind: IdentifierKind::Email, value: value.to_owned() }
}

#[tokio::test]
async fn what_waits_comes_back_by_its_identifier_its_key_and_its_deadline() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let rows = RowChanges {
        parked: vec![
            parked(4, "first", "a@example.com", 30),
            parked(5, "k\\u", "b@example.com", 20),
            parked(6, "first", "a@example.com", 30),
            parked(8, "last", "c@example.com", 40),
        ],
        memory: vec![(order("o4"), Memory::EarnedOrder(loyalty_worker::domain::TransactionId(uuid::Uuid::nil())))],
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;
    assert_eq!(connection.parked_count(LANE).await.unwrap(), 4);
    assert_eq!(connection.parked_count(LANE + 1).await.unwrap(), 0);
    let [first, other, again, last] = <[Parked; 4]>::try_from(rows.parked).unwrap();

    // Found by its key as well, it is there once.
    let keys = vec![again.key_hash()];
    let plan = BatchPlan { parked: true, identifiers: vec![email("a@example.com")], keys, ..BatchPlan::default() };
    let snapshot = load(&mut connection, &state, &plan).await;
    assert_eq!(snapshot.parked, [first.clone(), again.clone()]);
    assert_eq!((snapshot.parked_named, snapshot.parked_due), (2, 0));
    assert!(snapshot.memory.contains_key(&order("o4")), "what it would earn for is known");
    let unasked = BatchPlan { parked: false, ..plan };
    assert!(load(&mut connection, &state, &unasked).await.parked.is_empty());
    let plan = BatchPlan { parked: true, keys: vec![other.key_hash()], ..BatchPlan::default() };
    assert_eq!(load(&mut connection, &state, &plan).await.parked, std::slice::from_ref(&other));

    let due = |until, limit| {
        let query = DueQuery { until: at(until), limit, merchants: vec![merchant("m")] };
        BatchPlan { parked: true, due: Some(query), ..BatchPlan::default() }
    };
    let snapshot = load(&mut connection, &state, &due(30, 2)).await;
    assert_eq!(snapshot.parked, [first.clone(), other.clone()]);
    assert_eq!((snapshot.parked_named, snapshot.parked_due), (0, 2));
    assert_eq!(load(&mut connection, &state, &due(19, 9)).await.parked_due, 0);

    // The first delivery is refused before the second is looked at: the second finds that out.
    let refused = Decision {
        verdict: Err(Rejection::new(RejectionCode::UnknownCustomer, "Nobody.")),
        customer_id: None,
        customer_version: None,
        config_version: None,
        entries: Vec::new(),
        occurred_at: at(1),
        decided_at: at(30),
    };
    let rows = RowChanges { unparked: vec![first.seed, other.seed], ..RowChanges::default() };
    let outcome = remembered(first.key_hash(), first.command.content_hash, first.position, refused.clone());
    let state = decide(&mut connection, &state, &rows, &[outcome]).await;
    let snapshot = load(&mut connection, &state, &due(50, 9)).await;
    assert_eq!(snapshot.parked, [again.clone(), last]);
    assert_eq!(*snapshot.remembered[&again.key_hash()].decision, refused);
    // So it does where it is named before it is due again.
    let plan = BatchPlan { parked: true, identifiers: vec![email("a@example.com")], ..BatchPlan::default() };
    let snapshot = load(&mut connection, &state, &plan).await;
    assert_eq!((snapshot.parked, snapshot.parked_due), (vec![again.clone()], 0));
    assert_eq!(*snapshot.remembered[&again.key_hash()].decision, refused);

    // Nobody takes twice what has waited.
    let rows = RowChanges { unparked: vec![first.seed], ..RowChanges::default() };
    connection.begin(LANE, &state, &BatchPlan::default()).await.unwrap();
    assert!(connection.write(&rows, &[]).await.is_err());
}

/// However many wait for whom a batch names, so many are loaded that it is seen to be too large, and not many more.
#[tokio::test]
async fn what_is_loaded_has_an_end() {
    let database = Database::new().await;
    let (mut connection, state) = database.owner().await;
    let waiting = 3 * MAX_PARKED as i64;
    let rows = RowChanges {
        parked: (0..waiting).map(|place| parked(place, &format!("k{place}"), "a@example.com", 30)).collect(),
        ..RowChanges::default()
    };
    let state = apply(&mut connection, &state, &rows).await;
    assert_eq!(connection.parked_count(LANE).await.unwrap(), waiting);
    let mut keys: Vec<_> = rows.parked.iter().map(|parked| parked.key_hash()).collect();
    keys.sort();
    let plan = BatchPlan { parked: true, identifiers: vec![email("a@example.com")], ..BatchPlan::default() };
    for plan in [BatchPlan { keys, ..plan.clone() }, plan] {
        let named = load(&mut connection, &state, &plan).await.parked_named;
        assert!((MAX_PARKED + 1..=2 * MAX_PARKED + 1).contains(&named), "{named}");
    }
    // What is due is taken bit by bit, and makes no batch too large.
    let due = DueQuery { until: at(30), limit: usize::MAX, merchants: Vec::new() };
    let plan = BatchPlan { parked: true, due: Some(due), ..BatchPlan::default() };
    let snapshot = load(&mut connection, &state, &plan).await;
    assert_eq!((snapshot.parked.len(), snapshot.parked_named, snapshot.parked_due), (MAX_PARKED, 0, MAX_PARKED));
}
