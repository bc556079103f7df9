//! From a command to its rule, by the list of all commands.

use crate::domain::book::Book;
use crate::domain::case::Case;
use crate::domain::command::{Body, Command, RefKind, every_command};
use crate::domain::customer::enrolment::parse_card_code;
use crate::domain::outcome::Effect;
use crate::domain::rejection::Rejection;
use crate::domain::rule::{Keys, Rule};
use crate::domain::values::ids::{MerchantId, parse_customer_id};

macro_rules! dispatch {
    (
        alone { $($alone:ident($alone_type:ty) $alone_kind:literal,)+ }
        $(union $union:ident { $($command:ident($type:ty) $kind:literal,)+ })+
    ) => {
        fn keys(body: &Body, merchant: &MerchantId, keys: &mut Keys) {
            match body {
                $(Body::$alone(command) => command.keys(merchant, keys),)+
                $($(Body::$command(command) => command.keys(merchant, keys),)+)+
            }
        }

        pub(in crate::domain) fn judge(body: &Body, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
            match body {
                $(Body::$alone(command) => command.judge(book, case),)+
                $($(Body::$command(command) => command.judge(book, case),)+)+
            }
        }

        pub(in crate::domain) fn may_park(body: &Body) -> bool {
            match body {
                $(Body::$alone(_) => <$alone_type as Rule>::MAY_PARK,)+
                $($(Body::$command(_) => <$type as Rule>::MAY_PARK,)+)+
            }
        }
    };
}

use crate::domain::command::{CreditAmount, CustomerUpsert, RedeemAmount};
use crate::domain::config::objects::{Card, Programme, Tier};
use crate::domain::config::settings::SettingsPatch;
use crate::domain::config::unit::Unit;

every_command!(dispatch);

impl<T: Rule> Rule for Box<T> {
    const MAY_PARK: bool = T::MAY_PARK;

    fn keys(&self, merchant: &MerchantId, keys: &mut Keys) {
        T::keys(self, merchant, keys);
    }

    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
        T::judge(self, book, case)
    }
}

/// What a command needs loaded beside its merchant's configuration and the memory of its key.
pub fn plan(command: &Command, needed: &mut Keys) {
    let merchant = &command.envelope.merchant_id;
    if let Some(reference) = &command.envelope.customer {
        match (reference.kind, reference.kind.identifier()) {
            (_, Some(kind)) => needed.identifier(merchant, kind, Some(&reference.value)),
            (RefKind::CardCode, None) => needed.customers.extend(parse_card_code(&reference.value).map(|(id, _)| id)),
            (_, None) => needed.customers.extend(parse_customer_id(&reference.value)),
        }
    }
    if let Some(body) = &command.body {
        keys(body, merchant, needed);
    }
}
