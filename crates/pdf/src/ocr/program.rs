//! An OCR program in a jail of its own, in a process group of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::OcrError;
use crate::jail::Limits;
use crate::process::{ChildCommand, command, std_command, tail};
use crate::protocol::{ChildTask, Request};
use crate::supervisor::Supervisor;

/// What runs, on what, and how much of it.
pub(super) struct Program<'a> {
    pub(super) child: &'a ChildCommand,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) read: Vec<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    pub(super) limits: Limits,
    pub(super) time: Duration,
    pub(super) output_bytes: u64,
}

impl Program<'_> {
    /// The same for `isolation`: it says how it is isolated, and is waited for without a runtime.
    pub(super) fn probe(&self) -> std::io::Result<std::process::Command> {
        let mut command = std_command(self.child, &self.request(true))?;
        command.envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        Ok(command)
    }

    fn request(&self, announce: bool) -> Request {
        let (program, args, read) = (self.program.clone(), self.args.clone(), self.read.clone());
        let task = ChildTask::Become { program, args, read, announce };
        Request { parent: std::process::id(), limits: self.limits, task }
    }

    /// Gives what it says on standard output. Dropping the future kills it and all it started.
    pub(super) async fn run(self, input: File, supervisor: &Supervisor) -> Result<String, OcrError> {
        let start = |error: std::io::Error| OcrError::Unavailable(error.to_string());
        let mut command = command(self.child, &self.request(false)).map_err(start)?;
        command.envs(self.env).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = supervisor.spawn(&mut command).map_err(start)?;
        let missing = || OcrError::Unavailable("no pipes".into());
        let process = child.process().ok_or_else(missing)?;
        let (out, err) = (process.stdout.take().ok_or_else(missing)?, process.stderr.take().ok_or_else(missing)?);
        let work = async {
            let (said, stderr_tail) = tokio::join!(bounded(out, self.output_bytes), tail(err));
            (said, stderr_tail, child.wait().await)
        };
        let (said, stderr_tail, status) = timeout(self.time, work).await.map_err(|_| OcrError::TimedOut)?;
        let said = said?;
        match status {
            Ok(status) if status.success() => {
                String::from_utf8(said).map_err(|_| OcrError::ProtocolViolation("not UTF-8".into()))
            }
            _ if stderr_tail.contains("cannot be started") => Err(OcrError::Unavailable(stderr_tail)),
            status => Err(OcrError::Failed(format!("{status:?}: {stderr_tail}"))),
        }
    }
}

/// Everything, if it is not too much. Closes the pipe after that, which ends the program.
async fn bounded(from: impl AsyncRead + Unpin, limit: u64) -> Result<Vec<u8>, OcrError> {
    let mut said = Vec::new();
    let failed = |error: std::io::Error| OcrError::Failed(error.to_string());
    let mut from = from.take(limit.saturating_add(1));
    from.read_to_end(&mut said).await.map_err(failed)?;
    if said.len() as u64 > limit {
        return Err(OcrError::ProtocolViolation(format!("more than {limit} bytes")));
    }
    Ok(said)
}
