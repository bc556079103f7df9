//! A loyalty worker: commands come in from Kafka, are applied in Postgres in one transaction per batch, and their results go out to
//! Kafka. Every command has exactly one effect and exactly one result.
//!
//! The way of a command, and the module that owns each step:
//!
//! ```text
//! kafka::lane_queues   one bounded queue per topic partition                        InboundRecord
//! batch::inbox         which records the next batch takes, in which order           Taken            (pure)
//! codec::decode        bytes -> Delivery: a command, a tick, or a dead letter       Vec<Delivery>
//! batch::plan          which keys the batch touches                                 BatchPlan        (pure)
//! store (begin)        BEGIN; lock the lane row; load what the plan names           Snapshot
//! batch::run           fold the commands, in order, by the rules of domain          ChangeSet        (pure)
//! codec::encode        every outgoing record's bytes, before anything commits       OutboundRecords
//! store (write)        the rows, the outbox row, the frontier; COMMIT
//! kafka::publisher     one Kafka transaction: records and offsets; COMMIT
//! ```
//!
//! [`worker`] is the only place that orders these side effects. What holds at any time:
//!
//! - A lane (partition p of every topic) has one owner; the lane row's epoch and the producer's transactional id are its fences.
//! - Postgres says which batch is APPLIED, the metadata of the committed offsets which is PUBLISHED; the outbox holds what lies between.
//! - The outcome of a command depends on the records of its lane alone, not on how they were cut into batches, nor on when ticks ran.
//! - A balance is the sum of its entries and, without debt, of its lots.
//!
//! Reading order: [`domain`], [`batch`], [`worker`], then the shells around them.

pub mod domain;

pub mod batch;

pub mod record;

pub mod codec;
pub mod kafka;
pub mod store;

pub mod worker;

pub mod audit;
pub mod query;

pub mod cli;
pub mod config;
pub mod fail_point;
pub mod retry;
pub mod telemetry;
pub mod tls;
