//! The wire's structs mirror the schemas: what our serializer writes, apache-avro writes too, by name and with the schema in hand.

use std::borrow::Cow;

use super::*;
use crate::codec::from_json;
use crate::codec::problems::Problems;
use crate::record::OutTopic;
use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use sent::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use uuid::Uuid;
use wire::{
    AccountState, BalanceRecord, ConfigChange, CustomerState, EntryRecord, EventRecord, EventUnit, FieldProblemRecord,
    Id, Journal, JournalRange, LotShareRecord, LotState, MemberCardRecord, MemberRewardRecord, MemberTierRecord,
    MetricState, Micros, NotifyRecord, ParkedRecord, PositionRecord, RejectionRecord, ResultRecord, TierChange,
};

#[track_caller]
fn assert_mirrors<T: Serialize + DeserializeOwned + PartialEq + Debug>(own: &'static schemas::OwnSchema, record: &T) {
    let ours = wire::datum(record);
    let writer = GenericDatumWriter::builder(own.schema).human_readable(false).build().unwrap();
    let theirs = writer.write_ser_to_vec(record).unwrap();
    assert_eq!(ours, theirs, "the order of the fields differs from the schema's");
    assert_eq!(&own.read::<T>(&ours).expect("reads back"), record);
}

/// The same for what others read. As JSON it is what a sender would write of that datum.
#[track_caller]
fn assert_goes_out<T: Serialize + DeserializeOwned + PartialEq + Debug>(own: &'static schemas::OwnSchema, record: &T) {
    assert_mirrors(own, record);
    let json: serde_json::Value = serde_json::from_slice(&serde_json::to_vec(record).unwrap()).unwrap();
    let mut problems = Problems::default();
    assert_eq!(from_json::write(own, &json, &mut problems), Some(wire::datum(record)), "{json}");
    assert!(problems.is_empty(), "{problems:?}");
}

fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

fn some(value: &'static str) -> Option<Cow<'static, str>> {
    Some(text(value))
}

fn id(number: u128) -> Id {
    Id(Uuid::from_u128(number))
}

fn place() -> PositionRecord<'static> {
    PositionRecord { topic: text("loyalty.credit"), partition: 3, offset: 1 << 40 }
}

fn entry() -> EntryRecord<'static> {
    EntryRecord {
        transaction_id: id(1),
        seq: 2,
        kind: text("earn_amount"),
        direction: text("credit"),
        unit: text("points"),
        amount: 3,
        balance_before: 4,
        balance_after: 7,
        lots: vec![LotShareRecord { lot_id: id(5), amount: 3 }],
        lots_total: 1,
        unit_version: Some(6),
        order_id: some("o"),
        reason: some("r"),
        title: some("t"),
        occurred_at: Micros(8),
        recorded_at: Micros(9),
    }
}

fn balance() -> BalanceRecord<'static> {
    BalanceRecord { unit: text("points"), available: 1, pending: 2, held: 3, debt: 4, balance: 2, lifetime_earned: 6 }
}

fn member_card() -> MemberCardRecord<'static> {
    MemberCardRecord {
        card_id: text("coffee"),
        name: text("Coffee"),
        code: text("0Z"),
        stamps: 1,
        stamps_required: 2,
        rewards: vec![member_reward()],
        enrolled_at: Micros(3),
        apple_wallet_url: some("a"),
        google_wallet_url: some("g"),
    }
}

fn member_reward() -> MemberRewardRecord<'static> {
    MemberRewardRecord { reward_id: text("cup"), name: text("Cup"), stamps: 4, reached: true }
}

fn metrics() -> BTreeMap<String, Option<Metric>> {
    BTreeMap::from([("visits".into(), Some(Metric { value: -1276, scale: 1 })), ("gone".into(), None)])
}

