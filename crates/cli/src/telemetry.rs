//! Log lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::args::{Log, LogFormat};
use crate::failure::Failure;

/// Starts logging for the rest of the process.
pub fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.log_filter)
        .map_err(|error| Failure::Start(format!("--log {} cannot be understood: {error}", log.log_filter)))?;
    let format = match log.log_format {
        LogFormat::Text => courant_logging::Format::Compact,
        LogFormat::Json => courant_logging::Format::Json,
    };
    courant_logging::start(filter, format);
    Ok(())
}
