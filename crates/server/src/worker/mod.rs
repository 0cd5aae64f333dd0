//! `WorkerService`: what workers call, and everything that keeps jobs and workers together: dispatch, leases, verdicts.

mod access;
mod artifacts;
mod assignment;
mod attempt;
mod deferred;
pub mod dispatch;
mod hello;
mod messages;
mod output_report;
mod page_batch;
mod part_reports;
pub mod parts;
pub mod registry;
mod report_queue;
mod reports;
mod session;
mod sharing;
pub mod sweep;

#[cfg(test)]
mod model;

use std::sync::Arc;

use courant_auth::Role;
use courant_proto::v1::worker_service_server::WorkerService;
use courant_proto::v1::{
    Password, ReadArtifactRequest, ReadArtifactResponse, ReadDocumentRequest, ReadDocumentResponse,
    ReadPasswordRequest, ReadPasswordResponse, WorkRequest, WorkResponse, WriteArtifactRequest, WriteArtifactResponse,
};
use futures::stream::BoxStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{caller, require};
use crate::passwords;
use crate::services::Services;
use crate::shares::WithPermit;
use access::held;
use registry::Registry;

pub struct Workers {
    /// What the services share.
    pub services: Arc<Services>,
    pub registry: Arc<Registry>,
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type WorkStream = WithPermit<ReceiverStream<Result<WorkResponse, Status>>>;
    type ReadDocumentStream = WithPermit<BoxStream<'static, Result<ReadDocumentResponse, Status>>>;
    type ReadArtifactStream = WithPermit<BoxStream<'static, Result<ReadArtifactResponse, Status>>>;

    async fn work(&self, request: Request<Streaming<WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.services.shares.stream(&identity)?;
        let out = session::start(self.services.clone(), self.registry.clone(), request.into_inner(), identity);
        Ok(Response::new(WithPermit::new(out, used)))
    }

    async fn read_document(
        &self,
        request: Request<ReadDocumentRequest>,
    ) -> Result<Response<Self::ReadDocumentStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.services.shares.stream(&identity)?;
        let (_, job) = held(&self.services, &self.registry, request.into_inner().attempt).await?;
        Ok(Response::new(WithPermit::new(artifacts::read_document(&self.services, &job).await?, used)))
    }

    async fn read_password(
        &self,
        request: Request<ReadPasswordRequest>,
    ) -> Result<Response<ReadPasswordResponse>, Status> {
        require(&*caller(&request)?, Role::Worker, "worker")?;
        let (_, job) = held(&self.services, &self.registry, request.into_inner().attempt).await?;
        let text = passwords::read(&self.services, &job).await?;
        Ok(Response::new(ReadPasswordResponse { password: Some(Password { text }) }))
    }

    async fn write_artifact(
        &self,
        request: Request<Streaming<WriteArtifactRequest>>,
    ) -> Result<Response<WriteArtifactResponse>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let written = artifacts::write(&self.services, &self.registry, &identity, request.into_inner()).await?;
        Ok(Response::new(written))
    }

    async fn read_artifact(
        &self,
        request: Request<ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Worker, "worker")?;
        let used = self.services.shares.stream(&identity)?;
        let artifact = artifacts::read(&self.services, &self.registry, request.into_inner()).await?;
        Ok(Response::new(WithPermit::new(artifact, used)))
    }
}
