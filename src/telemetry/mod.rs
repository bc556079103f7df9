//! What the worker tells about itself: metrics, health, logs. Nothing here decides anything, and no personal data goes through.

pub mod health;
pub mod http;
mod labels;
pub mod logs;
pub mod metrics;
mod metrics_table;
mod process;

pub use health::Health;
pub use metrics::LaneState;
