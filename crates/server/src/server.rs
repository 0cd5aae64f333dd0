//! The server as a whole: what it starts with, what it runs, how it stops.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Verifier;
use courant_joblog::log::{Log, ReadError};
use courant_joblog::sqlite::{self, SqliteLog};
use courant_proto::v1::admin_service_server::AdminServiceServer;
use courant_proto::v1::job_service_server::JobServiceServer;
use courant_proto::v1::notification_service_server::NotificationServiceServer;
use courant_proto::v1::presence_service_server::PresenceServiceServer;
use courant_proto::v1::queue_service_server::QueueServiceServer;
use courant_proto::v1::upload_service_server::UploadServiceServer;
use courant_proto::v1::worker_service_server::WorkerServiceServer;
use courant_tls::{CountCalls, CountedRouter, ServerTls};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::service::interceptor::InterceptedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::admin::Admin;
use crate::auth::Guard;
use crate::config::{Config, ConfigError};
use crate::data_dir::{self, DataDirError};
use crate::engine::Engine;
use crate::jobs::{Jobs, unwatched};
use crate::notices::push::{self, Push, PushError};
use crate::notices::store::{Bounds, Store, StoreError};
use crate::notices::{self, Notices, Notifications};
use crate::objects::{self, Objects};
use crate::presence::roll::Roll;
use crate::presence::{self, Presences};
use crate::queue::Queues;
use crate::retention;
use crate::uploads::{self, Uploads};
use crate::worker::registry::Registry;
use crate::worker::{Workers, dispatch, sweep};
use crate::{passwords, places};

/// The largest message: pieces of documents are at most 1 MiB, pages with their zones stay below 4.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// HTTP/2 pings to clients that are silent, and how long they may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How long connections may take to end once every stream was told to.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
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
/// How often a log without space is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// A server that is ready to serve.
pub struct Server {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    notices: Arc<Notices>,
    push: Option<Arc<Push>>,
    roll: Arc<Roll>,
    verifier: Verifier,
    tls: Option<ServerTls>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The key that seals passwords cannot be used.
    #[error("--password-key-file: {0}")]
    PasswordKey(#[from] courant_auth::secret::SecretError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] sqlite::OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The object store cannot be opened.
    #[error(transparent)]
    Objects(#[from] objects::OpenError),
    /// Web Push cannot be used.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The notices cannot be opened.
    #[error(transparent)]
    Notices(#[from] StoreError),
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log failed: going on could lie.
    #[error("the log failed: {0}")]
    Log(#[from] ReadError),
    /// The listener failed.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The reflection service could not be made.
    #[error("reflection failed: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
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
            loss: if config.accept_log_loss { sqlite::Loss::Accept } else { sqlite::Loss::Refuse },
            ..sqlite::Options::default()
        };
        Ok(SqliteLog::open(&folder, options)?)
    }

    /// Opens the store in the data folder; the log is given.
    pub async fn with_log(config: Config, verifier: Verifier, log: Arc<dyn Log>) -> Result<Self, StartError> {
        config.check()?;
        let objects = match &config.objects {
            Some(url) => Objects::at(url)?,
            None => Objects::local(&config.data_dir.join("objects"))?,
        };
        let bounds = Bounds {
            per_user: config.notices_per_user,
            age_ms: i64::try_from(config.notice_retention.as_millis()).unwrap_or(i64::MAX),
        };
        let notices = Arc::new(Notices::new(Store::open(&config.data_dir, bounds)?));
        let push = Push::open(&config.push, &config.data_dir)?;
        let engine = Engine::open(config, log, objects).await?;
        let roll = Roll::new(engine.config.presence.clone());
        Ok(Self { engine, registry: Arc::default(), notices, push, roll, verifier, tls: None })
    }

    /// Speaks TLS alone.
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    /// Serves until told to stop, then drains: health turns NOT_SERVING, workers hand back, streams say where to go on.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        announce(&health, ServingStatus::Serving).await;
        let router = self.router().await?.add_service(health_service);
        let mut background = JoinSet::new();
        background.spawn(dispatch::run(self.engine.clone(), self.registry.clone()));
        background.spawn(sweep::run(self.engine.clone(), self.registry.clone()));
        background.spawn(retention::run(self.engine.clone()));
        background.spawn(retention::orphans::run(self.engine.clone()));
        background.spawn(uploads::sweep::run(self.engine.clone()));
        background.spawn(sweep_drafts(self.engine.objects.clone()));
        let (works, store) = watch::channel(true);
        background.spawn(objects::probe::run(self.engine.objects.clone(), works));
        if let Some(full) = self.engine.log.full() {
            background.spawn(watch_space(health.clone(), self.engine.log.clone(), full));
        }
        background.spawn(follow_state(health.clone(), STORE_SERVICE, store));
        background.spawn(notices::run(self.engine.clone(), self.notices.clone()));
        if let Some(push) = &self.push {
            background.spawn(push::run(push.clone(), self.notices.clone()));
        }
        background.spawn(unwatched::run(self.engine.clone()));
        background.spawn(passwords::run(self.engine.clone()));
        background.spawn(places::run(self.engine.clone(), self.registry.clone()));
        let closing = CancellationToken::new();
        if let Some(tls) = &self.tls {
            tls.keep_fresh();
        }
        let incoming = courant_tls::incoming(listener, self.tls.clone(), &self.engine.config.connections);
        let serving = router.serve_with_incoming_shutdown(incoming, closing.clone().cancelled_owned());
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return Ok(served?),
            followed = self.engine.follow() => return Ok(followed?),
            () = shutdown.cancelled() => {}
        }
        announce(&health, ServingStatus::NotServing).await;
        let drain = async {
            self.drain().await;
            self.engine.stopping.cancel();
            closing.cancel();
            tokio::time::sleep(CLOSE_WITHIN).await;
        };
        let served = async {
            serving.await?;
            // What was begun for callers that are gone.
            self.engine.detached.close();
            self.engine.detached.wait().await;
            Ok::<(), ServeError>(())
        };
        tokio::select! {
            // Draining needs the log followed and the connections served.
            followed = self.engine.follow() => followed?,
            served = served => served?,
            () = drain => tracing::info!("connections were cut after {CLOSE_WITHIN:?}"),
        }
        Ok(())
    }

