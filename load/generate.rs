//! The trading week: which records, in which order, in which wave.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MERCHANTS;
use super::command::{Body, Command, Content, Encoding, Flaw, Identifier, Profile, Record, Reference, Time, Topic};
use super::model::{Model, Outcome, Prediction};
use super::murmur2::partition_of;
pub use super::people::APART;
use super::people::{Guests, Person};
use super::rng::Rng;

pub const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// How much, how fast.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub records: usize,
    pub waves: i64,
    /// Microseconds from one wave's beginning to the next one's.
    pub wave_micros: i64,
    pub lanes: i32,
    /// When the run begins, in microseconds since 1970: business times are told from here.
    pub start: i64,
}

impl Plan {
    /// Waves of a quarter of a second.
    pub fn paced(records: usize, seconds: i64, lanes: i32, start: i64) -> Plan {
        Plan { seed: 20_260_107, records, waves: seconds * 4, wave_micros: SECOND / 4, lanes, start }
    }
}

#[derive(Debug)]
pub struct Week {
    pub plan: Plan,
    pub waves: Vec<Vec<Record>>,
    pub prediction: Prediction,
    /// When the last lot has expired that is to expire during the run, in microseconds of the run, if the waves keep to their plan.
    pub last_expiry: i64,
    /// How many commands are late: their business time lies before that of an earlier command by hours.
    pub late: usize,
    /// How many commands wait for their customer, however the topics race. Some more do where they race so.
    pub sure_to_wait: u64,
}

/// Makes the week. The same plan makes the same week.
pub fn week(plan: Plan) -> Week {
    for lane in 0..plan.lanes {
        let share = MERCHANTS.iter().filter(|id| partition_of(id.as_bytes(), plan.lanes) == lane).count();
        assert!(plan.lanes > 2 || share == MERCHANTS.len() / plan.lanes as usize, "the merchants must fill every lane");
    }
    let mut generator = Generator::new(plan);
    generator.configure_merchants();
    let waves = generator.plan.waves;
    for wave in APART..waves {
        let left = generator.plan.records.saturating_sub(generator.made) as i64;
        generator.begin_wave(wave);
        generator.follow_up();
        for _ in 0..left / (waves - wave) {
            generator.one_record();
        }
    }
    let until = generator.now() + 60 * SECOND;
    Week {
        prediction: generator.model.finish(until),
        waves: generator.waves,
        plan: generator.plan,
        last_expiry: generator.last_expiry,
        late: generator.late,
        sure_to_wait: generator.guests.sure_to_wait,
    }
}

