//! The customers of the trading week, as their merchants' tills know them.

use std::collections::BTreeMap;

use super::command::{Body, Identifier, Profile, Reference, Topic};
use super::rng::Rng;

const FIRST: [&str; 16] = [
    "Ada", "Björn", "Chiara", "Dmitri", "Élodie", "Farid", "Grace", "Hiro", "Ines", "João", "Kemal", "Lucía", "Mila",
    "Noor", "Olu", "Paula",
];
const LAST: [&str; 16] = [
    "Abel", "Bakker", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ito", "Jansen", "Kaya", "Lopez",
    "Müller", "Novak", "Okafor", "Petrov",
];

/// In how many waves' distance records of one customer may stand on different topics.
pub const APART: i64 = 4;

#[derive(Debug, Clone)]
pub struct Person {
    pub external_id: String,
    pub phone: String,
    pub email: String,
    pub first_name: String,
    pub active: bool,
    /// The last wave that named this customer, by topic.
    touched: [Option<i64>; 4],
    /// Moments of the run in which nothing is redeemed, because a lot expires.
    quiet: Vec<(i64, i64)>,
}

impl Person {
    pub fn new(merchant: usize, number: usize, rng: &mut Rng) -> Person {
        let first_name = (*rng.pick(&FIRST)).to_owned();
        Person {
            external_id: format!("c-{number:06}"),
            phone: format!("+49151{merchant}{number:06}"),
            email: format!("customer.{number}@shop-{merchant}.example"),
            first_name,
            active: true,
            touched: [None; 4],
            quiet: Vec::new(),
        }
    }

    /// Whether a record on this topic could not be told apart from one on another topic by their order.
    pub fn may_be_named_by(&self, topic: Topic, wave: i64) -> bool {
        let mut others = self.touched.iter().enumerate().filter(|(index, _)| *index != topic.index());
        others.all(|(_, last)| last.is_none_or(|last| last + APART <= wave))
    }

    pub fn name_on(&mut self, topic: Topic, wave: i64) {
        self.touched[topic.index()] = Some(wave);
    }

    pub fn is_quiet(&self, at: i64) -> bool {
        self.quiet.iter().any(|(from, until)| (*from..=*until).contains(&at))
    }

    pub fn keep_quiet(&mut self, from: i64, until: i64) {
        self.quiet.retain(|(_, earlier)| *earlier >= from - 60_000_000);
        self.quiet.push((from, until));
    }

    /// Everything that a first sign-up says.
    pub fn sign_up(&self, rng: &mut Rng) -> Profile {
        let mut profile = Profile {
            identifiers: [Some(self.external_id.clone()), Some(self.phone.clone()), Some(self.email.clone())],
            first_name: Some(self.first_name.clone()),
            last_name: Some((*rng.pick(&LAST)).to_owned()),
            birth_date: None,
            active: (!self.active).then_some(false),
            notify_email: rng.permille(600).then_some(true),
            notify_phone: rng.permille(200).then_some(true),
            card: None,
        };
        if rng.permille(500) {
            profile.birth_date =
                Some(format!("{}-{:02}-{:02}", rng.between(1940, 2005), rng.between(1, 12), rng.between(1, 28)));
        }
        profile
    }

    /// One of the identifiers, now and then written as people write it.
    pub fn reference(&self, rng: &mut Rng) -> Reference {
        let kind = match rng.below(10) {
            0 | 1 => Identifier::Phone,
            2 => Identifier::Email,
            _ => Identifier::ExternalId,
        };
        Reference::By(kind, self.written(kind, rng))
    }

    /// An identifier, now and then as people write it.
    pub fn written(&self, kind: Identifier, rng: &mut Rng) -> String {
        let plain = rng.permille(600);
        match kind {
            Identifier::ExternalId => self.external_id.clone(),
            Identifier::Phone if plain => self.phone.clone(),
            Identifier::Phone => format!("{} {}-{}", &self.phone[..3], &self.phone[3..6], &self.phone[6..]),
            Identifier::Email if plain => self.email.clone(),
            Identifier::Email => self.email.to_uppercase(),
        }
    }
}

/// Who is yet to come.
#[derive(Default)]
pub struct Guests {
    pub count: usize,
    /// By the wave of their sign-up, with their merchants.
    pub sign_ups: BTreeMap<i64, Vec<(usize, Person)>>,
    /// By wave: what they spend before they are signed up, or beside it.
    pub redeems: BTreeMap<i64, Vec<Early>>,
    /// How many commands wait, however the topics race.
    pub sure_to_wait: u64,
}

/// A command for somebody who is yet to come.
pub struct Early {
    pub merchant: usize,
    pub reference: Reference,
    pub body: Body,
    pub is_sure: bool,
}
