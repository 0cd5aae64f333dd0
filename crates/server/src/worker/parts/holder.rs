//! The sender of a report: the worker of an attempt, or that of a part of it.

use courant_engine::attempt::AttemptId;
use courant_engine::parts::{MAX_PART_ID, PartId};
use courant_joblog::ids::WorkerId;
use courant_proto::v1::AttemptRef;

use crate::credential::{Credentials, HeldAttempt};
use crate::error::Error;
use crate::worker::attempt::attempt_in;

/// An attempt, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    pub attempt: AttemptId,
    /// The part; `None` for the attempt itself.
    pub part: Option<PartId>,
}

impl Holder {
    /// The worker of an attempt itself.
    pub fn of(attempt: &AttemptId) -> Self {
        Self { attempt: attempt.clone(), part: None }
    }

    pub(crate) fn of_part(attempt: &AttemptId, part: &PartId) -> Self {
        Self { attempt: attempt.clone(), part: Some(part.clone()) }
    }

    /// As it is sent to a worker. The credential in it is of use to the holder alone.
    pub fn wire(&self, credentials: &Credentials, worker: &WorkerId) -> AttemptRef {
        AttemptRef {
            job_id: self.attempt.job.as_str().to_owned(),
            attempt: self.attempt.number as i32,
            part: self.part_id().to_owned(),
            credential: credentials.of(self.holding(worker)),
        }
    }

    /// What the credential of a worker is for.
    pub fn holding<'a>(&'a self, worker: &'a WorkerId) -> HeldAttempt<'a> {
        HeldAttempt { job: &self.attempt.job, number: self.attempt.number, part: self.part_id(), worker }
    }

    fn part_id(&self) -> &str {
        self.part.as_ref().map_or("", PartId::as_str)
    }
}

pub(crate) fn holder_in(at: Option<AttemptRef>) -> Result<Holder, Error> {
    let part = at.as_ref().map(|at| at.part.clone()).filter(|part| !part.is_empty());
    if part.as_ref().is_some_and(|part| part.len() > MAX_PART_ID) {
        return Err(Error::field("attempt.part", format!("must have at most {MAX_PART_ID} bytes")));
    }
    Ok(Holder { attempt: attempt_in(at)?, part: part.map(PartId::new) })
}