pub(super) struct Generator {
    pub plan: Plan,
    pub rng: Rng,
    pub model: Model,
    pub made: usize,
    waves: Vec<Vec<Record>>,
    pub wave: i64,
    pub people: Vec<Vec<Person>>,
    /// Everything sent, per merchant, for duplicates.
    sent: Vec<Vec<(i64, Arc<Command>)>>,
    /// Orders that earned, per merchant.
    orders: Vec<Vec<(&'static str, String)>>,
    /// By wave: customers of whom a lot has just expired, and its amount.
    expired: BTreeMap<i64, Vec<(usize, usize, &'static str, i64)>>,
    /// By wave: external ids that a credit has enrolled, to be signed up then.
    enrolled: BTreeMap<i64, Vec<(usize, String)>>,
    pub guests: Guests,
    tickets: u32,
    last_expiry: i64,
    late: usize,
}

impl Generator {
    fn new(plan: Plan) -> Generator {
        Generator {
            rng: Rng::new(plan.seed),
            model: Model::new(plan.start),
            made: 0,
            waves: vec![Vec::new(); plan.waves as usize],
            wave: 0,
            people: vec![Vec::new(); MERCHANTS.len()],
            sent: vec![Vec::new(); MERCHANTS.len()],
            orders: vec![Vec::new(); MERCHANTS.len()],
            expired: BTreeMap::new(),
            enrolled: BTreeMap::new(),
            guests: Guests::default(),
            tickets: 0,
            last_expiry: 0,
            late: 0,
            plan,
        }
    }

    fn begin_wave(&mut self, wave: i64) {
        self.wave = wave;
    }

    /// The planned moment of this wave, in microseconds of the run.
    pub fn now(&self) -> i64 {
        self.wave * self.plan.wave_micros
    }

    fn one_record(&mut self) {
        let merchant = self.rng.below(MERCHANTS.len());
        match self.rng.below(1000) {
            0..15 => self.duplicate(merchant),
            15..20 => self.conflict(merchant),
            20..24 => self.broken(merchant),
            24..26 => self.unknown_merchant(),
            26..27 => self.invalid_key(merchant),
            27..227 => self.upsert(merchant),
            227..700 => self.credit(merchant),
            _ => self.redeem(merchant),
        }
    }

    // ---- what every command goes through ----

    pub fn command(&mut self, merchant: usize, customer: Option<Reference>, body: Body) -> Command {
        let occurred_at = self.business_time();
        Command {
            merchant: MERCHANTS[merchant].into(),
            key: format!("{:04}-{:07}", self.wave, self.made),
            customer,
            occurred_at,
            source: *self.rng.pick(&[None, Some("till"), Some("shop")]),
            body,
            unknown_field: false,
        }
    }

    /// The week passes while the waves do: the first of them tells of a week ago, the last of an hour ago. A few are
    /// hours late, a few happen now.
    fn business_time(&mut self) -> Option<Time> {
        let progress = (7 * DAY - 2 * HOUR) * self.wave / self.plan.waves;
        let usual = -7 * DAY + progress + self.rng.between(0, HOUR);
        match self.rng.below(100) {
            0..10 => None,
            10..15 => {
                self.late += 1;
                Some(Time::Run(usual - self.rng.between(3 * HOUR, 20 * HOUR)))
            }
            _ => Some(Time::Run(usual)),
        }
    }

    pub fn emit(&mut self, merchant: Option<usize>, command: Command) -> Outcome {
        let json = command.unknown_field || self.rng.permille(200);
        let encoding = if json { Encoding::Json } else { Encoding::Avro };
        let outcome = self.model.apply(&command, self.now());
        let command = Arc::new(command);
        if let Some(merchant) = merchant {
            self.sent[merchant].push((self.wave, command.clone()));
        }
        self.push(Content::Command { command, encoding });
        outcome
    }

    fn push(&mut self, content: Content) {
        let traceparent = self
            .rng
            .permille(100)
            .then(|| format!("00-{:016x}{:016x}-{:016x}-01", self.rng.next(), self.rng.next(), self.rng.next()));
        self.waves[self.wave as usize].push(Record { content, traceparent });
        self.made += 1;
    }

    /// Somebody of whom a record on this topic may tell now.
    pub fn somebody(&mut self, merchant: usize, topic: Topic) -> Option<usize> {
        for _ in 0..8 {
            let count = self.people[merchant].len();
            if count == 0 {
                return None;
            }
            let index = self.rng.below(count);
            let person = &self.people[merchant][index];
            let waits = topic == Topic::Redeem && person.is_quiet(self.now());
            if !waits && person.may_be_named_by(topic, self.wave) {
                self.people[merchant][index].name_on(topic, self.wave);
                return Some(index);
            }
        }
        None
    }

    // ---- what is wrong with the envelope ----

    /// The same once more, perhaps in the other encoding, perhaps from another system.
    fn duplicate(&mut self, merchant: usize) {
        if self.sent[merchant].is_empty() {
            return self.sign_up(merchant);
        }
        let index = self.rng.below(self.sent[merchant].len());
        let first = &self.sent[merchant][index].1;
        let mut again = (**first).clone();
        if !again.unknown_field {
            again.source = *self.rng.pick(&[None, Some("retry")]);
        } // else nobody can know that the source is one
        self.emit(None, again);
    }

    /// A key that has been used, with other content: on the same topic, or long enough after it on another.
    fn conflict(&mut self, merchant: usize) {
        if self.sent[merchant].is_empty() {
            return self.sign_up(merchant);
        }
        let index = self.rng.below(self.sent[merchant].len());
        let (wave, first) = self.sent[merchant][index].clone();
        let mut other = (*first).clone();
        match &mut other.body {
            Body::Credit { unit, amount, .. } if self.rng.permille(200) && wave + APART <= self.wave => {
                other.body = Body::Redeem { unit, amount: *amount, order: None };
                other.unknown_field = false;
            }
            Body::Credit { amount, .. } | Body::Redeem { amount, .. } => *amount += 1,
            Body::Upsert(profile) => profile.last_name = Some("Somebody Else".to_owned()),
            Body::Settings { .. } | Body::Unit { .. } | Body::Card { .. } => other.source = Some("retry"),
        }
        self.emit(None, other);
    }

    fn broken(&mut self, merchant: usize) {
        let flaw = *self.rng.pick(&Flaw::ALL);
        let topic = *self.rng.pick(&[Topic::CustomerUpsert, Topic::Credit, Topic::Redeem]);
        let body = match topic {
            Topic::Redeem => Body::Redeem { unit: "points", amount: 100, order: None },
            Topic::Credit => Body::Credit { unit: "points", amount: 100, order: None, expires_at: None },
            _ => Body::Upsert(Profile { first_name: Some("Nobody".to_owned()), ..Profile::default() }),
        };
        let reference = Reference::By(Identifier::ExternalId, "nobody-at-all".to_owned());
        let command = Arc::new(self.command(merchant, Some(reference), body));
        self.model.break_record(flaw);
        self.push(Content::Broken { topic, merchant: MERCHANTS[merchant].into(), flaw, command });
    }

    fn unknown_merchant(&mut self) {
        let body = Body::Credit { unit: "points", amount: 10, order: None, expires_at: None };
        let mut command = self.command(0, Some(Reference::By(Identifier::ExternalId, "c-000001".to_owned())), body);
        command.merchant = "merchant-nobody".into();
        self.emit(None, command);
    }

    fn invalid_key(&mut self, merchant: usize) {
        let body = Body::Redeem { unit: "points", amount: 10, order: None };
        let reference = Reference::By(Identifier::ExternalId, "c-000001".to_owned());
        let mut command = self.command(merchant, Some(reference), body);
        command.key = if self.rng.permille(500) { String::new() } else { "k".repeat(256) };
        self.emit(None, command);
    }

    // ---- orders and lots that expire during the run ----

    pub fn remember_order(&mut self, merchant: usize, unit: &'static str, order: String) {
        self.orders[merchant].push((unit, order));
    }

    pub fn earlier_order(&mut self, merchant: usize) -> Option<(&'static str, String)> {
        let count = self.orders[merchant].len();
        (count > 0).then(|| self.rng.below(count)).map(|index| self.orders[merchant][index].clone())
    }

    /// A lot that expires in some seconds. Around that moment the customer redeems nothing; after it, it tries to.
    pub fn expiring_soon(&mut self, merchant: usize, person: usize, unit: &'static str, amount: i64) -> Option<Time> {
        let after = self.rng.between(8 * SECOND, 12 * SECOND);
        let expiry = self.now() + after;
        if expiry > self.plan.waves * self.plan.wave_micros + 3 * SECOND {
            return None;
        }
        self.people[merchant][person].keep_quiet(expiry - 5 * SECOND, expiry + 2 * SECOND);
        let next = (expiry + 2 * SECOND) / self.plan.wave_micros + 1;
        if self.rng.permille(500) && next < self.plan.waves {
            self.expired.entry(next).or_default().push((merchant, person, unit, amount));
        }
        self.last_expiry = self.last_expiry.max(expiry);
        self.tickets += 1;
        Some(Time::Sent { ticket: self.tickets, after })
    }

    /// Somebody whom only a credit has named so far. The sign-up comes when the order of the topics can't matter any more.
    pub fn sign_up_later(&mut self, merchant: usize, external_id: String) {
        self.enrolled.entry(self.wave + APART).or_default().push((merchant, external_id));
    }

    /// Those who were awaited, sign-ups of whom a credit has enrolled, and redeems that a lot would have covered, had it not
    /// expired.
    fn follow_up(&mut self) {
        self.guests_come();
        for (merchant, external_id) in self.enrolled.remove(&self.wave).unwrap_or_default() {
            let identifiers = [Some(external_id), None, None];
            let profile = Profile { identifiers, first_name: Some("Newcomer".to_owned()), ..Profile::default() };
            let command = self.command(merchant, None, Body::Upsert(profile));
            self.emit(Some(merchant), command);
        }
        for (merchant, index, unit, amount) in self.expired.remove(&self.wave).unwrap_or_default() {
            let person = &mut self.people[merchant][index];
            if !person.may_be_named_by(Topic::Redeem, self.wave) || person.is_quiet(self.wave * self.plan.wave_micros) {
                continue;
            }
            person.name_on(Topic::Redeem, self.wave);
            let external_id = person.external_id.clone();
            let left = self.model.available(&MERCHANTS[merchant].into(), &external_id, unit, self.now());
            let reference = Reference::By(Identifier::ExternalId, external_id);
            let body = Body::Redeem { unit, amount: left + amount, order: None };
            let command = self.command(merchant, Some(reference), body);
            self.emit(Some(merchant), command);
        }
    }
}
