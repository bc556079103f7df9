//! Streams of deliveries in which everything collides: few merchants, customers, keys and orders, and values from both ends of their ranges.

use std::collections::BTreeMap;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::domain::command::{
    Body, Command, Content, CreditAmount, CustomerRef, CustomerUpsert, DeadLetter, DeadLetterClass, Delivery, Envelope,
    FieldProblem, RedeemAmount, RefKind, Schedule, UpsertMode,
};
use crate::domain::config::{OnMatch, SettingsPatch, Unit, UnknownCustomer, Zone};
use crate::domain::customer::card_code;
use crate::domain::tests::ledger;
use crate::domain::{
    CommandTopic, CustomerId, IdempotencyKey, Instant, MerchantId, OrderId, Position, ProfileField, Seed,
};

use super::configuration::{self, object, settings, unit, unit_definition};
use super::memory_lane::Cut;
use super::values::{DAY, START, Time, mostly, time, unit_id};

/// One record before it has a position.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub topic: CommandTopic,
    /// Seconds since the record before it; records of other topics may be older.
    pub gap: i64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Send {
        merchant: &'static str,
        key: Option<String>,
        reference: Option<Named>,
        time: Option<Time>,
        said: Box<Said>,
    },
    /// The same command as so many commands before, again.
    Repeat(usize),
    Tick,
    Unreadable,
}

/// What a command says beside its envelope.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub schedule: Schedule,
    pub body: Option<Body>,
    pub problems: Vec<FieldProblem>,
}

impl From<Body> for Said {
    fn from(body: Body) -> Said {
        (Schedule::default(), body).into()
    }
}

impl From<(Schedule, Body)> for Said {
    fn from((schedule, body): (Schedule, Body)) -> Said {
        Said { schedule, body: Some(body), problems: Vec::new() }
    }
}

impl From<Body> for Box<Said> {
    fn from(body: Body) -> Box<Said> {
        Box::new(body.into())
    }
}

#[derive(Debug, Clone)]
pub(super) enum Named {
    By(RefKind, String),
    /// By the customer id that so many records before would have made.
    MadeBefore(usize),
    /// By the code of such a customer's card at this place.
    CardOf(usize, usize),
}

/// Records with positions. In `wild` streams `Draft::gap` is the record's time itself.
pub(super) fn deliveries(drafts: &[Draft], wild: bool) -> Vec<Delivery> {
    let mut now = Instant::from_micros(START * 1_000_000);
    let mut offsets = [0; CommandTopic::COUNT];
    let mut deliveries: Vec<Delivery> = Vec::new();
    for draft in drafts {
        now = if wild { Instant::from_micros(draft.gap) } else { now.saturating_add_seconds(draft.gap) };
        let sent = match &draft.what {
            What::Repeat(back) => {
                let commands = deliveries.iter().rev().filter(|earlier| matches!(earlier.content, Content::Command(_)));
                let earlier = commands.take(back + 1).last();
                earlier.map(|earlier| (earlier.position.topic, earlier.content.clone()))
            }
            What::Tick => None,
            What::Unreadable => Some((draft.topic, Content::DeadLetter(unreadable()))),
            What::Send { merchant, key, reference, time, said } => {
                let record = deliveries.len();
                let envelope = Envelope {
                    merchant_id: MerchantId::new(*merchant),
                    idempotency_key: IdempotencyKey::new(key.clone().unwrap_or_else(|| format!("record-{record}"))),
                    customer: reference.as_ref().map(|named| refer(named, &deliveries)),
                    occurred_at: time.map(|time| time.from(now)),
                    source: record.is_multiple_of(3).then(|| "till".to_owned()),
                    attributes: BTreeMap::new(),
                };
                let content_hash = ledger::hash(&envelope, said);
                let Said { schedule, body, problems } = (**said).clone();
                let (topic, traceparent, original_time) = (draft.topic, None, None);
                let command =
                    Command { topic, envelope, schedule, body, problems, content_hash, traceparent, original_time };
                Some((draft.topic, Content::Command(Box::new(command))))
            }
        };
        let (topic, content) = sent.unwrap_or((CommandTopic::Clock, Content::Tick));
        deliveries.push(delivery(topic, &mut offsets, now, content));
    }
    deliveries
}

/// A tick when nothing waits any more.
pub(super) fn late_tick(lane_time: Instant) -> Delivery {
    delivery(
        CommandTopic::Clock,
        &mut [500_000; CommandTopic::COUNT],
        lane_time.saturating_add_seconds(4 * DAY),
        Content::Tick,
    )
}

