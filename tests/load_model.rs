//! The load generator, held to what it promises: the same week for the same plan, a prediction that no race between topics changes,
//! and rules that read as a ledger.

#[path = "../load/mod.rs"]
mod load;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use load::command::{
    Body, Command, Content, Encoding, Flaw, Identifier, Profile, Reference, Time, Topic, UnitRules, UnknownCustomer,
};
use load::encode::Encoder;
use load::generate::{APART, Plan, SECOND, Week, week};
use load::model::{Model, Outcome, Prediction, WAITS};
use load::murmur2::partition_of;
use load::rng::Rng;
use load::timeline::Timeline;

/// 2026-01-07T12:00:00Z.
const START: i64 = 1_767_787_200_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

fn small_week() -> &'static Week {
    static WEEK: OnceLock<Week> = OnceLock::new();
    WEEK.get_or_init(|| week(Plan::paced(20_000, 30, 2, START)))
}

#[test]
fn partitions_are_those_of_javas_client() {
    // From Kafka's UtilsTest: murmur2("21") = -973932308, ("foobar") = -790332482, ("a-little-bit-long-string") = -985981536.
    assert_eq!(partition_of(b"21", i32::MAX), -973_932_308i32 & i32::MAX);
    assert_eq!(partition_of(b"foobar", i32::MAX), -790_332_482i32 & i32::MAX);
    assert_eq!(partition_of(b"a-little-bit-long-string", i32::MAX), -985_981_536i32 & i32::MAX);
}

#[test]
fn the_same_plan_makes_the_same_week() {
    let (one, other) = (small_week(), week(small_week().plan.clone()));
    assert_eq!(one.prediction, other.prediction);
    assert_eq!(format!("{:?}", one.waves), format!("{:?}", other.waves));
}

#[test]
fn the_week_has_everything_in_it() {
    let week = small_week();
    let sent: usize = week.waves.iter().map(Vec::len).sum();
    assert!(sent >= 20_000, "{sent}");
    assert_eq!(week.prediction.answers(), sent as u64);

    let missing: Vec<(&str, &str, bool)> = [
        ("merchant-config.settings", "created", false),
        ("merchant-config.settings", "invalid_fields", false),
        ("merchant-config.unit", "created", false),
        ("merchant-config.unit", "protected_field", false),
        ("merchant-config.card", "created", false),
        ("customer-upsert", "created", false),
        ("customer-upsert", "created", true),
        ("customer-upsert", "updated", false),
        ("customer-upsert", "unchanged", false),
        ("customer-upsert", "identity_conflict", false),
        ("customer-upsert", "unknown_customer", false),
        ("customer-upsert", "invalid_fields", false),
        ("customer-upsert", "idempotency_conflict", false),
        ("credit.amount", "applied", false),
        ("credit.amount", "applied", true),
        ("credit.amount", "duplicate_order", false),
        ("credit.amount", "customer_inactive", false),
        ("credit.amount", "unknown_customer", false),
        ("credit.amount", "unknown_customer", true),
        ("credit.amount", "unknown_unit", false),
        ("credit.amount", "unknown_merchant", false),
        ("credit.amount", "invalid_fields", false),
        ("credit.amount", "occurred_at_out_of_range", false),
        ("credit.amount", "idempotency_conflict", false),
        ("redeem.amount", "applied", false),
        ("redeem.amount", "applied", true),
        ("redeem.amount", "insufficient_points", false),
        ("redeem.amount", "insufficient_points", true),
        ("redeem.amount", "below_minimum", false),
        ("redeem.amount", "minimum_balance_not_met", false),
        ("redeem.amount", "customer_inactive", false),
        ("redeem.amount", "unknown_customer", false),
        ("redeem.amount", "invalid_idempotency_key", false),
        ("redeem.amount", "idempotency_conflict", false),
    ]
    .into_iter()
    .filter(|(kind, verdict, duplicate)| {
        let outcome = Outcome { kind: (*kind).to_owned(), verdict: (*verdict).to_owned(), duplicate: *duplicate };
        !week.prediction.outcomes.contains_key(&outcome)
    })
    .collect();
    assert_eq!(missing, []);
    let classes: BTreeSet<&str> = Flaw::ALL.map(Flaw::class).into();
    assert_eq!(week.prediction.dead_letters.keys().copied().collect::<BTreeSet<_>>(), classes);
    assert!(week.prediction.expiries > 100, "{}", week.prediction.expiries);
    assert!(week.late > 500);
    let applied = |kind: &str| {
        let outcome = Outcome { kind: kind.to_owned(), verdict: "applied".to_owned(), duplicate: false };
        week.prediction.outcomes[&outcome] as usize * 5
    };
    assert!(applied("credit.amount") > sent && applied("redeem.amount") > sent / 2, "{:?}", week.prediction.outcomes);
    let json =
        records(week).filter(|record| matches!(record.content, Content::Command { encoding: Encoding::Json, .. }));
    assert!((15..25).contains(&(json.count() * 100 / sent)));
}

