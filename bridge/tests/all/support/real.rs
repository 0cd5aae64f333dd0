//! The server itself, over a log in memory and behind a proxy. Stories write to the log what workers would bring about.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::Role;
use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event, Submission};
use courant_joblog::ids::{DocumentId, Revision, Timestamp};
use courant_joblog::job::{Document, Job, JobError, Page, State, Zone, ZoneKind, ZoneStatus};
use courant_joblog::log::{Append, Log};
use courant_joblog::memory::MemoryLog;
use courant_joblog::samples;
use courant_proto::v1;
use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::presence_service_client::PresenceServiceClient;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_server::cursor::Cursor;
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::proxy::Proxy;
use super::{PATIENCE, token_for, verifier};

/// The server. Clones are the same one.
#[derive(Clone)]
pub struct RealServer(Arc<Inner>);

struct Inner {
    log: Arc<MemoryLog>,
    /// The newest entry of each job that a story wrote.
    jobs: Mutex<HashMap<String, (Revision, Job)>>,
    proxy: Proxy,
    direct: Channel,
    _stop: DropGuard,
    data: tempfile::TempDir,
}

impl RealServer {
    pub async fn start() -> Self {
        Self::over(MemoryLog::new(), |_| {}).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.proxy.address)
    }

    /// One that keeps no more than the newest entry of each job.
    pub async fn without_history() -> Self {
        Self::over(MemoryLog::with_history(1), |_| {}).await
    }

    /// One that soon sends bookmarks.
    pub async fn with_bookmarks() -> Self {
        Self::over(MemoryLog::new(), |config| config.bookmark_interval = Duration::from_millis(200)).await
    }

    pub async fn with(adjust: impl FnOnce(&mut courant_server::Config)) -> Self {
        Self::over(MemoryLog::new(), adjust).await
    }

    async fn over(log: MemoryLog, adjust: impl FnOnce(&mut courant_server::Config)) -> Self {
        let (data, log) = (tempfile::tempdir().unwrap(), Arc::new(log));
        let mut config = courant_server::Config::new(data.path());
        config.drain_grace = Duration::ZERO;
        // Places come once a second by themselves, in the middle of any story.
        config.watch_positions = 0;
        adjust(&mut config);
        let server = courant_server::Server::with_log(config, verifier(), log.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(listener, stop.clone()));
        let direct = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let proxy = Proxy::to(address).await;
        let _stop = stop.drop_guard();
        Self(Arc::new(Inner { log, jobs: Mutex::default(), proxy, direct, _stop, data }))
    }

    /// A new job, queued. Returns the cursor before it.
    pub async fn submit(&self, id: &str, owner: &str, document: &str) -> String {
        let before = self.head();
        let document =
            Document { id: DocumentId::new(document), name: "report.pdf".into(), bytes: 1, sha256: "00".into() };
        let submission = Submission { document, formats: vec![], ..samples::minimal_submission(id, owner) };
        let event = Event::new(Timestamp::now(), Change::Submitted(Box::new(submission)));
        let job = apply(None, &event).unwrap();
        self.append(None, event, job);
        self.settled().await;
        before
    }

    pub fn started(&self, id: &str) -> i64 {
        self.happens(
            id,
            State::Running,
            Change::Started { attempt: 1, worker: courant_joblog::ids::WorkerId::new("w") },
        )
    }

    /// A page with two zones.
    pub fn page(&self, id: &str, number: u32) -> i64 {
        let zone = |index| Zone {
            id: format!("p{number}z{index}").into(),
            index,
            page: number,
            bbox: [0.0; 4],
            kind: ZoneKind::Paragraph,
            tool: "text".into(),
            status: ZoneStatus::Completed,
            confidence: 1.0,
            duration_ms: 0,
            note: "".into(),
        };
        let (zones, warnings) = (vec![zone(1), zone(2)], Vec::new());
        let page = Page { number, width: 1.0, height: 1.0, zones, duration_ms: 0, warnings };
        self.happens(id, State::Running, Change::PageFinished { attempt: 1, page: Box::new(page) })
    }

    pub fn failed(&self, id: &str) -> i64 {
        let error = JobError { code: "BROKEN".into(), message: "It broke.".into(), retryable: false };
        self.happens(id, State::Failed, Change::Failed { attempt: 1, error })
    }

    pub fn succeeded(&self, id: &str) -> i64 {
        self.happens(id, State::Succeeded, Change::Succeeded { attempt: 1, warnings: Vec::new() })
    }

    /// Something durable happens to a job. Nobody holds it, so no lease of it can run out.
    fn happens(&self, id: &str, state: State, change: Change) -> i64 {
        let (revision, mut job) = self.0.jobs.lock()[id].clone();
        job.state = state;
        job.attempt = job.attempt.max(1);
        self.append(Some(revision), Event::new(Timestamp::now(), change), job)
    }

    fn append(&self, expect: Option<Revision>, event: Event, job: Job) -> i64 {
        let append = Append::one(expect, event, Arc::new(job.clone()));
        let revision = self.0.log.append(append).now_or_never().expect("memory does not wait").unwrap();
        self.0.jobs.lock().insert(job.id.to_string(), (revision, job));
        revision.0 as i64
    }

    pub fn head(&self) -> String {
        Cursor::now(self.0.log.info(), *self.0.log.head().borrow()).encode()
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let token = token_for("root", &[Role::Admin], Duration::from_secs(60));
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    async fn metrics(&self) -> v1::SystemMetrics {
        let mut admin = AdminServiceClient::new(self.0.direct.clone());
        let answer = admin.get_system_metrics(self.call(v1::GetSystemMetricsRequest {})).await.unwrap();
        answer.into_inner().metrics.unwrap()
    }

    /// Waits until the server has read what was written.
    pub async fn settled(&self) {
        let head = *self.0.log.head().borrow();
        let read = async { while self.metrics().await.log_revision < head.0 as i64 {} };
        tokio::time::timeout(PATIENCE, read).await.expect("the server does not read its log");
    }

    /// Waits until so many watches are open.
    pub async fn open_watches(&self, count: i32) {
        let open = async { while self.metrics().await.watchers != count {} };
        assert!(tokio::time::timeout(PATIENCE, open).await.is_ok(), "there are {}", self.metrics().await.watchers);
    }

    /// All jobs of all users, the oldest first.
    pub async fn jobs(&self) -> Vec<v1::Job> {
        let request = v1::ListJobsRequest { owner: "-".into(), ..v1::ListJobsRequest::default() };
        let listed = JobServiceClient::new(self.0.direct.clone()).list_jobs(self.call(request)).await.unwrap();
        let mut jobs = listed.into_inner().jobs;
        jobs.sort_by(|one, other| one.job_id.cmp(&other.job_id));
        jobs
    }

    /// The document of a job as it is stored.
    pub async fn document(&self, id: &str) -> Vec<u8> {
        use v1::download_document_response::Part;
        let request = self.call(v1::DownloadDocumentRequest { job_id: id.to_owned(), ..Default::default() });
        let answer = JobServiceClient::new(self.0.direct.clone()).download_document(request).await.unwrap();
        let (mut stream, mut bytes) = (answer.into_inner(), Vec::new());
        while let Some(message) = stream.message().await.unwrap() {
            if let Some(Part::Chunk(chunk)) = message.part {
                bytes.extend_from_slice(&chunk);
            }
        }
        bytes
    }

    /// Waits until there are files of documents that are still arriving, or none any more.
    pub async fn documents_arrive(&self, expected: bool) {
        let folder = self.0.data.path().join("objects/uploads");
        let any = || std::fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
        let changed = async {
            while any() != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, changed).await.expect("no document begins, or ends, to arrive");
    }

    /// Somebody retries a job over gRPC.
    pub async fn retry(&self, id: &str) {
        let request = v1::RetryJobRequest { job_id: id.to_owned(), password: None };
        JobServiceClient::new(self.0.direct.clone()).retry_job(self.call(request)).await.unwrap();
    }

    /// Waits until the server knows these devices of a user, at whichever bridge, with their connections.
    pub async fn knows_devices(&self, user: &str, expected: &[(&str, i32)]) {
        let found = async || {
            let request = self.call(v1::ListDevicesRequest { user: user.to_owned() });
            let answer = PresenceServiceClient::new(self.0.direct.clone()).list_devices(request).await.unwrap();
            let devices = answer.into_inner().devices.into_iter();
            let count = |device: &v1::Device| device.websockets + device.event_streams + i32::from(device.polls);
            let mut all: Vec<_> = devices.map(|device| (device.device_id.clone(), count(&device))).collect();
            all.sort();
            all
        };
        let expected: Vec<_> = expected.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
        let known = async { while found().await != expected {} };
        let waited = tokio::time::timeout(PATIENCE, known).await;
        assert!(waited.is_ok(), "the server knows {:?}, not {expected:?}", found().await);
    }

    /// Ends all connections of the bridge.
    pub fn cut(&self) {
        self.0.proxy.cut();
    }

    /// Cannot be reached any more.
    pub fn go_away(&self) {
        self.0.proxy.close();
    }

    pub fn come_back(&self) {
        self.0.proxy.open();
    }

    /// A worker of its own, which gets the next job that waits.
    pub async fn worker(&self) -> Worker {
        let token = token_for("worker", &[Role::Worker], Duration::from_secs(600));
        let (out, inbox) = mpsc::channel(1024);
        let mut request = Request::new(ReceiverStream::new(inbox));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let (worker_id, kinds) = ("w-1".into(), vec!["pdf".into()]);
        let hello = v1::Hello { worker_id, kinds, slots: 1, software: "test".into(), ..v1::Hello::default() };
        send_report(&out, Report::Hello(hello)).await;
        let mut client = WorkerServiceClient::new(self.0.direct.clone());
        let mut orders = client.work(request).await.unwrap().into_inner();
        let assigned = async {
            loop {
                if let Order::Assignment(assignment) = orders.message().await.unwrap().unwrap().message.unwrap() {
                    return assignment.attempt.unwrap();
                }
            }
        };
        let attempt = tokio::time::timeout(PATIENCE, assigned).await.expect("no job came");
        send_report(&out, Report::Accepted(v1::Accepted { attempt: Some(attempt.clone()) })).await;
        tokio::spawn(async move { while let Ok(Some(_)) = orders.message().await {} });
        Worker { client, token, out, attempt }
    }
}

