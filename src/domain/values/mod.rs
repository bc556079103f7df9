//! Values without rules: ids, instants, positions, texts, amounts.

pub mod amount;
pub mod ids;
pub mod position;
pub mod text;
pub mod time;
pub(crate) mod words;
