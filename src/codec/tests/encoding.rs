//! A batch's records: encoded, then read back.

use std::convert::Infallible;
use std::sync::Arc;

use super::*;
use crate::batch::{ChangeSet, ChangedCustomer, RowChanges};
use crate::codec::decode::MAX_VALUE_BYTES;
use crate::codec::encode::{EncodeError, MAX_RECORD_BYTES};
use crate::codec::problems::Problems;
use crate::codec::{EncodeInput, Encoder, JournalBatch, OutgoingReader, from_json, outcomes_hash};
use crate::config::{Encoding, RegistrySettings};
use crate::domain::command::DeadLetter;
use crate::domain::config::{CardReward, Unit, UnitKind, Version};
use crate::domain::customer::Customer;
use crate::domain::customer::{MAX_CARDS, card_code};
use crate::domain::{
    self, Account, Balance, ConfigObject, Counted, CustomerChange, CustomerId, Decision, Effect, Entry, EntryKind,
    Event, Fact, IdempotencyKey, Lot, LotId, LotShare, MemberCard, Membership, MerchantId, Outcome, Rejection,
    RejectionCode, Seed, UnitId,
};
use crate::record::{Header, OutTopic, OutboundRecord, OutboundRecords, TopicNames};
use uuid::Uuid;
use wire::{CustomerState, EventRecord, Journal, MetricState, ResultRecord};

const NOW: i64 = 1_700_000_000_000_000;

fn encoder_and_reader(encoding: Encoding) -> (Encoder, OutgoingReader) {
    let reader = OutgoingReader::new(RegistryClient::new(&RegistrySettings::at("http://127.0.0.1:1")).unwrap());
    let encoder = Encoder::with_ids(encoding, |topic, text| {
        let id = 100 + topic as u32;
        reader.teach(id, text).unwrap();
        Ok::<u32, Infallible>(id)
    });
    (encoder.unwrap(), reader)
}

fn position(offset: i64) -> Position {
    Position { topic: CommandTopic::Credit, partition: lane_of(MERCHANT.as_bytes(), LANES), offset }
}

fn entry(lots: usize) -> Arc<Entry> {
    Arc::new(Entry {
        transaction_id: Seed::of_record("t", 0, 1, Instant::from_micros(NOW)).transaction_id(0),
        previous: None,
        customer_id: CustomerId(Uuid::from_u128(1)),
        unit_id: UnitId::new("points"),
        seq: 2,
        kind: EntryKind::RedeemAmount,
        amount: 10,
        balance_after: 5,
        lots: (0..lots).map(|n| LotShare { lot_id: LotId(Uuid::from_u128(n as u128)), amount: 1 }).collect(),
        unit_version: Some(1),
        order_id: None,
        reason: None,
        title: Some("Lunch".into()),
        cause: Some(position(7)),
        occurred_at: Instant::from_micros(NOW),
        recorded_at: Instant::from_micros(NOW),
    })
}

fn balance() -> Balance {
    Balance { unit_id: UnitId::new("points"), available: 5, pending: 1, held: 0, debt: 0, lifetime_earned: 15 }
}

fn outcome(offset: i64, verdict: Result<Effect, Rejection>) -> Outcome {
    let accepted = verdict.is_ok();
    Outcome {
        position: position(offset),
        seed: Seed::of_record("t", 0, offset, Instant::from_micros(NOW)),
        command: Box::new(command(&avro(CommandTopic::Credit, &credit()))),
        original: None,
        decision: Arc::new(Decision {
            verdict,
            customer_id: accepted.then_some(CustomerId(Uuid::from_u128(1))),
            customer_version: accepted.then_some(3),
            config_version: Some(4),
            entries: if accepted { vec![entry(150)] } else { vec![] },
            occurred_at: Instant::from_micros(NOW),
            decided_at: Instant::from_micros(NOW + 1),
        }),
        balances: if accepted { vec![balance()] } else { vec![] },
        membership: None,
        parked_at: accepted.then_some(Instant::from_micros(NOW - 1)),
        remembered_by: None,
    }
}

fn unit() -> Arc<Version<Unit>> {
    Arc::new(Version {
        version: 3,
        effective_from: Instant::BEGINNING,
        recorded_at: Instant::from_micros(NOW),
        content: Unit {
            unit_id: UnitId::new("points"),
            name: "Cash".into(),
            scale: 2,
            kind: UnitKind::Money,
            currency: Some("EUR".into()),
            ..Unit::default()
        },
    })
}

