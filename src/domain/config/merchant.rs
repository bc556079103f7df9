//! A merchant's configuration: versions for ever, judged by business time.
//!
//! In force at an instant is the greatest version that begins no later. So a change that begins before versions that wait for their time
//! would hide them; it makes each of them anew on top of itself, see `rules::merchant_config`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::config::objects::{Card, Object, ObjectKind, ObjectVersion, Programme, Tier};
use crate::domain::config::settings::SettingsVersion;
use crate::domain::config::unit::UnitVersion;
use crate::domain::values::ids::UnitId;
use crate::domain::values::time::Instant;

/// All versions of one merchant's settings, units and objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MerchantConfig {
    /// Ascending by version, which starts at 1 and has no gaps. Empty while only units were defined.
    pub settings: Vec<Arc<SettingsVersion>>,
    /// Ascending by version, per unit.
    pub units: BTreeMap<UnitId, Vec<Arc<UnitVersion>>>,
    /// The same, by kind and id.
    pub objects: BTreeMap<ObjectKind, BTreeMap<String, Vec<Arc<ObjectVersion>>>>,
}

impl MerchantConfig {
    /// A merchant without any version does not exist.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.units.is_empty() && self.objects.is_empty()
    }

    /// The settings in force at a business time: the last version that had come into force. None while only units were defined.
    pub fn settings_at(&self, at: Instant) -> Option<&Arc<SettingsVersion>> {
        self.settings.iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn unit_at(&self, unit: &UnitId, at: Instant) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.iter().rev().find(|version| version.effective_from <= at)
    }

    /// The unit as it was configured before an instant at which lots expired. A later version does not count: whether it is there yet
    /// when the expiry is settled depends on the next command or tick.
    pub fn unit_known_before(&self, unit: &UnitId, due: Instant) -> Option<&Arc<UnitVersion>> {
        let was_known = |version: &&Arc<UnitVersion>| version.recorded_at < due && version.effective_from <= due;
        self.units.get(unit)?.iter().rev().find(was_known)
    }

    pub fn object_at(&self, kind: ObjectKind, id: &str, at: Instant) -> Option<&Arc<ObjectVersion>> {
        self.object_versions(kind, id).iter().rev().find(|version| version.effective_from <= at)
    }

    pub fn tier_at(&self, id: &str, at: Instant) -> Option<&Tier> {
        match &self.object_at(ObjectKind::Tier, id, at)?.object {
            Object::Tier(tier) => Some(tier),
            Object::Card(_) | Object::Programme(_) => None,
        }
    }

    /// A card with its version.
    pub fn card_at(&self, id: &str, at: Instant) -> Option<(&Card, i64)> {
        let version = self.object_at(ObjectKind::Card, id, at)?;
        match &version.object {
            Object::Card(card) => Some((card, version.version)),
            Object::Tier(_) | Object::Programme(_) => None,
        }
    }

    /// The programme that new customers are enrolled in, with its id. Mostly there is one at most; where a schedule makes it more, the
    /// first by id counts.
    pub fn active_programme_at(&self, at: Instant) -> Option<(&str, &Programme)> {
        let programmes = self.objects_of(ObjectKind::Programme).map(|(id, _)| id);
        programmes.filter_map(|id| Some((id, &self.object_at(ObjectKind::Programme, id, at)?.object))).find_map(
            |(id, object)| match object {
                Object::Programme(programme) if programme.is_active => Some((id, programme)),
                Object::Programme(_) | Object::Tier(_) | Object::Card(_) => None,
            },
        )
    }

    /// The tier of those who have no other: the settings', or else the lowest of the active programme's.
    pub fn base_tier_at(&self, at: Instant) -> Option<&str> {
        let settings = self.settings_at(at);
        if let Some(base) = settings.and_then(|version| version.settings.base_tier_id.as_deref()) {
            return self.tier_at(base, at).map(|_| base);
        }
        let (_, programme) = self.active_programme_at(at)?;
        let ranked = programme.tier_ids.iter().filter_map(|id| Some((self.tier_at(id, at)?.rank, id)));
        ranked.min().map(|(_, id)| id.as_str())
    }

    /// All of a kind, by their ids.
    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = (&str, &[Arc<ObjectVersion>])> {
        self.objects.get(&kind).into_iter().flatten().map(|(id, versions)| (id.as_str(), versions.as_slice()))
    }

    pub fn object_versions(&self, kind: ObjectKind, id: &str) -> &[Arc<ObjectVersion>] {
        self.objects.get(&kind).and_then(|of_kind| of_kind.get(id)).map_or(&[], Vec::as_slice)
    }

    pub fn object_after(&self, kind: ObjectKind, id: &str, at: Instant) -> Vec<Arc<ObjectVersion>> {
        after(self.object_versions(kind, id), at, |version| version.effective_from)
    }

    pub fn push_object(&mut self, id: &str, version: Arc<ObjectVersion>) {
        let of_kind = self.objects.entry(version.object.kind()).or_default();
        of_kind.entry(id.to_owned()).or_default().push(version);
    }

    /// The settings that come into force after an instant, in that order, without those that a later version hides.
    pub fn settings_after(&self, at: Instant) -> Vec<Arc<SettingsVersion>> {
        after(&self.settings, at, |version| version.effective_from)
    }

    pub fn unit_after(&self, unit: &UnitId, at: Instant) -> Vec<Arc<UnitVersion>> {
        let versions = self.units.get(unit).map_or(&[][..], Vec::as_slice);
        after(versions, at, |version| version.effective_from)
    }

    pub fn latest_settings(&self) -> Option<&Arc<SettingsVersion>> {
        self.settings.last()
    }

    pub fn latest_unit(&self, unit: &UnitId) -> Option<&Arc<UnitVersion>> {
        self.units.get(unit)?.last()
    }
}

/// Every version behind the one that is in force at the instant begins after it, and all before that one are hidden by it.
fn after<T>(versions: &[Arc<T>], at: Instant, begins: impl Fn(&T) -> Instant) -> Vec<Arc<T>> {
    let mut pending: Vec<Arc<T>> = Vec::new();
    for version in versions.iter().rev().take_while(|version| begins(version) > at) {
        if pending.last().is_none_or(|next| begins(version) < begins(next)) {
            pending.push(version.clone());
        }
    }
    pending.reverse();
    pending
}
