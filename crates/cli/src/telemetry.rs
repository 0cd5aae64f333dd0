//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{Log, LogFormat};
use crate::failure::Failure;

/// Starts logging for the rest of the process.
pub fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.log_filter)
        .map_err(|error| Failure::Start(format!("--log {} cannot be understood: {error}", log.log_filter)))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    match log.log_format {
        LogFormat::Text => lines.compact().fmt_fields(courant_bridge::logging::fields()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
