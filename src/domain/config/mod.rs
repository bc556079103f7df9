//! What a merchant configures: settings, units, and the objects beside them.

pub mod merchant;
pub mod objects;
pub mod settings;
pub mod unit;

pub use crate::domain::customer::identifiers::PhoneFormat;
pub use merchant::MerchantConfig;
pub use settings::{
    KeyForm, MerchantStatus, OnMatch, Preset, Settings, SettingsField, SettingsVersion, UnknownCustomer, Zone,
};
pub use unit::{Expiry, MoneyValue, Rounding, UnitKind, UnitVersion};
