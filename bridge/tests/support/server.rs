//! A server in memory that keeps the invariants of the watch: snapshot or what was missed, `live`, then everything in order.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::job_event::Change;
use courant_proto::v1::job_service_server::{JobService, JobServiceServer};
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::*;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
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
    news: broadcast::Sender<JobEvent>,
    /// Live watches now.
    open: watch::Sender<usize>,
    watches: Mutex<Vec<WatchJobsRequest>>,
    submitted: Mutex<Vec<(SubmitJobHeader, Vec<u8>)>>,
    /// Uploads that did not come to their end.
    broken: watch::Sender<usize>,
    result: Mutex<Vec<u8>>,
    /// The queue and the workers.
    pub service: super::service::States,
    /// Who is connected.
    pub presence: super::presence::Roll,
    /// What was begun in pieces.
    pub uploads: super::uploads::Uploads,
}

struct Log {
    events: Vec<JobEvent>,
    jobs: BTreeMap<String, Job>,
    revision: i64,
    trimmed: i64,
    away: bool,
    /// Cancelled to cut all watches.
    cut: CancellationToken,
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
        let log = Log {
            events: Vec::new(),
            jobs: BTreeMap::new(),
            revision: 100,
            trimmed: 0,
            away: false,
            cut: CancellationToken::new(),
        };
        let inner = Arc::new(Inner {
            log: Mutex::new(log),
            news: broadcast::channel(100_000).0,
            open: watch::channel(0).0,
            watches: Mutex::default(),
            submitted: Mutex::default(),
            broken: watch::channel(0).0,
            result: Mutex::new(b"# Title\n\nSome text.\n".to_vec()),
            service: super::service::States::default(),
            presence: super::presence::Roll::default(),
            uploads: super::uploads::Uploads::default(),
        });
        let (health, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let jobs = JobServiceServer::new(Service(inner.clone()));
        let server = tonic::transport::Server::builder().add_service(service).add_service(jobs);
        let states = inner.service.clone();
        let server = server.add_service(states.queue()).add_service(states.admin());
        let server = server.add_service(inner.presence.server()).add_service(inner.uploads.server());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { inner, address, health }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl FakeServer {
    /// A new job, queued.
    pub fn submit(&self, id: &str, owner: &str, document: &str) -> String {
        let before = self.head();
        let job = Job {
            job_id: id.to_owned(),
            owner: owner.to_owned(),
            document_id: document.to_owned(),
            filename: "report.pdf".to_owned(),
            state: JobState::Queued.into(),
            ..Job::default()
        };
        self.inner.log.lock().jobs.insert(id.to_owned(), job);
        self.happens(id, JobState::Queued, Change::Queued(JobQueued {}));
        before
    }

    /// Something durable happens to a job.
    pub fn happens(&self, id: &str, state: JobState, change: Change) -> i64 {
        let mut log = self.inner.log.lock();
        log.revision += 3;
        let revision = log.revision;
        let job = log.jobs.get_mut(id).unwrap();
        job.revision = revision;
        job.set_state(state);
        let event = JobEvent { revision, event_time: None, job: Some(job.clone()), folded: 0, change: Some(change) };
        log.events.push(event.clone());
        // Under the lock, so that the order of the log is the order of the news.
        let _ = self.inner.news.send(event);
        revision
    }

    /// A page with two zones.
    pub fn page(&self, id: &str, number: i32) -> i64 {
        let zone = |index| Zone { zone_id: format!("p{number}z{index}"), index, page: number, ..Zone::default() };
        let page = Page { number, zones: vec![zone(1), zone(2)], ..Page::default() };
        self.happens(id, JobState::Running, Change::PageFinished(PageFinished { page: Some(page) }))
    }

    /// News.
    pub fn progress(&self, id: &str, percent: f64) {
        let mut log = self.inner.log.lock();
        let job = log.jobs.get_mut(id).unwrap();
        job.progress = Some(Progress { percent, ..Progress::default() });
        let change = Some(Change::Progressed(JobProgressed {}));
        let _ = self.inner.news.send(JobEvent { job: Some(job.clone()), change, ..JobEvent::default() });
    }

    /// A sign of life on all watches.
    pub fn bookmark(&self) {
        let log = self.inner.log.lock();
        let _ = self.inner.news.send(JobEvent { revision: log.revision + 1, ..JobEvent::default() });
    }

    pub fn head(&self) -> String {
        cursor(self.inner.log.lock().revision)
    }

    /// Ends all watches.
    pub fn cut(&self) {
        let mut log = self.inner.log.lock();
        std::mem::replace(&mut log.cut, CancellationToken::new()).cancel();
    }

    /// Does not answer any more.
    pub async fn go_away(&self) {
        self.inner.log.lock().away = true;
        self.inner.presence.cut(true);
        self.cut();
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    }

    pub async fn come_back(&self) {
        self.inner.log.lock().away = false;
        self.inner.presence.cut(false);
        self.health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    }

    /// Forgets the history, not the jobs.
    pub fn trim(&self) {
        let mut log = self.inner.log.lock();
        log.trimmed = log.revision;
        log.events.clear();
    }

    /// Waits until so many watches are open.
    pub async fn open_watches(&self, count: usize) {
        let mut open = self.inner.open.subscribe();
        let found = tokio::time::timeout(PATIENCE, open.wait_for(|open| *open == count)).await;
        assert!(found.is_ok(), "there are {} watches, not {count}", *self.inner.open.borrow());
    }

    pub fn watches(&self) -> Vec<WatchJobsRequest> {
        self.inner.watches.lock().clone()
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

    /// Who is connected.
    pub fn presence(&self) -> &super::presence::Roll {
        &self.inner.presence
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

/// Counts for as long as it lives.
struct Count(Arc<Inner>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

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

    fn watch(
        &self,
        after: Option<i64>,
        holds: impl Fn(&Job) -> bool + Send + Sync + 'static,
    ) -> ReceiverStream<Result<WatchJobsResponse, Status>> {
        let (out, steps) = mpsc::channel(4);
        let cut = self.0.log.lock().cut.clone();
        let begun = begin(&self.0, after);
        self.0.open.send_modify(|open| *open += 1);
        let count = Count(self.0.clone());
        tokio::spawn(async move {
            let _count = count;
            let closed = out.clone();
            tokio::select! {
                _ = follow(begun, holds, &out) => {}
                () = closed.closed() => {}
                () = cut.cancelled() => drop(out.send(Err(Status::unavailable("cut"))).await),
            }
        });
        ReceiverStream::new(steps)
    }

    fn job<T>(&self, request: &Request<T>, id: &str) -> Result<(Job, String), Status> {
        let identity = self.caller(request)?;
        let log = self.0.log.lock();
        let job = log.jobs.get(id).filter(|job| identity.sees_all() || job.owner == identity.subject);
        let missing = || fault(Code::NotFound, "JOB_NOT_FOUND", format!("there is no job {id}"));
        Ok((job.cloned().ok_or_else(missing)?, cursor(log.revision)))
    }
}

fn after(cursor: &str) -> Result<Option<i64>, Status> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let revision = cursor.strip_prefix("at-").and_then(|text| text.parse().ok());
    revision.map(Some).ok_or_else(|| fault(Code::InvalidArgument, "CURSOR_INVALID", "not a cursor of this service"))
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
        let after = after(&request.get_ref().after_cursor)?;
        let steps = self.watch(after, move |found: &Job| found.job_id == job.job_id);
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
        self.0.watches.lock().push(request.clone());
        let after = after(&request.after_cursor)?;
        let holds = move |job: &Job| {
            (owner == "-" || job.owner == owner)
                && (request.document_id.is_empty() || job.document_id == request.document_id)
                && (request.batch_id.is_empty() || job.batch_id == request.batch_id)
        };
        Ok(Response::new(Box::pin(self.watch(after, holds))))
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

type Out = mpsc::Sender<Result<WatchJobsResponse, Status>>;

/// Attaches to the news first, then looks at what there is, both under the lock.
fn begin(inner: &Inner, after: Option<i64>) -> (broadcast::Receiver<JobEvent>, Vec<(i64, Step)>, i64) {
    let log = inner.log.lock();
    let news = inner.news.subscribe();
    let mut first = Vec::new();
    let replay = after.filter(|after| *after >= log.trimmed);
    if after.is_some() && replay.is_none() {
        first.push((0, Step::Gap(WatchGap { reason: GapReason::HistoryTrimmed.into() })));
    }
    match replay {
        Some(after) => {
            let missed = log.events.iter().filter(|event| event.revision > after);
            first.extend(missed.map(|event| (event.revision, Step::Event(event.clone()))));
        }
        None => {
            let jobs = log.jobs.values().cloned();
            first.extend(jobs.map(|job| (log.revision, Step::Snapshot(JobSnapshot { job: Some(job) }))));
        }
    }
    first.push((log.revision, Step::Live(WatchLive { revision: log.revision })));
    (news, first, log.revision)
}

async fn follow(
    (mut news, first, head): (broadcast::Receiver<JobEvent>, Vec<(i64, Step)>, i64),
    holds: impl Fn(&Job) -> bool,
    out: &Out,
) -> Option<()> {
    for (at, step) in first {
        tell(out, at, step, &holds).await?;
    }
    loop {
        let event = news.recv().await.expect("a story is too long for the fake server");
        if event.change.is_none() {
            tell(out, event.revision - 1, Step::Bookmark(WatchBookmark {}), &holds).await?;
        } else if event.revision == 0 || event.revision > head {
            tell(out, event.revision, Step::Event(event), &holds).await?;
        }
    }
}

async fn tell(out: &Out, at: i64, step: Step, holds: &impl Fn(&Job) -> bool) -> Option<()> {
    let job = match &step {
        Step::Event(event) => event.job.as_ref(),
        Step::Snapshot(snapshot) => snapshot.job.as_ref(),
        Step::Live(_) | Step::Gap(_) | Step::Bookmark(_) => None,
    };
    if job.is_some_and(|job| !holds(job)) {
        return Some(());
    }
    let cursor = if at == 0 { String::new() } else { cursor(at) };
    out.send(Ok(WatchJobsResponse { cursor, step: Some(step) })).await.ok()
}
