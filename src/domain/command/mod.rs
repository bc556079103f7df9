//! What senders ask for: the envelope that all share, each command's fields, and the list of all commands.

mod delivery;
mod envelope;
mod fields;
mod list;

pub use crate::domain::field_check::FieldProblem;
pub use delivery::{Command, Content, ContentHash, DeadLetter, DeadLetterClass, Delivery, Schedule};
pub use envelope::{CustomerRef, Envelope, RefKind};
pub use fields::{CreditAmount, CustomerUpsert, RedeemAmount, UpsertMode};
pub(in crate::domain) use list::every_command;
pub use list::{Body, ConfigBody, CreditBody, KINDS, RedeemBody};