fn records(week: &Week) -> impl Iterator<Item = &load::command::Record> {
    week.waves.iter().flatten()
}

/// Lets every topic lag behind by less than [`APART`] waves, differently each time, and stretches time.
fn replayed(week: &Week, delays: [i64; 4], ties: [usize; 4], stretch_percent: i64) -> Model {
    let mut order = Vec::new();
    for (wave, records) in (0i64..).zip(&week.waves) {
        for record in records {
            let topic = record.topic().index();
            order.push((wave + delays[topic], ties[topic], wave, record));
        }
    }
    order.sort_by_key(|(late, tie, _, _)| (*late, *tie)); // stable: each topic keeps its order
    let mut model = Model::new(week.plan.start);
    for (_, _, wave, record) in order {
        match &record.content {
            Content::Command { command, .. } => {
                model.apply(command, wave * week.plan.wave_micros * stretch_percent / 100);
            }
            Content::Broken { flaw, .. } => model.break_record(*flaw),
        }
    }
    model
}

fn replay(week: &Week, delays: [i64; 4], ties: [usize; 4], stretch_percent: i64) -> Prediction {
    replayed(week, delays, ties, stretch_percent).finish(week.plan.waves * week.plan.wave_micros + 60 * SECOND)
}

#[test]
fn no_race_between_topics_changes_the_prediction() {
    let week = small_week();
    assert_eq!(replay(week, [0; 4], [0; 4], 100), week.prediction);
    let mut rng = Rng::new(7);
    for _ in 0..10 {
        let delays = [(); 4].map(|()| rng.below(APART as usize) as i64);
        let ties = [(); 4].map(|()| rng.below(4));
        assert_eq!(replay(week, delays, ties, 100), week.prediction, "{delays:?} {ties:?}");
    }
}

#[test]
fn a_slow_machine_changes_nothing() {
    let week = small_week();
    for stretch in [105, 120, 140] {
        assert_eq!(replay(week, [0; 4], [0; 4], stretch), week.prediction, "{stretch} %");
    }
}

#[test]
fn a_race_that_the_waves_forbid_would_be_seen() {
    let week = small_week();
    assert_ne!(replay(week, [0, 0, 4 * APART, 0], [0; 4], 100), week.prediction);
}

#[test]
fn so_many_wait_for_their_customer_however_the_topics_race() {
    let week = small_week();
    let waited = |delays| replayed(week, delays, [0; 4], 100).waited;
    let (late_sign_ups, late_credits) = (waited([0, APART - 1, 0, 0]), waited([0, 0, APART - 1, 0]));
    assert!(week.sure_to_wait > 100, "{}", week.sure_to_wait);
    assert!(late_credits >= week.sure_to_wait, "{late_credits} of {}", week.sure_to_wait);
    assert!(late_sign_ups > late_credits, "{late_sign_ups} and {late_credits}: some race their sign-up");
}

