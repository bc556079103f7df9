//! Why a command is refused. The order of the codes is their precedence: the first that holds is the answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::field_check::FieldProblem;
use crate::domain::values::words::words;

words! {
    /// Every code: the table that documents and tests are made from.
    RejectionCode {
        UnknownMerchant "unknown_merchant",
        InvalidIdempotencyKey "invalid_idempotency_key",
        /// The topic has no such command in this version.
        UnsupportedCommand "unsupported_command",
        IdempotencyConflict "idempotency_conflict",
        MerchantSuspended "merchant_suspended",
        OccurredAtOutOfRange "occurred_at_out_of_range",
        InvalidFields "invalid_fields",
        VersionConflict "version_conflict",
        UnknownUnit "unknown_unit",
        UnknownTier "unknown_tier",
        UnknownCard "unknown_card",
        ProtectedField "protected_field",
        InUse "in_use",
        IdentityConflict "identity_conflict",
        CustomerExists "customer_exists",
        UnknownCustomer "unknown_customer",
        CustomerNotActive "customer_not_active",
        CustomerInactive "customer_inactive",
        Stale "stale",
        DuplicateOrder "duplicate_order",
        CardArchived "card_archived",
        BelowMinimum "below_minimum",
        NotAStep "not_a_step",
        MinimumBalanceNotMet "minimum_balance_not_met",
        InsufficientPoints "insufficient_points",
        AmountOverflow "amount_overflow",
    }
}

impl RejectionCode {
    /// Whether the same command gets this answer again later. The first two can't be remembered: there is no merchant, or no key, to
    /// remember them under; a conflict leaves the first decision in place; what is not supported may be by a later version.
    pub fn is_remembered(self) -> bool {
        !matches!(
            self,
            RejectionCode::UnknownMerchant
                | RejectionCode::InvalidIdempotencyKey
                | RejectionCode::IdempotencyConflict
                | RejectionCode::UnsupportedCommand
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub code: RejectionCode,
    /// A sentence for the sender's developer; no personal data.
    pub message: String,
    /// Every bad field, for `invalid_fields`.
    pub fields: Vec<FieldProblem>,
    /// What the sentence rests on, for programs. Its keys are borrowed where the rules wrote them, owned where they were remembered.
    pub detail: BTreeMap<Cow<'static, str>, String>,
}

impl Rejection {
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Rejection {
        Rejection { code, message: message.into(), fields: Vec::new(), detail: BTreeMap::new() }
    }

    pub fn invalid_fields(problems: Vec<FieldProblem>) -> Rejection {
        let names: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        let message = format!("These fields are not valid: {}.", names.join(", "));
        Rejection { code: RejectionCode::InvalidFields, message, fields: problems, detail: BTreeMap::new() }
    }

    /// Adds a detail.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Rejection {
        self.detail.insert(Cow::Borrowed(key), value.to_string());
        self
    }
}

impl From<Vec<FieldProblem>> for Rejection {
    fn from(problems: Vec<FieldProblem>) -> Rejection {
        Rejection::invalid_fields(problems)
    }
}
