//! The requests to the writer and their answers: gathered until the commit, sent only after it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::table::Head;
use crate::ids::{JobId, Revision};
use crate::log::{AppendError, Blob, Entry, Key, Record};
use crate::recent::StoredEntry;

/// So many tasks are enough for one commit. Those of one request stay together.
const MAX_TASKS: usize = 1_024;
/// So many bytes are.
const MAX_BYTES: usize = 1024 * 1024;

/// The outcome of a task.
pub(super) type AppendResult = Result<Revision, AppendError>;

/// Things to be done, each by itself, and answered together.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) tasks: Vec<Task>,
    /// An outcome for each, in their order. Nobody may be listening any more; they are carried out all the same.
    pub(super) answer: oneshot::Sender<Vec<AppendResult>>,
}

/// Something to be done to a key.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) key: Key,
    pub(super) operation: Operation,
}

/// What is to be done; bytes as stored.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Append {
        expect: Option<Revision>,
        records: Vec<Encoded>,
        blobs: Vec<Blob>,
    },
    Forget {
        expect: Revision,
        bytes: Bytes,
    },
    StoreBlob(Blob),
    RemoveBlob(Box<str>),
    /// Nothing: only whether something could be.
    Probe,
}

/// A record and its bytes as stored, which copies share.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub(super) record: Record,
    pub(super) bytes: Bytes,
}

/// What one commit holds.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether its transaction began: conflicts alone need none.
    pub(super) begun: bool,
    pub(super) entries: Vec<StoredEntry>,
    pub(super) forgotten: HashSet<JobId>,
    /// The heads of jobs before this batch, the oldest first, should it not come about.
    pub(super) undo: Vec<(JobId, Option<Head>)>,
    /// Whether something in it ends a job, or makes space.
    pub(super) ends: bool,
    answers: Vec<Answer>,
    tasks: usize,
    bytes: usize,
}

/// Who is answered, and what.
#[derive(Debug)]
struct Answer {
    to: oneshot::Sender<Vec<AppendResult>>,
    tasks: usize,
    /// Of the tasks that were looked at.
    outcomes: Vec<AppendResult>,
}

impl Operation {
    /// How many entries it adds.
    pub(super) fn entries(&self) -> u64 {
        match self {
            Self::Append { records, .. } => records.len() as u64,
            Self::Forget { .. } => 1,
            Self::StoreBlob(_) | Self::RemoveBlob(_) | Self::Probe => 0,
        }
    }

    /// Whether it may have what is kept for ends.
    pub(super) fn is_end(&self) -> bool {
        match self {
            Self::Append { records, .. } => records.iter().all(|Encoded { record, .. }| match record {
                Record::Changed { event, .. } => event.change.is_end(),
                Record::Forgotten => true,
            }),
            // Space is made by it.
            Self::Forget { .. } | Self::RemoveBlob(_) => true,
            Self::StoreBlob(_) | Self::Probe => false,
        }
    }
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.tasks >= MAX_TASKS || self.bytes >= MAX_BYTES
    }

    /// Takes in a request, which is answered from now on whatever becomes of its tasks.
    pub(super) fn begin(&mut self, Request { tasks, answer: to }: Request) -> Vec<Task> {
        self.tasks += tasks.len();
        self.answers.push(Answer { to, tasks: tasks.len(), outcomes: Vec::with_capacity(tasks.len()) });
        tasks
    }

    /// Remembers the outcome of the next task of the newest request. Conflicts too wait for the commit: they name a revision
    /// that may be part of it.
    pub(super) fn outcome(&mut self, outcome: AppendResult) {
        if let Some(newest) = self.answers.last_mut() {
            newest.outcomes.push(outcome);
        }
    }

    pub(super) fn entry(&mut self, revision: Revision, key: Key, record: Record, bytes: usize) {
        self.bytes += bytes;
        self.entries.push(StoredEntry { entry: Arc::new(Entry { revision, key, record }), bytes });
    }

    /// Counts bytes that are written beside entries.
    pub(super) fn blob(&mut self, blob: &Blob) {
        self.bytes += blob.bytes.len();
    }

    /// Drops what this very batch holds of a job that is forgotten in it.
    pub(super) fn forget(&mut self, job: &JobId) {
        self.entries.retain(|kept| kept.entry.key.job != *job);
        self.forgotten.insert(job.clone());
    }

    /// The newest revision, if there is any.
    pub(super) fn last(&self) -> Option<Revision> {
        self.entries.last().map(|kept| kept.entry.revision)
    }

    /// Sends the answers after the commit.
    pub(super) fn send_answers(self) {
        for Answer { to, outcomes, .. } in self.answers {
            // Who does not listen any more does not need the answer.
            let _ = to.send(outcomes);
        }
    }

    /// Answers that nothing was appended, for want of space.
    pub(super) fn send_full(self) {
        self.send_instead(|| AppendError::Full);
    }

    /// Answers that the commit failed.
    pub(super) fn send_unknown(self, reason: &Arc<str>) {
        self.send_instead(|| AppendError::Unknown { reason: reason.clone() });
    }

    fn send_instead(self, error: impl Fn() -> AppendError) {
        for Answer { to, tasks, .. } in self.answers {
            let _ = to.send((0..tasks).map(|_| Err(error())).collect());
        }
    }
}