/// What the generator writes is what Avro's own library reads with the schemas of this repository.
#[test]
fn every_avro_record_is_of_its_schema() {
    let schemas = Topic::ALL.map(|topic| {
        let path = format!("{}/schemas/{}.avsc", env!("CARGO_MANIFEST_DIR"), topic.suffix());
        apache_avro::Schema::parse_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    });
    let readers = schemas
        .each_ref()
        .map(|schema| apache_avro::reader::datum::GenericDatumReader::builder(schema).build().unwrap());
    let week = week(Plan::paced(3_000, 5, 2, START));
    let mut encoder = Encoder { schema_ids: [11, 12, 13, 14], lanes: 2, timeline: Timeline::new(START) };
    for record in records(&week) {
        let bytes = encoder.encode(record);
        if let Content::Command { encoding: Encoding::Avro, .. } = record.content {
            let value = bytes.value.unwrap();
            let topic = bytes.topic.index();
            assert_eq!(value[..5], [0, 0, 0, 0, 11 + topic as u8]);
            let mut datum = &value[5..];
            readers[topic].read_value(&mut datum).unwrap();
            assert!(datum.is_empty(), "{record:?}");
            assert_eq!(bytes.partition, partition_of(&bytes.key, 2));
        }
    }
}

// ---- the rules as a ledger: one line per command ----

struct Ledger {
    model: Model,
    made: usize,
}

impl Ledger {
    fn opened() -> Ledger {
        let mut ledger = Ledger { model: Model::new(START), made: 0 };
        let settings = Body::Settings {
            name: None,
            time_zone: Some("Europe/Berlin"),
            match_by: None,
            max_age_s: Some(9 * 86_400),
            unknown_customer: None,
        };
        assert_eq!(ledger.put(0, None, settings), "created");
        let rules = UnitRules { expiry_days: Some(2), min_held: 100, min_amount: 10 };
        let unit = Body::Unit { unit: "points", name: "Points", scale: 0, effective_from: None, rules };
        assert_eq!(ledger.put(0, None, unit), "created");
        ledger
    }

    fn put(&mut self, at: i64, customer: Option<&str>, body: Body) -> String {
        self.put_at(at, None, customer, body)
    }

    fn put_at(&mut self, at: i64, occurred_at: Option<i64>, customer: Option<&str>, body: Body) -> String {
        self.made += 1;
        let command = Command {
            merchant: Arc::from("m"),
            key: format!("k{}", self.made),
            customer: customer.map(|id| Reference::By(Identifier::ExternalId, id.to_owned())),
            occurred_at: occurred_at.map(Time::Run),
            source: None,
            body,
            unknown_field: false,
        };
        self.model.apply(&command, at * SECOND).verdict
    }

    fn sign_up(&mut self, at: i64, id: &str, phone: &str) -> String {
        let identifiers = [Some(id.to_owned()), Some(phone.to_owned()), None];
        self.put(at, None, Body::Upsert(Profile { identifiers, ..Profile::default() }))
    }

    fn earn(&mut self, at: i64, id: &str, amount: i64, expires_at: Option<i64>) -> String {
        let expires_at = expires_at.map(|seconds| Time::Run(seconds * SECOND));
        self.put(at, Some(id), Body::Credit { unit: "points", amount, order: None, expires_at })
    }

    fn spend(&mut self, at: i64, id: &str, amount: i64) -> String {
        self.put(at, Some(id), Body::Redeem { unit: "points", amount, order: None })
    }

    fn held(&self, at: i64, id: &str) -> i64 {
        self.model.available(&Arc::from("m"), id, "points", at * SECOND)
    }
}

