//! A server without gRPC, and jobs for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use courant_auth::{Identity, Role, Secret, Verifier};
use courant_engine::transitions::cancel_change;
use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{DocumentId, JobId, Owner, WorkerId};
use courant_joblog::job::{Document, Format, Lane, LaterFields, State};
use courant_joblog::sqlite::{Options, SqliteLog};
use courant_server::Config;
use courant_server::jobs::Jobs;
use courant_server::objects::Objects;
use courant_server::services::Services;
use courant_server::worker::registry::Registry;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use tokio::task::JoinHandle;

/// Operations under way at a time: as many share a write to the disk.
pub const AT_ONCE: usize = 128;
/// Each figure is the mean of so many operations.
pub const TIMES: usize = 2_000;
pub const KIND: &str = "pdf";

/// A server that follows its log.
pub struct Running {
    services: Arc<Services>,
    following: JoinHandle<()>,
}

impl Deref for Running {
    type Target = Arc<Services>;

    fn deref(&self) -> &Arc<Services> {
        &self.services
    }
}

impl Running {
    /// Lets go of the log.
    pub async fn close(self) {
        self.following.abort();
        // Cancelled: that is what was asked for.
        let _ = self.following.await;
    }
}

/// Opens the log of a folder, and follows it.
pub async fn open(folder: &Path) -> anyhow::Result<Running> {
    let log = Arc::new(SqliteLog::open(&folder.join("log"), Options::default())?);
    let objects = Objects::local(&folder.join("objects"))?;
    // No quotas: this is about what everything costs, not about who may do it.
    let services = Services::open(Config::new(folder), log, objects).await?;
    let following = services.clone();
    let following = tokio::spawn(async move { following.engine.follow().await.unwrap_or_default() });
    Ok(Running { services, following })
}

/// The gRPC service, to be called as tonic calls it.
pub fn api(services: &Arc<Services>) -> anyhow::Result<Jobs> {
    // No call of these curves brings a token.
    let verifier = Verifier::hs256(&Secret::new([0; 32])?);
    Ok(Jobs { services: services.clone(), registry: Arc::new(Registry::default()), verifier })
}

/// A request of somebody who may see everything.
pub fn by_admin<T>(message: T) -> tonic::Request<T> {
    let expires = SystemTime::now() + Duration::from_secs(3600);
    let mut request = tonic::Request::new(message);
    let identity = Identity { subject: "admin".to_owned(), roles: BTreeSet::from([Role::Admin]), expires };
    request.extensions_mut().insert(Arc::new(identity));
    request
}

pub fn owner(number: usize) -> Owner {
    Owner::new(format!("user-{number:06}@example.com"))
}

/// Does something for each of these, many at a time.
pub async fn each<T, F: Future<Output = anyhow::Result<T>>>(
    numbers: impl IntoIterator<Item = usize>,
    what: impl Fn(usize) -> F,
) -> anyhow::Result<Vec<T>> {
    futures::stream::iter(numbers).map(what).buffered(AT_ONCE).try_collect().await
}

/// Submits a job of an owner; documents have up to 100 pages.
pub async fn submit(services: &Services, number: usize, owner: Owner) -> anyhow::Result<JobId> {
    let id = JobId::random();
    let submission = Submission {
        id: id.clone(),
        owner,
        document: Document {
            id: DocumentId::new(id.as_str()),
            name: format!("Quarterly report {number}.pdf").into(),
            bytes: 1 << 20,
            sha256: format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)).into(),
        },
        batch: None,
        request: None,
        kind: KIND.into(),
        lane: Lane::Normal,
        labels: BTreeMap::new(),
        formats: Format::ALL.to_vec(),
        max_attempts: 3,
        pages: Some(number as u32 % 100 + 1),
        batch_size: None,
        cancel_unwatched_ms: None,
        password: None,
        later: LaterFields::default(),
    };
    services.engine.create(Change::Submitted(Box::new(submission)), id.clone(), Vec::new(), None).await?;
    Ok(id)
}

/// Gives the next job to a worker. As many workers as it takes: nobody has its share yet.
pub async fn claim(services: &Services, number: usize) -> anyhow::Result<JobId> {
    let slots = BTreeMap::from([(KIND.into(), 1 << 20)]);
    let current = services.engine.take_next(&[KIND.into()], &slots).context("somebody waits")?;
    let worker = WorkerId::new(format!("worker-{}", number % 100));
    let claimed = services.engine.claim(&worker, &current.job).await?.context("nobody else takes it")?;
    services.engine.give_back(&claimed.id);
    Ok(claimed.id.clone())
}

pub async fn cancel(services: &Services, id: &JobId) -> anyhow::Result<()> {
    let cancelled = services.engine.change(id, |job| Ok(cancel_change(job, "somebody"))).await?;
    anyhow::ensure!(cancelled.current.job.state == State::Cancelled, "{id} was not cancelled");
    Ok(())
}
