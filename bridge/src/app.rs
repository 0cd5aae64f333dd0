//! What all parts of a running bridge share.

use std::net::IpAddr;
use std::sync::Arc;

use courant_proto::v1::BridgeCounts;
use courant_runtime::Shutdown;
use courant_runtime::supervisor::Supervisor;
use courant_tls::AddressError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::audit::AuditLog;
use crate::config::Config;
use crate::connection::permits::Permits;
use crate::connection::replies::connection_id;
use crate::drain::Drain;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::monitoring;
use crate::outbox::flusher::Flushers;
use crate::presence::local::{LocalPresence, PresenceLimits};
use crate::presence::registration::BridgeRegistration;
use crate::server::Server;
use crate::server::health::{self, Health};
use crate::topic::registry::Registry as TopicRegistry;
use crate::topic::subscribe::Topics;
use crate::upstream::overview::Overview;
use crate::upstream::{ServerUpstream, audit as audit_log};

/// The shared parts. Holds nothing that another bridge could not make by itself.
pub struct App {
    /// As it was checked at the start.
    pub config: Config,
    /// The client of the server.
    pub server: Server,
    pub topics: Arc<Topics>,
    pub audit: Arc<AuditLog>,
    pub permits: Arc<Permits>,
    /// Counts what each user holds of what all users share.
    pub ledger: Arc<Ledger>,
    pub presence: Arc<LocalPresence>,
    pub metrics: Metrics,
    /// Who writes to WebSockets.
    pub flushers: Arc<Flushers>,
    /// Whether the server serves.
    pub health: watch::Receiver<Health>,
    /// Changes when the server has been unavailable for so long that clients should connect elsewhere.
    pub server_unavailable: watch::Receiver<u64>,
    /// From when it drains the bridge is not ready any more, and serves on as a lame duck.
    pub shutdown: Shutdown,
    /// Cancelled when clients are disconnected.
    pub drain: Drain,
    /// All sessions, HTTP connections and uploads.
    pub tasks: TaskTracker,
    /// Everything in the background.
    pub supervisor: Supervisor,
}

/// The address a connection came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

fn presence_limits(Config { limits, times, .. }: &Config) -> PresenceLimits {
    PresenceLimits { devices_per_user: limits.devices_per_user, poll: times.poll_overdue, grace: times.presence_grace }
}

impl App {
    /// Starts the shared parts. They stop with the supervisor, after the sessions.
    pub fn start(config: Config, shutdown: Shutdown, supervisor: Supervisor) -> Result<Arc<Self>, AddressError> {
        let server = Server::new(&config)?;
        let (metrics, times) = (Metrics::default(), config.times.clone());
        let (audit, reported) = AuditLog::reporting();
        let audit = Arc::new(audit);
        let permits = Permits::new(config.limits.clone(), metrics.clone(), audit.clone());
        let ledger = Ledger::new(config.limits.bounds);
        let presence = LocalPresence::new(presence_limits(&config));
        let followed = TopicRegistry::new(metrics.clone());
        let bridge: Arc<str> = connection_id().to_string().into();
        let overview = Overview {
            bridge: bridge.clone(),
            connections: permits.clone(),
            topics: followed.clone(),
            audit: audit.clone(),
        };
        let reporter = bridge.clone();
        let (counted, closing) = (overview.clone(), permits.clone());
        let registration = BridgeRegistration {
            server: server.clone(),
            presence: presence.clone(),
            bridge,
            counts: move || counted.counts(),
            close: Arc::new(move |user| closing.close_user(user)),
            times: times.clone(),
            metrics: metrics.clone(),
        };
        let upstream =
            ServerUpstream { server: server.clone(), presence: presence.clone(), overview, times: times.clone() };
        let flushers = Arc::new(Flushers::start(&supervisor));
        let topics =
            Topics::new(followed, Arc::new(upstream), flushers.clone(), times, metrics.clone(), supervisor.clone());
        supervisor.run("audit", audit_log::report(server.clone(), reporter, reported));
        supervisor.keep("presence", run_presence(registration, presence.clone()));
        let (sender, health) = watch::channel(Health::Unavailable);
        let watched = monitoring::Watched {
            metrics: metrics.clone(),
            presence: presence.clone(),
            ledger: ledger.clone(),
            health: health.clone(),
            shutdown: shutdown.clone(),
        };
        watched.register(&config);
        supervisor.keep("monitoring", watched.follow(config.monitor.clone()));
        supervisor.keep("health", health::watch(server.clone(), config.times.health, sender, shutdown.clone()));
        let server_unavailable = keep_outages(&supervisor, health.clone(), &config);
        Ok(Arc::new(Self {
            config,
            server,
            topics,
            audit,
            permits,
            ledger,
            presence,
            metrics,
            flushers,
            health,
            server_unavailable,
            shutdown,
            drain: Drain::default(),
            tasks: TaskTracker::new(),
            supervisor,
        }))
    }

    /// Runs something for a client. Draining waits for it, and what is left after that is cut.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<Option<T>> {
        let stop = self.supervisor.stop().clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(work).await })
    }

    /// Whether new work is welcome.
    pub fn is_ready(&self) -> bool {
        *self.health.borrow() == Health::Serving && !self.shutdown.is_draining()
    }
}

async fn run_presence(registration: BridgeRegistration<impl Fn() -> BridgeCounts>, presence: Arc<LocalPresence>) {
    tokio::select! {
        () = registration.run() => {}
        () = presence.expire_forever() => {}
    }
}

/// Counts outages, for those who end then.
fn keep_outages(supervisor: &Supervisor, health: watch::Receiver<Health>, config: &Config) -> watch::Receiver<u64> {
    let (outages, unavailable) = watch::channel(0);
    supervisor.keep("outages", watch_outages(health, config.times.server_grace, outages));
    unavailable
}

/// Counts the outages that were longer than the grace. Ends with the health check.
async fn watch_outages(mut health: watch::Receiver<Health>, grace: std::time::Duration, outages: watch::Sender<u64>) {
    loop {
        let Ok(_) = health.wait_for(|health| *health != Health::Unavailable).await.map(drop) else { return };
        let Ok(_) = health.wait_for(|health| *health == Health::Unavailable).await.map(drop) else { return };
        let back = health.wait_for(|health| *health != Health::Unavailable);
        if tokio::time::timeout(grace, back).await.is_err() {
            outages.send_modify(|times| *times += 1);
        }
    }
}
