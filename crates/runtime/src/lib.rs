//! What all programs share: how they start, log, are supervised and stop.
//!
//! A program's `main` parses its flags and calls [`run`]. That starts logging and the async runtime, raises the limit of open
//! files and lets signals trigger a [`Shutdown`]; the program builds its services and runs them until they have stopped.

mod backoff;
#[cfg(feature = "command-line")]
pub mod command_line;
mod drain;
mod hex;
pub mod logging;
mod notify;
mod open_files;
pub mod request;
mod signals;
mod start;
pub mod stats;
pub mod supervisor;
mod ticks;
pub mod traces;

pub use backoff::{Backoff, doubled, jitter};
pub use drain::Shutdown;
pub use hex::hex;
pub use notify::ready as notify_ready;
pub use open_files::{raise_open_files, warn_if_too_few_open_files};
pub use start::{ListenError, exit_code, listen, run};
pub use ticks::next_tick;
