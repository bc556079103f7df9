//! Why a command is refused. The order of the codes is their precedence: the first that holds is the answer.

use std::borrow::Cow;

use crate::domain::command::FieldProblem;

/// Every code, its class for readers, and nothing else: the table that documents and tests are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionCode {
    UnknownMerchant,
    InvalidIdempotencyKey,
    IdempotencyConflict,
    MerchantSuspended,
    OccurredAtOutOfRange,
    InvalidFields,
    VersionConflict,
    UnknownUnit,
    UnknownTier,
    UnknownCard,
    ProtectedField,
    InUse,
    IdentityConflict,
    CustomerExists,
    UnknownCustomer,
    CustomerNotActive,
    CustomerInactive,
    Stale,
    DuplicateOrder,
    CardArchived,
    BelowMinimum,
    NotAStep,
    MinimumBalanceNotMet,
    InsufficientPoints,
    AmountOverflow,
}

impl RejectionCode {
    pub const ALL: [RejectionCode; 25] = [
        RejectionCode::UnknownMerchant,
        RejectionCode::InvalidIdempotencyKey,
        RejectionCode::IdempotencyConflict,
        RejectionCode::MerchantSuspended,
        RejectionCode::OccurredAtOutOfRange,
        RejectionCode::InvalidFields,
        RejectionCode::VersionConflict,
        RejectionCode::UnknownUnit,
        RejectionCode::UnknownTier,
        RejectionCode::UnknownCard,
        RejectionCode::ProtectedField,
        RejectionCode::InUse,
        RejectionCode::IdentityConflict,
        RejectionCode::CustomerExists,
        RejectionCode::UnknownCustomer,
        RejectionCode::CustomerNotActive,
        RejectionCode::CustomerInactive,
        RejectionCode::Stale,
        RejectionCode::DuplicateOrder,
        RejectionCode::CardArchived,
        RejectionCode::BelowMinimum,
        RejectionCode::NotAStep,
        RejectionCode::MinimumBalanceNotMet,
        RejectionCode::InsufficientPoints,
        RejectionCode::AmountOverflow,
    ];

    pub fn code(self) -> &'static str {
        match self {
            RejectionCode::UnknownMerchant => "unknown_merchant",
            RejectionCode::InvalidIdempotencyKey => "invalid_idempotency_key",
            RejectionCode::IdempotencyConflict => "idempotency_conflict",
            RejectionCode::MerchantSuspended => "merchant_suspended",
            RejectionCode::OccurredAtOutOfRange => "occurred_at_out_of_range",
            RejectionCode::InvalidFields => "invalid_fields",
            RejectionCode::VersionConflict => "version_conflict",
            RejectionCode::UnknownUnit => "unknown_unit",
            RejectionCode::UnknownTier => "unknown_tier",
            RejectionCode::UnknownCard => "unknown_card",
            RejectionCode::ProtectedField => "protected_field",
            RejectionCode::InUse => "in_use",
            RejectionCode::IdentityConflict => "identity_conflict",
            RejectionCode::CustomerExists => "customer_exists",
            RejectionCode::UnknownCustomer => "unknown_customer",
            RejectionCode::CustomerNotActive => "customer_not_active",
            RejectionCode::CustomerInactive => "customer_inactive",
            RejectionCode::Stale => "stale",
            RejectionCode::DuplicateOrder => "duplicate_order",
            RejectionCode::CardArchived => "card_archived",
            RejectionCode::BelowMinimum => "below_minimum",
            RejectionCode::NotAStep => "not_a_step",
            RejectionCode::MinimumBalanceNotMet => "minimum_balance_not_met",
            RejectionCode::InsufficientPoints => "insufficient_points",
            RejectionCode::AmountOverflow => "amount_overflow",
        }
    }

    pub fn from_code(code: &str) -> Option<RejectionCode> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Whether the same command gets this answer again later. The first two can't be remembered: there is no merchant, or no key, to
    /// remember them under; a conflict leaves the first decision in place.
    pub fn is_remembered(self) -> bool {
        !matches!(
            self,
            RejectionCode::UnknownMerchant | RejectionCode::InvalidIdempotencyKey | RejectionCode::IdempotencyConflict
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub code: RejectionCode,
    /// A sentence for the sender's developer; no personal data.
    pub message: String,
    /// Every bad field, for `invalid_fields`.
    pub fields: Vec<FieldProblem>,
    /// What the sentence rests on, for programs; sorted by key. Borrowed where the rules wrote it, owned where it was remembered.
    pub detail: Vec<(Cow<'static, str>, String)>,
}

impl Rejection {
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Rejection {
        Rejection { code, message: message.into(), fields: Vec::new(), detail: Vec::new() }
    }

    pub fn invalid_fields(problems: Vec<FieldProblem>) -> Rejection {
        let names: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        let message = format!("These fields are not valid: {}.", names.join(", "));
        Rejection { code: RejectionCode::InvalidFields, message, fields: problems, detail: Vec::new() }
    }

    /// Adds a detail; callers add them in the order of their keys.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Rejection {
        self.detail.push((Cow::Borrowed(key), value.to_string()));
        self
    }
}