#[test]
fn commands() {
    assert_mirrors(schemas::command(CommandTopic::Credit), &credit());
    let upsert = |value: Option<&str>, flag| CustomerUpsertCommand {
        envelope: Envelope {
            customer: None,
            occurred_at: None,
            source: None,
            attributes: BTreeMap::new(),
            ..envelope()
        },
        command: Box::new(CustomerUpsert {
            external_id: value.map(|value| format!("1{value}")),
            phone: value.map(|value| format!("2{value}")),
            email: value.map(|value| format!("3{value}")),
            first_name: value.map(|value| format!("4{value}")),
            last_name: value.map(|value| format!("5{value}")),
            birth_date: value.map(|value| format!("6{value}")),
            active: flag,
            notify_email: None,
            notify_phone: Some(true),
            mode: if flag.is_some() { UpsertMode::Update } else { UpsertMode::Upsert },
            on_match: value.map(|_| OnMatch::FillMissing),
            name: value.map(|value| format!("7{value}")),
            registered_on: value.map(|value| format!("8{value}")),
            gender: value.map(|_| Gender::Other),
            language: value.map(|value| format!("9{value}")),
            brand_id: value.map(|value| format!("10{value}")),
            metrics: value.map(|_| metrics()).unwrap_or_default(),
            metadata: value
                .map(|value| BTreeMap::from([(value.into(), Some("v".into())), ("none".into(), None)]))
                .unwrap_or_default(),
            clear: value.map(|_| vec![ProfileField::Metadata, ProfileField::ExternalId]).unwrap_or_default(),
            source_version: value.map(|_| 11),
            tier_id: value.map(|value| format!("12{value}")),
            card_id: value.map(|value| format!("13{value}")),
            send_card_links: value.is_some(),
            referral_code: value.map(|value| format!("14{value}")),
        }),
    };
    assert_mirrors(schemas::command(CommandTopic::CustomerUpsert), &upsert(Some("x"), Some(false)));
    assert_mirrors(schemas::command(CommandTopic::CustomerUpsert), &upsert(None, None));
    let redeem = RedeemAmount {
        unit: "u".into(),
        amount: -1,
        order_id: Some("o".into()),
        reason: Some("r".into()),
        skip_notifications: true,
    };
    let redeem = RedeemCommand { envelope: envelope(), command: RedeemBody::RedeemAmount(redeem) };
    assert_mirrors(schemas::command(CommandTopic::Redeem), &redeem);
    let settings = SettingsPatch {
        name: Some("n".into()),
        time_zone: Some(Zone::named("Europe/Berlin")),
        match_by: Some(vec![IdentifierKind::Email, IdentifierKind::Phone, IdentifierKind::ExternalId]),
        max_age_s: Some(i64::MAX),
        max_future_s: Some(i64::MIN),
        preset: Some(Preset::AddUpdate),
        email: Some("e".into()),
        phone: Some("p".into()),
        social: Some(BTreeMap::from([("a".into(), "b".into())])),
        status: Some(MerchantStatus::Suspended),
        on_match: Some(OnMatch::Keep),
        required_fields: Some(vec![ProfileField::BirthDate]),
        phone_format: Some(PhoneFormat::E164),
        allow_no_identifier: Some(true),
        profile_change_needs_active: Some(false),
        key_form: Some(KeyForm::Token),
        unknown_customer: Some(UnknownCustomer::Enrol),
        park_s: Some(-12),
        clear: vec![SettingsField::Phone, SettingsField::WalletUrlGoogle],
        base_tier_id: Some("b".into()),
        wallet_url_apple: Some("a".into()),
        wallet_url_google: Some("g".into()),
    };
    let unit = Unit {
        unit_id: "u".into(),
        name: "n".into(),
        scale: 2,
        expiry_days: Some(3),
        min_held: 4,
        min_amount: 5,
        description: Some("d".into()),
        kind: UnitKind::Money,
        currency: Some("EUR".into()),
        brand_id: Some("b".into()),
        value: Some(MoneyValue { numerator: 6, denominator: 7, currency: "USD".into() }),
        rounding: Rounding::HalfEven,
        step: 8,
        attributes: BTreeMap::from([("a".into(), "b".into())]),
    };
    let tier =
        Tier { tier_id: "t".into(), name: "n".into(), rank: 1, benefits: BTreeMap::from([("a".into(), "b".into())]) };
    let card = Card {
        card_id: "c".into(),
        name: "n".into(),
        stamps_required: 2,
        initial_stamps: 3,
        rewards: vec![CardReward { reward_id: "r".into(), name: "m".into(), stamps: 4 }],
        status: CardStatus::Archived,
    };
    let programme = Programme {
        programme_id: "p".into(),
        name: "n".into(),
        unit_id: "u".into(),
        tier_ids: vec!["t".into(), "s".into()],
        active: true,
    };
    let commands = [
        ConfigBody::Settings(settings.into()),
        ConfigBody::Unit(unit.into()),
        ConfigBody::Tier(tier.into()),
        ConfigBody::Card(card.into()),
        ConfigBody::Programme(programme.into()),
    ];
    for command in commands {
        let command = MerchantConfigCommand {
            envelope: envelope(),
            effective_from: Some(Instant::from_micros(1)),
            command,
            expected_version: Some(2),
        };
        assert_mirrors(schemas::command(CommandTopic::MerchantConfig), &command);
    }
    assert_mirrors(schemas::command(CommandTopic::Clock), &Tick { lane: 3, at: Instant::from_micros(4) });
}

