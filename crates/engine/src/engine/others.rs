//! What other servers append to the same log: who was told of it by one of them may ask here a moment later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use courant_joblog::ids::JobId;
use courant_joblog::log::ReadError;

use super::core::Engine;
use crate::error::Error;
use crate::snapshot::JobSnapshot;

/// How long what others have appended may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

impl Engine {
    /// Whether other servers may have the log open.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// One job, if there is such a one by now: what is not here yet may be under way from another server.
    pub async fn find(&self, id: &JobId) -> Result<Option<JobSnapshot>, Error> {
        let found = self.get(id);
        if found.is_some() || !self.is_shared() {
            return Ok(found);
        }
        self.catch_up_with_others().await?;
        Ok(self.get(id))
    }

    /// Waits until the view has what other servers were told is appended before this call, but not for ever: then nothing may be
    /// concluded from what is missing here. Returns at once where no other can append.
    pub async fn catch_up_with_others(&self) -> Result<(), Error> {
        if !self.is_shared() {
            return Ok(());
        }
        let number = self.inquiries.asked.fetch_add(1, Ordering::SeqCst);
        let mut answered = self.inquiries.answered.lock().await;
        if answered.0 > number {
            return caught_up(answered.1);
        }
        let asked = self.inquiries.asked.load(Ordering::SeqCst);
        let arrived = async {
            match self.log.newest().await {
                Ok(newest) => {
                    self.caught_up(newest).await;
                    true
                }
                Err(error) => {
                    tracing::debug!(%error, "what other servers have appended is not known");
                    false
                }
            }
        };
        // In vain while the log is away, or while this server is cut off from it.
        let is_here = tokio::time::timeout(ARRIVES_WITHIN, arrived).await.unwrap_or(false);
        *answered = (asked, is_here);
        caught_up(is_here)
    }
}

fn caught_up(is_here: bool) -> Result<(), Error> {
    let reason = || format!("what other servers appended did not arrive within {ARRIVES_WITHIN:?}");
    if is_here { Ok(()) } else { Err(ReadError::Storage { reason: reason() }.into()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use courant_joblog::event::Change;
    use courant_joblog::ids::Revision;
    use courant_joblog::log::{Entry, Filter, Log};
    use courant_joblog::memory::MemoryLog;
    use courant_joblog::wrapper::LogWrapper;

    use super::*;
    use crate::projection::Projections;
    use crate::testing;

    /// Entries of others arrive late, and it is counted how often the newest is asked for.
    struct Slow {
        log: Arc<MemoryLog>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl LogWrapper for Slow {
        fn inner(&self) -> &dyn Log {
            &*self.log
        }

        async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.log.read(after, filter, limit).await
        }

        fn recent(&self, _: Revision, _: usize) -> Option<Vec<Arc<Entry>>> {
            None
        }

        async fn newest(&self) -> Result<Revision, ReadError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.log.newest().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_another_server_has_just_made_is_found() {
        let log = Arc::new(MemoryLog::shared());
        let other = testing::follow(testing::config(), log.clone(), Projections::default()).await.unwrap();
        let slow = Arc::new(Slow { log, asked: AtomicUsize::new(0) });
        let engine = testing::follow(testing::config(), slow.clone(), Projections::default()).await.unwrap();
        let id = JobId::new("J");
        let change = Change::Submitted(Box::new(testing::submission("J", "alice")));
        other.create(change, id.clone(), Vec::new(), None).await.unwrap();
        assert!(engine.get(&id).is_none());
        assert!(engine.find(&id).await.unwrap().is_some());
    }

    /// The log answers others, and not this server.
    struct CutOff(Arc<MemoryLog>);

    #[async_trait]
    impl LogWrapper for CutOff {
        fn inner(&self) -> &dyn Log {
            &*self.0
        }

        async fn newest(&self) -> Result<Revision, ReadError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_cut_off_does_not_say_that_there_is_no_such_job() {
        let log = Arc::new(CutOff(Arc::new(MemoryLog::shared())));
        let engine = testing::follow(testing::config(), log, Projections::default()).await.unwrap();
        let asked = [JobId::new("J"), JobId::new("K")];
        let asked = asked.map(|id| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.find(&id).await })
        });
        for answer in futures::future::join_all(asked).await {
            assert!(matches!(answer.unwrap(), Err(Error::Read(_))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_at_once_cost_two_questions() {
        let slow = Arc::new(Slow { log: Arc::new(MemoryLog::shared()), asked: AtomicUsize::new(0) });
        let engine = testing::follow(testing::config(), slow.clone(), Projections::default()).await.unwrap();
        let all = (0..500).map(|number| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.find(&JobId::new(format!("J{number}"))).await.unwrap().is_none() })
        });
        for one in futures::future::join_all(all).await {
            assert!(one.unwrap());
        }
        // Who asks while the log answers is served by the next.
        assert!(slow.asked.load(Ordering::SeqCst) <= 2, "{}", slow.asked.load(Ordering::SeqCst));
    }
}
