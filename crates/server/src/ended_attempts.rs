//! Attempts that run no more: whoever gives out jobs ends their parts, without looking at those of all that run.

use courant_engine::attempt::AttemptId;
use courant_engine::projection::{JobChange, Projection};
use courant_joblog::job::{Job, State};

/// Since they were last taken. Whoever gives out jobs does so whenever the log grew.
#[derive(Debug, Default)]
pub struct EndedAttempts(Vec<AttemptId>);

impl EndedAttempts {
    pub fn take(&mut self) -> Vec<AttemptId> {
        std::mem::take(&mut self.0)
    }
}

impl Projection for EndedAttempts {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (before, after) = change.jobs();
        if let Some(before) = before.filter(|before| before.state == State::Running)
            && !after.is_some_and(|after| runs_on(before, after))
        {
            self.0.push(AttemptId::of(before));
        }
    }
}

fn runs_on(before: &Job, after: &Job) -> bool {
    after.state == State::Running && after.attempt == before.attempt
}

#[cfg(test)]
mod tests {
    use courant_engine::testing::{self, submission};
    use courant_joblog::event::Change;
    use courant_joblog::ids::{JobId, WorkerId};
    use courant_joblog::memory::MemoryLog;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_attempt_ends_once_with_its_cancel_or_its_job() {
        let mut projections = courant_engine::projection::Projections::default();
        let ended = projections.register(EndedAttempts::default());
        let engine = testing::follow(testing::config(), Arc::new(MemoryLog::new()), projections).await.unwrap();
        let take = || engine.projection(&ended, |ended, _| ended.take());
        let id = JobId::new("J");
        let submitted = Change::Submitted(Box::new(submission("J", "alice")));
        engine.create(submitted, id.clone(), Vec::new(), Some(WorkerId::new("w"))).await.unwrap();
        let planned = Change::Planned { attempt: 1, pages: 2, lane: None, document: None };
        engine.change(&id, |_| Ok(Some(planned.clone()))).await.unwrap();
        assert_eq!(take(), []);
        engine.change(&id, |_| Ok(Some(Change::Cancelling { by: "alice".into() }))).await.unwrap();
        assert_eq!(take(), [AttemptId { job: id.clone(), number: 1 }]);
        engine.change(&id, |_| Ok(Some(Change::Cancelled { by: "alice".into() }))).await.unwrap();
        assert_eq!(take(), []);
    }
}
