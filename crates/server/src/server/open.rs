//! What a server starts with.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Verifier;
use courant_joblog::ids::WorkerId;
use courant_joblog::log::Log;
use courant_joblog::sqlite::{self, SqliteLog};
use courant_monitoring::Monitor;
use courant_tls::ServerTls;
use tokio::net::TcpListener;

use super::browsers::ForBrowsers;
use super::errors::StartError;
use super::health::STUCK_AFTER;
use crate::config::Config;
use crate::data_dir;
use crate::notifications::push::Push;
use crate::notifications::store::{Bounds, Store};
use crate::notifications::{NotificationInbox, SharedNotes};
use crate::objects::Objects;
use crate::peers::Peers;
use crate::presence::registry::PresenceRegistry;
use crate::seal::{self, Sealer};
use crate::services::{OpenError, Services};
use crate::webhooks;
use crate::worker::registry::Registry;

/// A server that is ready to serve.
pub struct Server {
    pub(super) services: Arc<Services>,
    pub(super) registry: Arc<Registry>,
    /// The other servers on the same log, where there can be some.
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) notifications: Arc<NotificationInbox>,
    pub(super) push: Option<Arc<Push>>,
    pub(super) webhooks: webhooks::Sender,
    pub(super) presence: Arc<PresenceRegistry>,
    pub(super) verifier: Verifier,
    pub(super) tls: Option<ServerTls>,
    /// Whose pages may call (gRPC-Web).
    pub(super) browsers: ForBrowsers,
    pub(super) lame_duck: Duration,
    /// They are stopped when it is.
    pub(super) stopping_workers: Vec<WorkerId>,
    /// Where KEDA asks how many workers are needed, until it is served.
    pub(super) scaler: Option<TcpListener>,
    pub(super) monitor: Monitor,
    /// How long a loop may stand still before only a restart helps.
    pub(super) stuck_after: Duration,
}

impl Server {
    /// Opens the log and the store in the data folder.
    pub async fn open(config: Config, verifier: Verifier) -> Result<Self, StartError> {
        let log = Self::open_log(&config)?;
        Self::with_log(config, verifier, Arc::new(log)).await
    }

    /// Opens the log in the data folder.
    pub fn open_log(config: &Config) -> Result<SqliteLog, StartError> {
        config.check()?;
        let folder = config.data_dir.clone();
        data_dir::prepare(&folder)?;
        let options = sqlite::Options {
            loss: if config.accept_log_loss { sqlite::OnLoss::Accept } else { sqlite::OnLoss::Refuse },
            reserve_bytes: config.log_reserve,
            ..sqlite::Options::default()
        };
        Ok(SqliteLog::open(&folder, options)?)
    }

    /// Opens the store in the data folder; the log is given.
    pub async fn with_log(config: Config, verifier: Verifier, log: Arc<dyn Log>) -> Result<Self, StartError> {
        config.check()?;
        let objects = match &config.objects {
            Some(url) => Objects::at(url, config.objects_credentials_file.as_deref())?,
            None => Objects::local(&config.data_dir.join("objects"))?,
        };
        let bounds = Bounds {
            per_user: config.notifications_per_user,
            age_ms: i64::try_from(config.notification_retention.as_millis()).unwrap_or(i64::MAX),
        };
        let store = Store::open(&config.data_dir, bounds)?;
        let secret = seal::shared_secret(&config).map_err(OpenError::PasswordKey)?;
        let notifications = match SharedNotes::new(&*log, Sealer::new(&secret, "push subscriptions")) {
            Some(shared) => NotificationInbox::sharing(store, shared, log.info().current().id),
            None => NotificationInbox::new(store),
        };
        let notifications = Arc::new(notifications);
        let shared_push_secret = notifications.is_shared().then_some(&secret);
        let push = Push::open(&config.push, &config.webhooks, &config.data_dir, shared_push_secret)?;
        let webhooks = webhooks::Sender::new(&config.webhooks)?;
        let services = Services::open(config, log, objects).await?;
        let presence = PresenceRegistry::new(services.config.presence.clone());
        let registry = Arc::new(Registry::new(services.config.lease));
        let peers = Peers::new(services.clone(), registry.clone(), presence.clone());
        Ok(Self {
            services,
            registry,
            peers,
            notifications,
            push,
            webhooks,
            presence,
            verifier,
            tls: None,
            browsers: ForBrowsers::new(&[]),
            lame_duck: Duration::ZERO,
            stopping_workers: Vec::new(),
            scaler: None,
            monitor: Monitor::new("courant-server", env!("CARGO_PKG_VERSION")),
            stuck_after: STUCK_AFTER,
        })
    }

    /// How long it goes on serving, but not ready, after it was asked to stop.
    pub fn with_lame_duck(self, lame_duck: Duration) -> Self {
        Self { lame_duck, ..self }
    }

    /// With workers that are stopped when the server is: it waits until they have handed back what they hold.
    #[must_use]
    pub fn with_stopping_workers(self, ids: &[String]) -> Self {
        Self { stopping_workers: ids.iter().map(|id| WorkerId::new(id.as_str())).collect(), ..self }
    }

    /// Answers the external scaler API of KEDA there, without tokens.
    pub fn with_scaler(self, scaler: Option<TcpListener>) -> Self {
        Self { scaler, ..self }
    }

    /// Where it shows its metrics and how it does.
    pub fn with_monitor(self, monitor: Monitor) -> Self {
        Self { monitor, ..self }
    }

    /// How long a loop may stand still before it counts as stuck. A minute unless set.
    pub fn with_stuck_after(self, stuck_after: Duration) -> Self {
        Self { stuck_after, ..self }
    }

    /// Speaks gRPC-Web as well, also over HTTP/1.1, and lets pages of these origins call. With none it does not.
    #[must_use]
    pub fn with_allowed_origins(self, origins: &[String]) -> Self {
        Self { browsers: ForBrowsers::new(origins), ..self }
    }

    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }
}
