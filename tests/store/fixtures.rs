//! A database of its own for each test, and rows to fill it with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::civil::date;
use loyalty_worker::batch::{BatchPlan, ChangedCustomer, LaneState, RowChanges, Snapshot};
use loyalty_worker::config::{LaneRange, PostgresSettings};
use loyalty_worker::domain::command::{Body, Command, ContentHash, CreditAmount, Envelope, FieldProblem};
use loyalty_worker::domain::config::{
    Card, CardReward, CardStatus, Configured, KeyForm, MerchantStatus, MoneyValue, OnMatch, PhoneFormat, Programme,
    Rounding, Settings, Tier, Unit, UnitKind, UnknownCustomer, Version, Zone,
};
use loyalty_worker::domain::customer::{Customer, CustomerStatus, Identifier, IdentifierKind};
use loyalty_worker::domain::{
    Account, CommandTopic, ConfigObject, CustomerChange, CustomerId, CustomerState, CustomerTier, Decision, Effect,
    Enrolment, Entry, EntryKind, Frontier, Gender, Instant, KeyHash, Lot, LotId, LotShare, MemoryKey, MerchantId,
    Metric, OrderId, Outcome, Position, ProfileField, Rejection, RejectionCode, Seed, TransactionId, UnitId,
};
use loyalty_worker::store::{LaneConnection, LaneIdentity, Store, StoreError};
use tokio_postgres::NoTls;
use uuid::Uuid;

pub const LANE: i32 = 3;
pub const START: Frontier = Frontier([10, 20, 30, 40, 50, 60, 70, 80]);

pub fn settings(url: &str, lanes: Option<LaneRange>) -> PostgresSettings {
    PostgresSettings { lanes, url: url.to_owned(), pool_size: 5, verify_full: false, tls_ca_file: None }
}

/// A migrated database with one registered lane. It is dropped with this value.
pub struct Database {
    pub store: Store,
    pub url: String,
    name: String,
}

impl Database {
    pub async fn new() -> Database {
        let database = Database::empty().await;
        database.store.migrate().await.unwrap();
        assert!(database.store.register_lane(&identity(), &START, Instant::EPOCH).await.unwrap());
        database
    }

    pub async fn empty() -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("store_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        on_server(format!("create database {name}")).await;
        let server = server_url();
        let (address, _) = server.rsplit_once('/').expect("POSTGRES_URL ends with a database's name");
        let url = format!("{address}/{name}");
        let settings = settings(&url, None);
        Database { store: Store::connect(&settings).await.unwrap(), url, name }
    }

    /// A lane that was just taken over.
    pub async fn owner(&self) -> (LaneConnection, LaneState) {
        let mut connection = self.store.lane_connection().await.unwrap();
        let (_, state) = connection.take_over(LANE, "a test", &ids()).await.unwrap().unwrap();
        (connection, state)
    }

    /// Fails unless `table where …` has exactly one row.
    pub async fn has_row(&self, of: &str) {
        let quoted = of.replace('\'', "''");
        self.execute(&format!("do $$ begin assert (select count(*) from {of}) = 1, '{quoted}'; end $$")).await;
    }

    /// Statements of the test's own.
    pub async fn execute(&self, statements: &str) {
        execute(&self.url, statements).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("drop database {} with (force)", self.name);
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A thread of its own, since a runtime can't wait inside another.
        let _ = std::thread::spawn(move || runtime().block_on(on_server(statement))).join();
    }
}

fn server_url() -> String {
    std::env::var("POSTGRES_URL").expect(
        "POSTGRES_URL is not set: these tests need a real Postgres and the url of a superuser. `make test` starts one and sets it",
    )
}

async fn on_server(statement: String) {
    execute(&server_url(), &statement).await;
}

