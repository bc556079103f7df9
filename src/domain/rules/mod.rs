//! One file per command: its checks in the order of their precedence, then its effect, after which nothing can fail.

mod card_enrolment;
pub mod credit_amount;
pub mod customer_upsert;
pub mod merchant_config;
pub mod object_config;
pub mod redeem_amount;
