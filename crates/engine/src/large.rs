//! Documents that turn out to be large once they are opened: they move to the large lane, and out of the way of smaller
//! ones that wait for the same workers.

use std::collections::BTreeMap;
use std::time::Duration;

use courant_joblog::event::{AttemptCharge, Change};
use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, JobError, Lane, State};

use crate::attempt::AttemptId;
use crate::engine::Engine;
use crate::error::Error;

/// How long a job is delayed, so that the slot it held goes to a smaller one and not, by its lane's turn, to itself.
pub const ASIDE: Duration = Duration::from_secs(1);

/// The lane a job moves to when its plan has this many pages, where more than `limit` are large. Only the first plan moves a
/// job: one that is large already, by its size or by an earlier plan, was given out knowing that, and is never handed back
/// for it again.
pub fn lane_for(limit: u32, job: &Job, pages: u32) -> Option<Lane> {
    let new = job.pages.total.is_none() && job.lane != Lane::Large;
    (new && pages > limit).then_some(Lane::Large)
}

impl Engine {
    /// Whether smaller jobs of its kind wait that could have the slot of this one.
    pub fn has_smaller_waiting(&self, large: &Job) -> bool {
        let slots = BTreeMap::new();
        let limits = self.config.running_limits(&slots);
        let smaller = [Lane::Premium, Lane::Normal];
        self.read(|view| smaller.iter().any(|lane| view.would_serve(&large.kind, *lane, &large.owner, &limits)))
    }

    /// Ends the attempt and lets the job wait in its lane. It costs the job nothing.
    pub async fn requeue_large(&self, attempt: &AttemptId, pages: u32) -> Result<(), Error> {
        let message =
            format!("The document has {pages} pages: it waits in the large lane, so that smaller ones go first.");
        let error = JobError { code: "LARGE_DOCUMENT".into(), message: message.into(), retryable: true };
        let decide = |job: &Job| {
            let current = job.state == State::Running && job.attempt == attempt.number;
            let (not_before, error) = (Timestamp::now().plus_ms(ASIDE.as_millis() as i64), error.clone());
            Ok(current.then_some(Change::Retrying {
                attempt: attempt.number,
                error,
                not_before,
                charge: AttemptCharge::Free,
            }))
        };
        self.change(&attempt.job, decide).await?;
        tracing::info!(job = %attempt.job, attempt = attempt.number, pages, "a large document made room for smaller ones");
        Ok(())
    }
}
