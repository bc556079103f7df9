//! What must become of the commands: the rules, as the documents state them, in the smallest form that can count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::command::{Body, Command, Flaw, Identifier, Profile, Reference, Time, Topic, UnitRules, UnknownCustomer};
use super::holdings::{Customer, Lot, end_of_local_day};

/// One row of the summary: what kind of command ended how, and whether it was an answer given before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    pub kind: String,
    /// The effect, or the rejection's code.
    pub verdict: String,
    pub duplicate: bool,
}

impl Outcome {
    fn of(kind: &str, verdict: &str, duplicate: bool) -> Outcome {
        Outcome { kind: kind.to_owned(), verdict: verdict.to_owned(), duplicate }
    }
}

/// What the generator says must have happened in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prediction {
    pub outcomes: BTreeMap<Outcome, u64>,
    /// By class.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Events of type points.expired.
    pub expiries: u64,
    /// What can be spent, by merchant and unit; where there is nothing, there is no line.
    pub balances: BTreeMap<(String, String), i64>,
    /// How many there are, by merchant.
    pub customers: BTreeMap<String, u64>,
}

impl Prediction {
    pub fn answers(&self) -> u64 {
        self.outcomes.values().sum::<u64>() + self.dead_letters.values().sum::<u64>()
    }
}

type Verdict = &'static str;

/// In place of a verdict, of a command that waits for its customer; what becomes of it is counted then.
pub const WAITS: Verdict = "waits";

pub struct Model {
    /// Of the run, in microseconds since 1970.
    start: i64,
    /// The planned sending of each ticket's first record.
    tickets: HashMap<u32, i64>,
    merchants: HashMap<Arc<str>, Merchant>,
    counted: Prediction,
    /// How many commands had to wait. Where topics race, the races decide.
    pub waited: u64,
}

