//! Jobs that are cancelled when nobody follows them any more.
//!
//! Who follows the job, its document, its batch or its owner's jobs counts; who follows everything does not. The time
//! begins when the job is queued, or when the last follower leaves, and again when the server starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use courant_joblog::ids::JobId;
use courant_joblog::job::Job;
use tokio::time::{Instant, MissedTickBehavior};

use crate::batches::Batches;
use crate::engine::{CHUNK, Engine};
use crate::error::Error;
use crate::projection::Registered;
use crate::transitions::cancel_change;
use crate::unwatched_index::UnwatchedIndex;

/// How often jobs are checked.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// The `requested_by` of such a cancel.
pub const BY: &str = "unwatched";

/// The indexes from which it is found which jobs nobody follows.
#[derive(Clone, Debug)]
pub struct Indexes {
    pub unwatched: Registered<UnwatchedIndex>,
    pub batches: Registered<Batches>,
}

/// Other servers on the same log, where a job may be followed too.
#[async_trait]
pub trait FollowedElsewhere: Send + Sync {
    /// Whether somebody follows this job at another server, or may: not all have answered.
    async fn is_followed(&self, job: &JobId) -> bool;
}

/// For a log that only one server can have open.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

#[async_trait]
impl FollowedElsewhere for Nowhere {
    async fn is_followed(&self, _: &JobId) -> bool {
        false
    }
}

impl Indexes {
    /// Whether somebody follows a job at this server.
    pub fn is_followed(&self, engine: &Engine, job: &Job) -> bool {
        engine.is_followed(job) || engine.projection(&self.batches, |batches, _| batches.is_followed(job))
    }
}

/// Cancels jobs that nobody follows, for ever.
pub async fn run(engine: Arc<Engine>, indexes: Indexes, elsewhere: Arc<dyn FollowedElsewhere>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep = UnwatchedSweep { engine, indexes, elsewhere, begun: Instant::now(), since: HashMap::new() };
    loop {
        ticks.tick().await;
        sweep.run().await;
    }
}

struct UnwatchedSweep {
    engine: Arc<Engine>,
    indexes: Indexes,
    elsewhere: Arc<dyn FollowedElsewhere>,
    begun: Instant,
    /// Since when nobody follows a job.
    since: HashMap<JobId, Instant>,
}

impl UnwatchedSweep {
    async fn run(&mut self) {
        let mut before = std::mem::take(&mut self.since);
        let mut after: Option<JobId> = None;
        loop {
            let ids =
                self.engine.projection(&self.indexes.unwatched, |unwatched, _| unwatched.after(after.as_ref(), CHUNK));
            let Some(last) = ids.last().cloned() else { return };
            for id in ids {
                self.check(id, &mut before).await;
            }
            after = Some(last);
        }
    }

    async fn check(&mut self, id: JobId, before: &mut HashMap<JobId, Instant>) {
        let current = self.engine.read(|view| {
            let current = view.unfinished(&id)?;
            Some((current.job.clone(), view.now().ms_since(current.since)))
        });
        let Some((job, stood_ms)) = current else { return };
        let Some(limit) = job.cancel_unwatched_ms.map(Duration::from_millis) else { return };
        if self.is_followed(&job) {
            // From now on: the next sweep finds out whether they left.
            self.since.insert(id, Instant::now());
            return;
        }
        let since = before.remove(&id).unwrap_or_else(|| self.stands_since(stood_ms));
        self.since.insert(id.clone(), since);
        if since.elapsed() < limit {
            return;
        }
        // Asked only now: mostly somebody follows it here, or the job ends before.
        if self.elsewhere.is_followed(&id).await {
            self.since.insert(id, Instant::now());
            return;
        }
        match self.engine.change(&id, |job| Ok(cancel_change(job, BY).filter(|_| !self.is_followed(job)))).await {
            Ok(snapshot) if snapshot.current.job.cancelled_by.as_deref() == Some(BY) => {
                tracing::info!(job = %id, "cancelled: nobody follows it");
            }
            // Somebody came, or it has ended.
            Ok(_) | Err(Error::JobNotFound(_)) => {}
            Err(error) => tracing::warn!(job = %id, %error, "a job that nobody follows could not be cancelled"),
        }
    }

    fn is_followed(&self, job: &Job) -> bool {
        self.indexes.is_followed(&self.engine, job)
    }

