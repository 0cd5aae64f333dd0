//! `JobService`: what users, services and the bridge call.

mod actions;
mod batch;
mod conversion;
mod list;
mod outputs;
mod results;
pub(crate) mod submit;
pub(crate) mod submit_request;
mod submit_stream;
mod watch_scopes;
mod watched;

use std::time::Duration;

use courant_auth::Role;
use courant_engine::hub::Scope;
use courant_engine::watch::{self, End, Update, Watch, WatchError};
use courant_proto::v1::job_service_server::JobService;
use courant_proto::v1::{
    CancelBatchRequest, CancelBatchResponse, CancelJobRequest, CancelJobResponse, ConvertDocumentRequest,
    DeleteJobRequest, DeleteJobResponse, DownloadDocumentRequest, DownloadDocumentResponse, GetBatchRequest,
    GetBatchResponse, GetJobRequest, GetJobResponse, ListJobsRequest, ListJobsResponse, ListOutputsRequest,
    ListOutputsResponse, ReadOutputRequest, ReadOutputResponse, ReadPageRequest, ReadPageResponse, ReadResultRequest,
    ReadResultResponse, RetryJobRequest, RetryJobResponse, SubmitJobRequest, SubmitJobResponse, SubmitJobsRequest,
    WatchBatchRequest, WatchBatchResponse, WatchJobRequest, WatchJobResponse, WatchJobsRequest, WatchJobsResponse,
    WatchScopesRequest,
};
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub use self::actions::Jobs;
use self::watched::{cursor_in, on_gap, watched_jobs};
use crate::audit;
use crate::auth::{caller, require, time_left};
use crate::config::Retention;
use crate::convert::{self, interval_in};
use crate::error::Error;
use crate::parameters;
use crate::shares::WithPermit;