#[test]
fn spending_takes_what_expires_first() {
    let mut ledger = Ledger::opened();
    assert_eq!(ledger.sign_up(1, "ada", "+49 151-1"), "created");
    assert_eq!(ledger.earn(2, "ada", 300, None), "applied"); // in two days
    assert_eq!(ledger.earn(3, "ada", 100, Some(20)), "applied");
    assert_eq!(ledger.spend(4, "ada", 60), "applied"); // 40 of the second left
    assert_eq!(ledger.held(19, "ada"), 340);
    assert_eq!(ledger.held(20, "ada"), 300);
    assert_eq!(ledger.spend(21, "ada", 301), "insufficient_points");
    assert_eq!(ledger.spend(22, "ada", 201), "applied");
    assert_eq!(ledger.spend(23, "ada", 9), "below_minimum");
    assert_eq!(ledger.spend(24, "ada", 10), "minimum_balance_not_met");
    let counted = ledger.model.finish(60 * SECOND);
    assert_eq!(counted.expiries, 1);
    assert_eq!(counted.balances[&("m".to_owned(), "points".to_owned())], 99);
}

#[test]
fn what_comes_too_late_is_issued_and_expired_at_once() {
    let mut ledger = Ledger::opened();
    ledger.sign_up(1, "ada", "+491511");
    let credit = Body::Credit { unit: "points", amount: 500, order: None, expires_at: None };
    assert_eq!(ledger.put_at(2, Some(-4 * DAY), Some("ada"), credit.clone()), "applied");
    assert_eq!(ledger.held(2, "ada"), 0);
    // Three local midnights after yesterday noon: tomorrow.
    assert_eq!(ledger.put_at(3, Some(-DAY), Some("ada"), credit.clone()), "applied");
    assert_eq!(ledger.held(3, "ada"), 500);
    assert_eq!(ledger.put_at(4, Some(-10 * DAY), Some("ada"), credit), "occurred_at_out_of_range");
    assert_eq!(ledger.model.finish(60 * SECOND).expiries, 1);
}

#[test]
fn identifiers_are_unique_and_free_again_when_replaced() {
    let mut ledger = Ledger::opened();
    assert_eq!(ledger.sign_up(1, "ada", "+491511"), "created");
    assert_eq!(ledger.sign_up(3, "bob", "+491512"), "created");
    assert_eq!(ledger.sign_up(4, "bob", "+49 1511"), "identity_conflict");
    assert_eq!(ledger.sign_up(5, "ada", "+491513"), "updated");
    assert_eq!(ledger.sign_up(6, "ada", "+49 (151) 3"), "unchanged");
    assert_eq!(ledger.sign_up(7, "bob", "+491511"), "updated");
    assert_eq!(ledger.put(8, Some("eve"), Body::Upsert(Profile::default())), "unknown_customer");
    assert_eq!(ledger.put(9, None, Body::Upsert(Profile::default())), "invalid_fields");
}

#[test]
fn a_credit_enrols_where_the_merchant_says_so() {
    let mut ledger = Ledger::opened();
    assert_eq!(ledger.earn(1, "ada", 100, None), "unknown_customer");
    assert_eq!(ledger.put(2, None, meeting_strangers(UnknownCustomer::Enrol)), "updated");
    assert_eq!(ledger.spend(3, "ada", 10), "unknown_customer");
    assert_eq!(ledger.earn(4, "ada", 100, None), "applied");
    let nobody = Body::Upsert(Profile::default());
    assert_eq!(ledger.put(5, Some("ada"), nobody.clone()), "updated"); // the sign-up
    assert_eq!(ledger.put(6, Some("ada"), nobody), "unchanged");
    assert_eq!(ledger.spend(7, "ada", 100), "applied");
    assert_eq!(ledger.model.finish(60 * SECOND).customers["m"], 1);
}

fn meeting_strangers(how: UnknownCustomer) -> Body {
    Body::Settings { name: None, time_zone: None, match_by: None, max_age_s: None, unknown_customer: Some(how) }
}

