//! `WorkerService`: what workers call, and everything that keeps jobs and workers together: dispatch, leases, verdicts.

mod artifacts;
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
use courant_joblog::ids::JobId;
use courant_joblog::job::Job;
use courant_proto::v1::worker_service_server::WorkerService;
use courant_proto::v1::{
    AttemptRef, Password, ReadArtifactRequest, ReadArtifactResponse, ReadDocumentRequest, ReadDocumentResponse,
    ReadPasswordRequest, ReadPasswordResponse, WorkRequest, WorkResponse, WriteArtifactRequest, WriteArtifactResponse,
};
use futures::stream::BoxStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{caller, require, time_left};
use crate::engine::Engine;
use crate::error::Error;
use crate::jobs::job_id;
use crate::passwords;
pub use artifacts::page_name;
use parts::holder_in;
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
    type WorkStream = ReceiverStream<Result<WorkResponse, Status>>;
    type ReadDocumentStream = BoxStream<'static, Result<ReadDocumentResponse, Status>>;
    type ReadArtifactStream = BoxStream<'static, Result<ReadArtifactResponse, Status>>;

    async fn work(&self, request: Request<Streaming<WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let token_left = time_left(&identity);
        let out = session::start(self.engine.clone(), self.registry.clone(), request.into_inner(), token_left);
        Ok(Response::new(out.into()))
    }

    async fn read_document(
        &self,
        request: Request<ReadDocumentRequest>,
    ) -> Result<Response<Self::ReadDocumentStream>, Status> {
        require(&caller(&request)?, Role::Worker, "worker")?;
        let holder = holder_in(request.into_inner().attempt)?;
        Ok(Response::new(artifacts::read_document(&self.engine, &self.registry, &holder).await?))
    }

    async fn read_password(
        &self,
        request: Request<ReadPasswordRequest>,
    ) -> Result<Response<ReadPasswordResponse>, Status> {
        require(&caller(&request)?, Role::Worker, "worker")?;
        let job = holder_in(request.into_inner().attempt)?.held(&self.engine, &self.registry)?;
        let text = passwords::read(&self.engine, &job).await?;
        Ok(Response::new(ReadPasswordResponse { password: Some(Password { text }) }))
    }

    async fn write_artifact(
        &self,
        request: Request<Streaming<WriteArtifactRequest>>,
    ) -> Result<Response<WriteArtifactResponse>, Status> {
        require(&caller(&request)?, Role::Worker, "worker")?;
        Ok(Response::new(artifacts::write(&self.engine, &self.registry, request.into_inner()).await?))
    }

    async fn read_artifact(
        &self,
        request: Request<ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        require(&caller(&request)?, Role::Worker, "worker")?;
        Ok(Response::new(artifacts::read(&self.engine, &self.registry, request.into_inner()).await?))
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

    /// On the wire.
    pub fn wire(&self) -> AttemptRef {
        AttemptRef { job_id: self.job.to_string(), attempt: self.number as i32, ..Default::default() }
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

fn attempt_in(attempt: Option<AttemptRef>) -> Result<AttemptId, Error> {
    let attempt = attempt.ok_or_else(|| Error::field("attempt", "must be set"))?;
    let number = u32::try_from(attempt.attempt).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Error::field("attempt.attempt", "must be at least 1"))?;
    Ok(AttemptId { job: job_id(&attempt.job_id)?, number })
}
