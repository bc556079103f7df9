//! The load generator: a trading week of eight merchants, what must become of it, and the senders and readers that put it to a worker.
//!
//! The demo, the tests and the benchmark share it, each by `#[path = ".../load/mod.rs"] mod load;`. It uses none of the worker's code: it
//! has its own partitioner, its own Avro and JSON, and its own, much smaller, idea of the rules. What worker and generator agree on is
//! therefore what the documents say, and not what a common function happens to do.
//!
//! # Why the prediction is exact
//!
//! The worker orders a lane's records by the broker's time, and the topics race each other by some milliseconds. So the week is cut into
//! waves, a quarter of a second each, and within [`generate::APART`] waves no two records that could influence each other
//! stand on different topics: not two of one customer, not two with one idempotency key. (Records of one topic may: a partition keeps
//! their order, and a merchant's records share a partition.) A wave begins when the broker has acknowledged all of the one before it.
//! However the topics race within that, the outcomes are the same; `tests/load_model.rs` shuffles them and looks.
//! Only what is for a customer who is yet to sign up may come before or after the sign-up: it waits, and the outcome is the same (`guests`).
//!
//! Lots that expire during the run are the other thing that could depend on pace. Their expiry is fixed when they are sent, as so many
//! seconds from that moment, and the week leaves seconds free around it: nothing of that customer is redeemed from 5 seconds before until 2
//! seconds after. A slow machine stretches the waves, which moves what comes after the expiry still further after it; what comes
//! before would have to slip by those 5 seconds.

#![allow(dead_code)] // each of those who include it uses another part

pub mod avro;
pub mod command;
pub mod encode;
pub mod generate;
mod guests;
pub mod holdings;
pub mod json;
pub mod model;
pub mod murmur2;
pub mod observe;
pub mod people;
pub mod registry;
pub mod rng;
pub mod send;
pub mod timeline;
pub mod track;
mod trade;

/// What went wrong, in a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Merchants of both lanes when there are two, in turn.
pub const MERCHANTS: [&str; 8] = [
    "bakery-lindt",
    "cafe-aurora",
    "market-verde",
    "pharmacy-sol",
    "cinema-luz",
    "bookshop-nord",
    "toys-kobe",
    "deli-otto",
];

/// Microseconds since 1970.
pub fn now_micros() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
