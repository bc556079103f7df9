//! A merchant's configuration: versions for ever, judged by business time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::customer::IdentifierKind;
use super::{Instant, UnitId};

/// All versions of one merchant's settings and units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MerchantConfig {
    /// Ascending by version, which starts at 1 and has no gaps. Empty while only units were defined.
    pub settings: Vec<Arc<SettingsVersion>>,
    /// Ascending by version, per unit.
    pub units: BTreeMap<UnitId, Vec<Arc<UnitVersion>>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SettingsVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub settings: Arc<Settings>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub name: Option<String>,
    pub time_zone: Zone,
    pub match_by: Vec<IdentifierKind>,
    /// How old a command's business time may be.
    pub max_age_s: i64,
    /// How far ahead of the record it may be.
    pub max_future_s: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: None,
            time_zone: Zone::utc(),
            match_by: vec![IdentifierKind::ExternalId, IdentifierKind::Phone, IdentifierKind::Email],
            max_age_s: 72 * 60 * 60,
            max_future_s: 5 * 60,
        }
    }
}

/// An IANA time zone and its name. The database is compiled in, so that every worker knows the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    pub name: Arc<str>,
    pub rules: TimeZone,
}

impl Zone {
    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), rules: TimeZone::UTC }
    }

    pub fn named(name: &str) -> Option<Zone> {
        let rules = jiff::tz::TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Zone { name: name.into(), rules })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct UnitVersion {
    pub version: i64,
    /// [`Instant::BEGINNING`] for the first.
    pub effective_from: Instant,
    pub recorded_at: Instant,
    pub name: String,
    /// Digits after the point; amounts are integers of the smallest.
    pub scale: u8,
    pub expiry: Expiry,
    /// The least available balance before a redemption.
    pub min_held: i64,
    /// The least amount of a redemption.
    pub min_amount: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// At the end of the local day so many days after the lot was issued.
    Days(u16),
}

impl MerchantConfig {
    /// A merchant without any version does not exist.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.units.is_empty()
    }

    /// The settings in force at a business time: the last version that had come into force. None while only units were defined.
    pub fn settings_at(&self, at: Instant) -> Option<&Arc<SettingsVersion>> {
        self.settings.iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn unit_at(&self, unit: &UnitId, at: Instant) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn latest_settings(&self) -> Option<&Arc<SettingsVersion>> {
        self.settings.last()
    }

    pub fn latest_unit(&self, unit: &UnitId) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.last()
    }
}
