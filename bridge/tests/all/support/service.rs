//! The queue and the workers of a server in memory: what a story sets is told at once.

use std::pin::Pin;
use std::sync::Arc;

use courant_auth::{Identity, Role};
use courant_proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use courant_proto::v1::queue_service_server::{QueueService, QueueServiceServer};
use courant_proto::v1::*;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::verifier;

/// What is told. Clones are the same.
#[derive(Clone)]
pub struct States {
    pub queue: Arc<watch::Sender<Queue>>,
    pub workers: Arc<watch::Sender<Vec<Worker>>>,
    pub figures: Arc<watch::Sender<SystemMetrics>>,
    /// Ends all watches when it changes.
    cut: Arc<watch::Sender<u32>>,
    /// Watches of the queue that were opened.
    pub opened: Arc<watch::Sender<u32>>,
}

impl Default for States {
    fn default() -> Self {
        let lane = QueueLane { kind: "pdf".into(), lane: Lane::Premium.into(), waiting: 3, ..QueueLane::default() };
        let queue = Queue { lanes: vec![lane], workers_total: 2, ..Queue::default() };
        let worker = Worker { worker_id: "w-1".into(), connected: true, ..Worker::default() };
        Self {
            queue: Arc::new(watch::channel(queue).0),
            workers: Arc::new(watch::channel(vec![worker]).0),
            figures: Arc::new(watch::channel(SystemMetrics { version: "9.9".into(), ..Default::default() }).0),
            cut: Arc::new(watch::channel(0).0),
            opened: Arc::new(watch::channel(0).0),
        }
    }
}

impl States {
    pub fn queue(&self) -> QueueServiceServer<Service> {
        QueueServiceServer::new(Service(self.clone()))
    }

    pub fn admin(&self) -> AdminServiceServer<Service> {
        AdminServiceServer::new(Service(self.clone()))
    }

    /// So many jobs wait.
    pub fn waiting(&self, jobs: i32) {
        self.queue.send_modify(|queue| queue.lanes[0].waiting = jobs);
    }

    pub fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }
}

pub struct Service(States);

type UploadStatus<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    fn told<S, T>(&self, from: &watch::Sender<S>, form: impl Fn(S) -> T + Send + 'static) -> Response<UploadStatus<T>>
    where
        S: Clone + Send + Sync + 'static,
        T: Send + 'static,
    {
        let mut cut = self.0.cut.subscribe();
        let ended = async move { cut.changed().await };
        let stream = WatchStream::new(from.subscribe()).map(move |state| Ok(form(state)));
        Response::new(Box::pin(stream.take_until(Box::pin(ended))))
    }
}

pub fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = value.strip_prefix("Bearer ").unwrap_or_default();
    verifier().verify(token).map_err(|_| Status::unauthenticated("bad token"))
}

pub fn needs<T>(request: &Request<T>, roles: &[Role]) -> Result<(), Status> {
    let identity = caller(request)?;
    if roles.iter().any(|role| identity.has(*role)) { Ok(()) } else { Err(Status::permission_denied("role")) }
}

#[tonic::async_trait]
impl QueueService for Service {
    type WatchQueueStream = UploadStatus<WatchQueueResponse>;

    async fn get_queue(&self, request: Request<GetQueueRequest>) -> Result<Response<GetQueueResponse>, Status> {
        caller(&request)?;
        Ok(Response::new(GetQueueResponse { queue: Some(self.0.queue.borrow().clone()) }))
    }

    async fn watch_queue(
        &self,
        request: Request<WatchQueueRequest>,
    ) -> Result<Response<Self::WatchQueueStream>, Status> {
        caller(&request)?;
        self.0.opened.send_modify(|opened| *opened += 1);
        Ok(self.told(&self.0.queue, |queue| WatchQueueResponse { queue: Some(queue) }))
    }

    async fn get_quota(&self, request: Request<GetQuotaRequest>) -> Result<Response<GetQuotaResponse>, Status> {
        caller(&request)?;
        let quota = Quota { name: "jobs-waiting".into(), limit: 10, used: 4, retry_after: None };
        Ok(Response::new(GetQuotaResponse { quotas: vec![quota] }))
    }
}

const READERS: &[Role] = &[Role::Admin, Role::Bridge];

#[tonic::async_trait]
impl AdminService for Service {
    type WatchSystemMetricsStream = UploadStatus<WatchSystemMetricsResponse>;
    type WatchWorkersStream = UploadStatus<WatchWorkersResponse>;

    async fn get_system_metrics(
        &self,
        request: Request<GetSystemMetricsRequest>,
    ) -> Result<Response<GetSystemMetricsResponse>, Status> {
        needs(&request, READERS)?;
        Ok(Response::new(GetSystemMetricsResponse { metrics: Some(self.0.figures.borrow().clone()) }))
    }

    async fn watch_system_metrics(
        &self,
        request: Request<WatchSystemMetricsRequest>,
    ) -> Result<Response<Self::WatchSystemMetricsStream>, Status> {
        needs(&request, READERS)?;
        Ok(self.told(&self.0.figures, |metrics| WatchSystemMetricsResponse { metrics: Some(metrics) }))
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        needs(&request, READERS)?;
        Ok(Response::new(ListWorkersResponse { workers: self.0.workers.borrow().clone() }))
    }

    async fn watch_workers(
        &self,
        request: Request<WatchWorkersRequest>,
    ) -> Result<Response<Self::WatchWorkersStream>, Status> {
        needs(&request, READERS)?;
        Ok(self.told(&self.0.workers, |workers| WatchWorkersResponse { workers }))
    }

    async fn drain_worker(
        &self,
        request: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        needs(&request, &[Role::Admin])?;
        self.0.workers.send_modify(|workers| workers[0].draining = true);
        Ok(Response::new(DrainWorkerResponse { worker: self.0.workers.borrow().first().cloned() }))
    }

    async fn resume_worker(
        &self,
        request: Request<ResumeWorkerRequest>,
    ) -> Result<Response<ResumeWorkerResponse>, Status> {
        needs(&request, &[Role::Admin])?;
        self.0.workers.send_modify(|workers| workers[0].draining = false);
        Ok(Response::new(ResumeWorkerResponse { worker: self.0.workers.borrow().first().cloned() }))
    }
}