#[derive(Default)]
struct Merchant {
    settings: Option<Settings>,
    /// By when each comes into force.
    units: HashMap<&'static str, BTreeMap<i64, UnitVersion>>,
    /// What each stamp card welcomes with.
    cards: HashMap<&'static str, i64>,
    remembered: HashMap<String, (Command, &'static str, Verdict)>,
    customers: Vec<Customer>,
    identities: HashMap<(Identifier, String), usize>,
    orders: BTreeSet<(&'static str, String)>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

struct Waiting {
    command: Command,
    sent_at: i64,
    deadline: i64,
}

#[derive(Clone, PartialEq)]
struct Settings {
    name: Option<&'static str>,
    zone: TimeZone,
    match_by: [Identifier; 3],
    max_age: i64,
    unknown_customer: Option<UnknownCustomer>,
}

struct UnitVersion {
    name: &'static str,
    scale: i32,
    rules: UnitRules,
}

const SECOND: i64 = 1_000_000;
const MAX_FUTURE: i64 = 5 * 60 * SECOND;

impl Model {
    pub fn new(start: i64) -> Model {
        let (tickets, merchants) = (HashMap::new(), HashMap::new());
        Model { start, tickets, merchants, counted: Prediction::default(), waited: 0 }
    }

    pub fn break_record(&mut self, flaw: Flaw) {
        *self.counted.dead_letters.entry(flaw.class()).or_default() += 1;
    }

    /// Decides one command. `at` is when it is to be sent, in microseconds of the run.
    pub fn apply(&mut self, command: &Command, at: i64) -> Outcome {
        if let Body::Credit { expires_at: Some(Time::Sent { ticket, .. }), .. } = command.body {
            self.tickets.entry(ticket).or_insert(at);
        }
        self.give_up(&command.merchant, at);
        let outcome = match self.put_beside(command, at) {
            Some(outcome) => outcome,
            None => self.decide(command, at, at),
        };
        if outcome.verdict == WAITS {
            self.waited += 1;
        } else {
            self.count(outcome.clone());
        }
        // A credit that enrols makes a customer too, but where credits enrol nothing waits.
        if command.topic() == Topic::CustomerUpsert {
            self.admit(&command.merchant, at);
        }
        outcome
    }

    fn count(&mut self, outcome: Outcome) {
        *self.counted.outcomes.entry(outcome).or_default() += 1;
    }

    /// A command under the key of one that waits: it waits too, if it is the same.
    fn put_beside(&mut self, command: &Command, at: i64) -> Option<Outcome> {
        let merchant = self.merchants.get_mut(&command.merchant)?;
        let first = merchant.waiting.iter().find(|waiting| waiting.command.key == command.key)?;
        if !first.command.says_the_same_as(command) {
            return Some(Outcome::of(command.kind(), "idempotency_conflict", false));
        }
        let deadline = first.deadline;
        merchant.waiting.push(Waiting { command: command.clone(), sent_at: at, deadline });
        Some(Outcome::of(command.kind(), WAITS, false))
    }

    /// Answers what has waited in vain by now.
    fn give_up(&mut self, merchant: &Arc<str>, now: i64) {
        while let Some(Waiting { command, .. }) = self.take(merchant, |_, waiting| waiting.deadline <= now) {
            let outcome = match self.known(&command) {
                Some(outcome) => outcome,
                None => self.remember(&command, "unknown_customer"),
            };
            self.count(outcome);
        }
    }

    /// Decides what waits for somebody who is there now.
    fn admit(&mut self, merchant: &Arc<str>, now: i64) {
        let is_there =
            |merchant: &Merchant, waiting: &Waiting| merchant.find(waiting.command.customer.as_ref()).is_some();
        while let Some(Waiting { command, sent_at, .. }) = self.take(merchant, is_there) {
            let outcome = self.decide(&command, sent_at, now);
            self.count(outcome);
        }
    }

    /// The first of those who wait of which this is true; it waits no longer.
    fn take(&mut self, merchant: &Arc<str>, is_it: impl Fn(&Merchant, &Waiting) -> bool) -> Option<Waiting> {
        let merchant = self.merchants.get_mut(merchant)?;
        let index = merchant.waiting.iter().position(|waiting| is_it(merchant, waiting))?;
        Some(merchant.waiting.remove(index))
    }

    /// A command that came at `sent_at`, which is now if it has not waited.
    fn decide(&mut self, command: &Command, sent_at: i64, now: i64) -> Outcome {
        let configures = command.topic() == Topic::MerchantConfig;
        if !configures && !self.merchants.contains_key(&command.merchant) {
            return Outcome::of(command.kind(), "unknown_merchant", false);
        }
        if command.key.is_empty() || command.key.chars().count() > 255 {
            return Outcome::of(command.kind(), "invalid_idempotency_key", false);
        }
        if let Some(outcome) = self.known(command) {
            return outcome;
        }
        let verdict = self.judge(command, sent_at, now);
        if verdict != WAITS {
            return self.remember(command, verdict);
        }
        let merchant = self.merchants.entry(command.merchant.clone()).or_default();
        let deadline = now + merchant.park_seconds().unwrap_or(0) * SECOND;
        merchant.waiting.push(Waiting { command: command.clone(), sent_at, deadline });
        Outcome::of(command.kind(), WAITS, false)
    }

    /// What a command comes to whose key has been used.
    fn known(&self, command: &Command) -> Option<Outcome> {
        let (first, kind, verdict) = self.merchants.get(&command.merchant)?.remembered.get(&command.key)?;
        Some(match first.says_the_same_as(command) {
            true => Outcome::of(kind, verdict, true),
            false => Outcome::of(command.kind(), "idempotency_conflict", false),
        })
    }

    fn remember(&mut self, command: &Command, verdict: Verdict) -> Outcome {
        let merchant = self.merchants.entry(command.merchant.clone()).or_default();
        merchant.remembered.insert(command.key.clone(), (command.clone(), command.kind(), verdict));
        Outcome::of(command.kind(), verdict, false)
    }

    fn judge(&mut self, command: &Command, sent_at: i64, now: i64) -> Verdict {
        let occurred_at = command.occurred_at.map_or(sent_at, |time| self.instant(time));
        let expires_at = match command.body {
            Body::Credit { expires_at: Some(time), .. } => Some(self.instant(time)),
            _ => None,
        };
        let effective_from = match command.body {
            Body::Unit { effective_from: Some(time), .. } => self.instant(time),
            _ => occurred_at,
        };
        let start = self.start;
        let expiries = &mut self.counted.expiries;
        let merchant = self.merchants.entry(command.merchant.clone()).or_default();
        let max_age = merchant.settings.as_ref().map_or(72 * 3600 * SECOND, |settings| settings.max_age);
        if occurred_at < sent_at - max_age || occurred_at > sent_at + MAX_FUTURE {
            return "occurred_at_out_of_range";
        }
        if command.unknown_field || !command.body.is_valid() {
            return "invalid_fields";
        }
        match &command.body {
            Body::Settings { name, time_zone, match_by, max_age_s, unknown_customer } => {
                merchant.configure(*name, *time_zone, *match_by, *max_age_s, *unknown_customer)
            }
            Body::Unit { unit, name, scale, rules, .. } => {
                merchant.define_unit(unit, name, effective_from, *scale, *rules)
            }
            Body::Card { card, initial } => merchant.define_card(card, *initial),
            Body::Upsert(profile) => merchant.upsert(command.customer.as_ref(), profile),
            Body::Credit { unit, amount, order, .. } => {
                let Some(rules) = merchant.rules_at(unit, occurred_at) else { return "unknown_unit" };
                let known = merchant.find(command.customer.as_ref());
                let newcomer = merchant.newcomer(command.customer.as_ref());
                if let Some(customer) = known {
                    *expiries += merchant.customers[customer].settle(now);
                    if merchant.customers[customer].profile.active == Some(false) {
                        return "customer_inactive";
                    }
                }
                if known.is_none() && newcomer.is_none() {
                    return merchant.unknown(command.customer.as_ref());
                }
                if let Some(order) = order
                    && !merchant.orders.insert((unit, order.clone()))
                {
                    return "duplicate_order";
                }
                let Some(customer) = known.or_else(|| newcomer.map(|identifier| merchant.enrol(identifier))) else {
                    return "unknown_customer";
                };
                let zone = merchant.settings.as_ref().map_or(TimeZone::UTC, |settings| settings.zone.clone());
                let by_policy =
                    rules.expiry_days.map(|days| end_of_local_day(start + occurred_at, days, &zone) - start);
                let lot = Lot { remaining: *amount, issued_at: occurred_at, expires_at: expires_at.or(by_policy) };
                let customer = &mut merchant.customers[customer];
                customer.accounts.entry(unit).or_default().push(lot);
                *expiries += customer.settle(now); // issued and expired at once
                "applied"
            }
            Body::Redeem { unit, amount, .. } => {
                let Some(rules) = merchant.rules_at(unit, occurred_at) else { return "unknown_unit" };
                let Some(customer) = merchant.find(command.customer.as_ref()) else {
                    return merchant.unknown(command.customer.as_ref());
                };
                let customer = &mut merchant.customers[customer];
                *expiries += customer.settle(now);
                if customer.profile.active == Some(false) {
                    return "customer_inactive";
                }
                if *amount < rules.min_amount {
                    return "below_minimum";
                }
                let available = customer.available(unit);
                if available < rules.min_held {
                    return "minimum_balance_not_met";
                }
                if available < *amount {
                    return "insufficient_points";
                }
                customer.spend(unit, *amount);
                "applied"
            }
        }
    }

    /// What a customer could spend at this moment of the run, all else unchanged.
    pub fn available(&self, merchant: &Arc<str>, external_id: &str, unit: &str, at: i64) -> i64 {
        let Some(merchant) = self.merchants.get(merchant) else { return 0 };
        let id = (Identifier::ExternalId, external_id.to_owned());
        let Some(customer) = merchant.identities.get(&id).and_then(|index| merchant.customers.get(*index)) else {
            return 0;
        };
        let lots = customer.accounts.get(unit).map_or(&[][..], Vec::as_slice);
        lots.iter().filter(|lot| lot.expires_at.is_none_or(|expiry| expiry > at)).map(|lot| lot.remaining).sum()
    }

    /// The counts once time has passed `until`, in microseconds of the run.
    pub fn finish(mut self, until: i64) -> Prediction {
        let names: Vec<Arc<str>> = self.merchants.keys().cloned().collect();
        names.iter().for_each(|name| self.give_up(name, until));
        for (name, merchant) in &mut self.merchants {
            for customer in &mut merchant.customers {
                self.counted.expiries += customer.settle(until);
                *self.counted.customers.entry(name.to_string()).or_default() += 1;
                for (unit, lots) in &customer.accounts {
                    let line = self.counted.balances.entry((name.to_string(), (*unit).to_owned())).or_default();
                    *line += lots.iter().map(|lot| lot.remaining).sum::<i64>();
                }
            }
        }
        self.counted.balances.retain(|_, balance| *balance != 0);
        self.counted
    }

    /// Microseconds of the run.
    fn instant(&self, time: Time) -> i64 {
        match time {
            Time::Run(micros) => micros,
            Time::Sent { ticket, after } => self.tickets.get(&ticket).map_or(after, |sent| sent + after),
        }
    }
}

impl Merchant {
    fn configure(
        &mut self,
        name: Option<&'static str>,
        zone: Option<&str>,
        match_by: Option<[Identifier; 3]>,
        max_age_s: Option<i64>,
        unknown_customer: Option<UnknownCustomer>,
    ) -> Verdict {
        let before = self.settings.clone();
        let settings = self.settings.get_or_insert(Settings {
            name: None,
            zone: TimeZone::UTC,
            match_by: Identifier::ALL,
            max_age: 72 * 3600 * SECOND,
            unknown_customer: None,
        });
        settings.name = name.or(settings.name);
        if let Some(zone) = zone.and_then(|name| TimeZone::get(name).ok()) {
            settings.zone = zone;
        }
        settings.match_by = match_by.unwrap_or(settings.match_by);
        settings.max_age = max_age_s.map_or(settings.max_age, |seconds| seconds * SECOND);
        settings.unknown_customer = unknown_customer.or(settings.unknown_customer);
        match before {
            None => "created",
            Some(before) if before == *settings => "unchanged",
            Some(_) => "updated",
        }
    }

    fn define_unit(
        &mut self,
        unit: &'static str,
        name: &'static str,
        effective_from: i64,
        scale: i32,
        rules: UnitRules,
    ) -> Verdict {
        let versions = self.units.entry(unit).or_default();
        let (begins, verdict) = match versions.range(..=effective_from).next_back() {
            Some((_, before)) if before.scale != scale => return "protected_field",
            Some((_, before)) if (before.name, before.rules) == (name, rules) => return "unchanged",
            Some(_) => (effective_from, "updated"),
            None => (i64::MIN, "created"),
        };
        versions.insert(begins, UnitVersion { name, scale, rules });
        verdict
    }

    fn define_card(&mut self, card: &'static str, initial: i64) -> Verdict {
        match self.cards.insert(card, initial) {
            None => "created",
            Some(before) if before == initial => "unchanged",
            Some(_) => "updated",
        }
    }

    fn rules_at(&self, unit: &str, at: i64) -> Option<UnitRules> {
        self.units.get(unit)?.range(..=at).next_back().map(|(_, version)| version.rules)
    }

    fn find(&self, reference: Option<&Reference>) -> Option<usize> {
        match reference? {
            Reference::CustomerId(_) => None, // the generator never learns the ids of real customers
            Reference::By(kind, value) => self.identities.get(&(*kind, kind.normal(value))).copied(),
        }
    }

    fn unknown_customer(&self) -> Option<UnknownCustomer> {
        self.settings.as_ref()?.unknown_customer
    }

    fn park_seconds(&self) -> Option<i64> {
        match self.unknown_customer()? {
            UnknownCustomer::Park { seconds } => Some(seconds),
            UnknownCustomer::Enrol => None,
        }
    }

    /// What becomes of a credit or a redeem for somebody who is not there and whom it does not make.
    fn unknown(&self, reference: Option<&Reference>) -> Verdict {
        match reference {
            Some(Reference::By(..)) if self.park_seconds().is_some() => WAITS,
            _ => "unknown_customer",
        }
    }

    /// The identifier by which a credit makes a customer, should nobody have it.
    fn newcomer(&self, reference: Option<&Reference>) -> Option<(Identifier, String)> {
        match reference? {
            Reference::By(kind, value) if self.unknown_customer() == Some(UnknownCustomer::Enrol) => {
                Some((*kind, kind.normal(value)))
            }
            Reference::By(..) | Reference::CustomerId(_) => None,
        }
    }

    fn enrol(&mut self, (kind, value): (Identifier, String)) -> usize {
        let (active, notify) = (Some(true), Some(false));
        let mut profile = Profile { active, notify_email: notify, notify_phone: notify, ..Profile::default() };
        profile.identifiers[kind as usize] = Some(value.clone());
        self.customers.push(Customer { profile, incomplete: true, ..Customer::default() });
        self.identities.insert((kind, value), self.customers.len() - 1);
        self.customers.len() - 1
    }

    /// Whether the customer did not have the card yet. All cards of the week are there and stay open.
    fn welcome(&mut self, index: usize, card: &'static str) -> bool {
        let customer = &mut self.customers[index];
        let is_new = customer.cards.insert(card);
        let initial = self.cards.get(card).copied().unwrap_or_default();
        if is_new && initial > 0 {
            let lot = Lot { remaining: initial, issued_at: 0, expires_at: None };
            customer.accounts.entry(card).or_default().push(lot);
        }
        is_new
    }

    fn upsert(&mut self, reference: Option<&Reference>, profile: &Profile) -> Verdict {
        let mut hits = BTreeSet::new();
        for kind in self.settings.as_ref().map_or(Identifier::ALL, |settings| settings.match_by) {
            if let Some(value) = &profile.identifiers[kind as usize] {
                hits.extend(self.identities.get(&(kind, kind.normal(value))));
            }
        }
        let named = self.find(reference);
        if hits.len() > 1 || (reference.is_some() && hits.iter().any(|hit| Some(*hit) != named)) {
            return "identity_conflict";
        }
        if reference.is_some() && named.is_none() {
            return "unknown_customer";
        }
        let (index, effect) = match named.or(hits.first().copied()) {
            Some(index) => (index, "updated"),
            None if profile.identifiers.iter().all(Option::is_none) => return "invalid_fields",
            None => {
                self.customers.push(Customer::default());
                (self.customers.len() - 1, "created")
            }
        };
        let before = self.customers[index].profile.clone();
        let was_incomplete = std::mem::take(&mut self.customers[index].incomplete);
        let customer = &mut self.customers[index].profile;
        for kind in Identifier::ALL {
            if let Some(value) = &profile.identifiers[kind as usize] {
                let value = kind.normal(value);
                if let Some(old) = customer.identifiers[kind as usize].replace(value.clone()) {
                    self.identities.remove(&(kind, old));
                }
                self.identities.insert((kind, value), index);
            }
        }
        customer.first_name = profile.first_name.clone().or(customer.first_name.take());
        customer.last_name = profile.last_name.clone().or(customer.last_name.take());
        customer.birth_date = profile.birth_date.clone().or(customer.birth_date.take());
        customer.active = profile.active.or(customer.active).or(Some(true));
        customer.notify_email = profile.notify_email.or(customer.notify_email).or(Some(false));
        customer.notify_phone = profile.notify_phone.or(customer.notify_phone).or(Some(false));
        let is_same = *customer == before;
        let is_new = profile.card.is_some_and(|card| self.welcome(index, card));
        if effect == "updated" && is_same && !was_incomplete && !is_new { "unchanged" } else { effect }
    }
}
