//! How the view keeps a job.
//!
//! A job spends some minutes unfinished and, by default, a month ended. While it is unfinished it is read and changed all the
//! time and lies here as it is. Once it has ended it is read when somebody lists or opens it, and there may be a million of
//! them: it is kept packed, in some 340 bytes instead of 2,000, and unpacked for whoever reads it, in some microseconds.
//!
//! It is not read from the log: a read of the disk cannot be made under the engine's lock, so that every reader of a job would
//! have to wait for it, and a list would not be of one moment. A hundred thousand jobs that a filter looks through would be as
//! many reads from random places of the file.

use std::borrow::Cow;
use std::sync::Arc;

use courant_joblog::ids::Revision;
use courant_joblog::job::{Job, State};
use courant_joblog::packed::PackedJob;

use super::current_job::CurrentJob;
use crate::clock::Moment;

/// A job of the view. A copy is cheap, a few hundred bytes at most: take one under the lock, and unpack it after.
#[derive(Clone, Debug)]
pub enum StoredJob {
    Unfinished(CurrentJob),
    Ended(EndedJob),
}

/// A job in its terminal state.
#[derive(Clone, Debug)]
pub struct EndedJob {
    revision: Revision,
    state: State,
    since: Moment,
    packed: PackedJob,
}

impl StoredJob {
    /// Packs a job that has ended.
    pub(super) fn of(current: &CurrentJob) -> Self {
        let CurrentJob { revision, job, live: _, since } = current;
        if !job.state.is_terminal() {
            return Self::Unfinished(current.clone());
        }
        let packed = PackedJob::of(job);
        Self::Ended(EndedJob { revision: *revision, state: job.state, since: *since, packed })
    }

    /// The revision of its newest entry.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Unfinished(current) => current.revision,
            Self::Ended(ended) => ended.revision,
        }
    }

    pub fn state(&self) -> State {
        match self {
            Self::Unfinished(current) => current.job.state,
            Self::Ended(ended) => ended.state,
        }
    }

    pub fn is_packed(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// The job, if it has not ended.
    pub fn unfinished(&self) -> Option<&CurrentJob> {
        match self {
            Self::Unfinished(current) => Some(current),
            Self::Ended(_) => None,
        }
    }

    /// The job, unpacked if it has ended. `None` only by a defect, see [`EndedJob::unpack`].
    pub fn current(&self) -> Option<Cow<'_, CurrentJob>> {
        match self {
            Self::Unfinished(current) => Some(Cow::Borrowed(current)),
            Self::Ended(ended) => ended.unpack().map(Cow::Owned),
        }
    }

    /// The same, for who has it to itself.
    pub fn into_current(self) -> Option<CurrentJob> {
        match self {
            Self::Unfinished(current) => Some(current),
            Self::Ended(ended) => ended.unpack(),
        }
    }
}

impl EndedJob {
    /// Some microseconds. `None` only if the job cannot be unpacked, which is a defect of [`courant_joblog::packed`]: the job is
    /// then missing where it was asked for, and the log says so, rather than that nobody is served any more.
    pub fn unpack(&self) -> Option<CurrentJob> {
        let Some(job) = self.packed.unpack() else {
            tracing::error!(revision = %self.revision, "a job that has ended cannot be unpacked: a defect of this program");
            return None;
        };
        Some(self.unpacked(Arc::new(job)))
    }

    /// The same for who has the job of this revision.
    pub fn unpacked(&self, job: Arc<Job>) -> CurrentJob {
        CurrentJob { revision: self.revision, job, live: None, since: self.since }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::Timestamp;

    use super::*;
    use crate::testing::queued;

    #[test]
    fn an_ended_job_is_packed_and_comes_back_as_it_was() {
        for state in
            [State::Queued, State::Running, State::Cancelling, State::Succeeded, State::Failed, State::Cancelled]
        {
            let mut job = queued("J", "alice");
            (job.state, job.ended) = (state, state.is_terminal().then_some(Timestamp(7)));
            let current = CurrentJob { revision: Revision(3), job: Arc::new(job), live: None, since: Moment(5) };
            let stored = StoredJob::of(&current);
            assert_eq!(
                (stored.is_packed(), stored.state(), stored.revision()),
                (state.is_terminal(), state, Revision(3))
            );
            assert_eq!(stored.unfinished().is_some(), !state.is_terminal());
            for back in [stored.current().unwrap().into_owned(), stored.clone().into_current().unwrap()] {
                assert_eq!((back.revision, back.since, &back.job), (current.revision, current.since, &current.job));
            }
        }
    }

    /// What a million of them take is in `docs/performance.md`.
    #[test]
    fn an_entry_of_the_view_stays_small() {
        assert!(size_of::<StoredJob>() <= 40, "{} bytes", size_of::<StoredJob>());
    }
}
