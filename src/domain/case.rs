//! A command under judgement, and what the rules look up for it.

use std::sync::Arc;

use crate::domain::book::{Book, Cause};
use crate::domain::command::{Command, CustomerRef, RefKind};
use crate::domain::config::history::Version;
use crate::domain::config::merchant::MerchantConfig;
use crate::domain::config::settings::Settings;
use crate::domain::config::unit::Unit;
use crate::domain::customer::enrolment::CustomerTier;
use crate::domain::customer::enrolment::parse_card_code;
use crate::domain::customer::identifiers::normalise;
use crate::domain::customer::identifiers::{Identifier, IdentifierKind};
use crate::domain::customer::state::{Customer, CustomerStatus};
use crate::domain::field_check::FieldCheck;
use crate::domain::ledger::entry::Entry;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::settle;
use crate::domain::values::ids::parse_customer_id;
use crate::domain::values::ids::{CustomerId, Seed, UnitId};
use crate::domain::values::position::Position;
use crate::domain::values::time::Instant;

/// When and where a command is decided.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub position: Position,
    pub seed: Seed,
    pub record_time: Instant,
    /// The greatest record timestamp of the lane so far, this record's included.
    pub lane_time: Instant,
    /// Greater than that of every record that the lane had before.
    pub place: i64,
}

/// A command under judgement.
pub(super) struct Case<'a> {
    pub command: &'a Command,
    pub moment: Moment,
    /// Business time.
    pub occurred_at: Instant,
    pub settings: Arc<Version<Settings>>,
    /// What its reference stands for, where it has waited for that.
    pub awaits: Option<&'a Identifier>,
    /// What it has touched so far, accepted or not, and written.
    pub customer: Option<CustomerId>,
    pub unit: Option<UnitId>,
    pub entries: Vec<Arc<Entry>>,
    /// The version that a merchant-config command made or met.
    pub version: Option<i64>,
}

pub(super) fn unknown_tier(tier: &str) -> Rejection {
    Rejection::new(RejectionCode::UnknownTier, "The merchant has no such tier at the command's business time.")
        .with("tier", tier)
}

pub(super) fn unknown_customer() -> Rejection {
    Rejection::new(RejectionCode::UnknownCustomer, "No customer of this merchant has this identifier.")
}

impl<'a> Case<'a> {
    /// Every check of fields begins with what is wrong with the command's form.
    pub fn field_check(&self) -> FieldCheck {
        FieldCheck::after(&self.command.problems)
    }

    pub fn cause(&self, skip_notifications: bool) -> Cause<'a> {
        Cause {
            seed: self.moment.seed,
            command: Some((self.command, self.moment.position)),
            occurred_at: self.occurred_at,
            recorded_at: self.moment.lane_time,
            skip_notifications,
        }
    }

    pub fn config<'b>(&self, book: &'b Book) -> Option<&'b MerchantConfig> {
        book.config(&self.command.envelope.merchant_id)
    }

    /// The unit's version at business time.
    pub fn unit_in_force(&self, book: &Book, unit: &UnitId) -> Result<Arc<Version<Unit>>, Rejection> {
        self.config(book).and_then(|config| config.unit_at(unit, self.occurred_at)).cloned().ok_or_else(|| {
            Rejection::new(RejectionCode::UnknownUnit, "The merchant has no such unit at the command's business time.")
                .with("unit", unit)
        })
    }

    /// The form of the reference, as one of the command's fields.
    pub fn check_reference(&self, check: &mut FieldCheck) {
        let Some(reference) = &self.command.envelope.customer else { return };
        match reference.kind {
            RefKind::CustomerId => {
                if parse_customer_id(&reference.value).is_none() {
                    check.bad("envelope.customer.value", "must be a customer id as results show it");
                }
            }
            RefKind::CardCode => {
                if parse_card_code(&reference.value).is_none() {
                    check.bad("envelope.customer.value", "must be a card's code as results show it");
                }
            }
            RefKind::ExternalId | RefKind::Phone | RefKind::Email => {
                let (field, value) = ("envelope.customer.value", Some(reference.value.as_str()));
                if let Some(kind) = reference.kind.identifier() {
                    check.identifier(field, kind, value, self.settings.phone_format);
                }
            }
        }
    }

    /// The customer that the command names, with everything that is due for it settled.
    pub fn named_customer(&mut self, book: &mut Book) -> Result<CustomerId, Rejection> {
        let found = self.command.envelope.customer.as_ref().and_then(|reference| self.find(book, reference));
        let customer = found.ok_or_else(unknown_customer)?;
        self.customer = Some(customer);
        settle::settle_customer(book, customer, self.moment.lane_time);
        Ok(customer)
    }

    pub fn active_customer(&mut self, book: &mut Book) -> Result<CustomerId, Rejection> {
        let customer = self.named_customer(book)?;
        match book.customer(customer).map(|customer| customer.status) {
            Some(CustomerStatus::Inactive) => Err(Rejection::new(
                RejectionCode::CustomerInactive,
                "The customer is inactive: neither earns nor redeems.",
            )),
            Some(CustomerStatus::Active) | None => Ok(customer),
        }
    }

    pub fn find(&self, book: &Book, reference: &CustomerRef) -> Option<CustomerId> {
        match reference.kind {
            RefKind::CustomerId => {
                let id = parse_customer_id(&reference.value)?;
                self.own_customer(book, id).map(|customer| customer.customer_id)
            }
            RefKind::CardCode => self.holder_of_card(book, &reference.value),
            RefKind::ExternalId | RefKind::Phone | RefKind::Email => match self.awaits {
                Some(awaited) => book.holder(awaited),
                None => self.holder(book, reference.kind.identifier()?, &reference.value),
            },
        }
    }

    /// A customer as everybody begins: enrolled in the active programme, of the base tier.
    pub fn new_customer(&self, book: &Book, id: CustomerId) -> Customer {
        let merchant_id = self.command.envelope.merchant_id.clone();
        let programme = self.config(book).and_then(|config| config.active_programme_at(self.occurred_at));
        Customer {
            programme_id: programme.map(|programme| programme.programme_id.clone()),
            tier: self.base_tier(book),
            ..Customer::new(id, merchant_id, self.moment.lane_time)
        }
    }

    /// The tier of those who have no other, from now on.
    pub fn base_tier(&self, book: &Book) -> Option<CustomerTier> {
        let tier_id = self.config(book)?.base_tier_at(self.occurred_at)?.to_owned();
        Some(CustomerTier { tier_id, since: self.moment.lane_time, is_manual: false })
    }

    /// Whose card has this code.
    pub fn holder_of_card(&self, book: &Book, code: &str) -> Option<CustomerId> {
        let (id, place) = parse_card_code(code)?;
        let customer = self.own_customer(book, id)?;
        (place < customer.cards.len()).then_some(id)
    }

    /// A customer of this merchant.
    pub fn own_customer<'b>(&self, book: &'b Book, id: CustomerId) -> Option<&'b Customer> {
        book.customer(id).filter(|customer| customer.merchant_id == self.command.envelope.merchant_id)
    }

    /// The customer that has an identifier.
    pub fn holder(&self, book: &Book, kind: IdentifierKind, value: &str) -> Option<CustomerId> {
        book.holder(&self.identifier(kind, value)?)
    }

    /// An identifier as it is kept, if it is well formed.
    pub fn identifier(&self, kind: IdentifierKind, value: &str) -> Option<Identifier> {
        let value = normalise(kind, value, self.settings.phone_format)?;
        Some(Identifier { merchant_id: self.command.envelope.merchant_id.clone(), kind, value })
    }
}
