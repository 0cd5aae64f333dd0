//! What the services share beside each other's jobs.

use std::sync::Arc;

use courant_engine::attempt::AttemptId;
use courant_engine::{self as engine, Engine, watch};
use courant_joblog::event::AttemptCharge;
use courant_joblog::job::JobError;
use courant_joblog::log::{Log, ReadError};
use courant_runtime::request;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, AuditError, AuditFiles, AuditLog};
use crate::config::{AuditConfig, Config};
use crate::credential::Credentials;
use crate::error::Error;
use crate::files::JobFiles;
use crate::holds::Holds;
use crate::lanes::{Lanes, LanesError};
use crate::objects::Objects;
use crate::progress_outbox::ProgressOutbox;
use crate::projections::{self, Projections};
use crate::seal::{self, PasswordSealer};
use crate::shares::Shares;
use crate::webhook_store::{WebhookStore, WebhookStoreError};

/// The engine, and all that services need beside it.
pub struct Services {
    pub config: Config,
    pub engine: Arc<Engine>,
    pub projections: Projections,
    pub objects: Objects,
    /// Documents and artifacts of jobs.
    pub files: JobFiles,
    /// Seals and opens passwords of documents.
    pub passwords: PasswordSealer,
    /// Shows which worker holds an attempt.
    pub credentials: Credentials,
    /// Who is putting or removing a job's files.
    pub holds: Holds,
    /// What all users use together.
    pub shares: Shares,
    /// Lanes that operators have paused.
    pub lanes: Lanes,
    /// Webhooks, and how far they were sent to.
    pub webhooks: WebhookStore,
    /// Who did what.
    pub audit: Arc<AuditLog>,
    /// Progress for other servers.
    pub progress: ProgressOutbox,
    /// Told to every stream when the server stops.
    pub stopping: CancellationToken,
    /// What is done to its end though its caller went away. The server waits for it before it ends.
    pub detached: TaskTracker,
    /// Tasks that serve streams. They end when the server stops.
    pub streams: TaskTracker,
}

/// Why the services cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key that seals passwords cannot be used.
    #[error("--password-key-file: {0}")]
    PasswordKey(#[from] courant_auth::secret::SecretError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Lanes(LanesError),
    #[error(transparent)]
    Webhooks(#[from] WebhookStoreError),
}

impl Services {
    /// Opens the engine on a log, with all projections.
    pub async fn open(config: Config, log: Arc<dyn Log>, objects: Objects) -> Result<Arc<Self>, OpenError> {
        let secret = seal::shared_secret(&config)?;
        let (projections, registered) = projections::register(&config);
        let files = JobFiles::new(objects.clone(), log.clone(), config.small_file_bytes);
        let lanes = Lanes::open(&*log, &config.data_dir).await;
        let lanes = lanes.map_err(|error| match error {
            LanesError::Read(error) => OpenError::Read(error),
            other => OpenError::Lanes(other),
        })?;
        let webhooks =
            WebhookStore::open(&*log, &config.data_dir, &secret, &config.webhooks, projections.changed_owners.clone())
                .await?;
        let engine = Arc::new(Engine::open(config.engine(), log, registered).await?);
        lanes.apply(&engine);
        let AuditConfig { audit_log_bytes, audit_log_files, audit_rate_per_user, .. } = config.audit;
        let lines = AuditFiles::new(config.audit.file(&config.data_dir), audit_log_bytes, audit_log_files);
        let audit = Arc::new(AuditLog::open(lines, audit_rate_per_user, &config.name())?);
        Ok(Arc::new(Self {
            audit,
            lanes,
            webhooks,
            shares: Shares::new(&config),
            config,
            engine,
            projections,
            objects,
            files,
            passwords: PasswordSealer::new(&secret),
            credentials: Credentials::new(&secret),
            holds: Holds::default(),
            progress: ProgressOutbox::default(),
            stopping: CancellationToken::new(),
            detached: TaskTracker::new(),
            streams: TaskTracker::new(),
        }))
    }

    /// Does something to its end, also when the caller goes away.
    pub async fn run_detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.detached.spawn(request::kept(audit::carry(work))).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Draining),
        }
    }

    /// Ends an attempt: the job is tried again, fails, or is cancelled if that was asked for.
    pub async fn end_attempt(
        &self,
        attempt: &AttemptId,
        why: JobError,
        charge: AttemptCharge,
    ) -> Result<(), engine::Error> {
        self.engine.end_attempt(self.config.retry_waits(), attempt, why, charge).await
    }

    /// Where watches of jobs run.
    pub fn watch_tasks(&self) -> watch::Tasks {
        watch::Tasks { tracker: self.streams.clone(), stopping: self.stopping.clone() }
    }
}
