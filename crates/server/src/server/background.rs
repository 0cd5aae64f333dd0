//! What a server does by itself.

use std::sync::Arc;

use courant_runtime::supervisor::Supervisor;
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use super::health::{STORE_SERVICE, follow_state, watch_space};
use super::open::Server;
use crate::engine::Engine;
use crate::notices::{self, push};
use crate::worker::{dispatch, sweep};
use crate::{objects, passwords, places, retention, unwatched, uploads};

impl Server {
    pub(super) fn start_background(&self, tasks: Supervisor, health: &HealthReporter) -> Supervisor {
        let (engine, registry) = (|| self.engine.clone(), || self.registry.clone());
        tasks.keep("dispatch", dispatch::run(engine(), registry()));
        tasks.keep("leases", sweep::run(engine(), registry()));
        tasks.keep("retention", retention::run(engine()));
        tasks.run("orphans", retention::orphans::run(engine()));
        tasks.keep("expired uploads", uploads::sweep::run(engine()));
        tasks.run("drafts", sweep_drafts(engine()));
        let (works, store) = watch::channel(true);
        tasks.keep("object store probe", objects::probe::run(self.engine.objects.clone(), works));
        tasks.run("object store health", follow_state(health.clone(), STORE_SERVICE, store));
        if let Some(full) = self.engine.log.full() {
            tasks.run("log space", watch_space(health.clone(), self.engine.log.clone(), full));
        }
        tasks.keep("notifications", notices::run(engine(), self.notices.clone()));
        if let Some(push) = &self.push {
            tasks.keep("web push", push::run(push.clone(), self.notices.clone()));
        }
        if let Some(tls) = &self.tls {
            tasks.keep("TLS files", tls.keep_fresh());
        }
        tasks.keep("unwatched jobs", unwatched::run(engine()));
        tasks.keep("passwords", passwords::run(engine()));
        tasks.keep("places", places::run(engine(), registry()));
        tasks
    }
}

/// What a crash has left. The store may be away: nobody waits for it.
async fn sweep_drafts(engine: Arc<Engine>) {
    if let Err(error) = engine.objects.sweep_uploads(engine.wall.file_time()).await {
        tracing::warn!(%error, "old uploads could not be swept");
    }
}
