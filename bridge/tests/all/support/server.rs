//! A stand-in for the server in stories of uploads, results and states: what a story sets is told. Jobs are there to be named;
//! nothing happens to them. Stories of topics have the server itself.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::job_service_server::{JobService, JobServiceServer};
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::*;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::{PATIENCE, verifier};

/// The server. Clones are the same one.
#[derive(Clone)]
pub struct FakeServer {
    inner: Arc<Inner>,
    address: std::net::SocketAddr,
    health: tonic_health::server::HealthReporter,
}

struct Inner {
    log: Mutex<Log>,
    submitted: Mutex<Vec<(SubmitJobHeader, Vec<u8>)>>,
    /// Uploads that did not come to their end.
    broken: watch::Sender<usize>,
    result: Mutex<Vec<u8>>,
    /// The queue and the workers.
    pub service: super::service::States,
    /// What was begun in pieces.
    pub uploads: super::uploads::Uploads,
}

struct Log {
    jobs: BTreeMap<String, Job>,
    revision: i64,
    away: bool,
}

pub fn fault(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let metadata = std::collections::HashMap::new();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, "courant", metadata))
}

fn cursor(revision: i64) -> String {
    format!("at-{revision}")
}

impl super::Backend for FakeServer {
    async fn start() -> Self {
        let log = Log { jobs: BTreeMap::new(), revision: 100, away: false };
        let inner = Arc::new(Inner {
            log: Mutex::new(log),
            submitted: Mutex::default(),
            broken: watch::channel(0).0,
            result: Mutex::new(b"# Title\n\nSome text.\n".to_vec()),
            service: super::service::States::default(),
            uploads: super::uploads::Uploads::default(),
        });
        let (health, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let jobs = JobServiceServer::new(Service(inner.clone()));
        let server = tonic::transport::Server::builder().add_service(service).add_service(jobs);
        let states = inner.service.clone();
        let server = server.add_service(states.queue()).add_service(states.admin());
        let server = server.add_service(inner.uploads.server());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { inner, address, health }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl FakeServer {
    /// A new job, queued.
    pub fn submit(&self, id: &str, owner: &str, document: &str) {
        let job = Job {
            job_id: id.to_owned(),
            owner: owner.to_owned(),
            document_id: document.to_owned(),
            filename: "report.pdf".to_owned(),
            state: JobState::Queued.into(),
            ..Job::default()
        };
        self.inner.log.lock().jobs.insert(id.to_owned(), job);
    }

    /// From now on its first page can be read.
    pub fn start(&self, id: &str) {
        self.inner.log.lock().jobs.get_mut(id).unwrap().set_state(JobState::Running);
    }

    /// Does not answer any more.
    pub async fn go_away(&self) {
        self.inner.log.lock().away = true;
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    }

    pub fn submitted(&self) -> Vec<(SubmitJobHeader, Vec<u8>)> {
        self.inner.submitted.lock().clone()
    }

    pub async fn broken_uploads(&self, count: usize) {
        let mut broken = self.inner.broken.subscribe();
        tokio::time::timeout(PATIENCE, broken.wait_for(|broken| *broken == count))
            .await
            .expect("no upload broke")
            .unwrap();
    }

    /// The queue and the workers.
    pub fn service(&self) -> &super::service::States {
        &self.inner.service
    }

    /// What was begun in pieces.
    pub fn uploads(&self) -> &super::uploads::Uploads {
        &self.inner.uploads
    }

    pub fn set_result(&self, bytes: &[u8]) {
        *self.inner.result.lock() = bytes.to_vec();
    }
}

struct Service(Arc<Inner>);

/// Counts an upload as broken unless told that it was whole.
struct Upload(Arc<Inner>, bool);

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.1 {
            self.0.broken.send_modify(|broken| *broken += 1);
        }
    }
}

impl Service {
    fn caller<T>(&self, request: &Request<T>) -> Result<Identity, Status> {
        if self.0.log.lock().away {
            return Err(Status::unavailable("away"));
        }
        let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = value.strip_prefix("Bearer ").unwrap_or_default();
        verifier().verify(token).map_err(|_| fault(Code::Unauthenticated, "TOKEN_INVALID", "bad token"))
    }

    /// The jobs as they are, and then nothing.
    fn watch(&self, holds: impl Fn(&Job) -> bool) -> Steps {
        let log = self.0.log.lock();
        let found = log.jobs.values().filter(|job| holds(job)).cloned();
        let mut steps: Vec<_> = found.map(|job| Step::Snapshot(JobSnapshot { job: Some(job) })).collect();
        steps.push(Step::Live(WatchLive { revision: log.revision }));
        let at = cursor(log.revision);
        let steps = steps.into_iter().map(move |step| Ok(WatchJobsResponse { cursor: at.clone(), step: Some(step) }));
        Box::pin(futures::stream::iter(steps).chain(futures::stream::pending()))
    }

