//! What the merchants of the week do all day: they sign customers up, they give and they take.

use super::MERCHANTS;
use super::command::{Body, Identifier, Profile, Reference, Time, Topic, UnitRules, UnknownCustomer};
use super::generate::{Generator, SECOND};
use super::guests::{awaits_guests, unknown_customer, waits_in_vain};
use super::holdings::end_of_local_day;
use super::people::Person;

const DAY: i64 = 24 * 3600 * SECOND;

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Europe/Rome",
    "America/Mexico_City",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "UTC",
];

/// Lots of this unit live for so few days that late earnings have expired when they come. The first two merchants have it.
const FLASH_DAYS: i32 = 2;

/// Merchants whose credits enrol.
fn enrols(merchant: usize) -> bool {
    unknown_customer(merchant) == Some(UnknownCustomer::Enrol)
}

/// The stamp card of those merchants that have one.
fn card(merchant: usize) -> Option<&'static str> {
    matches!(merchant, 2 | 5).then_some("coffee")
}

impl Generator {
    /// The first wave: settings and units of all merchants. Nothing else is sent until they are in force.
    pub fn configure_merchants(&mut self) {
        use Identifier::{Email, ExternalId, Phone};
        for merchant in 0..MERCHANTS.len() {
            let match_by =
                [[ExternalId, Phone, Email], [Phone, Email, ExternalId], [Email, ExternalId, Phone]][merchant % 3];
            let settings = Body::Settings {
                name: Some(MERCHANTS[merchant]),
                time_zone: Some(ZONES[merchant]),
                match_by: Some(match_by),
                max_age_s: Some(9 * 24 * 3600),
                unknown_customer: unknown_customer(merchant),
            };
            self.configure(merchant, settings);
            let points = UnitRules { expiry_days: Some(365), min_held: 0, min_amount: 50 };
            let unit = |unit, name, scale, rules| Body::Unit { unit, name, scale, effective_from: None, rules };
            self.configure(merchant, unit("points", "Points", 0, points));
            let gift = UnitRules { expiry_days: None, min_held: 1_000, min_amount: 1 };
            self.configure(merchant, unit("gift", "Gift card", 2, gift));
            if let Some(card) = card(merchant) {
                self.configure(merchant, Body::Card { card, initial: 2 });
            }
            if merchant < 2 {
                let flash = UnitRules { expiry_days: Some(FLASH_DAYS), min_held: 0, min_amount: 1 };
                self.configure(merchant, unit("flash", "Flash points", 0, flash));
            }
            // From the middle of the week on, redemptions are larger: a command is judged by what was in force when it occurred.
            let effective_from = Some(Time::Run(-3 * DAY));
            let rules = UnitRules { min_amount: 200, ..points };
            self.configure(merchant, Body::Unit { unit: "points", name: "Points", scale: 0, effective_from, rules });
        }
        self.configure(
            0,
            Body::Settings {
                name: None,
                time_zone: Some("Mars/Olympus"),
                match_by: None,
                max_age_s: None,
                unknown_customer: None,
            },
        );
        let rules = UnitRules { expiry_days: None, min_held: 0, min_amount: 1 };
        self.configure(1, Body::Unit { unit: "wide", name: "Too wide", scale: 9, effective_from: None, rules });
        self.configure(2, Body::Unit { unit: "gift", name: "Other scale", scale: 0, effective_from: None, rules });
    }

    fn configure(&mut self, merchant: usize, body: Body) {
        let mut command = self.command(merchant, None, body);
        command.occurred_at = None;
        // Some twice: the second is a duplicate.
        if self.rng.permille(200) {
            self.emit(None, command.clone());
        }
        self.emit(Some(merchant), command);
    }

    pub fn sign_up(&mut self, merchant: usize) {
        let mut person = Person::new(merchant, self.people[merchant].len() + 1, &mut self.rng);
        person.active = !self.rng.permille(30);
        self.enter(merchant, person);
    }

    pub fn enter(&mut self, merchant: usize, mut person: Person) {
        person.name_on(Topic::CustomerUpsert, self.wave);
        let mut profile = person.sign_up(&mut self.rng);
        profile.card = self.perhaps_a_card(merchant);
        self.people[merchant].push(person);
        let command = self.command(merchant, None, Body::Upsert(profile));
        self.emit(Some(merchant), command);
    }

