//! What a caller may do to a job: cancel it, try it again, remove it.

use courant_auth::Identity;
use courant_joblog::event::Change;
use courant_joblog::job::{Job, State};

use super::{Jobs, detached};
use crate::cursor::Cursor;
use crate::engine::Seen;
use crate::error::Error;
use crate::quota::Reservation;
use crate::retention;
use crate::view::Known;

/// What cancels a job, if it can be cancelled and was not yet.
pub fn cancelling(job: &Job, by: &str) -> Option<Change> {
    match job.state {
        State::Queued => Some(Change::Cancelled { by: by.into() }),
        State::Running => Some(Change::Cancelling { by: by.into() }),
        State::Cancelling | State::Cancelled | State::Succeeded | State::Failed => None,
    }
}

fn wrong_state(job: &Job, needs: &'static str) -> Error {
    Error::JobState { job: job.id.clone(), state: job.state, needs }
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

    pub(super) async fn retry(&self, identity: &Identity, id: &str) -> Result<(Seen, Cursor), Error> {
        let Known { job, revision: before, .. } = self.visible(identity, id)?.known;
        // It waits again, as a submitted job does.
        let _room = match job.state {
            State::Failed | State::Cancelled => Some(Reservation::make(&self.0, &job.owner, &job.id, 0)?),
            State::Queued | State::Running | State::Cancelling | State::Succeeded => None,
        };
        let by: Box<str> = identity.subject.as_str().into();
        let seen = self
            .change(identity, id, |job| match job.state {
                State::Failed | State::Cancelled => Ok(Some(Change::Requeued { by: by.clone() })),
                State::Queued | State::Running | State::Cancelling | State::Succeeded => {
                    Err(wrong_state(job, "only a failed or cancelled job can be tried again"))
                }
            })
            .await?;
        Ok((seen, self.0.cursor(before)))
    }

    pub(super) async fn delete(&self, identity: &Identity, id: &str) -> Result<(), Error> {
        let id = self.changeable(identity, id)?.known.job.id.clone();
        let (engine, job) = (self.0.clone(), id.clone());
        // On its own: a caller that goes away in the middle must not leave files behind.
        detached(async move {
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
