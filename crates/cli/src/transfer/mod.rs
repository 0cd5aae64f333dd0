//! `courant migrate`, `courant backup` and `courant begin-epoch`: logs from one place to another, without a server.

mod backup;
#[cfg(feature = "nats")]
mod migrate;
mod progress;

pub use self::backup::run as backup;
#[cfg(feature = "nats")]
pub use self::migrate::{begin_epoch, run as migrate};
