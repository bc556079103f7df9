//! The worker: which lanes are ours, one task for each, and their end. Everything that changes the world is ordered in [`session`].

mod apply;
mod failure;
mod intake;
mod lane;
mod monitor;
mod probe;
mod recovery;
mod replay;
mod session;
mod shared;
mod supervisor;
mod watch;

pub use replay::{Replayed, recover};
pub(crate) use shared::Shared;
pub use shared::WorkerError;
pub use supervisor::run;