    fn job<T>(&self, request: &Request<T>, id: &str) -> Result<(Job, String), Status> {
        let identity = self.caller(request)?;
        let log = self.0.log.lock();
        let job = log.jobs.get(id).filter(|job| identity.sees_all() || job.owner == identity.subject);
        let missing = || fault(Code::NotFound, "JOB_NOT_FOUND", format!("there is no job {id}"));
        Ok((job.cloned().ok_or_else(missing)?, cursor(log.revision)))
    }
}

/// Refuses what is no cursor.
fn after(cursor: &str) -> Result<(), Status> {
    let good = cursor.is_empty() || cursor.strip_prefix("at-").is_some_and(|text| text.parse::<i64>().is_ok());
    good.then_some(()).ok_or_else(|| fault(Code::InvalidArgument, "CURSOR_INVALID", "not a cursor of this service"))
}

fn alike(step: Step) -> watch_job_response::Step {
    match step {
        Step::Snapshot(snapshot) => watch_job_response::Step::Snapshot(snapshot),
        Step::Event(event) => watch_job_response::Step::Event(event),
        Step::Live(live) => watch_job_response::Step::Live(live),
        Step::Bookmark(bookmark) => watch_job_response::Step::Bookmark(bookmark),
        Step::Gap(gap) => watch_job_response::Step::Gap(gap),
    }
}

type Steps = Pin<Box<dyn Stream<Item = Result<WatchJobsResponse, Status>> + Send>>;
type Pieces = Pin<Box<dyn Stream<Item = Result<ReadResultResponse, Status>> + Send>>;

#[tonic::async_trait]
impl JobService for Service {
    type WatchJobStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;
    type WatchJobsStream = Steps;
    type ReadResultStream = Pieces;
    type ReadPageStream = Pin<Box<dyn Stream<Item = Result<ReadPageResponse, Status>> + Send>>;
    type DownloadDocumentStream = Pin<Box<dyn Stream<Item = Result<DownloadDocumentResponse, Status>> + Send>>;
    type WatchBatchStream = Pin<Box<dyn Stream<Item = Result<WatchBatchResponse, Status>> + Send>>;

    async fn submit_job(
        &self,
        request: Request<Streaming<SubmitJobRequest>>,
    ) -> Result<Response<SubmitJobResponse>, Status> {
        let identity = self.caller(&request)?;
        let mut upload = Upload(self.0.clone(), false);
        let mut stream = request.into_inner();
        let (mut header, mut bytes) = (None, Vec::new());
        while let Some(message) = stream.message().await? {
            match message.part {
                Some(submit_job_request::Part::Header(found)) => header = Some(found),
                Some(submit_job_request::Part::Chunk(chunk)) => {
                    assert!(!chunk.is_empty() && chunk.len() <= 1 << 20);
                    bytes.extend_from_slice(&chunk);
                }
                None => {}
            }
        }
        // tonic takes a cancelled upload for one that has ended; the cancelled call ends at the next wait.
        tokio::task::yield_now().await;
        upload.1 = true;
        let header = header.unwrap();
        if bytes.is_empty() {
            return Err(fault(Code::InvalidArgument, "DOCUMENT_EMPTY", "the document is empty"));
        }
        let job =
            Job { job_id: "NEW".into(), owner: identity.subject, filename: header.filename.clone(), ..Job::default() };
        self.0.submitted.lock().push((header, bytes));
        Ok(Response::new(SubmitJobResponse { job: Some(job), cursor: cursor(self.0.log.lock().revision) }))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let (job, cursor) = self.job(&request, &request.get_ref().job_id)?;
        Ok(Response::new(GetJobResponse { job: Some(job), cursor }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let identity = self.caller(&request)?;
        let log = self.0.log.lock();
        let jobs = log.jobs.values().filter(|job| job.owner == identity.subject).cloned().collect();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token: String::new(), cursor: cursor(log.revision) }))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        let (job, _) = self.job(&request, &request.get_ref().job_id)?;
        Ok(Response::new(CancelJobResponse { job: Some(job) }))
    }

