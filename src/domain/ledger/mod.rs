//! What a customer has: accounts with their lots, and the entries that changed them.

pub mod account;
pub mod balance;
pub mod earned_order;
pub mod entry;