fn changes() -> ChangeSet {
    let rejection = Rejection::new(RejectionCode::InsufficientPoints, "Not enough.").with("available", 3);
    let mut duplicate = outcome(9, Ok(Effect::Applied));
    duplicate.original = Some(position(7));
    let event = Event {
        event_id: Seed::of_record("t", 0, 7, Instant::from_micros(NOW)).event_id(0),
        merchant_id: MerchantId::new(MERCHANT),
        customer_id: Some(CustomerId(Uuid::from_u128(1))),
        version: 3,
        index: 0,
        count: 1,
        occurred_at: Instant::from_micros(NOW),
        recorded_at: Instant::from_micros(NOW),
        cause: Some(position(7)),
        traceparent: None,
        source: Some("till".into()),
        notify: None,
        skip_notifications: true,
        fact: Fact::Posted { entry: entry(1), balance: balance(), counted: Counted::Unit(Some(unit())), end: None },
    };
    let config = Event {
        customer_id: None,
        fact: Fact::ConfigChanged { object: ConfigObject::Unit("points".into(), unit()) },
        ..event.clone()
    };
    let parked = Event {
        version: 0,
        fact: Fact::CommandParked { idempotency_key: IdempotencyKey::new("k"), deadline: Instant::from_micros(NOW) },
        ..config.clone()
    };
    let customer = Customer {
        version: 3,
        phone: Some("+49123".into()),
        first_name: Some("Ada".into()),
        birth_date: Some("2000-02-29".parse().unwrap()),
        notify_email: true,
        gender: Some(domain::Gender::Female),
        metrics: BTreeMap::from([("visits".into(), domain::Metric { value: 1276, scale: 1 })]),
        ..Customer::new(CustomerId(Uuid::from_u128(1)), MerchantId::new(MERCHANT), Instant::from_micros(NOW))
    };
    let account = |unit: &str, lots: i64| {
        let mut account = Account::new(UnitId::new(unit));
        for n in 0..lots {
            let lot_id = LotId(Uuid::from_u128(n as u128));
            let expires_at = Some(Instant::from_micros(NOW + lots - n));
            account
                .credit(Lot { lot_id, amount: 1, remaining: 1, issued_at: Instant::from_micros(NOW), expires_at })
                .unwrap();
        }
        account
    };
    let accounts = vec![account("points", 70), account("stamps", 0)];
    ChangeSet {
        outcomes: vec![outcome(7, Ok(Effect::Applied)), outcome(8, Err(rejection)), duplicate],
        events: vec![event, config, parked],
        rows: RowChanges {
            customers: vec![ChangedCustomer {
                state: Box::new(domain::CustomerState { customer, accounts }),
                change: CustomerChange::Accounts,
                membership: None,
            }],
            ..RowChanges::default()
        },
        dead_letters: vec![(
            position(10),
            DeadLetter { class: DeadLetterClass::UnknownSchema, message: "Register it.".into(), schema_id: Some(77) },
        )],
        ..ChangeSet::default()
    }
}

fn journal(changes: &ChangeSet) -> JournalBatch {
    JournalBatch {
        lane: 3,
        batch: 12,
        lane_time_before: Instant::from_micros(NOW),
        ranges: vec![(CommandTopic::Credit, "topic-id".into(), 7, 11)],
        due_settled: 2,
        skipped: vec![position(10)],
        settings: BTreeMap::from([("max".into(), "1".into())]),
        outcomes_hash: outcomes_hash(changes),
    }
}

fn encode(encoder: &Encoder, changes: &ChangeSet, records: &[InboundRecord]) -> Result<OutboundRecords, EncodeError> {
    encoder.encode(&EncodeInput {
        changes,
        lane: 3,
        names: &TopicNames::new("loyalty."),
        group: "g",
        records,
        journal: &journal(changes),
        room: 0,
    })
}

fn original() -> InboundRecord {
    InboundRecord {
        position: position(10),
        headers: [Header { name: "theirs".into(), value: vec![1] }].into_iter().collect(),
        ..record(CommandTopic::Credit, "original")
    }
}

fn headers(record: &OutboundRecord<'_>) -> Vec<String> {
    record.headers.iter().map(|header| format!("{}={}", header.name, String::from_utf8_lossy(&header.value))).collect()
}

