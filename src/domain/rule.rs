//! What a rule is: one for each command, in a file of its own under `rules/`.

use crate::domain::book::Book;
use crate::domain::case::Case;
use crate::domain::customer::identifiers::{Identifier, IdentifierKind, stored_form};
use crate::domain::ledger::memory::MemoryKey;
use crate::domain::outcome::Effect;
use crate::domain::rejection::Rejection;
use crate::domain::values::ids::{CustomerId, MerchantId};

/// How one command is judged.
pub(in crate::domain) trait Rule {
    /// Whether it waits for a customer whom nobody knows yet, where the merchant wants that.
    const MAY_PARK: bool = false;

    /// What it needs loaded beside what its envelope names: its merchant, its key, its customer.
    fn keys(&self, _merchant: &MerchantId, _keys: &mut Keys) {}

    /// Its checks in the order of their precedence, then its effect, after which nothing can fail. A refused command changes nothing beyond
    /// what time had settled anyway.
    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection>;
}

/// What commands need loaded.
#[derive(Debug, Default)]
pub struct Keys {
    pub identifiers: Vec<Identifier>,
    pub customers: Vec<CustomerId>,
    pub memory: Vec<MemoryKey>,
}

impl Keys {
    /// An identifier, if it can be one at all.
    pub fn identifier(&mut self, merchant: &MerchantId, kind: IdentifierKind, value: Option<&String>) {
        let stored = value.and_then(|value| stored_form(kind, value));
        self.identifiers.extend(stored.map(|value| Identifier { merchant_id: merchant.clone(), kind, value }));
    }
}