#[test]
fn every_variant_has_a_name_in_json() {
    let names = |topic: CommandTopic| {
        let Schema::Record(record) = schemas::command(topic).schema else { panic!() };
        let command = record.fields.iter().find(|field| field.name == "command");
        let Some(Schema::Union(union)) = command.map(|field| &field.schema) else { panic!() };
        union.variants().iter().map(|branch| from_json::variant_name(branch.name().unwrap().name())).collect()
    };
    let all: [Vec<String>; 3] = [CommandTopic::Credit, CommandTopic::Redeem, CommandTopic::MerchantConfig].map(names);
    assert_eq!(all, [vec!["amount"], vec!["amount"], vec!["settings", "unit", "tier", "card", "programme"]]);
}

#[test]
fn results() {
    let full = ResultRecord {
        result_id: id(1),
        source: some("till"),
        command: place(),
        merchant_id: text("m"),
        idempotency_key: text("k"),
        command_kind: text("credit.amount"),
        customer_id: Some(id(2)),
        status: text("rejected"),
        duplicate: true,
        original: Some(place()),
        effect: some("applied"),
        rejection: Some(RejectionRecord {
            code: text("c"),
            message: text("m"),
            fields: vec![FieldProblemRecord { field: text("f"), problem: text("p") }],
            detail: BTreeMap::from([(text("a"), text("b"))]),
        }),
        occurred_at: Micros(3),
        decided_at: Micros(4),
        config_version: Some(5),
        customer_version: Some(6),
        transactions: vec![entry(), entry()],
        balances: vec![balance()],
        attributes: BTreeMap::from([(text("a"), text("b"))]),
        parked_at: Some(Micros(7)),
        tier_id: some("gold"),
        cards: vec![member_card()],
    };
    let own = schemas::outgoing(OutTopic::Results).unwrap();
    assert_goes_out(own, &full);
    let bare = ResultRecord {
        source: None,
        customer_id: None,
        original: None,
        effect: None,
        rejection: None,
        config_version: None,
        customer_version: None,
        transactions: vec![],
        balances: vec![],
        attributes: BTreeMap::new(),
        parked_at: None,
        tier_id: None,
        cards: vec![],
        ..full
    };
    assert_goes_out(own, &bare);
}