#[test]
fn a_command_waits_for_its_customer_where_the_merchant_says_so() {
    let mut ledger = Ledger::opened();
    assert_eq!(ledger.put(1, None, meeting_strangers(UnknownCustomer::Park { seconds: 10 })), "updated");
    assert_eq!(ledger.earn(2, "ada", 300, None), WAITS);
    ledger.made -= 1; // the same key
    assert_eq!(ledger.earn(3, "ada", 300, None), WAITS);
    ledger.made -= 1;
    assert_eq!(ledger.earn(3, "ada", 301, None), "idempotency_conflict");
    assert_eq!(ledger.spend(4, "ada", 200), WAITS);
    assert_eq!(ledger.earn(5, "eve", 100, None), WAITS);
    assert_eq!(ledger.put(6, Some("bob"), Body::Upsert(Profile::default())), "unknown_customer");
    assert_eq!((ledger.held(7, "ada"), ledger.model.waited), (0, 4));
    assert_eq!(ledger.sign_up(8, "ada", "+491511"), "created");
    assert_eq!(ledger.held(8, "ada"), 100);
    // At her deadline she has not come.
    assert_eq!(ledger.sign_up(15, "eve", "+491512"), "created");
    assert_eq!(ledger.held(15, "eve"), 0);
    assert_eq!(ledger.earn(16, "zoe", 100, None), WAITS);
    let counted = ledger.model.finish(60 * SECOND).outcomes;
    let count = |kind: &str, verdict: &str, duplicate: bool| {
        counted[&Outcome { kind: kind.to_owned(), verdict: verdict.to_owned(), duplicate }]
    };
    assert_eq!((count("credit.amount", "applied", false), count("credit.amount", "applied", true)), (1, 1));
    assert_eq!(count("credit.amount", "idempotency_conflict", false), 1);
    assert_eq!(count("redeem.amount", "applied", false), 1);
    assert_eq!(count("credit.amount", "unknown_customer", false), 2);
}

#[test]
fn a_unit_of_earlier_goes_under_that_of_later() {
    let mut ledger = Ledger::opened();
    ledger.sign_up(1, "ada", "+491511");
    ledger.earn(2, "ada", 1_000, None);
    let unit = |min_amount, effective_from: i64| {
        let rules = UnitRules { expiry_days: Some(2), min_held: 100, min_amount };
        let effective_from = Some(Time::Run(effective_from * SECOND));
        Body::Unit { unit: "points", name: "Points", scale: 0, effective_from, rules }
    };
    assert_eq!(ledger.put(3, None, unit(200, 20)), "updated");
    assert_eq!(ledger.put(4, None, unit(50, 10)), "updated");
    assert_eq!(ledger.put(5, None, unit(200, 30)), "unchanged");
    assert_eq!(ledger.spend(9, "ada", 10), "applied");
    assert_eq!(ledger.spend(10, "ada", 10), "below_minimum");
    assert_eq!(ledger.spend(11, "ada", 50), "applied");
    assert_eq!(ledger.spend(20, "ada", 50), "below_minimum");
}

#[test]
fn a_card_welcomes_once() {
    let mut ledger = Ledger::opened();
    assert_eq!(ledger.put(1, None, Body::Card { card: "coffee", initial: 2 }), "created");
    let join = |external_id: &str| {
        let identifiers = [Some(external_id.to_owned()), None, None];
        Body::Upsert(Profile { identifiers, card: Some("coffee"), ..Profile::default() })
    };
    assert_eq!(ledger.put(2, None, join("ada")), "created");
    assert_eq!(ledger.put(3, None, join("ada")), "unchanged");
    assert_eq!(ledger.sign_up(4, "bob", "+491511"), "created");
    assert_eq!(ledger.put(5, None, join("bob")), "updated");
    let counted = ledger.model.finish(60 * SECOND);
    assert_eq!(counted.balances[&("m".to_owned(), "coffee".to_owned())], 4);
}