async fn send_report(out: &mpsc::Sender<v1::WorkRequest>, report: Report) {
    out.send(v1::WorkRequest { message: Some(report) }).await.unwrap();
}

/// A worker that has one job.
pub struct Worker {
    client: WorkerServiceClient<Channel>,
    token: String,
    out: mpsc::Sender<v1::WorkRequest>,
    attempt: v1::AttemptRef,
}

impl Worker {
    fn attempt(&self) -> Option<v1::AttemptRef> {
        Some(self.attempt.clone())
    }

    pub async fn plan(&self, pages_total: i32) {
        send_report(
            &self.out,
            Report::Plan(v1::ReportPlan { attempt: self.attempt(), pages_total, document_pages: 0 }),
        )
        .await;
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request
    }

    async fn write(&mut self, name: String, content: &[u8]) {
        use v1::write_artifact_request::Part;
        let header = Part::Header(v1::WriteArtifactHeader { attempt: self.attempt(), name });
        let chunks = content.chunks(256 << 10).map(|chunk| Part::Chunk(chunk.to_vec().into()));
        let parts = std::iter::once(header).chain(chunks);
        let parts: Vec<_> = parts.map(|part| v1::WriteArtifactRequest { part: Some(part) }).collect();
        let request = self.call(tokio_stream::iter(parts));
        self.client.write_artifact(request).await.unwrap();
    }

