//! What a merchant configures: settings, units, and the objects beside them.

pub mod history;
pub mod merchant;
pub mod objects;
pub mod settings;
pub mod unit;

pub use crate::domain::customer::identifiers::PhoneFormat;
pub use history::{History, Version};
pub use merchant::{ConfigContent, ConfigObject, Configured, MerchantConfig, ObjectKind};
pub use objects::{Card, CardReward, CardStatus, Programme, Tier};
pub use settings::{
    KeyForm, MerchantStatus, OnMatch, Preset, Settings, SettingsField, SettingsPatch, UnknownCustomer, Zone,
};
pub use unit::{MoneyValue, Rounding, Unit, UnitKind};
