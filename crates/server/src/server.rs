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
use courant_shutdown::Shutdown;
use courant_shutdown::supervisor::{Supervisor, TaskFailed};
use courant_tls::{CountCalls, CountedRouter, ServerTls};
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::service::interceptor::InterceptedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::admin::Admin;
use crate::arrival::MAX_PIECE_MESSAGE;
use crate::auth::Guard;
use crate::config::{Config, ConfigError};
use crate::data_dir::{self, DataDirError};
use crate::engine::{self, Engine};
use crate::jobs::Jobs;
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
use crate::{passwords, places, unwatched};

/// The largest message: pieces of documents are at most 1 MiB, pages with their zones stay below 4.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// HTTP/2 pings to clients that are silent, and how long they may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How long connections, and then tasks, may take to end at least once every stream was told to.
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
    lame_duck: Duration,
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
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] sqlite::OpenError),
    /// The engine cannot be opened.
    #[error(transparent)]
    Engine(#[from] engine::OpenError),
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
    /// A background task is gone, and the server cannot go on without it.
    #[error(transparent)]
    Task(#[from] TaskFailed),
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
            reserve_bytes: config.log_reserve,
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
        let registry = Arc::new(Registry::new(engine.config.lease));
        let lame_duck = Duration::ZERO;
        Ok(Self { engine, registry, notices, push, roll, verifier, tls: None, lame_duck })
    }

    /// Serves on for so long after it was told to stop and says that it is not ready.
    pub fn with_lame_duck(self, lame_duck: Duration) -> Self {
        Self { lame_duck, ..self }
    }

    /// Speaks TLS alone.
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    /// Serves until told to stop, then drains: not ready but serving for the time as a lame duck; then workers hand back and
    /// streams say where to go on, within the grace; then it ends. The end of `shutdown` cuts everything at once.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Into<Shutdown>) -> Result<(), ServeError> {
        let shutdown = shutdown.into();
        let (health, health_service) = tonic_health::server::health_reporter();
        announce(&health, ServingStatus::Serving).await;
        let router = self.router().await?.add_service(health_service);
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let background = self.start_background(Supervisor::new(stop.clone()), &health);
        let served = tokio::select! {
            // Everything needs the log followed, to the end.
            followed = self.engine.follow() => followed.map_err(ServeError::Log),
            failed = background.failed() => Err(failed.into()),
            () = shutdown.ended() => {
                tracing::warn!("connections were cut: told to end at once");
                Ok(())
            }
            served = self.serve_and_drain(router, listener, &health, &shutdown) => served,
        };
        self.engine.stopping.cancel();
        stop.cancel();
        let tasks = async {
            background.stopped().await;
            self.engine.streams.close();
            self.engine.streams.wait().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, tasks).await.is_err() {
            tracing::warn!("background tasks did not end within {CLOSE_WITHIN:?}");
        }
        served
    }

    fn start_background(&self, tasks: Supervisor, health: &HealthReporter) -> Supervisor {
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

    async fn serve_and_drain(
        &self,
        router: CountedRouter,
        listener: TcpListener,
        health: &HealthReporter,
        shutdown: &Shutdown,
    ) -> Result<(), ServeError> {
        let refusing = CancellationToken::new();
        let incoming = courant_tls::incoming(listener, self.tls.clone(), &self.engine.config.connections);
        let incoming = incoming.take_until(refusing.clone().cancelled_owned());
        let serving = router.serve_with_incoming_shutdown(incoming, std::future::pending());
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return Ok(served?),
            () = self.lame_duck(health, shutdown) => {}
        }
        // Nothing new comes in: connections that are open are told to send no more calls, and finish those they have.
        refusing.cancel();
        let grace = Instant::now() + self.engine.config.drain_grace;
        let drain = async {
            self.hand_back(grace).await;
            self.engine.stopping.cancel();
            tokio::time::sleep_until(grace.max(Instant::now() + CLOSE_WITHIN)).await;
        };
        let served = async {
            serving.await?;
            self.engine.detached.close();
            self.engine.detached.wait().await;
            Ok::<(), ServeError>(())
        };
        tokio::select! {
            served = served => {
                served?;
                tracing::info!("drained: every call has ended");
            }
            () = drain => tracing::warn!("calls were cut after {:?}", self.engine.config.drain_grace),
        }
        Ok(())
    }

    /// Waits until draining begins, and on while the server says that it is not ready and serves all the same.
    async fn lame_duck(&self, health: &HealthReporter, shutdown: &Shutdown) {
        shutdown.draining().await;
        announce(health, ServingStatus::NotServing).await;
        tracing::info!(lame_duck = ?self.lame_duck, "not ready any more, and still serving");
        shutdown.lame_duck(self.lame_duck).await;
    }

    async fn router(&self) -> Result<CountedRouter, ServeError> {
        let guard = Guard::new(self.verifier.clone());
        let jobs = JobServiceServer::new(Jobs(self.engine.clone()))
            .max_decoding_message_size(MAX_PIECE_MESSAGE)
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
        let queue = QueueServiceServer::new(Queues {
            engine: self.engine.clone(),
            registry: self.registry.clone(),
            now: Arc::default(),
        })
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
            .max_decoding_message_size(MAX_PIECE_MESSAGE)
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

    /// Asks workers to hand back or finish what they hold, until the grace is over.
    async fn hand_back(&self, grace: Instant) {
        self.registry.close();
        let mut applied = self.engine.applied();
        while self.registry.any_connected() && self.engine.read(|view| view.held().next().is_some()) {
            tokio::select! {
                _ = applied.changed() => {}
                () = tokio::time::sleep_until(grace) => {
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
async fn sweep_drafts(engine: Arc<Engine>) {
    if let Err(error) = engine.objects.sweep_uploads(engine.wall.file_time()).await {
        tracing::warn!(%error, "old uploads could not be swept");
    }
}

async fn announce(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