    /// The password that came with the document.
    pub async fn password(&mut self) -> String {
        let request = self.call(v1::ReadPasswordRequest { attempt: self.attempt() });
        self.client.read_password(request).await.unwrap().into_inner().password.unwrap().text
    }

    /// A result in a format, whose file ends like that.
    pub async fn export(&mut self, format: v1::ResultFormat, ending: &str, content: &[u8]) {
        let format = format.into();
        let started = v1::ReportExportStarted { attempt: self.attempt(), format };
        send_report(&self.out, Report::ExportStarted(started)).await;
        self.write(format!("result.{ending}"), content).await;
        let completed = v1::ReportExportCompleted { attempt: self.attempt(), format };
        send_report(&self.out, Report::ExportCompleted(completed)).await;
    }

    /// A page with two zones.
    pub async fn page(&mut self, number: i32) {
        self.write(format!("pages/{number:06}.json"), format!("{{\"number\":{number}}}").as_bytes()).await;
        let zone = |index| v1::Zone {
            zone_id: format!("p{number}z{index}"),
            index,
            page: number,
            kind: v1::ZoneKind::Paragraph.into(),
            tool: "text".into(),
            status: v1::ZoneStatus::Completed.into(),
            confidence: 1.0,
            ..v1::Zone::default()
        };
        let page = v1::Page { number, width: 1.0, height: 1.0, zones: vec![zone(1), zone(2)], ..v1::Page::default() };
        send_report(
            &self.out,
            Report::Page(v1::ReportPage { attempt: self.attempt(), page: Some(page), ..Default::default() }),
        )
        .await;
    }

    pub async fn progress(&self, percent: f64) {
        let (attempt, stage) = (self.attempt(), v1::Stage::Extract.into());
        let report = v1::ReportProgress { attempt, percent, stage, ..v1::ReportProgress::default() };
        send_report(&self.out, Report::Progress(report)).await;
    }

    /// Work on the first zone of a page begins.
    pub async fn zone(&self, page: i32) {
        let mut zone =
            v1::Zone { zone_id: format!("p{page}z1"), index: 1, page, tool: "text".into(), ..v1::Zone::default() };
        zone.set_kind(v1::ZoneKind::Paragraph);
        zone.set_status(v1::ZoneStatus::Processing);
        send_report(&self.out, Report::Zone(v1::ReportZone { attempt: self.attempt(), zone: Some(zone) })).await;
    }

    /// An export is under way.
    pub async fn exporting(&self, format: v1::ResultFormat, percent: f64) {
        let format = format.into();
        let started = v1::ReportExportStarted { attempt: self.attempt(), format };
        send_report(&self.out, Report::ExportStarted(started)).await;
        let moved = v1::ReportExportProgress { attempt: self.attempt(), format, percent };
        send_report(&self.out, Report::ExportProgress(moved)).await;
    }

    pub async fn fail(&self) {
        let error = v1::JobError { code: "BROKEN".into(), message: "It broke.".into(), retryable: false };
        let report = v1::ReportFailed { attempt: self.attempt(), error: Some(error) };
        send_report(&self.out, Report::Failed(report)).await;
    }

    pub async fn succeed(&self) {
        let report = v1::ReportSucceeded { attempt: self.attempt(), warnings: Vec::new() };
        send_report(&self.out, Report::Succeeded(report)).await;
    }
}