#[test]
fn a_batch_in_its_order() {
    let (encoder, reader) = encoder_and_reader(Encoding::Avro);
    let changes = changes();
    let encoded = encode(&encoder, &changes, &[original()]).unwrap();
    let records: Vec<_> = encoded.iter().collect();
    let topics: Vec<OutTopic> = records.iter().map(|record| record.topic).collect();
    use OutTopic::{Customers, DeadLetters, Events, Results};
    assert_eq!(topics, [Results, Results, Results, Events, Events, Events, Customers, DeadLetters, OutTopic::Journal]);
    let value = |index: usize| records[index].value.as_deref().unwrap();

    let result: ResultRecord<'static> = reader.read(value(0)).unwrap();
    assert_eq!(*records[0].key, *b"m-1");
    assert_eq!((result.status.as_ref(), result.effect.as_deref()), ("accepted", Some("applied")));
    assert_eq!(result.command_kind, "credit.amount");
    assert_eq!((result.command.topic.as_ref(), result.command.offset), ("loyalty.credit", 7));
    assert_eq!((result.transactions[0].lots.len(), result.transactions[0].lots_total), (100, 150));
    assert_eq!((result.transactions[0].balance_before, result.transactions[0].balance_after), (15, 5));
    assert_eq!(result.balances[0].balance, 6);
    assert_eq!(result.attributes["shop"], "7");
    assert!(!result.duplicate && result.rejection.is_none());
    assert_eq!(
        headers(&records[0]),
        [
            "type=credit.amount",
            "merchant=m-1",
            "status=accepted",
            "source=till",
            "customer-id=00000000-0000-0000-0000-000000000001",
            "schema=loyalty.v1.Result",
        ]
    );

    let rejected: ResultRecord<'static> = reader.read(value(1)).unwrap();
    let rejection = rejected.rejection.unwrap();
    assert_eq!((rejection.code.as_ref(), rejection.detail["available"].as_ref()), ("insufficient_points", "3"));
    assert!(headers(&records[1]).contains(&"code=insufficient_points".to_owned()));
    let event_id = reader.read::<EventRecord<'static>>(value(3)).unwrap().event_id;
    assert_eq!(
        headers(&records[3]),
        [
            "ce_specversion=1.0",
            &format!("ce_id={event_id}"),
            "ce_type=points.redeemed",
            "ce_source=/merchants/m-1",
            "ce_subject=00000000-0000-0000-0000-000000000001",
            "content-type=application/avro",
            "merchant=m-1",
            "source=till",
            "schema=loyalty.v1.Event",
        ]
    );

    let duplicate: ResultRecord<'static> = reader.read(value(2)).unwrap();
    assert!(duplicate.duplicate);
    assert_eq!(duplicate.original.unwrap().offset, 7);
    assert_ne!(duplicate.result_id, result.result_id);

    let event: EventRecord<'static> = reader.read(value(3)).unwrap();
    assert_eq!(event.type_name, "points.redeemed");
    assert_eq!(event.entry.unwrap().title.as_deref(), Some("Lunch"));
    assert_eq!(event.cause.unwrap().topic, "loyalty.credit");
    let unit = event.unit.unwrap();
    assert_eq!((&*unit.name, unit.scale, unit.currency.as_deref()), ("Cash", 2, Some("EUR")));
    let json = reader.read_json(value(4)).unwrap();
    assert_eq!(json["config"]["effective_from"], "1900-01-01T00:00:00Z");
    let content: serde_json::Value = serde_json::from_str(json["config"]["content"].as_str().unwrap()).unwrap();
    assert_eq!((&content["unit_id"], &content["currency"]), (&"points".into(), &"EUR".into()));
    assert_eq!(json["occurred_at"], "2023-11-14T22:13:20Z");

    let waits: EventRecord<'static> = reader.read(value(5)).unwrap();
    assert_eq!((waits.type_name.as_ref(), waits.version, waits.customer_id.is_none()), ("command.parked", 0, true));
    assert_eq!(waits.parked.unwrap().idempotency_key, "k");

    let state: CustomerState<'static> = reader.read(value(6)).unwrap();
    assert_eq!(*records[6].key, *b"m-1/00000000-0000-0000-0000-000000000001");
    assert_eq!(state.birth_date.as_deref(), Some("2000-02-29"));
    assert_eq!(state.gender.as_deref(), Some("female"));
    assert_eq!(state.metrics["visits"], MetricState { value: 1276, scale: 1 });
    assert_eq!((state.accounts[0].lots.len(), state.accounts[0].lots_total), (64, 70));
    assert_eq!(state.accounts[0].lots[0].lot_id.0, Uuid::from_u128(69), "the earliest expiry first");

    let dead = &records[7];
    assert_eq!((&*dead.key, dead.value.as_deref()), (b"m-1".as_slice(), Some(b"original".as_slice())));
    let partition = position(0).partition;
    assert_eq!(
        headers(dead),
        [
            "theirs=\u{1}",
            "__connect.errors.topic=loyalty.credit",
            &format!("__connect.errors.partition={partition}"),
            "__connect.errors.offset=10",
            "__connect.errors.class.name=unknown_schema",
            "__connect.errors.exception.message=Register it.",
            "loyalty.schema-id=77",
            "loyalty.group=g",
            "loyalty.original-time=2023-11-14T22:13:20Z",
        ]
    );

    let journal: Journal<'static> = reader.read(value(8)).unwrap();
    assert_eq!(*records[8].key, *b"3");
    assert_eq!((journal.batch, journal.ranges[0].to, journal.due_settled), (12, 11, 2));
    assert_eq!(journal.outcomes_hash.len(), 64);
}

