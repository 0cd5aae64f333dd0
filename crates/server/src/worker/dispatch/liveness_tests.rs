//! What the liveness probe says of dispatch: that it is stuck when one of its rounds does not end, and not while it is slow.
//!
//! Real services, a real registry and the probes that programs have. Dispatch is held up where it could hang: at the registry's lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_joblog::memory::MemoryLog;
use courant_monitoring::{Monitor, Probes};

use crate::config::Config;
use crate::objects::Objects;
use crate::services::Services;
use crate::worker::{dispatch, registry::Registry};

/// How long a round may last.
const LONGEST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    services: Arc<Services>,
    registry: Arc<Registry>,
    probes: Probes,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Dispatch runs on the threads of the test's runtime.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let (registry, probes) = (Arc::new(Registry::default()), Monitor::new("test", "1").probes().clone());
        let pulse = probes.pulse("dispatch", LONGEST);
        tokio::spawn(dispatch::run(services.clone(), registry.clone(), pulse));
        Self { services, registry, probes, _folder: folder }
    }

    /// Holds the registry's lock while dispatch begins a round, and for as long as `while_held` takes.
    fn hold_up(&self, while_held: impl FnOnce()) {
        self.registry.kinds(|_| {
            self.services.engine.wake.notify_one();
            while_held();
        });
    }

    fn is_live(&self) -> bool {
        self.probes.live().passes
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_does_not_end_fails_the_probe_until_it_does() {
    let stage = Stage::new().await;
    assert!(stage.is_live());
    tokio::task::block_in_place(|| {
        stage.hold_up(|| until("dispatch counts as stuck", || !stage.is_live()));
        until("it goes on", || stage.is_live());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_rounds_that_end_do_not_fail_the_probe() {
    let stage = Stage::new().await;
    tokio::task::block_in_place(|| {
        let begun = Instant::now();
        // Longer in all than one round may last.
        while begun.elapsed() < LONGEST + Duration::from_secs(1) {
            stage.hold_up(|| std::thread::sleep(Duration::from_millis(200)));
            assert!(stage.is_live(), "after {:?}", begun.elapsed());
            // The round ends.
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}