/// The same records once more, after all of them, at one time.
pub(super) fn again(deliveries: &[Delivery], now: Instant) -> Vec<Delivery> {
    let mut offsets = [1_000_000; CommandTopic::COUNT];
    let redelivered = deliveries.iter();
    redelivered.map(|first| delivery(first.position.topic, &mut offsets, now, first.content.clone())).collect()
}

fn delivery(topic: CommandTopic, offsets: &mut [i64], timestamp: Instant, content: Content) -> Delivery {
    let position = Position { topic, partition: 0, offset: offsets[topic.index()] };
    offsets[topic.index()] += 1;
    let seed = Seed::of_record(topic.suffix(), 0, position.offset, timestamp);
    Delivery { position, timestamp, seed, content }
}

fn unreadable() -> DeadLetter {
    DeadLetter { class: DeadLetterClass::Undecodable, message: "It is not Avro.".to_owned(), schema_id: None }
}

fn refer(named: &Named, deliveries: &[Delivery]) -> CustomerRef {
    match named {
        Named::By(kind, value) => CustomerRef { kind: *kind, value: value.clone() },
        Named::MadeBefore(back) => {
            let id = made_before(*back, deliveries).map(|id| id.to_string());
            CustomerRef { kind: RefKind::CustomerId, value: id.unwrap_or_default() }
        }
        Named::CardOf(back, place) => {
            let code = made_before(*back, deliveries).map(|id| card_code(id, *place));
            CustomerRef { kind: RefKind::CardCode, value: code.unwrap_or_default() }
        }
    }
}

fn made_before(back: usize, deliveries: &[Delivery]) -> Option<CustomerId> {
    let upserts = deliveries.iter().rev().filter(|it| it.position.topic == CommandTopic::CustomerUpsert);
    upserts.take(back + 1).last().map(|it| it.seed.customer_id())
}

/// What makes two merchants, their units and a few customers; some of both comes into force later. `bolt` enrols, `acme` lets commands
/// wait. A third, `late`, has to configure itself; `ghost` never exists.
pub(super) fn preamble() -> Vec<Draft> {
    let mut drafts = Vec::new();
    for merchant in ["acme", "bolt"] {
        let send = |said: Said| What::Send { merchant, key: None, reference: None, time: None, said: Box::new(said) };
        let at = |effective_from, body: Body| {
            let said = (Schedule { effective_from, expected_version: None }, body).into();
            Draft { topic: CommandTopic::MerchantConfig, gap: 0, what: send(said) }
        };
        let config = |body| at(None, body);
        let patch = SettingsPatch {
            max_age_s: Some(30 * DAY),
            time_zone: Some(Zone::named("Africa/Cairo")),
            profile_change_needs_active: Some(merchant == "acme"),
            unknown_customer: Some(if merchant == "bolt" { UnknownCustomer::Enrol } else { UnknownCustomer::Park }),
            park_s: Some(2 * DAY),
            ..Default::default()
        };
        let later = |days: i64| Some(Instant::from_micros((START + days * DAY) * 1_000_000));
        let scheduled = SettingsPatch { time_zone: Some(Zone::named("Asia/Tokyo")), ..Default::default() };
        drafts.push(config(Body::Settings(Box::new(patch))));
        drafts.push(at(later(2), Body::Settings(Box::new(scheduled))));
        drafts.push(config(Body::Unit(Box::new(unit_definition("points", Some(1), 0, 1)))));
        drafts.push(at(later(3), Body::Unit(Box::new(unit_definition("points", Some(2), 0, 2)))));
        drafts.push(config(Body::Unit(Box::new(Unit { step: 2, ..unit_definition("apples", None, 20, 5) }))));
        drafts.extend(configuration::preamble().map(config));
        for external_id in ["ada", "bob"] {
            let upsert = CustomerUpsert { external_id: Some(external_id.to_owned()), ..Default::default() };
            let what = send(Body::CustomerUpsert(Box::new(upsert)).into());
            drafts.push(Draft { topic: CommandTopic::CustomerUpsert, gap: 0, what });
        }
    }
    drafts
}

/// Drafts of any kind. `configurable` are the merchants whose configuration may come at any place.
pub(super) fn drafts(configurable: &'static [&'static str]) -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(configurable), 1..80)
}

