//! The answers to health checks and probes, and what they follow.
//!
//! By gRPC each service has its name, and so has the whole server; parts that can fail by themselves have theirs. Probes over
//! HTTP ask for all of it at once, see [`courant_monitoring::Probes`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::log::Log;
use courant_monitoring::{Monitor, Pulse};
use courant_runtime::Shutdown;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::services::Services;

/// Service names for health checks; the empty one is the whole server.
const SERVICES: [&str; 8] = [
    "",
    "courant.v1.JobService",
    "courant.v1.WorkerService",
    "courant.v1.AdminService",
    "courant.v1.QueueService",
    "courant.v1.NotificationService",
    "courant.v1.PresenceService",
    "courant.v1.UploadService",
];

/// The name in health checks of the store of documents and results: while it fails, the rest is served.
const STORE_SERVICE: &str = "courant.store";

/// The name in health checks of the log's space: without it nothing can be submitted or changed, but all be read and watched.
const LOG_SERVICE: &str = "courant.log";

/// The name in health checks of what ends when the server is asked to stop: until then what it says of itself may be waited for,
/// from then on it serves all the same, and not for long.
const STAYING_SERVICE: &str = "courant.staying";
/// How often a log without space is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked at whether the view follows, the loops go on, and the disk has space.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the view may be behind the log before what it shows counts as old.
const STALE_AFTER: Duration = Duration::from_secs(5);
/// How long what goes on by itself may stand still before only a restart helps.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Less free space than this on the disk of the data folder, in bytes, and than a fiftieth of it: soon nothing can be
/// submitted.
const LOW_DISK: u64 = 64 << 20;

/// Tells health checks whether the log has space. Without it, tries now and then whether there is some again.
pub(super) async fn watch_space(monitor: Monitor, log: Arc<dyn Log>, mut full: watch::Receiver<bool>) {
    loop {
        let is_full = *full.borrow_and_update();
        monitor.health().set(LOG_SERVICE, !is_full);
        monitor.probes().set("log", is_full.then_some("its disk is full: nothing can be appended"));
        if is_full {
            tokio::time::sleep(PROBE_EVERY).await;
            if let Err(error) = log.probe().await {
                tracing::debug!(%error, "the log still has no space");
            }
        } else if full.changed().await.is_err() {
            return;
        }
    }
}

/// Tells health checks that this server is not ready while it does not hear what others append: what it answers may be old.
/// It answers all the same. From the beginning of draining on it is not ready anyway.
pub(super) async fn watch_following(monitor: Monitor, mut following: watch::Receiver<bool>, shutdown: Shutdown) {
    let not_followed = "what other servers append does not arrive";
    let mut ready = *following.borrow();
    monitor.probes().set("view", (!ready).then_some(not_followed));
    if !ready {
        announce(&monitor, false);
    }
    loop {
        let changed = tokio::select! {
            () = shutdown.draining() => return announce(&monitor, false),
            changed = async { following.wait_for(|follows| *follows != ready).await.map(|follows| *follows) } => changed,
        };
        let Ok(follows) = changed else { return };
        ready = follows;
        monitor.probes().set("view", (!ready).then_some(not_followed));
        announce(&monitor, ready);
        match ready {
            true => tracing::info!("ready again: the log is followed"),
            false => tracing::warn!("not ready: the log cannot be followed; what is known is served"),
        }
    }
}

/// Tells health checks whether documents and results can be read and written.
pub(super) async fn watch_store(monitor: Monitor, mut works: watch::Receiver<bool>) {
    loop {
        let works_now = *works.borrow_and_update();
        monitor.health().set(STORE_SERVICE, works_now);
        monitor.probes().set("objects", (!works_now).then_some("the store of documents and results cannot be used"));
        if works.changed().await.is_err() {
            return;
        }
    }
}

/// Looks again and again whether the view follows the log and the disk has space, and shows that this runtime goes on. Reading
/// the view takes the engine's lock: where that is held for ever, this stands still too, and its pulse says so.
pub(super) async fn look(monitor: Monitor, services: Arc<Services>, stuck_after: Duration) {
    let (runtime, follower) =
        (monitor.probes().pulse("server-runtime", stuck_after), monitor.probes().pulse("follower", stuck_after));
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = ViewLag::default();
    loop {
        ticks.tick().await;
        runtime.begin();
        view.look(&services, &monitor, &follower);
        let low = is_low(&services.config.data_dir).await;
        monitor.probes().set("disk", low.then_some("nearly nothing is free on the disk of the data folder"));
        monitor.probes().publish();
    }
}

/// Since when the view has stood still though the log went on.
#[derive(Debug, Default)]
struct ViewLag {
    behind_since: Option<(u64, Instant)>,
}

impl ViewLag {
    fn look(&mut self, services: &Services, monitor: &Monitor, follower: &Pulse) {
        let (head, at) = (services.engine.log.head().borrow().0, services.engine.read(|view| view.revision().0));
        self.behind_since = match self.behind_since {
            _ if at >= head => None,
            Some((stood_at, since)) if stood_at == at => Some((stood_at, since)),
            _ => Some((at, Instant::now())),
        };
        match self.behind_since {
            None => follower.end(),
            // The round in which it stands still began with it.
            Some((_, since)) if since.elapsed() < LOOK_EVERY => follower.begin(),
            Some(_) => {}
        }
        // With other servers on the log the same condition is theirs.
        if services.engine.log.following().is_none() {
            let stale = self.behind_since.is_some_and(|(_, since)| since.elapsed() > STALE_AFTER);
            monitor.probes().set("view", stale.then_some("it is behind the log"));
        }
    }
}

/// Whether the disk of a folder is nearly full. A file system may be slow to say so.
async fn is_low(folder: &Path) -> bool {
    let folder = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || disk(&folder)).await.ok().flatten();
    found.is_some_and(|(free, all)| free < LOW_DISK.min(all / 50))
}

/// Free bytes of a folder's file system, and all bytes.
pub(super) fn disk(folder: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

/// Says whether the server has not been asked to stop.
pub(super) fn announce_staying(monitor: &Monitor, stays: bool) {
    monitor.health().set(STAYING_SERVICE, stays);
}

/// Says of all services whether they serve.
pub(super) fn announce(monitor: &Monitor, serves: bool) {
    for service in SERVICES {
        monitor.health().set(service, serves);
    }
}
