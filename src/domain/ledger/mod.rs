//! What a customer has: accounts with their lots, the entries that changed them, and what is remembered of them.

pub mod account;
pub mod balance;
pub mod entry;
pub mod event_type;
pub mod memory;
