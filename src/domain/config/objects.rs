//! Tiers, stamp cards and programmes, each whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::field_check::FieldCheck;
use crate::domain::values::ids::UnitId;
use crate::domain::values::words::words;

/// Of the ids of tiers, cards and programmes.
pub const MAX_ID_CHARS: usize = 64;
/// Of tiers and of programmes.
pub const MAX_OF_A_KIND: usize = 100;
const MAX_LABEL_CHARS: usize = 64;
const MAX_STAMPS: i64 = 18;
const MAX_RANK: i64 = 1_000;
const MAX_BENEFITS: usize = 50;

/// A rank among a merchant's customers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    pub tier_id: String,
    pub name: String,
    /// The lowest comes first.
    pub rank: i32,
    /// The merchant's own words for what it brings.
    pub benefits: BTreeMap<String, String>,
}

impl Tier {
    pub fn check(&self, check: &mut FieldCheck) {
        check.text("command.name", Some(&self.name), MAX_LABEL_CHARS);
        check.range("command.rank", i64::from(self.rank), 0, MAX_RANK);
        check.labels("command.benefits", &self.benefits, MAX_BENEFITS);
    }
}

/// A stamp card: an account of its own for each customer that is enrolled, which counts stamps. Its id is the account's unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub card_id: String,
    pub name: String,
    /// How many stamps fill it.
    pub stamps_required: i32,
    /// What a customer is welcomed with, once and for ever.
    pub initial_stamps: i32,
    /// Ascending by their stamps, as they are put.
    pub rewards: Vec<CardReward>,
    pub status: CardStatus,
}

/// What a card gives at so many stamps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardReward {
    pub reward_id: String,
    pub name: String,
    pub stamps: i32,
}

words! {
    #[derive(Default)]
    CardStatus {
        #[default]
        Active "active",
        /// Nobody is enrolled any more; whoever is, stays.
        Archived "archived",
    }
}

impl Card {
    pub fn check(&self, check: &mut FieldCheck) {
        check.text("command.name", Some(&self.name), MAX_LABEL_CHARS);
        check.range("command.stamps_required", i64::from(self.stamps_required), 1, MAX_STAMPS);
        // What is wrong bounds nothing.
        let is_known = !check.names("command.stamps_required");
        let required = if is_known { i64::from(self.stamps_required) } else { MAX_STAMPS };
        check.range("command.initial_stamps", i64::from(self.initial_stamps), 0, required);
        if self.rewards.len() > MAX_STAMPS as usize {
            check.bad("command.rewards", format!("must have at most {MAX_STAMPS} entries"));
            return;
        }
        let (mut ids, mut last) = (BTreeSet::new(), 0);
        for (place, reward) in self.rewards.iter().enumerate() {
            let field = |name: &str| format!("command.rewards[{place}].{name}");
            check.id(&field("reward_id"), Some(reward.reward_id.as_str()), MAX_ID_CHARS);
            check.text(&field("name"), Some(reward.name.as_str()), MAX_LABEL_CHARS);
            check.range(&field("stamps"), i64::from(reward.stamps), 1, required);
            if !ids.insert(&reward.reward_id) {
                check.bad(field("reward_id"), "is there twice");
            }
            if reward.stamps < last {
                check.bad(field("stamps"), "must not be less than those of the reward before it");
            }
            last = reward.stamps;
        }
    }
}

/// What new customers are enrolled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    pub programme_id: String,
    pub name: String,
    /// What it counts.
    pub unit_id: UnitId,
    pub tier_ids: Vec<String>,
    pub active: bool,
}

impl Default for Programme {
    fn default() -> Self {
        let (programme_id, name) = (String::new(), String::new());
        Programme { programme_id, name, unit_id: UnitId::new(""), tier_ids: Vec::new(), active: true }
    }
}

impl Programme {
    pub fn check(&self, check: &mut FieldCheck) {
        check.text("command.name", Some(&self.name), MAX_LABEL_CHARS);
        check.id("command.unit_id", Some(self.unit_id.as_str()), 255);
        if self.tier_ids.len() > MAX_OF_A_KIND {
            check.bad("command.tier_ids", format!("must have at most {MAX_OF_A_KIND} entries"));
            return;
        }
        let distinct: BTreeSet<&String> = self.tier_ids.iter().collect();
        if distinct.len() < self.tier_ids.len() {
            check.bad("command.tier_ids", "must name each tier once");
        }
    }
}
