//! The commands' records as their schemas have them: `schemas/*.avsc`. What they consist of are the domain's own types.

use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::command::{ConfigBody, CreditBody, CustomerUpsert, Envelope, RedeemBody};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerUpsertCommand {
    pub envelope: Envelope,
    pub command: Box<CustomerUpsert>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreditCommand {
    pub envelope: Envelope,
    pub command: CreditBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedeemCommand {
    pub envelope: Envelope,
    pub command: RedeemBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerchantConfigCommand {
    pub envelope: Envelope,
    pub effective_from: Option<Instant>,
    pub command: ConfigBody,
    pub expected_version: Option<i64>,
}

macro_rules! without_commands {
    ($($record:ident)+) => {
        $(
            /// A topic that has no command yet.
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            pub struct $record {
                pub envelope: Envelope,
            }
        )+
    };
}

without_commands! { CustomerLifecycleCommand ReservationCommand ReversalCommand }

/// What a lane's owner writes to its clock partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    pub lane: i32,
    pub at: Instant,
}