    fn perhaps_a_card(&mut self, merchant: usize) -> Option<&'static str> {
        card(merchant).filter(|_| self.rng.permille(400))
    }

    pub fn upsert(&mut self, merchant: usize) {
        let wrong = self.rng.below(100);
        if wrong < 6 && self.people[merchant].len() > 2 {
            return self.wrong_upsert(merchant, wrong);
        }
        if self.rng.permille(600) {
            return self.sign_up(merchant);
        }
        let Some(index) = self.somebody(merchant, Topic::CustomerUpsert) else { return self.sign_up(merchant) };
        let person = &mut self.people[merchant][index];
        let mut profile = Profile::default();
        let mut reference = None;
        match self.rng.below(8) {
            // Nothing new.
            0 | 1 => {
                profile.identifiers[0] = Some(person.external_id.clone());
                profile.first_name = Some(person.first_name.clone());
            }
            // Matched by another identifier, as people write it.
            2 | 3 => {
                let kind = if self.rng.permille(500) { Identifier::Phone } else { Identifier::Email };
                profile.identifiers[kind as usize] = Some(person.written(kind, &mut self.rng));
                profile.notify_email = Some(self.rng.permille(500));
            }
            // A new phone number; the old one is free.
            4 => {
                person.phone = format!("+4917{}{:02}{:06}", merchant, self.wave % 100, index);
                reference = Some(Reference::By(Identifier::ExternalId, person.external_id.clone()));
                profile.identifiers[1] = Some(person.phone.clone());
            }
            5 => {
                person.active = !person.active;
                if self.rng.permille(700) {
                    person.active = true; // most stay
                }
                profile.active = Some(person.active);
                reference = Some(person.reference(&mut self.rng));
            }
            _ => {
                person.first_name = format!("{} {}", person.first_name.split(' ').next().unwrap_or("X"), self.wave);
                profile.first_name = Some(person.first_name.clone());
                reference = Some(person.reference(&mut self.rng));
            }
        }
        profile.card = self.perhaps_a_card(merchant);
        let command = self.command(merchant, reference, Body::Upsert(profile));
        self.emit(Some(merchant), command);
    }

    fn wrong_upsert(&mut self, merchant: usize, wrong: usize) {
        let mut reference = None;
        let mut profile = Profile::default();
        let count = self.people[merchant].len();
        match wrong {
            // One customer's id with another one's e-mail.
            0 | 1 => {
                let one = self.rng.below(count);
                let other = (one + 1 + self.rng.below(count - 1)) % count;
                profile.identifiers[0] = Some(self.people[merchant][one].external_id.clone());
                profile.identifiers[2] = Some(self.people[merchant][other].email.clone());
            }
            2 => profile.first_name = Some("Without any identifier".to_owned()),
            3 => {
                reference = Some(self.nobody(merchant));
                profile.first_name = Some("Nobody".to_owned());
            }
            4 => profile.identifiers[2] = Some("this is no address".to_owned()),
            _ => {
                profile.identifiers[0] = Some(format!("never-{}", self.made));
                profile.birth_date = Some("1990-02-31".to_owned());
            }
        }
        let command = self.command(merchant, reference, Body::Upsert(profile));
        self.emit(Some(merchant), command);
    }

    /// Nobody waits for a customer id, nor for ever.
    fn nobody(&mut self, merchant: usize) -> Reference {
        if awaits_guests(merchant) || self.rng.permille(300) {
            return Reference::CustomerId(format!("00000000-0000-8000-8000-{:012x}", self.made));
        }
        self.stranger()
    }

    fn unit(&mut self, merchant: usize) -> &'static str {
        match self.rng.below(10) {
            0 | 1 => "gift",
            2 if merchant < 2 => "flash",
            _ => "points",
        }
    }

    pub fn credit(&mut self, merchant: usize) {
        if awaits_guests(merchant) && self.rng.permille(40) {
            return self.guest(merchant);
        }
        if waits_in_vain(merchant) && self.rng.permille(30) {
            let (unit, amount) = (self.unit(merchant), self.rng.between(10, 2_500));
            let order = self.rng.permille(600).then(|| format!("o-{merchant}-{}", self.made));
            return self.nobody_comes(merchant, Body::Credit { unit, amount, order, expires_at: None });
        }
        let Some(index) = self.somebody(merchant, Topic::Credit) else { return self.sign_up(merchant) };
        let mut unit = self.unit(merchant);
        let amount = self.rng.between(10, 2_500);
        let reference = self.people[merchant][index].reference(&mut self.rng);
        let order = self.rng.permille(600).then(|| format!("o-{merchant}-{}", self.made));
        let body = Body::Credit { unit, amount, order: order.clone(), expires_at: None };
        let mut command = self.command(merchant, Some(reference), body);
        let mut expiry = None;
        match self.rng.below(1000) {
            0..4 => return self.wrong(merchant, command),
            4..12 => {
                if let Some((earned, order)) = self.earlier_order(merchant) {
                    command.body = Body::Credit { unit: earned, amount, order: Some(order), expires_at: None };
                    self.emit(Some(merchant), command);
                    return;
                }
            }
            12..52 if unit != "flash" => expiry = self.expiring_soon(merchant, index, unit, amount),
            52..62 => {
                // Passed already: issued and expired at once.
                command.occurred_at = Some(Time::Run(-5 * DAY - self.rng.between(0, DAY)));
                expiry = Some(Time::Run(-3 * DAY + self.rng.between(0, DAY)));
            }
            92..100 if enrols(merchant) => {
                let newcomer = format!("n-{merchant}-{}", self.made);
                command.customer = Some(Reference::By(Identifier::ExternalId, newcomer.clone()));
                self.sign_up_later(merchant, newcomer);
                self.emit(Some(merchant), command);
                return;
            }
            62..92 => expiry = Some(Time::Run(self.rng.between(5 * DAY, 300 * DAY))),
            _ => {}
        }
        if unit == "flash" && expiry.is_none() && self.flash_expires_during_the_run(merchant, command.occurred_at) {
            unit = "points";
        }
        command.body = Body::Credit { unit, amount, order: order.clone(), expires_at: expiry };
        let outcome = self.emit(Some(merchant), command);
        if let Some(order) = order
            && outcome.verdict == "applied"
        {
            self.remember_order(merchant, unit, order);
        }
    }

    /// A local midnight is not ours to choose: what would expire at one that is near is given otherwise.
    fn flash_expires_during_the_run(&self, merchant: usize, occurred_at: Option<Time>) -> bool {
        let occurred_at = match occurred_at {
            Some(Time::Run(micros)) => micros,
            _ => self.now(),
        };
        let zone = jiff::tz::TimeZone::get(ZONES[merchant]).unwrap_or(jiff::tz::TimeZone::UTC);
        let expiry = end_of_local_day(self.plan.start + occurred_at, FLASH_DAYS, &zone) - self.plan.start;
        (-120 * SECOND..3600 * SECOND).contains(&expiry)
    }

    pub fn redeem(&mut self, merchant: usize) {
        if waits_in_vain(merchant) && self.rng.permille(30) {
            let (unit, amount) = (self.unit(merchant), self.rng.between(10, 300));
            return self.nobody_comes(merchant, Body::Redeem { unit, amount, order: None });
        }
        let Some(index) = self.somebody(merchant, Topic::Redeem) else { return self.sign_up(merchant) };
        let person = &self.people[merchant][index];
        let (external_id, reference) = (person.external_id.clone(), person.reference(&mut self.rng));
        let unit = self.unit(merchant);
        let available = self.model.available(&MERCHANTS[merchant].into(), &external_id, unit, self.now());
        let amount = match self.rng.below(100) {
            0..8 => available + self.rng.between(1, 500),
            8..12 => self.rng.between(1, 40),
            _ if available > 0 => self.rng.between(1, available).max((available / 2).min(200)),
            _ => self.rng.between(10, 300),
        };
        let order = self.rng.permille(300).then(|| format!("r-{merchant}-{}", self.made));
        let command = self.command(merchant, Some(reference), Body::Redeem { unit, amount, order });
        if self.rng.permille(5) {
            return self.wrong(merchant, command);
        }
        self.emit(Some(merchant), command);
    }

    /// A credit or a redeem that is wrong in itself.
    fn wrong(&mut self, merchant: usize, mut command: super::command::Command) {
        let which = self.rng.below(6);
        let (Body::Credit { unit, amount, .. } | Body::Redeem { unit, amount, .. }) = &mut command.body else { return };
        match which {
            0 => *unit = "stars",
            1 => *amount = *self.rng.pick(&[0, -5, 1_000_000_000_001]),
            2 => command.customer = Some(self.nobody(merchant)),
            3 => command.occurred_at = Some(Time::Run(-40 * DAY)),
            4 => command.occurred_at = Some(Time::Run(2 * DAY)),
            _ => command.unknown_field = true,
        }
        self.emit(Some(merchant), command);
    }
}
