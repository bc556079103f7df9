//! The commands of the benchmark: 70 % credits, 28 % redeems, 2 % upserts; of all, 1 % are duplicates and 3 % are rejected.

use std::collections::HashMap;
use std::sync::Arc;

use crate::load::command::{Body, Command, Content, Encoding, Identifier, Profile, Record, Reference};
use crate::load::rng::Rng;
use crate::load::{MERCHANTS, now_micros};

/// How often which customer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    Uniform,
    /// The nth most frequent one n times as rarely as the first: Zipf's law with exponent 1.
    Zipf,
}

/// Who trades.
#[derive(Debug, Clone, Copy)]
pub struct Market {
    pub customers: u64,
    pub spread: Spread,
    /// All commands are of one merchant.
    pub one_merchant: bool,
    /// Customers redeem a twentieth of what they earn, so that their lots pile up; else, in the long run, all of it.
    pub hoarding: bool,
}

/// An endless stream of commands; with the same market always the same customers and amounts, and never the same keys.
pub struct Trade {
    market: Market,
    /// In every key, so that no run repeats another's.
    run: i64,
    rng: Rng,
    /// What each customer has earned in this stream and not redeemed.
    earned: HashMap<u64, i64>,
    recent: Vec<Record>,
    pub made: u64,
}

/// A duplicate repeats one of so many.
const REMEMBERED: usize = 1_000;
const THE_MERCHANT: u64 = 1;

impl Trade {
    pub fn new(market: Market) -> Trade {
        Trade { market, run: now_micros(), rng: Rng::new(4_711), earned: HashMap::new(), recent: Vec::new(), made: 0 }
    }

    pub fn next_record(&mut self) -> Record {
        self.made += 1;
        if self.rng.permille(10) && self.recent.len() == REMEMBERED {
            return self.rng.pick(&self.recent).clone();
        }
        let record = self.new_record();
        if self.recent.len() < REMEMBERED {
            self.recent.push(record.clone());
        } else {
            let index = self.rng.below(REMEMBERED);
            self.recent[index] = record.clone();
        }
        record
    }

    /// Which of the stream's commands has this key; `None` for those of another run.
    pub fn number_of(&self, key: &str) -> Option<u64> {
        let (run, number) = key.split_once('-')?;
        (i64::from_str_radix(run, 16).ok()? == self.run).then_some(())?;
        u64::from_str_radix(number, 16).ok()
    }

    fn new_record(&mut self) -> Record {
        let customer = self.customer();
        let body = match self.rng.below(1000) {
            0..20 => Body::Upsert(Profile { first_name: Some(format!("Name {}", self.made)), ..Profile::default() }),
            20..300 => {
                // A tenth of the redeems asks for what nobody has.
                let amount = if self.rng.permille(107) { 1_000_000_000 } else { self.amount_to_redeem(customer) };
                Body::Redeem { unit: "points", amount, order: None }
            }
            _ => {
                let order = self.rng.permille(300).then(|| format!("order-{:x}-{:x}", self.run, self.made));
                let amount = self.rng.between(1, 500);
                *self.earned.entry(customer).or_default() += amount;
                Body::Credit { unit: "points", amount, order, expires_at: None }
            }
        };
        let command = Command {
            // As the customers were put in place.
            merchant: MERCHANTS[(customer % MERCHANTS.len() as u64) as usize].into(),
            key: format!("{:x}-{:x}", self.run, self.made),
            customer: Some(Reference::By(Identifier::ExternalId, format!("c-{customer}"))),
            occurred_at: None,
            source: None,
            body,
            unknown_field: false,
        };
        let content = Content::Command { command: Arc::new(command), encoding: Encoding::Avro };
        Record { content, traceparent: None }
    }

    /// Anything up to all that the customer has earned since the stream began, or a little of what he had before.
    fn amount_to_redeem(&mut self, customer: u64) -> i64 {
        const LITTLE: i64 = 20;
        let earned = self.earned.entry(customer).or_default();
        let amount = self.rng.between(1, if self.market.hoarding { LITTLE } else { LITTLE.max(*earned) });
        *earned = (*earned - amount).max(0);
        amount
    }

    /// From 1.
    fn customer(&mut self) -> u64 {
        /// Without a common factor with any number of customers that has no prime factors but 2 and 5, so that the frequent ones are
        /// spread over the table.
        const SCATTER: u64 = 7_368_787;
        let customers = self.market.customers;
        let place = match self.market.spread {
            Spread::Uniform => self.rng.next() % customers,
            Spread::Zipf => {
                // A power of the count, whose exponent is uniform: the density is that of 1/n.
                let exponent = (self.rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
                let rank = (customers as f64).powf(exponent) as u64;
                rank.wrapping_mul(SCATTER) % customers
            }
        };
        let merchants = MERCHANTS.len() as u64;
        if self.market.one_merchant { place / merchants * merchants + THE_MERCHANT } else { place + 1 }
    }
}
