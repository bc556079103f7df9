//! A customer's profile.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::domain::customer::enrolment::{CustomerTier, Enrolment};
use crate::domain::customer::identifiers::{Identifier, IdentifierKind};
use crate::domain::customer::profile::{Gender, Metric};
use crate::domain::ledger::account::Account;
use crate::domain::values::ids::{CustomerId, MerchantId, UnitId};
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

words! {
    CustomerStatus {
        Active = 1 "active",
        /// No earning, no redeeming; the profile may change, unless the merchant says no.
        Inactive = 2 "inactive",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Customer {
    pub customer_id: CustomerId,
    pub merchant_id: MerchantId,
    /// +1 for each command or due date that changes the customer; gapless from 1.
    pub version: i64,
    pub status: CustomerStatus,
    /// Identifiers are stored normalised, names as sent.
    pub external_id: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// One full name, beside or instead of the two parts.
    pub name: Option<String>,
    pub birth_date: Option<Date>,
    pub registered_on: Option<Date>,
    pub gender: Option<Gender>,
    /// BCP 47.
    pub language: Option<String>,
    pub brand_id: Option<String>,
    pub notify_email: bool,
    pub notify_phone: bool,
    pub metrics: BTreeMap<String, Metric>,
    pub metadata: BTreeMap<String, String>,
    /// The sender's own version of the profile, of the last upsert that named one.
    pub source_version: Option<i64>,
    /// A credit made it of an identifier, and no upsert has said anything of it yet.
    pub incomplete: bool,
    /// What it was enrolled in when it was new.
    pub programme_id: Option<String>,
    pub tier: Option<CustomerTier>,
    /// Who referred it, when it was new.
    pub referrer_id: Option<CustomerId>,
    /// In the order of the enrolments, each card once: a card's place among them is in its code, so none ever leaves.
    pub cards: Vec<Enrolment>,
    pub created_at: Instant,
    pub updated_at: Instant,
}

/// A customer with all its accounts: what a row of the database holds, and what is published of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomerState {
    pub customer: Customer,
    /// In the order of their units.
    pub accounts: Vec<Account>,
}

/// What of a customer changed, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum CustomerChange {
    /// An account's `next_due` was early and is exact now. No version, and nobody is told.
    NextDue,
    Accounts,
    Profile,
    Created,
}

impl CustomerState {
    pub fn account(&self, unit: &UnitId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.unit_id == *unit)
    }

    /// The account to change, opened if it does not exist.
    pub fn account_mut(&mut self, unit: &UnitId) -> &mut Account {
        let place = match self.accounts.binary_search_by(|account| account.unit_id.cmp(unit)) {
            Ok(place) => place,
            Err(place) => {
                self.accounts.insert(place, Account::new(unit.clone()));
                place
            }
        };
        &mut self.accounts[place]
    }

    /// Nothing is due before; see [`Account::next_due`].
    pub fn next_due(&self) -> Option<Instant> {
        self.accounts.iter().filter_map(|account| account.next_due).min()
    }
}

impl Customer {
    /// Without any profile, before its first version.
    pub fn new(customer_id: CustomerId, merchant_id: MerchantId, at: Instant) -> Customer {
        Customer {
            customer_id,
            merchant_id,
            version: 0,
            status: CustomerStatus::Active,
            external_id: None,
            phone: None,
            email: None,
            first_name: None,
            last_name: None,
            name: None,
            birth_date: None,
            registered_on: None,
            gender: None,
            language: None,
            brand_id: None,
            notify_email: false,
            notify_phone: false,
            metrics: BTreeMap::new(),
            metadata: BTreeMap::new(),
            source_version: None,
            incomplete: false,
            programme_id: None,
            tier: None,
            referrer_id: None,
            cards: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }

    /// How large its metrics and metadata are: keys and texts as they are, each number as 8 bytes.
    pub fn map_bytes(&self) -> usize {
        let metrics: usize = self.metrics.keys().map(|key| key.len() + 8).sum();
        let metadata: usize = self.metadata.iter().map(|(key, text)| key.len() + text.len()).sum();
        metrics + metadata
    }

    /// The one full name, or the two parts.
    pub fn full_name(&self) -> Option<String> {
        match (&self.name, &self.first_name, &self.last_name) {
            (Some(name), _, _) => Some(name.clone()),
            (None, Some(first), Some(last)) => Some([first.as_str(), last.as_str()].join(" ")),
            (None, Some(one), None) | (None, None, Some(one)) => Some(one.clone()),
            (None, None, None) => None,
        }
    }

    pub fn identifier(&self, kind: IdentifierKind) -> Option<&str> {
        match kind {
            IdentifierKind::ExternalId => self.external_id.as_deref(),
            IdentifierKind::Phone => self.phone.as_deref(),
            IdentifierKind::Email => self.email.as_deref(),
        }
    }

    /// Its identifiers, each as it is known within its merchant.
    pub fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        IdentifierKind::ALL.into_iter().filter_map(|kind| {
            let value = self.identifier(kind)?.to_owned();
            Some(Identifier { merchant_id: self.merchant_id.clone(), kind, value })
        })
    }

    pub fn set_identifier(&mut self, kind: IdentifierKind, value: Option<String>) {
        match kind {
            IdentifierKind::ExternalId => self.external_id = value,
            IdentifierKind::Phone => self.phone = value,
            IdentifierKind::Email => self.email = value,
        }
    }
}

impl Customer {
    /// Whether there is anything to tell of it, for which the merchant's configuration is needed.
    pub fn is_member(&self) -> bool {
        self.tier.is_some() || !self.cards.is_empty()
    }

    /// The place of a card among the customer's.
    pub fn card_place(&self, card_id: &str) -> Option<usize> {
        self.cards.iter().position(|enrolment| enrolment.card_id == card_id)
    }
}
