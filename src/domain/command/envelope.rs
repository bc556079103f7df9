//! What every command carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::customer::enrolment::{card_code, parse_card_code};
use crate::domain::customer::identifiers::{IdentifierKind, stored_form};
use crate::domain::values::ids::{IdempotencyKey, MerchantId, parse_customer_id};
use crate::domain::values::text::compared;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub merchant_id: MerchantId,
    /// As sent; its form is judged by the rejection `invalid_idempotency_key`.
    pub idempotency_key: IdempotencyKey,
    pub customer: Option<CustomerRef>,
    pub occurred_at: Option<Instant>,
    pub source: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerRef {
    pub kind: RefKind,
    pub value: String,
}

words! {
    /// What a reference names a customer by.
    RefKind {
        CustomerId "customer_id",
        ExternalId "external_id",
        Phone "phone",
        Email "email",
        /// Of one of the customer's stamp cards.
        CardCode "card_code",
    }
}

impl RefKind {
    pub fn identifier(self) -> Option<IdentifierKind> {
        match self {
            RefKind::ExternalId => Some(IdentifierKind::ExternalId),
            RefKind::Phone => Some(IdentifierKind::Phone),
            RefKind::Email => Some(IdentifierKind::Email),
            RefKind::CustomerId | RefKind::CardCode => None,
        }
    }

    /// The form in which a value is compared: spaces and capitals make no other one.
    pub fn compared(self, value: &str) -> String {
        match (self, self.identifier()) {
            (RefKind::CardCode, _) => {
                parse_card_code(value).map_or_else(|| value.trim().to_owned(), |(id, place)| card_code(id, place))
            }
            (_, Some(kind)) => stored_form(kind, value).unwrap_or_else(|| compared(value)),
            (_, None) => parse_customer_id(value).map_or_else(|| value.trim().to_owned(), |id| id.to_string()),
        }
    }
}

impl From<IdentifierKind> for RefKind {
    fn from(kind: IdentifierKind) -> RefKind {
        match kind {
            IdentifierKind::ExternalId => RefKind::ExternalId,
            IdentifierKind::Phone => RefKind::Phone,
            IdentifierKind::Email => RefKind::Email,
        }
    }
}