/// The `min_interval` of a watch over a batch that names none.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl JobService for Jobs {
    type SubmitJobsStream = submit_stream::SubmitJobsStream;
    type ConvertDocumentStream = conversion::ConvertDocumentStream;
    type WatchJobStream = WithPermit<ReceiverStream<Result<WatchJobResponse, Status>>>;
    type WatchJobsStream = WithPermit<ReceiverStream<Result<WatchJobsResponse, Status>>>;
    type WatchScopesStream = watch_scopes::WatchScopesStream;
    type ReadResultStream = WithPermit<BoxStream<'static, Result<ReadResultResponse, Status>>>;
    type ReadOutputStream = WithPermit<BoxStream<'static, Result<ReadOutputResponse, Status>>>;
    type ReadPageStream = WithPermit<BoxStream<'static, Result<ReadPageResponse, Status>>>;
    type DownloadDocumentStream = WithPermit<BoxStream<'static, Result<DownloadDocumentResponse, Status>>>;
    type WatchBatchStream = WithPermit<ReceiverStream<Result<WatchBatchResponse, Status>>>;

    async fn submit_job(
        &self,
        request: Request<Streaming<SubmitJobRequest>>,
    ) -> Result<Response<SubmitJobResponse>, Status> {
        let identity = caller(&request)?;
        let _used = self.services.shares.stream(&identity)?;
        let mut parts = request.into_inner();
        Ok(Response::new(submit::submit(&self.services, &self.registry, &identity, &mut parts).await?))
    }

    async fn convert_document(
        &self,
        request: Request<Streaming<ConvertDocumentRequest>>,
    ) -> Result<Response<Self::ConvertDocumentStream>, Status> {
        let identity = caller(&request)?;
        Ok(Response::new(conversion::start(self, identity, request.into_inner()).await?))
    }

    async fn submit_jobs(
        &self,
        request: Request<Streaming<SubmitJobsRequest>>,
    ) -> Result<Response<Self::SubmitJobsStream>, Status> {
        let identity = caller(&request)?;
        let used = self.services.shares.stream(&identity)?;
        let answers = submit_stream::start(self.clone(), identity, request.into_inner());
        Ok(Response::new(WithPermit::new(answers, used)))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let identity = caller(&request)?;
        let snapshot = self.visible(&identity, &request.get_ref().job_id).await?;
        let cursor = self.services.engine.cursor(snapshot.current.revision).encode();
        let parameters = parameters::text(&self.services.files, &snapshot.current.job).await;
        let parameters = parameters.map_err(|error| results::gone(&self.services, &snapshot.current.job, error))?;
        Ok(Response::new(GetJobResponse { job: Some(self.wire(&snapshot)), cursor, parameters }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let identity = caller(&request)?;
        Ok(Response::new(list::list(&self.services, &identity, request.into_inner()).await?))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        let identity = caller(&request)?;
        let snapshot = self.cancel(&identity, &request.get_ref().job_id).await?;
        Ok(Response::new(CancelJobResponse { job: Some(self.wire(&snapshot)) }))
    }

    async fn retry_job(&self, request: Request<RetryJobRequest>) -> Result<Response<RetryJobResponse>, Status> {
        let identity = caller(&request)?;
        let (snapshot, cursor) = self.retry(&identity, request.into_inner()).await?;
        Ok(Response::new(RetryJobResponse { job: Some(self.wire(&snapshot)), cursor: cursor.encode() }))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        let identity = caller(&request)?;
        self.delete(&identity, &request.get_ref().job_id).await?;
        Ok(Response::new(DeleteJobResponse {}))
    }

    async fn get_batch(&self, request: Request<GetBatchRequest>) -> Result<Response<GetBatchResponse>, Status> {
        let identity = caller(&request)?;
        let GetBatchRequest { batch_id, owner } = request.get_ref();
        let name = batch::named(&identity, owner, batch_id)?;
        Ok(Response::new(batch::get(&self.services, &name).await?))
    }

    async fn cancel_batch(
        &self,
        request: Request<CancelBatchRequest>,
    ) -> Result<Response<CancelBatchResponse>, Status> {
        let identity = caller(&request)?;
        let CancelBatchRequest { batch_id, owner } = request.get_ref();
        let name = batch::named(&identity, owner, batch_id)?;
        // As with single jobs: the bridge sees all and changes nothing.
        if name.0.as_str() != identity.subject {
            require(&identity, Role::Admin, "admin")?;
        }
        audit::note_target(batch_id);
        Ok(Response::new(batch::cancel(&self.services, &identity, &name).await?))
    }

    async fn watch_batch(
        &self,
        request: Request<WatchBatchRequest>,
    ) -> Result<Response<Self::WatchBatchStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let name = batch::named(&identity, &request.owner, &request.batch_id)?;
        let interval = if request.min_interval.is_some() { interval_in(request.min_interval)? } else { BATCH_INTERVAL };
        let used = self.services.shares.stream(&identity)?;
        let states = batch::follow(self.services.clone(), name, interval, time_left(&identity)).await?;
        Ok(Response::new(WithPermit::new(states, used)))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let snapshot = self.visible(&identity, &request.job_id).await?;
        let watch = Watch {
            scope: Scope::job(snapshot.current.job.id.clone()),
            after: cursor_in(&request.after_cursor)?,
            min_interval: interval_in(request.min_interval)?,
            end: End::WithTheJob,
            on_gap: on_gap(request.fail_on_gap),
            token_left: time_left(&identity),
        };
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(self.watch(watch, convert::watch_job), used)))
    }

    async fn watch_jobs(&self, request: Request<WatchJobsRequest>) -> Result<Response<Self::WatchJobsStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let watch = Watch {
            scope: watched_jobs(&identity, &request)?,
            after: cursor_in(&request.after_cursor)?,
            min_interval: interval_in(request.min_interval)?,
            end: End::Never,
            on_gap: on_gap(request.fail_on_gap),
            token_left: time_left(&identity),
        };
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(self.watch(watch, convert::watch_jobs), used)))
    }

    async fn watch_scopes(
        &self,
        request: Request<Streaming<WatchScopesRequest>>,
    ) -> Result<Response<Self::WatchScopesStream>, Status> {
        let identity = caller(&request)?;
        Ok(Response::new(watch_scopes::start(self.clone(), identity, request.into_inner())?))
    }

    async fn read_result(
        &self,
        request: Request<ReadResultRequest>,
    ) -> Result<Response<Self::ReadResultStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let snapshot = self.visible(&identity, &request.job_id).await?;
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(results::read(&self.services, &snapshot.current.job, &request).await?, used)))
    }

    async fn list_outputs(
        &self,
        request: Request<ListOutputsRequest>,
    ) -> Result<Response<ListOutputsResponse>, Status> {
        let identity = caller(&request)?;
        let snapshot = self.visible(&identity, &request.get_ref().job_id).await?;
        Ok(Response::new(outputs::list(&snapshot.current.job)))
    }

    async fn read_output(
        &self,
        request: Request<ReadOutputRequest>,
    ) -> Result<Response<Self::ReadOutputStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let snapshot = self.visible(&identity, &request.job_id).await?;
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(outputs::read(&self.services, &snapshot.current.job, &request).await?, used)))
    }

    async fn read_page(&self, request: Request<ReadPageRequest>) -> Result<Response<Self::ReadPageStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let snapshot = self.visible(&identity, &request.job_id).await?;
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(
            results::read_page(&self.services, &snapshot.current.job, &request).await?,
            used,
        )))
    }

    async fn download_document(
        &self,
        request: Request<DownloadDocumentRequest>,
    ) -> Result<Response<Self::DownloadDocumentStream>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        let snapshot = self.visible(&identity, &request.job_id).await?;
        let used = self.services.shares.stream(&identity)?;
        Ok(Response::new(WithPermit::new(
            results::read_document(&self.services, &snapshot.current.job, &request).await?,
            used,
        )))
    }
}

impl Jobs {
    fn watch<T: Send + 'static>(
        &self,
        watch: Watch,
        form: fn(Retention, Update) -> T,
    ) -> mpsc::Receiver<Result<T, Status>> {
        let retention = self.services.config.retention;
        let form = move |step: Result<Update, WatchError>| match step {
            Ok(update) => Ok(form(retention, update)),
            Err(error) => Err(Error::from(error).into()),
        };
        watch::start(self.services.engine.clone(), &self.services.watch_tasks(), watch, form)
    }
}
