//! What a caller may do to a job: cancel it, try it again, remove it.

use std::sync::Arc;

use courant_auth::{Identity, Role};
use courant_joblog::event::Change;
use courant_joblog::ids::JobId;
use courant_joblog::job::{Job, State};
use courant_proto::v1;
use courant_proto::v1::{Password, RetryJobRequest};

use super::submit_request;
use crate::auth::seen;
use crate::convert::{self, job_id};
use crate::cursor::Cursor;
use crate::engine::Engine;
use crate::error::Error;
use crate::passwords;
use crate::reservation::Reservation;
use crate::retention;
use crate::snapshot::JobSnapshot;
use crate::transitions::cancel_change;
use crate::view::Known;

pub struct Jobs(pub Arc<Engine>);

impl Jobs {
    /// The job, if the caller may see it.
    pub(super) fn visible(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let id = job_id(id)?;
        let found = self.0.get(&id);
        seen(identity, &id, found.as_ref().map(|seen| &*seen.known.job))?;
        found.ok_or(Error::JobNotFound(id))
    }

    /// Changes a job the caller may change.
    pub(super) async fn change(
        &self,
        identity: &Identity,
        id: &str,
        decide: impl Fn(&Job) -> Result<Option<Change>, Error>,
    ) -> Result<JobSnapshot, Error> {
        let found = self.changeable(identity, id)?;
        self.0.change(&found.known.job.id, decide).await
    }

    /// The job, if the caller may change it.
    pub(super) fn changeable(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let found = self.visible(identity, id)?;
        let job = &found.known.job;
        // The bridge sees all but changes nothing: it forwards the user's own token for that.
        if job.owner.as_str() != identity.subject && !identity.has(Role::Admin) {
            return Err(Error::JobNotFound(job.id.clone()));
        }
        Ok(found)
    }

    /// As the caller sees it.
    pub(super) fn wire(&self, seen: &JobSnapshot) -> v1::Job {
        convert::dated(self.0.config.retention, convert::seen(seen))
    }
}

fn wrong_state(job: &Job, needs: &'static str) -> Error {
    Error::JobState { job: job.id.clone(), state: job.state, needs }
}

fn may_retry(job: &Job) -> Result<(), Error> {
    match job.state {
        State::Failed | State::Cancelled => Ok(()),
        State::Queued | State::Running | State::Cancelling | State::Succeeded => {
            Err(wrong_state(job, "only a failed or cancelled job can be tried again"))
        }
    }
}

impl Jobs {
    pub(super) async fn cancel(&self, identity: &Identity, id: &str) -> Result<JobSnapshot, Error> {
        let seen = self
            .change(identity, id, |job| match job.state {
                State::Succeeded | State::Failed => Err(wrong_state(job, "only an unfinished job can be cancelled")),
                State::Queued | State::Running | State::Cancelling | State::Cancelled => {
                    Ok(cancel_change(job, &identity.subject))
                }
            })
            .await?;
        tracing::info!(job = %seen.known.job.id, by = %identity.subject, "cancel asked for");
        Ok(seen)
    }

    pub(super) async fn retry(
        &self,
        identity: &Identity,
        request: RetryJobRequest,
    ) -> Result<(JobSnapshot, Cursor), Error> {
        let (id, password) = (request.job_id.as_str(), submit_request::password(request.password)?);
        let Known { job, revision: before, .. } = self.changeable(identity, id)?.known;
        may_retry(&job)?;
        // It waits again, as a submitted job does.
        let room = Reservation::make(&self.0, &job.owner, &job.id, 0)?;
        // On its own: a caller that goes away must not leave a password that no job knows of.
        let (jobs, by) = (Jobs(self.0.clone()), Box::<str>::from(identity.subject.as_str()));
        let seen = self
            .0
            .run_detached(async move {
                let _room = room;
                jobs.requeue(&job.id, &by, password).await
            })
            .await?;
        Ok((seen, self.0.cursor(before)))
    }

    async fn requeue(&self, id: &JobId, by: &str, password: Option<Password>) -> Result<JobSnapshot, Error> {
        let name = match password {
            Some(password) => Some(passwords::store(&self.0, id, &password.text).await?),
            None => None,
        };
        let again = |job: &Job| {
            may_retry(job)?;
            Ok(Some(Change::Requeued { by: by.into(), password: name.clone() }))
        };
        let seen = self.0.change(id, again).await;
        // Whatever else went wrong, the retry may be in the log and need it; it goes with the job then.
        if matches!(seen, Err(Error::JobState { .. } | Error::JobNotFound(_))) {
            passwords::drop_unused(&self.0, id, name.as_deref()).await;
        }
        seen
    }

    pub(super) async fn delete(&self, identity: &Identity, id: &str) -> Result<(), Error> {
        let id = self.changeable(identity, id)?.known.job.id.clone();
        let (engine, job) = (self.0.clone(), id.clone());
        // On its own: a caller that goes away in the middle must not leave files behind.
        self.0
            .run_detached(async move {
                let ended = |job: &Job| match job.state.is_terminal() {
                    true => Ok(true),
                    false => Err(wrong_state(job, "only a finished job can be removed; cancel it first")),
                };
                // Removed by somebody else in the meantime is removed, too.
                retention::remove(&engine, &job, ended).await
            })
            .await?;
        tracing::info!(job = %id, by = %identity.subject, "job removed");
        Ok(())
    }
}
