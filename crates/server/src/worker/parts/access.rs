//! Whether a worker holds the attempt or part that it names.

use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use courant_joblog::job::Job;
use tokio::sync::OwnedRwLockReadGuard;

use super::holder::Holder;
use super::table::PartRegistry;
use crate::error::Error;
use crate::objects::page_name;
use crate::services::Services;

impl Holder {
    /// The worker that holds it.
    pub fn worker(&self, job: &Job, parts: &PartRegistry) -> Option<WorkerId> {
        match &self.part {
            Some(part) => parts.worker(&self.attempt, part),
            None => job.worker.clone(),
        }
    }

    /// Whether this worker holds it.
    pub fn is_of(&self, services: &Services, parts: &PartRegistry, worker: &WorkerId) -> bool {
        let job = self.held(services, parts);
        job.is_ok_and(|job| self.worker(&job, parts).is_some_and(|holder| holder == *worker))
    }

    /// The job, if the attempt is held and the part, if it is one, too.
    pub fn held(&self, services: &Services, parts: &PartRegistry) -> Result<Arc<Job>, Error> {
        let job = self.attempt.held_job(&services.engine)?;
        match self.part {
            Some(_) => parts.enter(self).map(|_| job).ok_or_else(|| self.attempt.lease_lost().into()),
            None => Ok(job),
        }
    }

    /// Like [`Holder::held`], for writing an artifact of this name: what the guard is of ends only after the guard. A part
    /// writes its own pages and nothing else.
    pub fn enter(
        &self,
        services: &Services,
        parts: &PartRegistry,
        name: &str,
    ) -> Result<Option<OwnedRwLockReadGuard<()>>, Error> {
        self.attempt.held_job(&services.engine)?;
        if self.part.is_none() {
            return Ok(None);
        }
        let (pages, gate) = parts.enter(self).ok_or_else(|| self.attempt.lease_lost())?;
        let page = name.strip_prefix("pages/").and_then(|name| name.strip_suffix(".json")?.parse().ok());
        if !page.is_some_and(|page| pages.contains(page) && name == page_name(page)) {
            return Err(Error::field("header.name", "must be that of a page of the part"));
        }
        Ok(Some(gate))
    }
}