    /// When a job that is checked for the first time was queued, but not before this server began.
    fn stands_since(&self, stood_ms: u64) -> Instant {
        Instant::now() - Duration::from_millis(stood_ms).min(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::event::{Change, Event, Submission};
    use courant_joblog::ids::{BatchId, Owner, Timestamp};
    use courant_joblog::job::State;
    use courant_joblog::log::{Append, Log};
    use courant_joblog::memory::MemoryLog;

    use super::*;
    use crate::hub::watch_queue::WatchQueue;
    use crate::hub::{Scope, Topic};
    use crate::projection::Projections;
    use crate::testing;

    const LIMIT: Duration = Duration::from_secs(30);

    fn unwatched_submission() -> Submission {
        Submission {
            batch: Some(BatchId::new("B")),
            cancel_unwatched_ms: Some(LIMIT.as_millis() as u64),
            ..testing::submission("J", "alice")
        }
    }

    /// An engine on a log that holds a job queued so long ago.
    async fn began(queued_ago: Duration) -> (Arc<Engine>, Registered<Batches>) {
        began_beside(queued_ago, Arc::new(Nowhere)).await
    }

    /// The same with other servers.
    async fn began_beside(
        queued_ago: Duration,
        elsewhere: Arc<dyn FollowedElsewhere>,
    ) -> (Arc<Engine>, Registered<Batches>) {
        let log = MemoryLog::new();
        let at = Timestamp::now().plus_ms(-(queued_ago.as_millis() as i64));
        let event = Event::new(at, Change::Submitted(Box::new(unwatched_submission())));
        let job = Arc::new(courant_joblog::apply::apply(None, &event).unwrap());
        log.append(Append::one(None, event, job)).await.unwrap();
        let mut projections = Projections::default();
        let (unwatched, batches) = (UnwatchedIndex::default(), Batches::default());
        let (unwatched, batches) = (projections.register(unwatched), projections.register(batches));
        let engine = testing::follow(testing::config(), Arc::new(log), projections).await.unwrap();
        tokio::spawn(run(engine.clone(), Indexes { unwatched, batches: batches.clone() }, elsewhere));
        (engine, batches)
    }

    fn state(engine: &Engine) -> State {
        engine.get(&JobId::new("J")).unwrap().current.job.state
    }

    /// How long it lasts until the job is cancelled.
    async fn cancelled_after(engine: &Engine) -> Duration {
        let begun = Instant::now();
        while state(engine) != State::Cancelled {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(engine.get(&JobId::new("J")).unwrap().current.job.cancelled_by.as_deref(), Some(BY));
        begun.elapsed()
    }

    fn about_the_limit(after: Duration) -> bool {
        (LIMIT - SWEEP_EVERY..=LIMIT + 2 * SWEEP_EVERY).contains(&after)
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_nobody_ever_followed_goes_after_its_time() {
        let (engine, _batches) = began(Duration::ZERO).await;
        let after = cancelled_after(&engine).await;
        assert!(about_the_limit(after), "{after:?}");
    }

    struct Until(Instant);

    #[async_trait]
    impl FollowedElsewhere for Until {
        async fn is_followed(&self, _: &JobId) -> bool {
            Instant::now() < self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_is_followed_at_another_server_stays_until_they_leave() {
        let (engine, _batches) = began_beside(Duration::ZERO, Arc::new(Until(Instant::now() + LIMIT * 5 / 2))).await;
        let after = cancelled_after(&engine).await;
        assert!((LIMIT * 5 / 2..LIMIT * 4).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_restart_the_time_begins_anew() {
        let (engine, _batches) = began(LIMIT * 100).await;
        let after = cancelled_after(&engine).await;
        assert!(about_the_limit(after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_was_set_cancels_no_new_job_and_keeps_none() {
        let day = Duration::from_secs(24 * 3600).as_millis() as i64;
        for set_by in [day, -day] {
            let (engine, _batches) = began(Duration::ZERO).await;
            tokio::time::sleep(LIMIT * 3).await;
            let submission = Submission { id: JobId::new("K"), ..unwatched_submission() };
            let event = Event::new(Timestamp::now().plus_ms(set_by), Change::Submitted(Box::new(submission)));
            let job = Arc::new(courant_joblog::apply::apply(None, &event).unwrap());
            let begun = Instant::now();
            engine.log.append(Append::one(None, event, job)).await.unwrap();
            let is_over =
                || engine.get(&JobId::new("K")).is_some_and(|snapshot| snapshot.current.job.state == State::Cancelled);
            while !is_over() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(about_the_limit(begun.elapsed()), "{set_by} ms: {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_stays_while_somebody_follows_and_goes_after_the_last_has_left() {
        for topic in [Topic::Job(JobId::new("J")), Topic::Owner(Owner::new("alice"))] {
            let (engine, _batches) = began(Duration::ZERO).await;
            let scope = Scope { topic, document: None, batch: None };
            let follow = || engine.join(scope.clone(), &Arc::new(WatchQueue::new(8, Duration::ZERO))).0;
            let (first, second) = (follow(), follow());
            tokio::time::sleep(LIMIT * 3).await;
            engine.leave(&first);
            tokio::time::sleep(LIMIT * 3).await;
            assert_eq!(state(&engine), State::Queued);
            engine.leave(&second);
            let after = cancelled_after(&engine).await;
            assert!(about_the_limit(after), "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_the_batch_follows_it_and_who_follows_everything_does_not() {
        let (engine, batches) = began(Duration::ZERO).await;
        let all = Scope { topic: Topic::All, document: None, batch: None };
        engine.join(all, &Arc::new(WatchQueue::new(8, Duration::ZERO)));
        let name = (Owner::new("alice"), BatchId::new("B"));
        let batch = engine.projection(&batches, |batches, _| batches.subscribe(&name));
        tokio::time::sleep(LIMIT * 3).await;
        assert_eq!(state(&engine), State::Queued);
        drop(batch);
        let after = cancelled_after(&engine).await;
        assert!(about_the_limit(after), "{after:?}");
    }
}