    async fn router(&self) -> Result<CountedRouter, ServeError> {
        let guard = Guard::new(self.verifier.clone());
        let jobs = JobServiceServer::new(Jobs(self.engine.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd);
        let workers =
            WorkerServiceServer::new(Workers { engine: self.engine.clone(), registry: self.registry.clone() })
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .accept_compressed(Gzip)
                .accept_compressed(Zstd);
        let admin = AdminServiceServer::new(Admin::new(self.engine.clone(), self.registry.clone()));
        let queue = QueueServiceServer::new(Queues { engine: self.engine.clone(), registry: self.registry.clone() })
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd);
        let notifications = NotificationServiceServer::new(Notifications {
            engine: self.engine.clone(),
            notices: self.notices.clone(),
            push: self.push.clone(),
        });
        let presences = Presences { engine: self.engine.clone(), roll: self.roll.clone() };
        let presence = PresenceServiceServer::new(presences).max_decoding_message_size(presence::MAX_MESSAGE_BYTES);
        let uploads = UploadServiceServer::new(Uploads(self.engine.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd);
        let describe = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(courant_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        Ok(tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(Some(self.engine.config.max_streams))
            .layer(CountCalls)
            .add_service(InterceptedService::new(jobs, guard.clone()))
            .add_service(InterceptedService::new(workers, guard.clone()))
            .add_service(InterceptedService::new(admin, guard.clone()))
            .add_service(InterceptedService::new(queue, guard.clone()))
            .add_service(InterceptedService::new(notifications, guard.clone()))
            .add_service(InterceptedService::new(presence, guard.clone()))
            .add_service(InterceptedService::new(uploads, guard))
            .add_service(describe().build_v1()?)
            .add_service(describe().build_v1alpha()?))
    }

    /// Asks workers to hand back or finish what they hold, for as long as the grace lasts.
    async fn drain(&self) {
        self.registry.close();
        let deadline = tokio::time::Instant::now() + self.engine.config.drain_grace;
        let mut applied = self.engine.applied();
        while self.registry.any_connected() && self.engine.read(|view| view.held().next().is_some()) {
            tokio::select! {
                _ = applied.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    tracing::info!("jobs are still running; their workers keep them until their lease ends");
                    return;
                }
            }
        }
    }
}

/// Tells health checks whether the log has space. Without it, tries now and then whether there is some again.
async fn watch_space(health: HealthReporter, log: Arc<dyn Log>, mut full: watch::Receiver<bool>) {
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

/// Tells health checks of one part whether it works.
async fn follow_state(health: HealthReporter, part: &'static str, mut works: watch::Receiver<bool>) {
    loop {
        let status = if *works.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(part, status).await;
        if works.changed().await.is_err() {
            return;
        }
    }
}

/// What a crash has left. The store may be away: nobody waits for it.
async fn sweep_drafts(objects: Objects) {
    if let Err(error) = objects.sweep_uploads().await {
        tracing::warn!(%error, "old uploads could not be swept");
    }
}

async fn announce(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
