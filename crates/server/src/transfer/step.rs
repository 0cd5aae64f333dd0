//! What is under way, for people who wait.

#[cfg(feature = "nats")]
use courant_joblog::copy::Progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The log is counted, or compared with its copy.
    Checking,
    Events {
        done: u64,
        /// `None` if that is not known.
        of: Option<u64>,
    },
    SmallFiles {
        done: u64,
    },
    Files {
        done: u64,
        of: u64,
    },
}

/// Is told of each step.
pub type Report<'a> = &'a mut (dyn FnMut(Step) + Send);

/// The steps of copying a log with so many events.
#[cfg(feature = "nats")]
pub(super) fn of_log(progress: Progress, events: Option<u64>) -> Step {
    match progress {
        Progress::Events(done) => Step::Events { done, of: events },
        Progress::Blobs(done) => Step::SmallFiles { done },
    }
}
