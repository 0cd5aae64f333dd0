//! What a server does by itself.

use std::sync::Arc;
use std::time::Duration;

use courant_engine::unwatched::{self, FollowedElsewhere};
use courant_runtime::Shutdown;
use courant_runtime::supervisor::Supervisor;
use tokio::sync::watch;

use super::health::{look, watch_following, watch_space, watch_store};
use super::open::Server;
use crate::delivery::{Alone, Senders};
use crate::notifications::{self, push};
use crate::scaler::{self, Scaler};
use crate::services::Services;
use crate::webhooks::{self, WebhookCourier};
use crate::worker::{dispatch, sweep};
use crate::{objects, passwords, positions, retention, uploads};

/// How often drafts are looked for that were left, besides at start.
const DRAFTS_EVERY: Duration = Duration::from_secs(24 * 3600);

impl Server {
    pub(super) fn start_background(&mut self, tasks: Supervisor, shutdown: &Shutdown) -> Supervisor {
        let (services, registry) = (|| self.services.clone(), || self.registry.clone());
        if let Some(listener) = self.scaler.take() {
            let scaler = Scaler { services: services(), registry: registry() };
            tasks.keep("scaler", scaler::serve(scaler, listener, self.tls.clone()));
        }
        let (monitor, stuck_after) = (|| self.monitor.clone(), self.stuck_after);
        let pulse = self.monitor.probes().pulse("dispatch", stuck_after);
        tasks.keep("dispatch", dispatch::run(services(), registry(), pulse));
        tasks.keep("health", look(monitor(), services(), stuck_after));
        let followed = services();
        tasks.keep("lanes", async move { followed.lanes.follow(&followed.engine).await });
        tasks.keep("leases", sweep::run(services(), registry()));
        if let Some(peers) = &self.peers {
            tasks.keep("other servers", peers.clone().run());
        }
        tasks.keep("retention", retention::run(services()));
        tasks.run("orphans", retention::orphans::run(services()));
        tasks.keep("expired uploads", uploads::sweep::run(services()));
        tasks.keep("drafts", sweep_drafts(services()));
        let (works, store) = watch::channel(true);
        tasks.keep("object store probe", objects::probe::run(self.services.objects.clone(), works));
        tasks.run("object store health", watch_store(monitor(), store));
        if let Some(full) = self.services.engine.log.full() {
            tasks.run("log space", watch_space(monitor(), self.services.engine.log.clone(), full));
        }
        if let Some(following) = self.services.engine.log.following() {
            tasks.run("log", watch_following(monitor(), following, shutdown.clone()));
        }
        tasks.keep("notifications", notifications::run(services(), self.notifications.clone()));
        let senders: Arc<dyn Senders> = match &self.peers {
            Some(peers) => peers.clone(),
            None => Arc::<Alone>::default(),
        };
        if let Some(push) = &self.push {
            tasks.keep("web push", push::run(push.clone(), self.notifications.clone(), senders.clone()));
        }
        let webhooks = WebhookCourier::new(services(), self.notifications.clone(), senders, self.webhooks.clone());
        tasks.keep("webhooks", webhooks::run(Arc::new(webhooks)));
        if let Some(tls) = &self.tls {
            tasks.keep("TLS files", tls.keep_fresh());
        }
        let projections = &self.services.projections;
        let (unwatched, batches) = (projections.unwatched.clone(), projections.batches.clone());
        let indexes = unwatched::Indexes { unwatched, batches };
        let elsewhere: Arc<dyn FollowedElsewhere> = match &self.peers {
            Some(peers) => peers.clone(),
            None => Arc::new(unwatched::Nowhere),
        };
        tasks.keep("unwatched jobs", unwatched::run(self.services.engine.clone(), indexes, elsewhere));
        tasks.keep("passwords", passwords::run(services()));
        tasks.keep("positions", positions::run(services(), registry()));
        tasks
    }
}

/// Looks for ever for what a crash has left, also one of another server. The store may be away: nobody waits for it.
async fn sweep_drafts(services: Arc<Services>) {
    loop {
        if let Err(error) = services.objects.sweep_uploads(services.engine.wall.file_time()).await {
            tracing::warn!(%error, "old uploads could not be swept");
        }
        tokio::time::sleep(DRAFTS_EVERY).await;
    }
}
