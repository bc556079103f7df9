//! The list of all commands. The enum of what a command says, the names of the kinds, and the dispatch to the rules are made of it.

use serde::{Deserialize, Serialize};

use crate::domain::command::fields::{CreditAmount, CustomerUpsert, RedeemAmount};
use crate::domain::config::objects::{Card, Programme, Tier};
use crate::domain::config::settings::SettingsPatch;
use crate::domain::config::unit::Unit;

/// Hands the list to a macro. `alone`: a topic's only command. `union`: those of a topic, in the order of its schema's branches, each named
/// as its branch. What few commands are is boxed: thousands wait in memory, each as large as the largest.
macro_rules! every_command {
    ($then:ident) => {
        $then! {
            alone {
                CustomerUpsert(Box<CustomerUpsert>) "customer-upsert",
            }
            union ConfigBody {
                Settings(Box<SettingsPatch>) "merchant-config.settings",
                Unit(Box<Unit>) "merchant-config.unit",
                Tier(Box<Tier>) "merchant-config.tier",
                Card(Box<Card>) "merchant-config.card",
                Programme(Box<Programme>) "merchant-config.programme",
            }
            union CreditBody {
                CreditAmount(CreditAmount) "credit.amount",
            }
            union RedeemBody {
                RedeemAmount(RedeemAmount) "redeem.amount",
            }
        }
    };
}

pub(in crate::domain) use every_command;

macro_rules! body {
    (
        alone { $($alone:ident($alone_type:ty) $alone_kind:literal,)+ }
        $(union $union:ident { $($command:ident($type:ty) $kind:literal,)+ })+
    ) => {
        /// What a command asks for.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Body {
            $($alone($alone_type),)+
            $($($command($type),)+)+
        }

        /// The name of every kind, as results and metrics carry it.
        pub const KINDS: &[&str] = &[$($alone_kind,)+ $($($kind,)+)+];

        impl Body {
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Body::$alone(_) => $alone_kind,)+
                    $($(Body::$command(_) => $kind,)+)+
                }
            }
        }

        $(
            /// The commands of one topic.
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            pub enum $union {
                $($command($type),)+
            }

            impl From<$union> for Body {
                fn from(command: $union) -> Body {
                    match command {
                        $($union::$command(command) => Body::$command(command),)+
                    }
                }
            }
        )+
    };
}

every_command!(body);
