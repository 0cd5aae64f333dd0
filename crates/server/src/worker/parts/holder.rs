//! Who speaks: the worker of an attempt, or that of a part of it.

use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use courant_joblog::job::Job;
use courant_proto::v1::AttemptRef;
use tokio::sync::OwnedRwLockReadGuard;

use super::{MAX_PART_ID, PartId};
use crate::credential::{Credentials, Holding};
use crate::engine::Engine;
use crate::error::Error;
use crate::objects::page_name;
use crate::worker::registry::Registry;
use crate::worker::{AttemptId, attempt_in};

/// An attempt, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The attempt.
    pub attempt: AttemptId,
    /// The part; `None` for the attempt itself.
    pub part: Option<PartId>,
}

impl Holder {
    pub(super) fn of_part(attempt: &AttemptId, part: &PartId) -> Self {
        Self { attempt: attempt.clone(), part: Some(part.clone()) }
    }

    /// As it is sent to a worker. The credential in it is of use to the holder alone.
    pub fn wire(&self, credentials: &Credentials, worker: &WorkerId) -> AttemptRef {
        AttemptRef {
            job_id: self.attempt.job.to_string(),
            attempt: self.attempt.number as i32,
            part: self.part_id().to_owned(),
            credential: credentials.of(self.holding(worker)),
        }
    }

    /// What the credential of a worker is for.
    pub fn holding<'a>(&'a self, worker: &'a WorkerId) -> Holding<'a> {
        Holding { job: &self.attempt.job, number: self.attempt.number, part: self.part_id(), worker }
    }

    fn part_id(&self) -> &str {
        self.part.as_ref().map_or("", |part| &part.0)
    }

    /// The worker that holds it.
    pub fn worker(&self, job: &Job, registry: &Registry) -> Option<WorkerId> {
        match &self.part {
            Some(part) => registry.parts.worker(&self.attempt, part),
            None => job.worker.clone(),
        }
    }

    /// Whether this worker holds it.
    pub fn is_of(&self, engine: &Engine, registry: &Registry, worker: &WorkerId) -> bool {
        let job = self.held(engine, registry);
        job.is_ok_and(|job| self.worker(&job, registry).is_some_and(|holder| holder == *worker))
    }

    /// The job, if the attempt is held and the part, if it is one, too.
    pub fn held(&self, engine: &Engine, registry: &Registry) -> Result<Arc<Job>, Error> {
        let job = self.attempt.held(engine)?;
        match self.part {
            Some(_) => registry.parts.enter(self).map(|_| job).ok_or_else(|| self.attempt.lost()),
            None => Ok(job),
        }
    }

    /// Like [`Holder::held`], for writing an artifact of this name: what the guard is of ends only after the guard. A part
    /// writes its own pages and nothing else.
    pub fn enter(
        &self,
        engine: &Engine,
        registry: &Registry,
        name: &str,
    ) -> Result<Option<OwnedRwLockReadGuard<()>>, Error> {
        self.attempt.held(engine)?;
        if self.part.is_none() {
            return Ok(None);
        }
        let (pages, gate) = registry.parts.enter(self).ok_or_else(|| self.attempt.lost())?;
        let page = name.strip_prefix("pages/").and_then(|name| name.strip_suffix(".json")?.parse().ok());
        if !page.is_some_and(|page| pages.has(page) && name == page_name(page)) {
            return Err(Error::field("header.name", "must be that of a page of the part"));
        }
        Ok(Some(gate))
    }
}

/// Reads who speaks.
pub(in crate::worker) fn holder_in(at: Option<AttemptRef>) -> Result<Holder, Error> {
    let part = at.as_ref().map(|at| at.part.clone()).filter(|part| !part.is_empty());
    if part.as_ref().is_some_and(|part| part.len() > MAX_PART_ID) {
        return Err(Error::field("attempt.part", format!("must have at most {MAX_PART_ID} bytes")));
    }
    Ok(Holder { attempt: attempt_in(at)?, part: part.map(|part| PartId(part.into())) })
}
