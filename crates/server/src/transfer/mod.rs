//! Logs and files from one place to another, for the commands `courant migrate` and `courant backup`. No server runs here.
//!
//! Files are only ever added before an entry of the log names them, and removed after the log has forgotten their job. So a log is copied before
//! its files: whatever the copied log names is there, unless its job was removed meanwhile.

pub mod backup;
mod error;
mod files;
#[cfg(feature = "nats")]
pub mod migrate;
mod step;
#[cfg(feature = "nats")]
mod stream;

pub use self::error::TransferError;
pub use self::files::FilesReport;
pub use self::step::{Report, Step};
