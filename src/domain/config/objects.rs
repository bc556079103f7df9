//! What a merchant configures beside its settings and units: tiers, stamp cards and programmes. An object is put whole, and each put makes
//! a version.

use std::collections::BTreeMap;

use crate::domain::values::ids::UnitId;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

/// Of an object's id.
pub const MOST_ID_CHARS: usize = 64;

words! {
    ObjectKind {
        Tier = 1 "tier",
        Card = 2 "card",
        Programme = 3 "programme",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ObjectVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub object: Object,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    Tier(Tier),
    Card(Card),
    Programme(Programme),
}

impl Object {
    pub fn kind(&self) -> ObjectKind {
        match self {
            Object::Tier(_) => ObjectKind::Tier,
            Object::Card(_) => ObjectKind::Card,
            Object::Programme(_) => ObjectKind::Programme,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Object::Tier(tier) => &tier.name,
            Object::Card(card) => &card.name,
            Object::Programme(programme) => &programme.name,
        }
    }
}

/// A rank among a merchant's customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub name: String,
    /// The lowest comes first.
    pub rank: i32,
    /// The merchant's own words for what it brings.
    pub benefits: BTreeMap<String, String>,
}

/// A stamp card: an account of its own for each customer that is enrolled, which counts stamps. Its id is the account's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardReward {
    pub reward_id: String,
    pub name: String,
    pub stamps: i32,
}

words! {
    CardStatus {
        Active = 1 "active",
        /// Nobody is enrolled any more; whoever is, stays.
        Archived = 2 "archived",
    }
}

/// What new customers are enrolled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programme {
    pub name: String,
    /// What it counts.
    pub unit_id: UnitId,
    pub tier_ids: Vec<String>,
    pub is_active: bool,
}