async fn execute(url: &str, statements: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// One whole batch, which loads the customers that it changes; the lane's state after it.
pub async fn apply(connection: &mut LaneConnection, state: &LaneState, rows: &RowChanges) -> LaneState {
    decide(connection, state, rows, &[]).await
}

/// The same of one that decides commands.
pub async fn decide(
    connection: &mut LaneConnection,
    state: &LaneState,
    rows: &RowChanges,
    outcomes: &[Outcome],
) -> LaneState {
    let customers = rows.customers.iter().map(|row| row.state.customer.customer_id).collect();
    connection.begin(LANE, state, &BatchPlan { customers, ..BatchPlan::default() }).await.unwrap();
    let next = after(state);
    write(connection, rows, outcomes, state, &next).await.unwrap();
    connection.commit().await.unwrap();
    next
}

/// All that a batch writes, but for its outbox.
pub async fn write(
    connection: &mut LaneConnection,
    rows: &RowChanges,
    outcomes: &[Outcome],
    state: &LaneState,
    next: &LaneState,
) -> Result<(), StoreError> {
    connection.write(rows, outcomes).await?;
    connection.advance(LANE, state, next, None, None).await
}

pub fn changed(change: CustomerChange, customer: Customer, accounts: Vec<Account>) -> ChangedCustomer {
    ChangedCustomer { state: Box::new(CustomerState { customer, accounts }), change, membership: None }
}

pub fn created(customer: Customer) -> ChangedCustomer {
    changed(CustomerChange::Created, customer, Vec::new())
}

/// What a plan finds.
pub async fn load(connection: &mut LaneConnection, state: &LaneState, plan: &BatchPlan) -> Snapshot {
    let snapshot = connection.begin(LANE, state, plan).await.unwrap();
    connection.rollback().await.unwrap();
    snapshot
}

/// The state after one more batch.
pub fn after(state: &LaneState) -> LaneState {
    LaneState {
        epoch: state.epoch,
        batch: state.batch + 1,
        lane_time: Instant::from_micros(state.lane_time.micros() + 1_000_001),
        due_pending: !state.due_pending,
        frontier: Frontier(state.frontier.0.map(|next| next + 1)),
    }
}

pub fn identity() -> LaneIdentity {
    LaneIdentity {
        lane: LANE,
        lanes: 8,
        cluster_id: "cluster".to_owned(),
        consumer_group: "loyalty".to_owned(),
        topic_prefix: "loyalty.".to_owned(),
        topic_ids: ids().map(Some),
    }
}

/// Of the topics.
pub fn ids() -> [String; CommandTopic::COUNT] {
    CommandTopic::ALL.map(|topic| format!("id of {}", topic.suffix()))
}

pub fn merchant(name: &str) -> MerchantId {
    MerchantId::new(name)
}

pub fn unit(name: &str) -> UnitId {
    UnitId::new(name)
}

pub fn customer_id(number: u128) -> CustomerId {
    CustomerId(Uuid::from_u128(number))
}

pub fn at(seconds: i64) -> Instant {
    Instant::from_micros(1_790_000_000_000_000 + seconds * 1_000_000 + 123_456)
}

pub fn position(offset: i64) -> Position {
    Position { topic: CommandTopic::Credit, partition: LANE, offset }
}

pub fn identifier(merchant_name: &str, kind: IdentifierKind, value: &str) -> Identifier {
    Identifier { merchant_id: merchant(merchant_name), kind, value: value.to_owned() }
}

pub fn full_customer(number: u128) -> Customer {
    Customer {
        customer_id: customer_id(number),
        merchant_id: merchant("m"),
        version: 7,
        status: CustomerStatus::Inactive,
        external_id: Some(format!("external {number}")),
        phone: Some("+4930123456".to_owned()),
        email: Some("käufer@example.com".to_owned()),
        first_name: Some("Zoë".to_owned()),
        last_name: Some("O'Neil \\ \"x\"".to_owned()),
        birth_date: Some(date(1931, 2, 28)),
        name: Some("Zoë O'Neil".to_owned()),
        registered_on: Some(date(2020, 2, 29)),
        gender: Some(Gender::Other),
        language: Some("pt-BR".to_owned()),
        brand_id: Some("brand".to_owned()),
        metrics: BTreeMap::from([("visits".to_owned(), Metric { value: -1276, scale: 1 })]),
        metadata: BTreeMap::from([("shoe \"size\"".to_owned(), "43 ½".to_owned())]),
        source_version: Some(i64::MAX),
        incomplete: true,
        programme_id: Some("club".to_owned()),
        tier: Some(CustomerTier { tier_id: "gold \"1\"".to_owned(), since: at(2), is_manual: true }),
        referrer_id: Some(customer_id(77)),
        cards: ["coffee", "tea \"&\" more"]
            .map(|card| Enrolment { card_id: card.to_owned(), enrolled_at: at(3) })
            .to_vec(),
        notify_email: true,
        notify_phone: false,
        created_at: at(0),
        updated_at: at(1),
    }
}

pub fn bare_customer(number: u128) -> Customer {
    Customer {
        version: 1,
        notify_phone: true,
        updated_at: Instant::LATEST,
        ..Customer::new(customer_id(number), merchant("m"), Instant::EARLIEST)
    }
}

pub fn account(number: u128, unit_name: &str, next_due: Option<Instant>, lots: i64) -> Account {
    let lot = |index: i64| Lot {
        lot_id: LotId(Uuid::from_u128(number << 64 | index as u128)),
        amount: 100 + index,
        remaining: 1 + index,
        issued_at: at(index),
        expires_at: if index % 2 == 0 { next_due } else { None },
    };
    Account {
        available: 1,
        pending: 2,
        held: 3,
        debt: 4,
        lifetime_earned: i64::MAX,
        lifetime_redeemed: 6,
        entries: 9,
        last_entry: Some(entry_id(number, unit_name, 9)),
        next_due,
        lots: (0..lots).map(lot).collect(),
        ..Account::new(unit(unit_name))
    }
}

pub fn entry(number: u128, unit_name: &str, seq: i64) -> Arc<Entry> {
    let lots = (0..seq % 3).map(|index| LotShare { lot_id: LotId(Uuid::from_u128(index as u128)), amount: index + 1 });
    let is_caused = seq % 2 == 1;
    let text = |text: &str| is_caused.then(|| text.to_owned());
    let order_id = is_caused.then(|| OrderId::from("order"));
    Arc::new(Entry {
        transaction_id: entry_id(number, unit_name, seq),
        previous: (seq > 1).then(|| entry_id(number, unit_name, seq - 1)),
        customer_id: customer_id(number),
        unit_id: unit(unit_name),
        seq,
        kind: EntryKind::ALL[seq as usize % EntryKind::ALL.len()],
        amount: 10 * seq,
        balance_after: -seq,
        lots: lots.collect(),
        unit_version: is_caused.then_some(1),
        order_id,
        reason: text("reason"),
        title: text("title"),
        cause: is_caused.then(|| position(seq)),
        occurred_at: at(seq),
        recorded_at: at(seq + 1),
    })
}

fn entry_id(number: u128, unit_name: &str, seq: i64) -> TransactionId {
    TransactionId(Uuid::from_u128(number << 64 | u128::from(unit_name.as_bytes()[0]) << 32 | seq as u128))
}

pub fn accepted(effect: Effect, customer: Option<u128>, entries: Vec<Arc<Entry>>) -> Decision {
    Decision {
        verdict: Ok(effect),
        customer_id: customer.map(customer_id),
        customer_version: customer.map(|_| 8),
        config_version: Some(2),
        entries,
        occurred_at: at(1),
        decided_at: at(2),
    }
}

pub fn rejected(rejection: Rejection) -> Decision {
    Decision {
        verdict: Err(rejection),
        customer_id: None,
        customer_version: None,
        config_version: None,
        entries: Vec::new(),
        occurred_at: Instant::EARLIEST,
        decided_at: at(2),
    }
}

pub fn rejections() -> Vec<Rejection> {
    let problem = |field: &str| FieldProblem { field: field.to_owned(), problem: "is \"bad\"".to_owned() };
    vec![
        Rejection::new(RejectionCode::UnknownCustomer, "Nobody has it."),
        Rejection::new(RejectionCode::InsufficientPoints, "Too few.").with("available", 5).with("requested", 10),
        Rejection::invalid_fields(vec![problem("command.z"), problem("command.a")]),
    ]
}

/// What is remembered under this key, of a command with another one's hash.
pub fn remembered(key_hash: KeyHash, content_hash: ContentHash, position: Position, decision: Decision) -> Outcome {
    let envelope = Envelope {
        merchant_id: merchant("m"),
        idempotency_key: "k".into(),
        customer: None,
        occurred_at: None,
        source: None,
        attributes: BTreeMap::new(),
    };
    let body = Body::CreditAmount(CreditAmount {
        unit: unit("points"),
        amount: 1,
        order_id: None,
        reason: None,
        title: None,
        expires_at: None,
        skip_notifications: false,
    });
    Outcome {
        position,
        seed: Seed::of_record("topic", LANE, position.offset, at(0)),
        command: Box::new(Command::new(CommandTopic::Credit, envelope, body, content_hash)),
        original: None,
        decision: Arc::new(decision),
        balances: Vec::new(),
        membership: None,
        parked_at: None,
        remembered_by: Some(key_hash),
    }
}

pub fn decided(key: u8, decision: Decision) -> Outcome {
    remembered(KeyHash([key; 16]), ContentHash([key + 1; 16]), position(i64::from(key)), decision)
}

pub fn order(name: &str) -> MemoryKey {
    MemoryKey::earned_order(&merchant("m"), &name.into(), &unit("points"))
}

fn labels(some: bool) -> BTreeMap<String, String> {
    some.then(|| ("web".to_owned(), "https://example.com/?a=\"b\"".to_owned())).into_iter().collect()
}

fn versions<T: Configured>(id: &str, of_version: impl Fn(bool) -> T) -> Vec<(MerchantId, ConfigObject)> {
    let version = |version: i64| {
        let effective_from = if version == 1 { Instant::BEGINNING } else { at(version) };
        let content = of_version(version == 1);
        Arc::new(Version { version, effective_from, recorded_at: at(version), content })
    };
    (1..=2).map(|number| (merchant("m"), T::object(id.to_owned(), version(number)))).collect()
}

fn settings_of(is_first: bool) -> Settings {
    Settings {
        name: (!is_first).then(|| "Café".to_owned()),
        time_zone: Zone::named("Europe/Berlin"),
        match_by: if is_first { Vec::new() } else { vec![IdentifierKind::Email, IdentifierKind::ExternalId] },
        max_age_s: 60,
        max_future_s: 5,
        email: (!is_first).then(|| "shop@example.com".to_owned()),
        phone: (!is_first).then(|| "+49301".to_owned()),
        social: labels(!is_first),
        status: if is_first { MerchantStatus::Active } else { MerchantStatus::Suspended },
        on_match: if is_first { OnMatch::Update } else { OnMatch::Reject },
        required_fields: if is_first { Vec::new() } else { vec![ProfileField::Metadata, ProfileField::Email] },
        phone_format: if is_first { PhoneFormat::E164 } else { PhoneFormat::Any },
        allow_no_identifier: !is_first,
        profile_change_needs_active: is_first,
        key_form: if is_first { KeyForm::Any } else { KeyForm::Token },
        unknown_customer: if is_first { UnknownCustomer::Reject } else { UnknownCustomer::Park },
        park_s: 8,
        base_tier_id: (!is_first).then(|| "gold".to_owned()),
        wallet_url_apple: (!is_first).then(|| "https://a.example/{code}".to_owned()),
        wallet_url_google: (!is_first).then(|| "https://g.example/{code}".to_owned()),
    }
}

fn unit_of(is_first: bool) -> Unit {
    Unit {
        unit_id: unit("points"),
        name: "Points".to_owned(),
        scale: 2,
        expiry_days: (!is_first).then_some(3650),
        min_held: 1,
        min_amount: 2,
        description: (!is_first).then(|| "What it is".to_owned()),
        kind: if is_first { UnitKind::Points } else { UnitKind::Money },
        currency: (!is_first).then(|| "EUR".to_owned()),
        brand_id: (!is_first).then(|| "brand".to_owned()),
        value: (!is_first).then(|| MoneyValue { numerator: 1, denominator: 3, currency: "USD".to_owned() }),
        rounding: if is_first { Rounding::Floor } else { Rounding::Ceiling },
        step: 5,
        attributes: labels(!is_first),
    }
}

/// An object of each kind, in two versions.
pub fn config_versions() -> Vec<(MerchantId, ConfigObject)> {
    let reward = |stamps| CardReward { reward_id: format!("r{stamps}"), name: "Cup \"L\"".to_owned(), stamps };
    let id = "the same id";
    let tier =
        |is_first: bool| Tier { tier_id: id.to_owned(), name: "Gold".to_owned(), rank: 7, benefits: labels(!is_first) };
    let card = |is_first: bool| Card {
        card_id: id.to_owned(),
        name: "Coffee".to_owned(),
        stamps_required: 10,
        initial_stamps: 2,
        rewards: if is_first { Vec::new() } else { vec![reward(3), reward(5)] },
        status: if is_first { CardStatus::Active } else { CardStatus::Archived },
    };
    let programme = |is_first: bool| Programme {
        programme_id: id.to_owned(),
        name: "Club".to_owned(),
        unit_id: unit("points"),
        tier_ids: if is_first { Vec::new() } else { vec!["gold".to_owned(), "tin".to_owned()] },
        active: is_first,
    };
    [
        versions("", settings_of),
        versions("points", unit_of),
        versions(id, tier),
        versions(id, card),
        versions(id, programme),
    ]
    .concat()
}
