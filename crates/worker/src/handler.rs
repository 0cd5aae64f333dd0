//! The trait that a worker implements, and how an attempt ends.

use std::ops::RangeInclusive;

use async_trait::async_trait;

use crate::Task;

/// Does the work of one kind of job.
///
/// `run` is called once for every attempt, up to `slots` at a time, on its own task. It should look at
/// [`Task::cancelled`] often enough to end within a second of it: the result is then not looked at, and the server is
/// told what happened. What it holds outside of its own memory (processes, files) must be gone when `run` returns: the server
/// tells people that the job is over as soon as it knows. Long computations belong on a thread or, for input from
/// strangers, in a child process.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does one attempt at a job. Everything it reports and writes must have been awaited when it returns.
    ///
    /// An error ends the attempt: with [`TaskError::retryable`] the job is tried again, here or elsewhere, until its attempts
    /// are used up. Errors of calls ([`CallError`](crate::CallError)) convert with `?`. A panic counts as a retryable error.
    async fn run(&self, task: Task) -> Result<Outcome, TaskError>;

    /// Does some pages of a document that another worker holds, and nothing else: reads the document, writes and reports
    /// these pages, and returns. What it has not reported when it returns goes back to the other worker, however it ends.
    /// Called only with [`Config::parts`](crate::Config::parts); such a part takes a slot, and is stopped when a job needs
    /// that.
    async fn run_part(&self, task: Task, pages: RangeInclusive<u32>) -> Result<(), TaskError> {
        let _ = (task, pages);
        Err(TaskError::transient("NO_PARTS", "This worker does whole documents only."))
    }
}

/// How an attempt ended that did the whole job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Things a reader of the result should know; the first 100 are kept.
    pub warnings: Vec<String>,
}

/// Why an attempt failed, as the owner of the job reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct TaskError {
    /// For programs, upper case, for example `PASSWORD_REQUIRED`.
    pub code: String,
    /// For people: what happened and what to do about it.
    pub message: String,
    /// Whether trying again, later or elsewhere, can help.
    pub retryable: bool,
}

impl TaskError {
    /// A failure that trying again does not mend.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false }
    }

    /// A failure that may go away by itself.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: true }
    }
}
