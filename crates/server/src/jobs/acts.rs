//! What a caller may do to a job: cancel it, try it again, remove it.

use courant_auth::Identity;
use courant_joblog::event::Change;
use courant_joblog::ids::JobId;
use courant_joblog::job::{Job, State};
use courant_proto::v1::{Password, RetryJobRequest};

use super::{Jobs, wish};
use crate::cursor::Cursor;
use crate::error::Error;
use crate::passwords;
use crate::reservation::Reservation;
use crate::retention;
use crate::snapshot::Seen;
use crate::transitions::cancelling;
use crate::view::Known;

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
    pub(super) async fn cancel(&self, identity: &Identity, id: &str) -> Result<Seen, Error> {
        let seen = self
            .change(identity, id, |job| match job.state {
                State::Succeeded | State::Failed => Err(wrong_state(job, "only an unfinished job can be cancelled")),
                State::Queued | State::Running | State::Cancelling | State::Cancelled => {
                    Ok(cancelling(job, &identity.subject))
                }
            })
            .await?;
        tracing::info!(job = %seen.known.job.id, by = %identity.subject, "cancel asked for");
        Ok(seen)
    }

    pub(super) async fn retry(&self, identity: &Identity, request: RetryJobRequest) -> Result<(Seen, Cursor), Error> {
        let (id, password) = (request.job_id.as_str(), wish::password(request.password)?);
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

    async fn requeue(&self, id: &JobId, by: &str, password: Option<Password>) -> Result<Seen, Error> {
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
