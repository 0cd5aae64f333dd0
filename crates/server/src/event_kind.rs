//! Events of jobs that others than watchers are told of.

use courant_joblog::event::Change;
use serde::{Deserialize, Serialize};

/// An event of a job that webhooks are sent. Stored by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    Queued,
    Started,
    Retrying,
    Succeeded,
    Failed,
    Cancelled,
}

impl EventKind {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Started, Self::Retrying, Self::Succeeded, Self::Failed, Self::Cancelled];
    /// The ends of a job.
    pub const ENDS: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Cancelled];

    /// None for what is not sent, such as finished pages.
    pub fn of(change: &Change) -> Option<Self> {
        Some(match change {
            Change::Submitted(_) | Change::Requeued { .. } => Self::Queued,
            Change::Started { .. } => Self::Started,
            Change::Retrying { .. } => Self::Retrying,
            Change::Succeeded { .. } => Self::Succeeded,
            Change::Failed { .. } => Self::Failed,
            Change::Cancelled { .. } => Self::Cancelled,
            Change::Planned { .. }
            | Change::PageFinished { .. }
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Cancelling { .. } => return None,
        })
    }

    /// The type of its CloudEvent.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Queued => "courant.job.queued",
            Self::Started => "courant.job.started",
            Self::Retrying => "courant.job.retrying",
            Self::Succeeded => "courant.job.succeeded",
            Self::Failed => "courant.job.failed",
            Self::Cancelled => "courant.job.cancelled",
        }
    }
}
