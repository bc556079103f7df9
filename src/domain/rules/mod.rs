//! One file per command: its checks in the order of their precedence, then its effect, after which nothing can fail.

mod card_enrolment;
mod configure;
mod credit_amount;
mod customer_proposal;
mod customer_upsert;
mod dispatch;
mod redeem_amount;

pub use dispatch::plan;
pub(in crate::domain) use dispatch::{judge, may_park};
