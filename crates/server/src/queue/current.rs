//! The queue as it is now, computed once for all who ask.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::Queue;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::state;
use crate::services::Services;
use crate::worker::registry::Registry;

/// Computing it may take one part in so many of the time: many kinds of jobs and many workers make it longer.
const SHARE_OF_TIME: u32 = 20;

/// The queue as it was when it was last computed.
#[derive(Debug, Default)]
pub struct QueueCache(Mutex<Option<Computed>>);

#[derive(Debug)]
struct Computed {
    at: Instant,
    took: Duration,
    version: Version,
    /// The queue when `version.number` was given.
    changed: Arc<Queue>,
}

/// The queue, and a number that changes when there is something worth sending.
#[derive(Clone, Debug)]
pub struct Version {
    /// Grows with each change.
    pub number: u64,
    pub queue: Arc<Queue>,
}

impl QueueCache {
    /// The queue, at most `age` old, or older when computing it takes long.
    pub fn get(&self, services: &Services, registry: &Registry, age: Duration) -> Version {
        let mut last = self.0.lock();
        let at = Instant::now();
        if let Some(last) = last.as_ref().filter(|last| last.is_good(at, age)) {
            return last.version.clone();
        }
        let queue = Arc::new(state::take(services, registry));
        let (number, changed) = match last.take() {
            None => (0, queue.clone()),
            Some(last) if state::same(&last.changed, &queue) => (last.version.number, last.changed),
            Some(last) => (last.version.number + 1, queue.clone()),
        };
        let version = Version { number, queue };
        *last = Some(Computed { at, took: at.elapsed(), version: version.clone(), changed });
        version
    }
}

impl Computed {
    fn is_good(&self, now: Instant, age: Duration) -> bool {
        now.duration_since(self.at) < age.max(self.took * SHARE_OF_TIME)
    }
}
