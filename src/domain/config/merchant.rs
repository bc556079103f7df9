//! A merchant's configuration: each kind of object declared once, all their versions kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::config::history::{History, Version};
use crate::domain::config::objects::{Card, Programme, Tier};
use crate::domain::config::settings::Settings;
use crate::domain::config::unit::Unit;
use crate::domain::values::ids::UnitId;
use crate::domain::values::time::Instant;
use crate::domain::values::words::words;

/// What a merchant configures; each kind is one of the list below.
pub trait Configured: Sized {
    fn histories(config: &MerchantConfig) -> &BTreeMap<String, History<Self>>;

    fn object(id: String, version: Arc<Version<Self>>) -> ConfigObject;
}

macro_rules! configured {
    ($($kind:ident($type:ty) $histories:ident $word:literal,)+) => {
        words! {
            ObjectKind { $($kind $word,)+ }
        }

        impl ObjectKind {
            /// The list that a merchant's configuration has of them, by its name.
            pub fn list(self) -> &'static str {
                match self {
                    $(ObjectKind::$kind => stringify!($histories),)+
                }
            }
        }

        /// All versions of what one merchant configures, by id. There are one merchant's settings, under the empty id.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct MerchantConfig {
            $(pub $histories: BTreeMap<String, History<$type>>,)+
        }

        /// One version of an object, with its id.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub enum ConfigObject {
            $($kind(String, Arc<Version<$type>>),)+
        }

        /// What an object's version says: the fields of the command that would make it.
        #[derive(Debug, Serialize)]
        #[serde(untagged)]
        pub enum ConfigContent<'a> {
            $($kind(&'a $type),)+
        }

        $(impl Configured for $type {
            fn histories(config: &MerchantConfig) -> &BTreeMap<String, History<Self>> {
                &config.$histories
            }

            fn object(id: String, version: Arc<Version<Self>>) -> ConfigObject {
                ConfigObject::$kind(id, version)
            }
        })+

        impl MerchantConfig {
            /// A merchant without any version does not exist.
            pub fn is_empty(&self) -> bool {
                $(self.$histories.is_empty())&&+
            }

            /// Takes the next version of an object in: false, and nothing is taken, if its number is another.
            pub fn push(&mut self, object: ConfigObject) -> bool {
                match object {
                    $(ConfigObject::$kind(id, version) => self.$histories.entry(id).or_default().push(version),)+
                }
            }

            /// Every version of every object.
            pub fn objects(&self) -> impl Iterator<Item = ConfigObject> {
                let all = std::iter::empty();
                $(let all = all.chain(self.$histories.iter().flat_map(|(id, history)| {
                    history.versions().iter().map(|version| ConfigObject::$kind(id.clone(), version.clone()))
                }));)+
                all
            }

            /// The latest version of an object.
            pub fn latest(&self, kind: ObjectKind, id: &str) -> Option<ConfigObject> {
                match kind {
                    $(ObjectKind::$kind => {
                        Some(ConfigObject::$kind(id.to_owned(), self.$histories.get(id)?.latest()?.clone()))
                    })+
                }
            }

            /// What comes into force after an instant, of each object what no later version hides.
            pub fn scheduled(&self, after: Instant) -> Vec<ConfigObject> {
                let mut scheduled = Vec::new();
                $(for (id, history) in &self.$histories {
                    let later = history.after(after).into_iter();
                    scheduled.extend(later.map(|version| ConfigObject::$kind(id.clone(), version)));
                })+
                scheduled
            }

            /// The objects of a kind that are in force at an instant, by their ids.
            pub fn in_force(&self, kind: ObjectKind, at: Instant) -> Vec<ConfigObject> {
                match kind {
                    $(ObjectKind::$kind => {
                        let histories = self.$histories.iter();
                        histories.filter_map(|(id, it)| Some(ConfigObject::$kind(id.clone(), it.at(at)?.clone()))).collect()
                    })+
                }
            }
        }

        impl ConfigObject {
            pub fn kind(&self) -> ObjectKind {
                match self {
                    $(ConfigObject::$kind(..) => ObjectKind::$kind,)+
                }
            }

            /// The object's own; empty for settings.
            pub fn id(&self) -> &str {
                match self {
                    $(ConfigObject::$kind(id, _) => id,)+
                }
            }

            pub fn version(&self) -> i64 {
                match self {
                    $(ConfigObject::$kind(_, version) => version.version,)+
                }
            }

            pub fn effective_from(&self) -> Instant {
                match self {
                    $(ConfigObject::$kind(_, version) => version.effective_from,)+
                }
            }

            pub fn recorded_at(&self) -> Instant {
                match self {
                    $(ConfigObject::$kind(_, version) => version.recorded_at,)+
                }
            }

            pub fn content(&self) -> ConfigContent<'_> {
                match self {
                    $(ConfigObject::$kind(_, version) => ConfigContent::$kind(&version.content),)+
                }
            }

            /// The way back of [`ConfigObject::content`].
            pub fn read<'de, D: Deserializer<'de>>(
                kind: ObjectKind,
                id: String,
                (version, effective_from, recorded_at): (i64, Instant, Instant),
                content: D,
            ) -> Result<ConfigObject, D::Error> {
                Ok(match kind {
                    $(ObjectKind::$kind => {
                        let content = <$type>::deserialize(content)?;
                        ConfigObject::$kind(id, Arc::new(Version { version, effective_from, recorded_at, content }))
                    })+
                })
            }
        }
    };
}

configured! {
    Settings(Settings) settings "settings",
    Unit(Unit) units "unit",
    Tier(Tier) tiers "tier",
    Card(Card) cards "card",
    Programme(Programme) programmes "programme",
}

impl MerchantConfig {
    pub fn history<T: Configured>(&self, id: &str) -> Option<&History<T>> {
        T::histories(self).get(id)
    }

    /// What is in force at a business time: the last version that had come into force.
    pub fn at<T: Configured>(&self, id: &str, at: Instant) -> Option<&Arc<Version<T>>> {
        self.history(id)?.at(at)
    }

    /// `None` while only other objects were defined.
    pub fn settings_at(&self, at: Instant) -> Option<&Arc<Version<Settings>>> {
        self.at("", at)
    }

    pub fn unit_at(&self, unit: &UnitId, at: Instant) -> Option<&Arc<Version<Unit>>> {
        self.at(unit.as_str(), at)
    }

    /// The programme that new customers are enrolled in. Mostly there is one at most; where a schedule makes it more, the first by id counts.
    pub fn active_programme_at(&self, at: Instant) -> Option<&Arc<Version<Programme>>> {
        self.programmes.values().filter_map(|history| history.at(at)).find(|programme| programme.active)
    }

    /// The tier of those who have no other: the settings', or else the lowest of the active programme's.
    pub fn base_tier_at(&self, at: Instant) -> Option<&str> {
        let settings = self.settings_at(at);
        if let Some(base) = settings.and_then(|version| version.base_tier_id.as_deref()) {
            return self.at::<Tier>(base, at).map(|_| base);
        }
        let programme = self.active_programme_at(at)?;
        let ranked = programme.tier_ids.iter().filter_map(|id| Some((self.at::<Tier>(id, at)?.rank, id)));
        ranked.min().map(|(_, id)| id.as_str())
    }
}
