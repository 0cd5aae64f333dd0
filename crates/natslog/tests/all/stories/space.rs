//! A stream that is full.

use std::sync::Arc;

use courant_joblog::event::{Change, Event};
use courant_joblog::ids::Timestamp;
use courant_joblog::job::Job;
use courant_joblog::log::{Append, AppendError, Log as _};
use courant_joblog::samples;
use courant_natslog::Options;

use crate::harness::{Cluster, Sync, eventually, open};

const BYTES: u64 = 4 * 1024 * 1024;

/// A job of 100 KB.
fn large(id: &str) -> Append {
    let mut append = samples::create(id, "alice");
    let job = Job { warnings: vec!["x".repeat(100_000)], ..Job::clone(samples::job_of(&append)) };
    append.changes[0].job = Arc::new(job);
    append
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_takes_ends_and_removals_and_is_as_before_after_them() {
    for cluster in [Cluster::single(Sync::Lazy), Cluster::three(Sync::Lazy)] {
        let log = open(Options { max_bytes: Some(BYTES), ..cluster.lossy("log") }).await;
        let mut full = log.full().unwrap();
        assert!(!*full.borrow());
        let mut made = Vec::new();
        let refused = loop {
            let append = large(&format!("J{}", made.len()));
            match log.append(append.clone()).await {
                Ok(revision) => made.push((append, revision)),
                Err(error) => break error,
            }
            assert!(made.len() < 100, "it must be full by now");
        };
        assert!(matches!(refused, AppendError::Full), "{refused}");
        assert!(*full.borrow_and_update());
        assert!(matches!(log.probe().await, Err(AppendError::Full)));

        let (first, revision) = &made[0];
        let change = Change::Cancelled { by: "alice".into() };
        let job = samples::create("J0", "alice");
        let end = Append::one(Some(*revision), Event::new(Timestamp(2_000), change), samples::job_of(&job).clone());
        let ended = log.append(end).await.unwrap();
        log.forget(&first.key, ended).await.unwrap();
        for (append, revision) in &made[1..10] {
            log.forget(&append.key, *revision).await.unwrap();
        }
        eventually("there is space again", async || (!*full.borrow_and_update()).then_some(())).await;
        log.probe().await.unwrap();
        log.append(large("again")).await.unwrap();
    }
}
