//! A customer: what names it, its profile, its tier and cards.

pub mod changes;
pub mod enrolment;
pub mod identifiers;
pub mod profile;
pub mod state;

pub use enrolment::{CustomerTier, Enrolment, MAX_CARDS, card_code, parse_card_code, referrer_of};
pub use identifiers::{Identifier, IdentifierKind, normalise, stored_form};
pub use state::{Customer, CustomerChange, CustomerState, CustomerStatus};
