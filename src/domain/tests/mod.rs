//! The rules, as ledgers: see [`ledger`].

pub(crate) mod ledger;

mod credit_redeem;
mod customer_upsert;
mod enrolment;
mod expiry;
mod idempotency;
mod membership;
mod merchant_config;
pub(crate) mod parking;
mod products;
mod profile;
mod schedules;

use super::book::Book;
use super::case::Moment;
use super::command::{Content, Delivery};
use super::customer::{CustomerState, Identifier};
use super::decide as waiting;
use super::{Account, CommandTopic, CustomerId, Frontier, Instant, Outcome, settle};
use ledger::{Applied, Keeper};

/// Makes a test of each ledger, and a list of them all.
macro_rules! ledgers {
    ($($(#[$doc:meta])* $name:ident: $text:expr;)*) => {
        pub(super) const LEDGERS: &[(&str, &str)] = &[$((stringify!($name), $text)),*];

        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                crate::domain::tests::ledger::check(&mut crate::domain::tests::OneBook::default(), $text, 1);
            }
        )*
    };
}
use ledgers;

/// Every ledger with its name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let families = [
        credit_redeem::LEDGERS,
        customer_upsert::LEDGERS,
        enrolment::LEDGERS,
        expiry::LEDGERS,
        idempotency::LEDGERS,
        membership::LEDGERS,
        merchant_config::LEDGERS,
        parking::LEDGERS,
        products::LEDGERS,
        profile::LEDGERS,
        schedules::LEDGERS,
    ];
    families.into_iter().flatten().copied()
}

/// One book that is never closed: the rules alone, without batches.
pub(crate) struct OneBook {
    book: Book,
    lane_time: Instant,
    frontier: Frontier,
}

impl Default for OneBook {
    fn default() -> Self {
        let frontier = Frontier([0; CommandTopic::COUNT]);
        OneBook { book: Book::default(), lane_time: Instant::EPOCH, frontier }
    }
}

impl Keeper for OneBook {
    fn apply(&mut self, deliveries: Vec<Delivery>) -> Applied {
        let mut applied = Applied::default();
        for delivery in deliveries {
            self.lane_time = self.lane_time.max(delivery.timestamp);
            let moment = Moment {
                position: delivery.position,
                seed: delivery.seed,
                record_time: delivery.timestamp,
                lane_time: self.lane_time,
                place: self.frontier.pass(delivery.position),
            };
            let replies = &mut applied.replies;
            let tell = |outcome: Outcome| replies.push(outcome.into());
            match delivery.content {
                Content::Command(command) => waiting::decide(&mut self.book, command, moment, tell),
                Content::Tick => {
                    waiting::expire(&mut self.book, self.lane_time, tell);
                    let mut customers: Vec<CustomerId> = self.book.customers.keys().copied().collect();
                    customers.sort();
                    for customer in customers {
                        settle::settle_customer(&mut self.book, customer, self.lane_time);
                    }
                }
                Content::DeadLetter(_) => {}
            }
        }
        applied.events = std::mem::take(&mut self.book.events);
        applied
    }

    fn customer(&self, id: CustomerId) -> Option<CustomerState> {
        self.book.customers.get(&id).map(|row| CustomerState::clone(&row.state))
    }

    fn holder(&self, identifier: &Identifier) -> Option<CustomerId> {
        self.book.holder(identifier)
    }

    fn preset(&mut self, id: CustomerId, account: Account) {
        let row = self.book.customers.get_mut(&id).expect("a customer");
        *row.state.account_mut(&account.unit_id) = account.clone();
    }
}

/// What a command of a merchant with everyday settings is refused with.
pub(crate) fn rejection_of(command: super::command::Command) -> super::Rejection {
    let mut keeper = OneBook::default();
    let mut settings = ledger::parsed("settings merchant=MERCHANT");
    if let Content::Command(first) = &mut settings.content {
        first.envelope.merchant_id = command.envelope.merchant_id.clone();
    }
    let position = super::Position { topic: super::CommandTopic::CustomerUpsert, ..settings.position };
    let asked = Delivery { position, content: Content::Command(Box::new(command)), ..settings.clone() };
    let replies = keeper.apply(vec![settings, asked]).replies;
    replies.last().and_then(|reply| reply.decision.verdict.clone().err()).expect("a rejection")
}