    async fn retry_job(&self, request: Request<RetryJobRequest>) -> Result<Response<RetryJobResponse>, Status> {
        let (job, cursor) = self.job(&request, &request.get_ref().job_id)?;
        Ok(Response::new(RetryJobResponse { job: Some(job), cursor }))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        let (job, _) = self.job(&request, &request.get_ref().job_id)?;
        self.0.log.lock().jobs.remove(&job.job_id);
        Ok(Response::new(DeleteJobResponse {}))
    }

    async fn get_batch(&self, request: Request<GetBatchRequest>) -> Result<Response<GetBatchResponse>, Status> {
        let owner = self.caller(&request)?.subject;
        let batch = Some(Batch { batch_id: request.into_inner().batch_id, owner, percent: 12.34, ..Batch::default() });
        Ok(Response::new(GetBatchResponse { batch, cursor: cursor(self.0.log.lock().revision) }))
    }

    async fn cancel_batch(
        &self,
        request: Request<CancelBatchRequest>,
    ) -> Result<Response<CancelBatchResponse>, Status> {
        let owner = self.caller(&request)?.subject;
        let batch = Some(Batch { batch_id: request.into_inner().batch_id, owner, ..Batch::default() });
        Ok(Response::new(CancelBatchResponse { batch, jobs_cancelled: 2 }))
    }

    async fn watch_batch(&self, _: Request<WatchBatchRequest>) -> Result<Response<Self::WatchBatchStream>, Status> {
        Err(Status::unimplemented("not in this server"))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let (job, _) = self.job(&request, &request.get_ref().job_id)?;
        after(&request.get_ref().after_cursor)?;
        let steps = self.watch(|found: &Job| found.job_id == job.job_id);
        Ok(Response::new(Box::pin(steps.map(|step| {
            step.map(|WatchJobsResponse { cursor, step }| WatchJobResponse { cursor, step: step.map(alike) })
        }))))
    }

    async fn watch_jobs(&self, request: Request<WatchJobsRequest>) -> Result<Response<Steps>, Status> {
        let identity = self.caller(&request)?;
        let request = request.into_inner();
        let owner = if request.owner.is_empty() { identity.subject.clone() } else { request.owner.clone() };
        if owner != identity.subject && !identity.sees_all() {
            return Err(fault(Code::PermissionDenied, "ROLE_REQUIRED", "no"));
        }
        after(&request.after_cursor)?;
        let holds = move |job: &Job| {
            (owner == "-" || job.owner == owner)
                && (request.document_id.is_empty() || job.document_id == request.document_id)
                && (request.batch_id.is_empty() || job.batch_id == request.batch_id)
        };
        Ok(Response::new(self.watch(holds)))
    }

    async fn download_document(
        &self,
        request: Request<DownloadDocumentRequest>,
    ) -> Result<Response<Self::DownloadDocumentStream>, Status> {
        self.job(&request, &request.get_ref().job_id)?;
        Err(Status::unimplemented("this server keeps no documents"))
    }

    async fn read_page(&self, request: Request<ReadPageRequest>) -> Result<Response<Self::ReadPageStream>, Status> {
        let (job, _) = self.job(&request, &request.get_ref().job_id)?;
        let page = request.into_inner().page;
        if job.state() == JobState::Queued || page != 1 {
            return Err(fault(Code::FailedPrecondition, "RESULT_NOT_READY", "not done yet"));
        }
        let written = format!("{{\"number\":{page}}}");
        let header = ReadPageHeader { attempt: 1, size_bytes: written.len() as i64 };
        let parts = [read_page_response::Part::Header(header), read_page_response::Part::Chunk(written.into())];
        let parts = parts.map(|part| Ok(ReadPageResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(futures::stream::iter(parts))))
    }

    async fn read_result(&self, request: Request<ReadResultRequest>) -> Result<Response<Pieces>, Status> {
        self.job(&request, &request.get_ref().job_id)?;
        let request = request.into_inner();
        let all = self.0.result.lock().clone();
        let header = ReadResultHeader {
            content_type: "text/markdown; charset=utf-8".into(),
            filename: "repört.md".into(),
            size_bytes: all.len() as i64,
            sha256: format!("{:064x}", all.len()),
        };
        let from = request.offset as usize;
        let to = if request.limit == 0 { all.len() } else { all.len().min(from + request.limit as usize) };
        let chunks: Vec<_> = all[from..to].chunks(256 << 10).map(|chunk| chunk.to_vec()).collect();
        let parts = std::iter::once(read_result_response::Part::Header(header))
            .chain(chunks.into_iter().map(|chunk| read_result_response::Part::Chunk(chunk.into())));
        let parts: Vec<_> = parts.map(|part| Ok(ReadResultResponse { part: Some(part) })).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(parts))))
    }
}
