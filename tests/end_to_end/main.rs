//! The whole worker from outside: its own process, real Kafka, real Postgres, a real registry.
//!
//! Each test has an installation of its own (a database, topics, a group), so they run side by side. What kills, stops and starts is the
//! test; what is then asked is always the same: is every command answered once, as the generator predicts, and does the audit hold?
//!
//! They need the feature `fail-points` and the addresses of a stack: `make test` sees to both.

#[path = "../../load/mod.rs"]
mod load;

mod support;

mod audit_sees;
mod breakdowns; // the longest, so its name comes early: the harness goes by names
mod control_room;
mod databases;
mod dead_letters;
mod documents;
mod front_door;
mod halts;
mod handover;
mod json_out;
mod kill_points;
mod membership;
mod merchant_file;
mod parking;
mod profiles;
mod recover;
mod resize;
mod security;
mod strangers;
mod torture;
mod typed;
