//! The answers to health checks.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::log::Log;
use courant_runtime::Shutdown;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

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
pub(super) const STORE_SERVICE: &str = "courant.store";

/// The name in health checks of the log's space: without it nothing can be submitted or changed, but all be read and watched.
const LOG_SERVICE: &str = "courant.log";
/// How often a log without space is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Tells health checks whether the log has space. Without it, tries now and then whether there is some again.
pub(super) async fn watch_space(health: HealthReporter, log: Arc<dyn Log>, mut full: watch::Receiver<bool>) {
    loop {
        let is_full = *full.borrow_and_update();
        let status = if is_full { ServingStatus::NotServing } else { ServingStatus::Serving };
        health.set_service_status(LOG_SERVICE, status).await;
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
pub(super) async fn watch_following(health: HealthReporter, mut following: watch::Receiver<bool>, shutdown: Shutdown) {
    let mut ready = *following.borrow();
    if !ready {
        announce(&health, ServingStatus::NotServing).await;
    }
    loop {
        let changed = tokio::select! {
            () = shutdown.draining() => return announce(&health, ServingStatus::NotServing).await,
            changed = async { following.wait_for(|follows| *follows != ready).await.map(|follows| *follows) } => changed,
        };
        let Ok(follows) = changed else { return };
        ready = follows;
        announce(&health, if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        match ready {
            true => tracing::info!("ready again: the log is followed"),
            false => tracing::warn!("not ready: the log cannot be followed; what is known is served"),
        }
    }
}

/// Tells health checks of one part whether it works.
pub(super) async fn follow_state(health: HealthReporter, part: &'static str, mut works: watch::Receiver<bool>) {
    loop {
        let status = if *works.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(part, status).await;
        if works.changed().await.is_err() {
            return;
        }
    }
}

pub(super) async fn announce(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