/// Whoever reads JSON learns what a reader of Avro learns. What is the worker's own or the sender's stays as it is.
#[test]
fn json_says_what_avro_says() {
    let (changes, consumed) = (changes(), [original()]);
    let (to_avro, reader) = encoder_and_reader(Encoding::Avro);
    let (to_json, _) = encoder_and_reader(Encoding::Json);
    let avro = encode(&to_avro, &changes, &consumed).unwrap();
    let json = encode(&to_json, &changes, &consumed).unwrap();
    assert_eq!(avro.len(), json.len());
    for (avro, json) in avro.iter().zip(json.iter()) {
        if matches!(avro.topic, OutTopic::DeadLetters | OutTopic::Journal) {
            assert_eq!(avro, json);
            continue;
        }
        let in_json = |header: String| header.replace("content-type=application/avro", "content-type=application/json");
        let expected: Vec<String> = headers(&avro).into_iter().map(in_json).collect();
        assert_eq!((json.topic, &json.key, headers(&json)), (avro.topic, &avro.key, expected));
        let (framed, text) = (avro.value.as_deref().unwrap(), json.value.as_deref().unwrap());
        let value = reader.read_json(text).unwrap();
        assert_eq!(value, reader.read_json(framed).unwrap());
        let mut problems = Problems::default();
        let datum = from_json::write(schemas::outgoing(avro.topic).unwrap(), &value, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(datum.as_deref(), Some(&framed[5..]));
    }
}

/// The lists are bounded, so that no record outgrows what a broker takes. JSON is the wider encoding.
#[test]
fn the_longest_state_can_be_published_as_json() {
    let (encoder, reader) = encoder_and_reader(Encoding::Json);
    let full = |unit: i64| {
        let mut account = Account::new(UnitId::new(format!("{}{unit:03}", "\u{1}".repeat(252))));
        for n in 0..64 {
            let (lot_id, amount) = (LotId(Uuid::from_u128(n as u128)), domain::MAX_AMOUNT);
            let at = Instant::from_micros(NOW + 123_456 + n);
            account.credit(Lot { lot_id, amount, remaining: amount, issued_at: at, expires_at: Some(at) }).unwrap();
        }
        account
    };
    let mut changes = changes();
    changes.rows.customers[0].state.accounts = (0..90).map(full).collect();
    // Percent-encoded, a character of four bytes takes twelve.
    let (id, url) = ("\u{10FFFF}".repeat(64), "\u{10FFFF}".repeat(250) + &"%F4%8F%BF%BF".repeat(64));
    let reward = CardReward { reward_id: id.clone(), name: id.clone(), stamps: 18 };
    let card = MemberCard {
        card_id: id.clone(),
        name: id.clone(),
        code: card_code(CustomerId(Uuid::from_u128(1)), 0),
        stamps: domain::MAX_AMOUNT,
        stamps_required: 18,
        rewards: vec![reward; 18],
        enrolled_at: Instant::from_micros(NOW),
        apple_wallet_url: Some(url.clone()),
        google_wallet_url: Some(url),
    };
    let membership = Membership { tier: None, cards: vec![card; MAX_CARDS] };
    changes.rows.customers[0].membership = Some(Box::new(membership));
    let encoded = encode(&encoder, &changes, &[original()]).unwrap();
    let state = encoded.iter().find(|record| record.topic == OutTopic::Customers).unwrap();
    let value = state.value.unwrap();
    let json = reader.read_json(&value).unwrap();
    let lots = |account: &serde_json::Value| account["lots"].as_array().unwrap().len();
    assert_eq!(json["accounts"].as_array().unwrap().iter().map(lots).sum::<usize>(), 2048);
    assert!(value.len() + 64 * 1024 < MAX_RECORD_BYTES, "{} bytes leave no room for the profile", value.len());
}

/// It was refused, and the sender must hear of it: a control character is one byte in Avro, and six in JSON.
#[test]
fn a_key_that_fills_a_record_is_told_by_its_beginning() {
    let mut changes = changes();
    let key = "\u{1}".repeat(MAX_VALUE_BYTES);
    changes.outcomes[0].command.envelope.idempotency_key = IdempotencyKey::new(key);
    changes.outcomes[1].command.envelope.idempotency_key = IdempotencyKey::new("ä".repeat(255));
    for encoding in [Encoding::Avro, Encoding::Json] {
        let (encoder, reader) = encoder_and_reader(encoding);
        let encoded = encode(&encoder, &changes, &[original()]).unwrap();
        let keys: Vec<serde_json::Value> = encoded
            .iter()
            .take(2)
            .map(|result| reader.read_json(result.value.as_deref().unwrap()).unwrap()["idempotency_key"].clone())
            .collect();
        assert_eq!(keys, ["\u{1}".repeat(255), "ä".repeat(255)]);
    }
}

#[test]
fn a_dead_letter_of_a_record_that_was_sent_again_says_when_it_came_first() {
    let (encoder, _) = encoder_and_reader(Encoding::Avro);
    let headers_of_again = [Header { name: "loyalty.original-time".into(), value: b"2020-02-29T12:00:00Z".into() }];
    let again = InboundRecord { headers: headers_of_again.into_iter().collect(), ..original() };
    let encoded = encode(&encoder, &changes(), &[again]).unwrap();
    let records: Vec<_> = encoded.iter().collect();
    let found = headers(&records[7]);
    assert_eq!(found.first(), found.last(), "as the sender had it, and as the worker says it");
    assert_eq!(found.last().unwrap(), "loyalty.original-time=2020-02-29T12:00:00Z");
}

#[test]
fn a_dead_letter_that_no_broker_would_take_back_is_cut() {
    let (encoder, _) = encoder_and_reader(Encoding::Avro);
    let big = InboundRecord {
        key: Some(vec![b'k'; 2000]),
        value: Some(vec![0; MAX_RECORD_BYTES + 1]),
        headers: [Header { name: "h".into(), value: vec![0; 40_000] }].into_iter().collect(),
        ..original()
    };
    let encoded = encode(&encoder, &changes(), &[big]).unwrap();
    let records: Vec<_> = encoded.iter().collect();
    let dead = &records[7];
    assert_eq!((dead.key.len(), &dead.value), (0, &None));
    assert_eq!(headers(dead).last().unwrap(), "loyalty.omitted=headers,key,value");
}

#[test]
fn what_is_too_large_stops_before_the_commit() {
    let (encoder, _) = encoder_and_reader(Encoding::Avro);
    let mut changes = changes();
    changes.outcomes[0].command.envelope.attributes = [("a".into(), "x".repeat(MAX_RECORD_BYTES))].into();
    let error = encode(&encoder, &changes, &[original()]).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { topic: OutTopic::Results, .. }), "{error}");
    assert!(matches!(encode(&encoder, &super::encoding::changes(), &[]), Err(EncodeError::NotConsumed(_))));
}

#[test]
fn the_outcomes_hash_tells_decisions_apart() {
    let hash = outcomes_hash(&changes());
    assert_eq!(hash, outcomes_hash(&changes()));
    let mut other = changes();
    other.outcomes.swap(0, 1);
    assert_ne!(hash, outcomes_hash(&other));
    let mut other = changes();
    other.dead_letters[0].1.class = DeadLetterClass::Skipped;
    assert_ne!(hash, outcomes_hash(&other));
    let mut other = changes();
    other.events[0].version += 1;
    assert_ne!(hash, outcomes_hash(&other));
    let mut other = changes();
    let Fact::CommandParked { deadline, .. } = &mut other.events[2].fact else { panic!() };
    *deadline = Instant::from_micros(NOW + 1);
    assert_ne!(hash, outcomes_hash(&other));
}
