//! The log on NATS into a folder.

use std::path::Path;

use courant_joblog::copy::{BuilderTarget, Except, copy};
use courant_joblog::sqlite::{Builder, StoppedLog};
use courant_joblog::tally::{Totals, tally};
use courant_natslog::{NatsLog, Options, StreamState};

use super::error::TransferError;
use super::step::{Report, of_log};

/// Copies the log as it was when this began, but for jobs that are removed meanwhile.
pub(super) async fn copy_log(options: &Options, to: &Path, report: Report<'_>) -> Result<(), TransferError> {
    if NatsLog::look(options).await?.0 == StreamState::Missing {
        return Err(TransferError::NoStream { stream: options.stream.clone() });
    }
    let log = NatsLog::open(options.clone()).await?;
    let path = to.to_owned();
    let mut target = BuilderTarget::new(TransferError::blocking(move || Builder::create(&path)).await?);
    let copied = copy(&log, &mut target, Except::default(), &mut |progress| report(of_log(progress, None))).await?;
    target.finish().await?;
    let path = to.to_owned();
    let made = TransferError::blocking(move || StoppedLog::open(&path)).await?;
    let (found, expected) = (tally(&made, |_, _| true).await?.totals(), copied.tally.totals());
    if found == expected {
        return Ok(());
    }
    let text = |Totals { jobs, events, .. }| format!("{events} events of {jobs} jobs");
    Err(TransferError::Mismatch { found: text(found), expected: text(expected) })
}
