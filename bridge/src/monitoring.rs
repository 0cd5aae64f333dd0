//! What a bridge shows to operators beside its `/metrics`: how many are connected, and whether it can serve.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use courant_monitoring::{Monitor, Samples, beat};
use courant_runtime::Shutdown;
use tokio::sync::watch;

use crate::config::Config;
use crate::ledger::{Ledger, Resource};
use crate::metrics::Metrics;
use crate::presence::local::LocalPresence;
use crate::server::health::Health;

/// How long the runtime may stand still before only a restart helps.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    pub metrics: Metrics,
    pub presence: Arc<LocalPresence>,
    pub ledger: Arc<Ledger>,
    pub health: watch::Receiver<Health>,
    pub shutdown: Shutdown,
}

/// What users share, as it is named.
const SHARED: [(Resource, &str); 4] = [
    (Resource::Streams, "streams"),
    (Resource::Uploads, "uploads"),
    (Resource::Downloads, "downloads"),
    (Resource::Requests, "requests"),
];

impl Watched {
    /// Shows the metrics, from now on.
    pub fn register(&self, config: &Config) {
        let monitor = &config.monitor;
        monitor.register(|registry| self.metrics.register(registry));
        let watched = self.clone();
        monitor.add(move |samples| watched.write(samples));
        if let Some(tls) = config.tls.clone() {
            monitor.add_certificate("http", move || tls.expiry());
        }
        if let Some(tls) = config.server_tls.clone() {
            monitor.add_certificate("to_server", move || tls.expiry());
        }
    }

    fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let devices = self.presence.device_count() as f64;
        samples.gauge("courant_bridge_devices", "Devices of users that are connected to this bridge.", devices)?;
        let users = self.ledger.users() as f64;
        samples.gauge("courant_bridge_users", "Users who hold something that all users share.", users)?;
        let used = SHARED.map(|(resource, name)| ([name], self.ledger.used(resource) as f64));
        samples.gauges("courant_bridge_in_use", "What users hold of what they share, by resource.", ["resource"], used)
    }

    /// Says what keeps the bridge from serving, for ever.
    pub async fn follow(mut self, monitor: Monitor) {
        let pulse = monitor.probes().pulse("bridge-runtime", STUCK_AFTER);
        monitor.probes().set("drain", None);
        monitor.probes().set_started();
        let following = async {
            loop {
                let problem = match *self.health.borrow_and_update() {
                    Health::Serving => None,
                    Health::Degraded(missing) => Some(missing),
                    Health::Unavailable => Some("the server cannot be reached"),
                };
                monitor.probes().set("server", problem);
                tokio::select! {
                    changed = self.health.changed() => if changed.is_err() { return },
                    () = self.shutdown.draining() => break,
                }
            }
            monitor.probes().set("drain", Some("the bridge is stopping"));
            std::future::pending::<()>().await;
        };
        tokio::join!(following, beat(pulse));
    }
}