pub(super) fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let cut = (select(&[1, 1, 2, 3, 5, 8, 20, usize::MAX][..]), select(&[0, 1, 2, usize::MAX][..]), any::<bool>());
    prop::collection::vec(cut.prop_map(|(commands, due, restart)| Cut { commands, due, restart }), 1..8)
}

fn draft(configurable: &'static [&'static str]) -> impl Strategy<Value = Draft> {
    let gap = prop_oneof![9 => 0..60_i64, 2 => 0..DAY / 2, 1 => -3600..0_i64, 1 => select(&[DAY, 2 * DAY][..])];
    let what = prop_oneof![
        10 => send(CommandTopic::Credit, merchant(), reference(), credit()),
        7 => send(CommandTopic::Redeem, merchant(), reference(), redeem()),
        6 => send(CommandTopic::CustomerUpsert, merchant(), maybe(reference()), upsert()),
        1 => send(CommandTopic::MerchantConfig, select(configurable).boxed(), rarely(reference()), settings()),
        1 => send(CommandTopic::MerchantConfig, select(configurable).boxed(), rarely(reference()), unit()),
        1 => send(CommandTopic::MerchantConfig, select(configurable).boxed(), rarely(reference()), object()),
        1 => send(CommandTopic::Redeem, merchant(), rarely(reference()), select(vec![malformed(), unsupported()]).boxed()),
        3 => (0..20_usize).prop_map(|back| (CommandTopic::Clock, What::Repeat(back))),
        1 => Just((CommandTopic::Clock, What::Tick)),
        1 => Just((CommandTopic::Credit, What::Unreadable)),
    ];
    (gap, what).prop_map(|(gap, (topic, what))| Draft { topic, gap, what })
}

fn send<S: Into<Said> + std::fmt::Debug>(
    topic: CommandTopic,
    merchant: BoxedStrategy<&'static str>,
    reference: BoxedStrategy<Option<Named>>,
    said: BoxedStrategy<S>,
) -> impl Strategy<Value = (CommandTopic, What)> {
    let key = prop_oneof![
        24 => Just(None),
        3 => (0..6).prop_map(|key| Some(format!("key-{key}"))),
        1 => select(vec![Some(String::new()), Some("x".repeat(256))]),
    ];
    (merchant, key, reference, rare_time(), said).prop_map(move |(merchant, key, reference, time, said)| {
        (topic, What::Send { merchant, key, reference, time, said: Box::new(said.into()) })
    })
}

fn merchant() -> BoxedStrategy<&'static str> {
    prop_oneof![18 => Just("acme"), 3 => Just("bolt"), 1 => Just("late"), 1 => Just("ghost")].boxed()
}

fn reference() -> BoxedStrategy<Option<Named>> {
    let by = Named::By;
    prop_oneof![
        16 => external_id().prop_map(move |value| Some(by(RefKind::ExternalId, value))),
        2 => phone().prop_map(move |value| Some(by(RefKind::Phone, value))),
        2 => email().prop_map(move |value| Some(by(RefKind::Email, value))),
        3 => (0..6_usize).prop_map(|back| Some(Named::MadeBefore(back))),
        1 => (0..4_usize, 0..2_usize).prop_map(|(back, place)| Some(Named::CardOf(back, place))),
        1 => Just(None),
    ]
    .boxed()
}

fn maybe(named: BoxedStrategy<Option<Named>>) -> BoxedStrategy<Option<Named>> {
    prop_oneof![3 => Just(None), 1 => named].boxed()
}

fn rarely(named: BoxedStrategy<Option<Named>>) -> BoxedStrategy<Option<Named>> {
    prop_oneof![12 => Just(None), 1 => named].boxed()
}

fn external_id() -> impl Strategy<Value = String> {
    mostly(&["ada", "bob"], &["eve", ""])
}

fn phone() -> impl Strategy<Value = String> {
    mostly(&["+491511111111", "+49 151 1111111", "+492222222"], &["0151"])
}

fn email() -> impl Strategy<Value = String> {
    mostly(&["a@example.com", " A@Example.com", "b@example.com"], &["nonsense"])
}

fn rare_time() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![8 => Just(None), 1 => time().prop_map(Some)]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        24 => 1..60_i64,
        1 => Just(1_000_000_000_000),
        1 => select(&[0, -1, i64::MIN, i64::MAX, 1_000_000_000_001][..]),
    ]
}

fn order() -> impl Strategy<Value = Option<OrderId>> {
    prop_oneof![
        12 => Just(None),
        8 => (0..5).prop_map(|order| Some(OrderId::from(format!("order-{order}")))),
        1 => Just(Some(OrderId::from(""))),
    ]
}

