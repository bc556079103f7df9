//! The fields of the commands, as sent: texts are normalised only when they are judged. Configuration is in [`crate::domain::config`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::config::settings::OnMatch;
use crate::domain::customer::profile::{Gender, Metric, ProfileField};
use crate::domain::customer::state::Customer;
use crate::domain::values::ids::{OrderId, UnitId};
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CustomerUpsert {
    pub external_id: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub birth_date: Option<String>,
    pub active: Option<bool>,
    pub notify_email: Option<bool>,
    pub notify_phone: Option<bool>,
    pub mode: UpsertMode,
    /// The merchant's setting when `None`.
    pub on_match: Option<OnMatch>,
    pub name: Option<String>,
    pub registered_on: Option<String>,
    pub gender: Option<Gender>,
    pub language: Option<String>,
    pub brand_id: Option<String>,
    /// Key by key; `None` removes a key.
    pub metrics: BTreeMap<String, Option<Metric>>,
    pub metadata: BTreeMap<String, Option<String>>,
    pub clear: Vec<ProfileField>,
    pub source_version: Option<i64>,
    /// A tier to assign by hand.
    pub tier_id: Option<String>,
    /// A stamp card to enrol in.
    pub card_id: Option<String>,
    /// Whether the customer is to be sent the card's links; for whoever listens to the event.
    pub send_card_links: bool,
    /// Who referred a new customer: that customer's id, or the code of one of its cards.
    pub referral_code: Option<String>,
}

impl CustomerUpsert {
    /// The fields that a new customer was given, by their names: what may be empty, then the rest.
    pub fn given(&self, customer: &Customer) -> Vec<&'static str> {
        let optional = ProfileField::ALL.iter().map(|field| (field.name(), field.is_set(customer)));
        let rest = [
            ("status", self.active.is_some()),
            ("notify_email", self.notify_email.is_some()),
            ("notify_phone", self.notify_phone.is_some()),
            ("source_version", self.source_version.is_some()),
            ("referrer_id", customer.referrer_id.is_some()),
            ("cards", !customer.cards.is_empty()),
        ];
        optional.chain(rest).filter_map(|(field, sent)| sent.then_some(field)).collect()
    }

    /// Whether it has something to say of a field.
    pub fn sets(&self, field: ProfileField) -> bool {
        match field {
            ProfileField::ExternalId => self.external_id.is_some(),
            ProfileField::Phone => self.phone.is_some(),
            ProfileField::Email => self.email.is_some(),
            ProfileField::FirstName => self.first_name.is_some(),
            ProfileField::LastName => self.last_name.is_some(),
            ProfileField::Name => self.name.is_some(),
            ProfileField::BirthDate => self.birth_date.is_some(),
            ProfileField::RegisteredOn => self.registered_on.is_some(),
            ProfileField::Gender => self.gender.is_some(),
            ProfileField::Language => self.language.is_some(),
            ProfileField::BrandId => self.brand_id.is_some(),
            ProfileField::Metrics => !self.metrics.is_empty(),
            ProfileField::Metadata => !self.metadata.is_empty(),
            ProfileField::TierId => self.tier_id.is_some(),
        }
    }
}

words! {
    /// Whether the customer may be new, and whether it may exist.
    #[derive(Default)]
    UpsertMode {
        #[default]
        Upsert "upsert",
        /// Refuses one that exists.
        Create "create",
        /// Refuses one that does not.
        Update "update",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditAmount {
    pub unit: UnitId,
    pub amount: i64,
    pub order_id: Option<OrderId>,
    pub reason: Option<String>,
    pub title: Option<String>,
    pub expires_at: Option<Instant>,
    pub skip_notifications: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeemAmount {
    pub unit: UnitId,
    pub amount: i64,
    pub order_id: Option<OrderId>,
    pub reason: Option<String>,
    pub skip_notifications: bool,
}
