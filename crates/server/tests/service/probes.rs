//! What probes are told: each state, and what takes a server out of it again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use courant_joblog::ids::Revision;
use courant_joblog::log::{Entry, Filter, Log, ReadError};
use courant_joblog::memory::MemoryLog;
use courant_joblog::wrapper::LogWrapper;
use courant_proto::health::health_check_response::ServingStatus;
use courant_proto::health::health_client::HealthClient;
use courant_proto::health::{HealthCheckRequest, HealthListRequest};
use courant_worker::async_trait;
use futures::FutureExt as _;

use crate::support::*;

/// Waits until a probe says so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let reached = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_server_that_serves_passes_all_probes_and_lists_all_its_services() {
    let world = World::new().await;
    let probes = world.monitor.probes().clone();
    let mut health = HealthClient::new(world.channel.clone());
    let request = |service: &str| HealthCheckRequest { service: service.into() };
    assert_eq!(health.check(request("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    until("ready", || probes.startup().passes && probes.live().passes && probes.ready(&[]).passes).await;
    until("all conditions", || {
        let text = probes.ready(&[]).text;
        ["disk", "drain", "log", "objects", "started", "view"].iter().all(|of| text.contains(&format!("[+] {of}\n")))
    })
    .await;
    let loops = probes.live().text;
    assert!(
        ["dispatch", "follower", "server-runtime"].iter().all(|of| loops.contains(&format!("[+] {of}\n"))),
        "{loops}"
    );
    let listed = health.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    let names: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
    for name in
        ["", "courant.v1.JobService", "courant.v1.UploadService", "courant.log", "courant.store", "courant.ready"]
    {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(listed.values().all(|one| one.status() == ServingStatus::Serving), "{listed:?}");
    let mut watch = health.watch(request("nobody")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    health.check(request("")).await.unwrap();
    assert!(watch.message().now_or_never().is_none(), "the watch has ended");
}

/// A log that can stand still: its readers get nothing new, or its lock is not given back.
#[derive(Default)]
struct StandingLog {
    log: MemoryLog,
    /// Reads do not end.
    stands: AtomicBool,
    /// Whoever looks at what is in memory does not come back, and holds the engine's lock.
    locks: AtomicBool,
}

#[async_trait]
impl LogWrapper for StandingLog {
    fn inner(&self) -> &dyn Log {
        &self.log
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        while self.stands.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log.read(after, filter, limit).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        while self.locks.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.stands.load(Ordering::Relaxed) { None } else { self.log.recent(after, limit) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_view_that_stands_still_is_not_ready_and_then_needs_a_restart() {
    let log = Arc::new(StandingLog::default());
    let world = World::with_log(log.clone(), |_| ()).await;
    let probes = world.monitor.probes().clone();
    until("ready", || probes.ready(&[]).passes).await;
    log.stands.store(true, Ordering::Relaxed);
    let mut jobs = world.jobs("alice");
    let submit = tokio::spawn(async move { jobs.submit_job(tokio_stream::iter(document())).await });
    until("the follower to be stuck", || probes.live().text.contains("[-] follower")).await;
    until("the view to be stale", || probes.ready(&[]).text.contains("[-] view")).await;
    log.stands.store(false, Ordering::Relaxed);
    until("to live again", || probes.live().passes && probes.ready(&[]).passes).await;
    submit.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_that_is_not_given_back_needs_a_restart() {
    let log = Arc::new(StandingLog::default());
    let world = World::with_log(log.clone(), |_| ()).await;
    let probes = world.monitor.probes().clone();
    until("ready", || probes.ready(&[]).passes).await;
    log.locks.store(true, Ordering::Relaxed);
    let mut jobs = world.jobs("alice");
    let submit = tokio::spawn(async move { jobs.submit_job(tokio_stream::iter(document())).await });
    // All threads of the runtime come to wait for the lock, and then no timer of theirs goes off: this thread is none of them.
    let begun = std::time::Instant::now();
    while !probes.live().text.contains("[-] server-runtime") && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = probes.live().text;
    log.locks.store(false, Ordering::Relaxed);
    assert!(told.contains("[-] server-runtime"), "{told}");
    until("to live again", || probes.live().passes).await;
    submit.await.unwrap().unwrap();
}

#[tokio::test]
async fn draining_takes_the_readiness_and_not_the_life() {
    let world = World::new().await;
    let probes = world.monitor.probes().clone();
    until("ready", || probes.ready(&[]).passes).await;
    world.stop().await;
    let report = probes.ready(&[]);
    assert!(!report.passes && report.text.contains("[-] drain"), "{}", report.text);
}