/// The tiers, cards and referrals that an upsert asks for.
fn joins() -> impl Strategy<Value = CustomerUpsert> {
    let tier = weighted(0.2, mostly(&["base", "vip"], &["none", ""]));
    let card = weighted(0.3, mostly(&["coffee", "gone", "tea"], &["none"]));
    let referral = weighted(0.1, mostly(&["01971e5c-0000-8000-8000-000000000000"], &["nobody"]));
    (tier, card, referral).prop_map(|(tier_id, card_id, referral_code)| CustomerUpsert {
        tier_id,
        card_id,
        referral_code,
        ..CustomerUpsert::default()
    })
}

fn credit() -> BoxedStrategy<Body> {
    // Few instants, so that lots of several units and customers expire together.
    let expires = prop_oneof![
        9 => Just(None),
        9 => (0..20_i64).prop_map(|days| Some((START + days * DAY) * 1_000_000)),
        1 => select(vec![i64::MIN, i64::MAX, Instant::LATEST.micros()]).prop_map(Some),
    ];
    (unit_id(), amount(), order(), expires, any::<bool>())
        .prop_map(|(unit, amount, order_id, expires, skip_notifications)| {
            let expires_at = expires.map(Instant::from_micros);
            let (reason, title) = (None, None);
            Body::CreditAmount(CreditAmount { unit, amount, order_id, reason, title, expires_at, skip_notifications })
        })
        .boxed()
}

fn redeem() -> BoxedStrategy<Body> {
    (unit_id(), amount(), order())
        .prop_map(|(unit, amount, order_id)| {
            Body::RedeemAmount(RedeemAmount { unit, amount, order_id, reason: None, skip_notifications: false })
        })
        .boxed()
}

fn upsert() -> BoxedStrategy<Body> {
    (
        weighted(0.6, external_id()),
        weighted(0.4, phone()),
        weighted(0.4, email()),
        weighted(0.3, mostly(&["Ada", "Bob"], &[" "])),
        weighted(0.2, mostly(&["1990-02-28"], &["1800-01-01", "9999-12-31"])),
        weighted(0.4, prop::bool::weighted(0.6)),
        weighted(0.2, any::<bool>()),
        manner(),
    )
        .prop_map(|(external_id, phone, email, first_name, birth_date, active, notify_email, manner)| {
            Body::CustomerUpsert(Box::new(CustomerUpsert {
                external_id,
                phone,
                email,
                first_name,
                birth_date,
                active,
                notify_email,
                ..manner
            }))
        })
        .boxed()
}

/// How an upsert is meant, and the fields that few send.
fn manner() -> impl Strategy<Value = CustomerUpsert> {
    let mode = prop_oneof![6 => Just(UpsertMode::Upsert), 1 => Just(UpsertMode::Create), 2 => Just(UpsertMode::Update)];
    let on_match = prop_oneof![5 => Just(None), 2 => select(&OnMatch::ALL[..]).prop_map(Some)];
    let cleared =
        select(&[ProfileField::Phone, ProfileField::FirstName, ProfileField::Metadata, ProfileField::TierId][..]);
    let clear = prop_oneof![6 => Just(vec![]), 1 => cleared.prop_map(|field| vec![field])];
    let text = |key: &'static str| weighted(0.7, mostly(&["1", "2"], &[""])).prop_map(move |it| (key.to_owned(), it));
    let metadata = prop_oneof![
        5 => Just(BTreeMap::new()),
        2 => select(&["shop", "till"][..]).prop_flat_map(text).prop_map(|pair| BTreeMap::from([pair])),
    ];
    let said = (weighted(0.3, 0..4_i64), weighted(0.1, mostly(&["Ada L"], &[""])));
    (mode, on_match, clear, metadata, said, joins()).prop_map(
        |(mode, on_match, clear, metadata, (source_version, name), joins)| CustomerUpsert {
            mode,
            on_match,
            clear,
            metadata,
            source_version,
            name,
            ..joins
        },
    )
}

fn malformed() -> Said {
    let problems = vec![FieldProblem { field: "command.amount".to_owned(), problem: "must be an integer".to_owned() }];
    Said { schedule: Schedule::default(), body: None, problems }
}

/// Of a topic that has no command yet.
fn unsupported() -> Said {
    Said { problems: Vec::new(), ..malformed() }
}
