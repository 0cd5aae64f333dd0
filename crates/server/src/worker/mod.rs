//! `WorkerService`: what workers call, and everything that keeps jobs and workers together: dispatch, leases, verdicts.

mod artifacts;
mod deferred;
pub mod dispatch;
mod large;
pub mod parts;
pub mod registry;
mod reports;
mod session;
pub mod sweep;
mod verdict;

#[cfg(test)]
mod model;

use std::sync::Arc;

use courant_auth::Role;
use courant_joblog::ids::{JobId, WorkerId};
use courant_joblog::job::Job;
use courant_proto::v1::worker_service_server::WorkerService;
use courant_proto::v1::{
    AttemptRef, Password, ReadArtifactRequest, ReadArtifactResponse, ReadDocumentRequest, ReadDocumentResponse,
    ReadPasswordRequest, ReadPasswordResponse, WorkRequest, WorkResponse, WriteArtifactRequest, WriteArtifactResponse,
};
use futures::stream::BoxStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{caller, require};
use crate::convert::job_id;
use crate::credential::Credentials;
use crate::engine::Engine;
use crate::error::Error;
use crate::passwords;
use crate::shares::Counted;
use parts::Holder;
use registry::Registry;

/// The service.
pub struct Workers {
    /// What the services share.
    pub engine: Arc<Engine>,
    /// Who is there.
    pub registry: Arc<Registry>,
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type WorkStream = Counted<ReceiverStream<Result<WorkResponse, Status>>>;
    type ReadDocumentStream = Counted<BoxStream<'static, Result<ReadDocumentResponse, Status>>>;
    type ReadArtifactStream = Counted<BoxStream<'static, Result<ReadArtifactResponse, Status>>>;

    async fn work(&self, request: Request<Streaming<WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.engine.shares.stream(&identity)?;
        let out = session::start(self.engine.clone(), self.registry.clone(), request.into_inner(), identity);
        Ok(Response::new(Counted::new(out, used)))
    }

    async fn read_document(
        &self,
        request: Request<ReadDocumentRequest>,
    ) -> Result<Response<Self::ReadDocumentStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.engine.shares.stream(&identity)?;
        let (_, job) = held(&self.engine, &self.registry, request.into_inner().attempt)?;
        Ok(Response::new(Counted::new(artifacts::read_document(&self.engine, &job).await?, used)))
    }

    async fn read_password(
        &self,
        request: Request<ReadPasswordRequest>,
    ) -> Result<Response<ReadPasswordResponse>, Status> {
        require(&caller(&request)?, Role::Worker, "worker")?;
        let (_, job) = held(&self.engine, &self.registry, request.into_inner().attempt)?;
        let text = passwords::read(&self.engine, &job).await?;
        Ok(Response::new(ReadPasswordResponse { password: Some(Password { text }) }))
    }

    async fn write_artifact(
        &self,
        request: Request<Streaming<WriteArtifactRequest>>,
    ) -> Result<Response<WriteArtifactResponse>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let written = artifacts::write(&self.engine, &self.registry, &identity, request.into_inner()).await?;
        Ok(Response::new(written))
    }

    async fn read_artifact(
        &self,
        request: Request<ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.engine.shares.stream(&identity)?;
        let artifact = artifacts::read(&self.engine, &self.registry, request.into_inner()).await?;
        Ok(Response::new(Counted::new(artifact, used)))
    }
}

/// One attempt at one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// From 1.
    pub number: u32,
}

impl AttemptId {
    /// The attempt a job is in.
    pub fn of(job: &Job) -> Self {
        Self { job: job.id.clone(), number: job.attempt }
    }

    /// As it is sent to a worker. The credential in it is of use to the holder alone.
    pub fn wire(&self, credentials: &Credentials, worker: &WorkerId) -> AttemptRef {
        Holder { attempt: self.clone(), part: None }.wire(credentials, worker)
    }

    /// The error of whoever no longer holds it.
    pub fn lost(&self) -> Error {
        Error::LeaseLost { job: self.job.clone(), attempt: self.number }
    }

    /// The job, if a worker holds it in this attempt.
    pub fn held(&self, engine: &Engine) -> Result<Arc<Job>, Error> {
        engine
            .read(|view| view.get(&self.job).map(|known| known.job.clone()))
            .filter(|job| job.state.is_held() && job.attempt == self.number)
            .ok_or_else(|| self.lost())
    }
}

/// The attempt or part that a call is about, and its job, if the call comes from the worker that holds it.
fn held(engine: &Engine, registry: &Registry, at: Option<AttemptRef>) -> Result<(Holder, Arc<Job>), Error> {
    let credential = at.as_ref().map(|at| at.credential.clone()).unwrap_or_default();
    let holder = parts::holder_in(at)?;
    if credential.is_empty() {
        let problem = "must be that of the assignment: send `Assignment.attempt` as it came";
        return Err(Error::field("attempt.credential", problem));
    }
    let job = holder.held(engine, registry)?;
    let worker = holder.worker(&job, registry).ok_or_else(|| holder.attempt.lost())?;
    if !engine.credentials.is_of(&credential, holder.holding(&worker)) {
        return Err(holder.attempt.lost());
    }
    Ok((holder, job))
}

fn attempt_in(attempt: Option<AttemptRef>) -> Result<AttemptId, Error> {
    let attempt = attempt.ok_or_else(|| Error::field("attempt", "must be set"))?;
    let number = u32::try_from(attempt.attempt).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Error::field("attempt.attempt", "must be at least 1"))?;
    Ok(AttemptId { job: job_id(&attempt.job_id)?, number })
}
