//! Logs on real NATS servers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use courant_joblog::log::Log;
pub use courant_natslog::testing::{Cluster, PATIENCE, Sync, eventually, passwords};
use courant_natslog::{NatsLog, Options};

/// Opens a log, as soon as the servers can.
pub async fn open(options: Options) -> Arc<NatsLog> {
    eventually("the log opens", async || match NatsLog::open(options.clone()).await {
        Ok(log) => Some(Arc::new(log)),
        // A cluster that has just been started has no leader yet.
        Err(error) if error.may_pass() => None,
        Err(error) => panic!("{error}"),
    })
    .await
}

/// A name for a stream that no other test has.
pub fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A cluster that tests share as long as one of them runs. Each has a stream of its own.
pub struct Shared(Mutex<Weak<Cluster>>);

impl Shared {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn get(&self, start: impl FnOnce() -> Cluster) -> Arc<Cluster> {
        let mut shared = self.0.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// A new log on it, made with what `change` makes of the options.
    pub async fn log(
        &self,
        start: impl FnOnce() -> Cluster,
        change: impl FnOnce(&mut Options),
    ) -> (Arc<dyn Log>, Arc<Cluster>) {
        let cluster = self.get(start);
        let mut options = cluster.lossy(&fresh_name());
        change(&mut options);
        (open(options).await, cluster)
    }
}