#[test]
fn events() {
    let full = EventRecord {
        event_id: id(1),
        type_name: text("points.earned"),
        merchant_id: text("m"),
        customer_id: Some(id(2)),
        version: 3,
        index: 4,
        count: 5,
        occurred_at: Micros(6),
        recorded_at: Micros(7),
        cause: Some(place()),
        notify: Some(NotifyRecord {
            email: true,
            phone: false,
            to_email: some("e"),
            to_phone: some("p"),
            name: some("n"),
            language: some("pt-BR"),
        }),
        skip_notifications: true,
        changed: vec![text("a"), text("b")],
        entry: Some(entry()),
        balances: vec![balance()],
        config: Some(ConfigChange {
            object: text("unit"),
            id: text("u"),
            version: 8,
            effective_from: Micros(9),
            content: text("{}"),
        }),
        parked: Some(ParkedRecord { idempotency_key: text("k"), deadline: Micros(10) }),
        card: Some(member_card()),
        send_card_links: true,
        reward: Some(member_reward()),
        tier: Some(TierChange { from: some("a"), to: some("b"), reason: text("manual") }),
        unit: Some(EventUnit { name: text("Cash"), kind: text("money"), scale: 2, currency: some("EUR") }),
        expires_at: Some(Micros(11)),
        last_day: some("2026-01-31"),
    };
    let own = schemas::outgoing(OutTopic::Events).unwrap();
    assert_goes_out(own, &full);
    let bare = EventRecord {
        customer_id: None,
        cause: None,
        notify: None,
        changed: vec![],
        entry: None,
        config: None,
        parked: None,
        card: None,
        reward: None,
        tier: None,
        unit: None,
        expires_at: None,
        last_day: None,
        ..full
    };
    assert_goes_out(own, &bare);
}

#[test]
fn states_and_journal() {
    let state = CustomerState {
        customer_id: id(1),
        merchant_id: text("m"),
        external_id: some("x"),
        phone: some("p"),
        email: some("e"),
        first_name: some("f"),
        last_name: some("l"),
        birth_date: some("2000-01-01"),
        notify_email: true,
        notify_phone: false,
        status: text("active"),
        version: 2,
        created_at: Micros(3),
        updated_at: Micros(4),
        accounts: vec![AccountState {
            unit: text("points"),
            available: 1,
            pending: 2,
            held: 3,
            debt: 4,
            balance: 5,
            lifetime_earned: 6,
            lifetime_redeemed: 7,
            lots: vec![LotState {
                lot_id: id(8),
                amount: 9,
                remaining: 10,
                issued_at: Micros(11),
                expires_at: Some(Micros(12)),
            }],
            lots_total: 13,
        }],
        name: some("n"),
        gender: some("other"),
        registered_on: some("2001-01-01"),
        language: some("en"),
        brand_id: some("b"),
        source_version: Some(14),
        metrics: BTreeMap::from([(text("a"), MetricState { value: 15, scale: 1 })]),
        metadata: BTreeMap::from([(text("a"), text("b"))]),
        incomplete: true,
        programme_id: some("club"),
        tier: Some(MemberTierRecord { tier_id: text("t"), name: text("n"), since: Micros(16), manual: true }),
        referrer_id: Some(id(17)),
        cards: vec![member_card(), MemberCardRecord { apple_wallet_url: None, rewards: vec![], ..member_card() }],
    };
    assert_goes_out(schemas::outgoing(OutTopic::Customers).unwrap(), &state);
    let journal = Journal {
        lane: 1,
        batch: 2,
        lane_time_before: Micros(3),
        ranges: vec![JournalRange { topic: text("t"), topic_id: text("i"), from: 4, to: 5 }],
        due_settled: 6,
        skipped: vec![place()],
        code_version: text("v"),
        rules_version: 7,
        settings: BTreeMap::from([(text("a"), text("b"))]),
        outcomes_hash: text("00"),
    };
    assert_mirrors(schemas::outgoing(OutTopic::Journal).unwrap(), &journal);
}

/// A `jiff::Timestamp` ends a day before the instants that a command may name.
#[test]
fn instants_in_json_reach_to_the_end_of_time() {
    let cases = [
        (Instant::EARLIEST.micros(), "1900-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_700_000_000_001_000, "2023-11-14T22:13:20.001Z"),
        (Instant::LATEST.micros(), "9999-12-31T23:59:59.999999Z"),
    ];
    for (micros, expected) in cases {
        assert_eq!(serde_json::to_value(Micros(micros)).unwrap(), expected);
    }
}
