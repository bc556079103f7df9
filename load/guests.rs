//! Commands that come before their customer, at the merchants where they wait.
//!
//! At two merchants, one of each lane, customers earn before they are signed up: a till is faster than the office. The sign-up comes up
//! to some waves later, or in the same wave, so that the topics race; what they earned is theirs in either order. Commands wait an
//! hour there, longer than a test takes, whatever it kills: so nobody comes too late, and nobody is named there who never comes.
//!
//! At two others nobody comes. Commands wait a second there, and are refused then, whenever a worker or a tick happens to see that.

use super::command::{Body, Command, Identifier, Reference, Topic, UnknownCustomer};
use super::generate::Generator;
use super::model::WAITS;
use super::people::{APART, Early, Person};

/// The numbers of those who come late begin here, beyond those of all others.
const FIRST_NUMBER: usize = 500_000;

const FOR_GUESTS: UnknownCustomer = UnknownCustomer::Park { seconds: 3600 };
const IN_VAIN: UnknownCustomer = UnknownCustomer::Park { seconds: 1 };

/// What a merchant lets become of a credit for somebody whom nobody knows, if it is not rejected at once.
pub fn unknown_customer(merchant: usize) -> Option<UnknownCustomer> {
    match merchant {
        3 | 7 => Some(UnknownCustomer::Enrol),
        4 | 5 => Some(FOR_GUESTS),
        1 | 6 => Some(IN_VAIN),
        _ => None,
    }
}

/// Whether commands of this merchant wait for those who come.
pub fn awaits_guests(merchant: usize) -> bool {
    unknown_customer(merchant) == Some(FOR_GUESTS)
}

/// Whether commands of this merchant wait for those who never come.
pub fn waits_in_vain(merchant: usize) -> bool {
    unknown_customer(merchant) == Some(IN_VAIN)
}

impl Generator {
    /// Somebody earns who is signed up some waves later, or at once, and may spend in between.
    pub fn guest(&mut self, merchant: usize) {
        self.guests.count += 1;
        let mut person = Person::new(merchant, FIRST_NUMBER + self.guests.count, &mut self.rng);
        person.active = !self.rng.permille(30);
        person.name_on(Topic::Credit, self.wave);
        let after = self.rng.between(0, 3 * APART).min(self.plan.waves - 1 - self.wave);
        let is_sure = after >= APART;
        let mut points = 0;
        for _ in 0..self.rng.between(1, 3) {
            let unit = *self.rng.pick(&["points", "points", "gift"]);
            let amount = self.rng.between(100, 2_500);
            let order = self.rng.permille(600).then(|| format!("o-{merchant}-{}", self.made));
            let mut body = Body::Credit { unit, amount, order, expires_at: None };
            match self.earlier_order(merchant) {
                // It has earned by now, for sure. A guest's own order is for nobody else: who earns for it would depend on the race.
                Some((unit, order)) if self.rng.permille(50) => {
                    body = Body::Credit { unit, amount, order: Some(order), expires_at: None };
                }
                _ if unit == "points" => points += amount,
                _ => {}
            }
            let reference = person.reference(&mut self.rng);
            self.early(Early { merchant, reference, body, is_sure });
        }
        // Behind all that was earned, also where the topics race.
        if is_sure && points > 0 && self.rng.permille(500) {
            let amount = if self.rng.permille(700) { self.rng.between(1, points) } else { points + 1 };
            let body = Body::Redeem { unit: "points", amount, order: None };
            let reference = person.reference(&mut self.rng);
            let wave = self.wave + APART;
            person.name_on(Topic::Redeem, wave);
            let redeem = Early { merchant, reference, body, is_sure: after >= 2 * APART };
            self.guests.redeems.entry(wave).or_default().push(redeem);
        }
        match after {
            0 => self.enter(merchant, person),
            _ => self.guests.sign_ups.entry(self.wave + after).or_default().push((merchant, person)),
        }
    }

    /// Somebody is named who never comes.
    pub fn nobody_comes(&mut self, merchant: usize, body: Body) {
        let reference = self.stranger();
        self.early(Early { merchant, reference, body, is_sure: true });
    }

    /// Some commands that wait are sent twice, and of some the key is used again.
    fn early(&mut self, early: Early) {
        let Early { merchant, reference, body, is_sure } = early;
        let command = self.command(merchant, Some(reference), body);
        let waits = self.emit(Some(merchant), command.clone()).verdict == WAITS;
        self.guests.sure_to_wait += u64::from(waits && is_sure);
        if self.rng.permille(200) {
            self.emit(None, Command { source: Some("retry"), ..command.clone() });
        }
        if self.rng.permille(100) {
            let mut other = command;
            if let Body::Credit { amount, .. } | Body::Redeem { amount, .. } = &mut other.body {
                *amount += 1;
            }
            self.emit(None, other);
        }
    }

    /// Those who are due come in.
    pub fn guests_come(&mut self) {
        for redeem in self.guests.redeems.remove(&self.wave).unwrap_or_default() {
            self.early(redeem);
        }
        for (merchant, person) in self.guests.sign_ups.remove(&self.wave).unwrap_or_default() {
            self.enter(merchant, person);
        }
    }

    /// An identifier that nobody has or gets.
    pub fn stranger(&mut self) -> Reference {
        match self.rng.below(3) {
            0 => Reference::By(Identifier::Phone, format!("+4930{:08}", self.made)),
            1 => Reference::By(Identifier::Email, format!("nobody.{}@nowhere.example", self.made)),
            _ => Reference::By(Identifier::ExternalId, format!("nobody-{}", self.made)),
        }
    }
}
