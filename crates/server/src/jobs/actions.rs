//! What a caller may do to a job: cancel it, try it again, remove it.

use std::sync::Arc;

use courant_auth::{Identity, Role, Verifier};
use courant_engine::Error as Refused;
use courant_engine::cursor::Cursor;
use courant_engine::reservation::Reservation;
use courant_engine::snapshot::JobSnapshot;
use courant_engine::transitions::{self, check_remove, check_retry};
use courant_engine::view::CurrentJob;
use courant_joblog::event::Change;
use courant_joblog::job::Job;
use courant_proto::v1;
use courant_proto::v1::{Password, RetryJobRequest};

use super::submit_request;
use crate::auth::check_visible;
use crate::convert::{self, job_id};
use crate::error::Error;
use crate::job_folder::JobFolder;
use crate::passwords;
use crate::retention;
use crate::services::Services;
use crate::worker::registry::Registry;

#[derive(Clone)]
pub struct Jobs {
    pub services: Arc<Services>,
    pub registry: Arc<Registry>,
    /// Judges the tokens with which a stream goes on.
    pub verifier: Verifier,
}

impl Jobs {
    /// The job, if the caller may see it.
    pub(super) async fn visible(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let id = job_id(id)?;
        let found = self.services.engine.find(&id).await?;
        check_visible(identity, &id, found.as_ref().map(|snapshot| &*snapshot.current.job))?;
        found.ok_or_else(|| Refused::JobNotFound(id).into())
    }

    /// Changes a job the caller may change.
    pub(super) async fn change(
        &self,
        identity: &Identity,
        id: &str,
        decide: impl Fn(&Job) -> Result<Option<Change>, Refused>,
    ) -> Result<JobSnapshot, Error> {
        let found = self.changeable(identity, id).await?;
        Ok(self.services.engine.change(&found.current.job.id, decide).await?)
    }

    /// The job, if the caller may change it.
    pub(super) async fn changeable(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let found = self.visible(identity, id).await?;
        let job = &found.current.job;
        // The bridge sees all but changes nothing: it forwards the user's own token for that.
        if job.owner.as_str() != identity.subject && !identity.has(Role::Admin) {
            return Err(Refused::JobNotFound(job.id.clone()).into());
        }
        Ok(found)
    }

    /// As the caller sees it.
    pub(super) fn wire(&self, snapshot: &JobSnapshot) -> v1::Job {
        convert::with_expire_time(self.services.config.retention, convert::snapshot(snapshot))
    }
}

impl Jobs {
    pub(super) async fn cancel(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let snapshot = self.change(identity, id, |job| transitions::cancel(job, &identity.subject)).await?;
        tracing::info!(job = %snapshot.current.job.id, by = %identity.subject, "cancel asked for");
        Ok(snapshot)
    }

    pub(super) async fn retry(
        &self,
        identity: &Identity,
        request: RetryJobRequest,
    ) -> Result<(JobSnapshot, Cursor), Error> {
        let (id, password) = (request.job_id.as_str(), submit_request::password(request.password)?);
        let CurrentJob { job, revision: before, .. } = self.changeable(identity, id).await?.current;
        check_retry(&job)?;
        // It waits again, as a submitted job does.
        let reservation =
            Reservation::make(&self.services.engine, &self.services.projections.quotas, &job.owner, &job.id, 0)?;
        // On its own: a caller that goes away must not leave a password that no job knows of.
        let (jobs, by) = (self.clone(), Box::<str>::from(identity.subject.as_str()));
        let snapshot = self
            .services
            .run_detached(async move {
                let _reservation = reservation;
                jobs.requeue(JobFolder::of(&job), &by, password).await
            })
            .await?;
        Ok((snapshot, self.services.engine.cursor(before)))
    }

    async fn requeue(&self, folder: JobFolder, by: &str, password: Option<Password>) -> Result<JobSnapshot, Error> {
        let name = match password {
            Some(password) => Some(passwords::store(&self.services, &folder, &password.text).await?),
            None => None,
        };
        let again = |job: &Job| {
            check_retry(job)?;
            Ok(Some(Change::Requeued { by: by.into(), password: name.clone() }))
        };
        let snapshot = self.services.engine.change(folder.job(), again).await;
        // Whatever else went wrong, the retry may be in the log and need it; it goes with the job then.
        if matches!(snapshot, Err(Refused::JobState { .. } | Refused::JobNotFound(_))) {
            passwords::drop_unused(&self.services, &folder, name.as_deref()).await;
        }
        Ok(snapshot?)
    }

    pub(super) async fn delete(&self, identity: &Identity, id: &str) -> Result<(), Error> {
        let id = self.changeable(identity, id).await?.current.job.id.clone();
        let (services, job) = (self.services.clone(), id.clone());
        // On its own: a caller that goes away in the middle must not leave files behind.
        self.services
            .run_detached(async move {
                let ended = |job: &Job| check_remove(job).map(|()| true);
                // Removed by somebody else in the meantime is removed, too.
                retention::remove(&services, &job, ended).await
            })
            .await?;
        tracing::info!(job = %id, by = %identity.subject, "job removed");
        Ok(())
    }
}
