//! What a customer belongs to, with what a message to the customer needs of it: a tier, stamp cards, their links.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::config::merchant::MerchantConfig;
use serde::Serialize;

use crate::domain::config::objects::{Card, CardReward, Tier};
use crate::domain::config::settings::Settings;
use crate::domain::customer::enrolment::Enrolment;
use crate::domain::customer::enrolment::card_code;
use crate::domain::customer::state::{Customer, CustomerState};
use crate::domain::field_check::PLACEHOLDERS;
use crate::domain::ledger::account::Account;
use crate::domain::values::ids::CustomerId;
use crate::domain::values::time::Instant;

/// What results, events and states tell of a customer's tier and cards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Membership {
    pub tier: Option<MemberTier>,
    pub cards: Vec<MemberCard>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberTier {
    pub tier_id: String,
    pub name: String,
    pub since: Instant,
    pub is_manual: bool,
}

/// One customer's card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberCard {
    pub card_id: String,
    pub name: String,
    pub code: String,
    pub stamps: i64,
    pub stamps_required: i32,
    pub rewards: Vec<CardReward>,
    pub enrolled_at: Instant,
    pub apple_wallet_url: Option<String>,
    pub google_wallet_url: Option<String>,
}

impl Membership {
    /// As the merchant's configuration has it at an instant; `None` for a customer without a tier and without cards.
    pub fn of(state: &CustomerState, config: &MerchantConfig, at: Instant) -> Option<Box<Membership>> {
        let CustomerState { customer, accounts } = state;
        if !customer.is_member() {
            return None;
        }
        let settings = config.settings_at(at).map(|version| &version.content);
        let tier = customer.tier.as_ref().map(|tier| MemberTier {
            tier_id: tier.tier_id.clone(),
            name: config.at::<Tier>(&tier.tier_id, at).map_or(String::new(), |it| it.name.clone()),
            since: tier.since,
            is_manual: tier.is_manual,
        });
        let cards =
            (0..customer.cards.len()).filter_map(|place| member_card(customer, place, accounts, config, settings, at));
        Some(Box::new(Membership { tier, cards: cards.collect() }))
    }

    pub fn card(&self, card_id: &str) -> Option<&MemberCard> {
        self.cards.iter().find(|card| card.card_id == card_id)
    }
}

fn member_card(
    customer: &Customer,
    place: usize,
    accounts: &[Account],
    config: &MerchantConfig,
    settings: Option<&Settings>,
    at: Instant,
) -> Option<MemberCard> {
    let Enrolment { card_id, enrolled_at } = &customer.cards[place];
    let Card { name, stamps_required, rewards, .. } = &config.at::<Card>(card_id, at)?.content;
    let code = card_code(customer.customer_id, place);
    let url = |template: Option<&String>| template.map(|it| wallet_url(it, &code, card_id, customer.customer_id));
    Some(MemberCard {
        card_id: card_id.clone(),
        name: name.clone(),
        stamps: accounts
            .iter()
            .find(|account| account.unit_id.as_str() == card_id)
            .map_or(0, |account| account.available),
        stamps_required: *stamps_required,
        rewards: rewards.clone(),
        enrolled_at: *enrolled_at,
        apple_wallet_url: url(settings.and_then(|settings| settings.wallet_url_apple.as_ref())),
        google_wallet_url: url(settings.and_then(|settings| settings.wallet_url_google.as_ref())),
        code,
    })
}

/// What stays as it is in a part of a URL.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn wallet_url(template: &str, code: &str, card_id: &str, customer: CustomerId) -> String {
    let [code_place, card_place, customer_place] = PLACEHOLDERS;
    template
        .replace(code_place, code)
        .replace(card_place, &utf8_percent_encode(card_id, UNRESERVED).to_string())
        .replace(customer_place, &customer.to_string())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_wallet_url_holds_what_it_asks_for() {
        let customer = CustomerId(Uuid::from_u128(1));
        let url = wallet_url("https://w.example/{card_id}?c={code}&u={customer_id}", "CODE", "tea & cake/1", customer);
        assert_eq!(url, "https://w.example/tea%20%26%20cake%2F1?c=CODE&u=00000000-0000-0000-0000-000000000001");
    }
}
