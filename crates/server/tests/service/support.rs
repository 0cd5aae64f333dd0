//! The server of a story, its callers and its worker.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Role, Secret, Signer, Verifier};
use courant_joblog::log::Log;
use courant_monitoring::Monitor;
use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::*;
use courant_server::{Config, Server};
use futures::FutureExt;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;

/// Longer than anything here may take: a story that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a loop of the server may stand still before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(3);

/// A small document as it is submitted.
pub fn document() -> Vec<SubmitJobRequest> {
    let parts = [Part::Header(SubmitJobHeader::default()), Part::Chunk(b"%PDF-1.7 hello".to_vec().into())];
    parts.into_iter().map(|part| SubmitJobRequest { part: Some(part) }).collect()
}

pub struct World {
    pub folder: TempDir,
    pub channel: Channel,
    pub address: String,
    signer: Signer,
    /// What probes and scrapes of the server would see.
    pub monitor: Monitor,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    tune: fn(&mut Config),
}

pub type Authed = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
pub struct Bearer(pub String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value: MetadataValue<_> = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl World {
    pub async fn new() -> Self {
        Self::tuned(|_| ()).await
    }

    pub async fn tuned(tune: fn(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), tune).await
    }

    /// With this log instead of one in the data folder.
    pub async fn with_log(log: Arc<dyn Log>, tune: fn(&mut Config)) -> Self {
        Self::open(tempfile::tempdir().unwrap(), tune, Some(log)).await
    }

    async fn on(folder: TempDir, tune: fn(&mut Config)) -> Self {
        Self::open(folder, tune, None).await
    }

    async fn open(folder: TempDir, tune: fn(&mut Config), log: Option<Arc<dyn Log>>) -> Self {
        let secret = Secret::new([7u8; 32]).unwrap();
        let mut config = Config::new(folder.path());
        config.retry_base = Duration::ZERO;
        config.drain_grace = Duration::ZERO;
        tune(&mut config);
        let verifier = Verifier::hs256(&secret);
        let server = match log {
            Some(log) => Server::with_log(config, verifier, log).await.unwrap(),
            None => Server::open(config, verifier).await.unwrap(),
        };
        let monitor = Monitor::new("test", "0");
        let server = server.with_monitor(monitor.clone()).with_stuck_after(STUCK_AFTER);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move { server.serve(listener, stopped).await.unwrap() });
        let channel = Endpoint::from_shared(address.clone()).unwrap().connect_lazy();
        Self { folder, channel, address, signer: Signer::hs256(&secret), monitor, stop, serving, tune }
    }

    /// Stops the server and starts another on the same data.
    pub async fn restart(self) -> Self {
        let Self { folder, stop, serving, tune, channel, .. } = self;
        stop.cancel();
        drop(channel);
        serving.await.unwrap();
        Self::on(folder, tune).await
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.channel);
        self.serving.await.unwrap();
    }

    pub fn token(&self, who: &str, roles: &[Role]) -> String {
        self.signer.sign(who, roles, Duration::from_secs(600)).unwrap()
    }

    pub fn jobs(&self, who: &str) -> JobServiceClient<Authed> {
        self.jobs_as(who, &[])
    }

    pub fn jobs_as(&self, who: &str, roles: &[Role]) -> JobServiceClient<Authed> {
        JobServiceClient::with_interceptor(self.channel.clone(), Bearer(self.token(who, roles)))
    }

    pub fn admin(&self, roles: &[Role]) -> AdminServiceClient<Authed> {
        AdminServiceClient::with_interceptor(self.channel.clone(), Bearer(self.token("root", roles)))
    }

    pub async fn submit(&self, who: &str) -> SubmitJobResponse {
        self.submit_with(who, SubmitJobHeader::default(), b"%PDF-1.7 hello").await.unwrap()
    }

    pub async fn submit_with(
        &self,
        who: &str,
        header: SubmitJobHeader,
        document: &[u8],
    ) -> Result<SubmitJobResponse, Status> {
        self.submit_parts(who, vec![Part::Header(header), Part::Chunk(document.to_vec().into())]).await
    }

    pub async fn submit_parts(&self, who: &str, parts: Vec<Part>) -> Result<SubmitJobResponse, Status> {
        let parts = parts.into_iter().map(|part| SubmitJobRequest { part: Some(part) });
        Ok(self.jobs(who).submit_job(tokio_stream::iter(parts.collect::<Vec<_>>())).await?.into_inner())
    }

    pub async fn quota(&self, who: &str) -> Vec<Quota> {
        let token = Bearer(self.token(who, &[]));
        let mut queue = QueueServiceClient::with_interceptor(self.channel.clone(), token);
        queue.get_quota(GetQuotaRequest::default()).await.unwrap().into_inner().quotas
    }

    pub async fn job(&self, who: &str, id: &str) -> Job {
        self.jobs(who).get_job(GetJobRequest { job_id: id.into() }).await.unwrap().into_inner().job.unwrap()
    }

    pub async fn cancel(&self, who: &str, id: &str) -> Result<Job, Status> {
        let request = CancelJobRequest { job_id: id.into() };
        Ok(self.jobs(who).cancel_job(request).await?.into_inner().job.unwrap())
    }

    /// Follows a job from a cursor, or from a snapshot if that is empty.
    pub async fn watch(&self, who: &str, id: &str, after: &str) -> Watcher {
        let request = WatchJobRequest { job_id: id.into(), after_cursor: after.into(), ..Default::default() };
        Watcher(self.jobs(who).watch_job(request).await.unwrap().into_inner())
    }

    pub async fn worker(&self, id: &str) -> Worker {
        self.worker_with(id, 1, vec![]).await
    }

    pub async fn worker_with(&self, id: &str, slots: i32, in_flight: Vec<AttemptRef>) -> Worker {
        Self::welcomed(self.stream().await, id, slots, in_flight).await
    }

    /// A worker of another kind, with one slot.
    pub async fn worker_for(&self, id: &str, kind: &str) -> Worker {
        let mut worker = self.stream().await;
        let Report::Hello(hello) = hello(id, 1, vec![]) else { panic!("a hello") };
        worker.send(Report::Hello(Hello { kinds: vec![kind.into()], ..hello })).await;
        match worker.order().await {
            Order::Welcome(welcome) => worker.welcome = welcome,
            other => panic!("expected a welcome, not {other:?}"),
        }
        worker
    }

    /// A worker on a connection of its own, as a process of its own has it.
    pub async fn worker_apart(&self, id: &str, slots: i32) -> Worker {
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect_lazy();
        Self::welcomed(self.stream_on(channel).await, id, slots, vec![]).await
    }

    async fn welcomed(mut worker: Worker, id: &str, slots: i32, in_flight: Vec<AttemptRef>) -> Worker {
        worker.send(hello(id, slots, in_flight)).await;
        match worker.order().await {
            Order::Welcome(welcome) => worker.welcome = welcome,
            other => panic!("expected a welcome, not {other:?}"),
        }
        worker
    }

    /// A worker that also takes parts.
    pub async fn helper(&self, id: &str, slots: i32, in_flight: Vec<AttemptRef>) -> Worker {
        let mut worker = self.stream().await;
        let Report::Hello(hello) = hello(id, slots, in_flight) else { unreachable!() };
        worker.send(Report::Hello(Hello { takes_parts: true, ..hello })).await;
        match worker.order().await {
            Order::Welcome(welcome) => worker.welcome = welcome,
            other => panic!("expected a welcome, not {other:?}"),
        }
        worker
    }

    /// A worker's stream on which nothing was said yet.
    pub async fn stream(&self) -> Worker {
        self.stream_on(self.channel.clone()).await
    }

    async fn stream_on(&self, channel: Channel) -> Worker {
        let token = Bearer(self.token("worker", &[Role::Worker]));
        let mut client = WorkerServiceClient::with_interceptor(channel, token);
        let (out, inbox) = mpsc::channel(64);
        let orders = client.work(ReceiverStream::new(inbox)).await.unwrap().into_inner();
        Worker { client, out, orders, welcome: Welcome::default() }
    }

    /// Every file of the object store.
    pub fn files(&self) -> Vec<String> {
        let mut folders = vec![self.folder.path().join("objects")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path().display().to_string());
                }
            }
        }
        files.sort();
        files
    }
}

/// Small files too lie in the object store, where a story can look at them or make them fail.
pub fn in_object_store(config: &mut Config) {
    config.small_file_bytes = 0;
}

/// Waits for what happens without anybody being told.
pub async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it did not happen");
}

/// A worker's first words.
pub fn hello(id: &str, slots: i32, in_flight: Vec<AttemptRef>) -> Report {
    let (worker_id, kinds) = (id.into(), vec!["pdf".into()]);
    Report::Hello(Hello { worker_id, kinds, slots, in_flight, software: "test".into(), ..Hello::default() })
}

/// A worker that does what the story says.
pub struct Worker {
    pub client: WorkerServiceClient<Authed>,
    out: mpsc::Sender<WorkRequest>,
    orders: Streaming<WorkResponse>,
    pub welcome: Welcome,
}

impl Worker {
    pub async fn order(&mut self) -> Order {
        self.next().await.expect("the stream ended").message.unwrap()
    }

    pub async fn next(&mut self) -> Result<WorkResponse, Status> {
        let next = tokio::time::timeout(PATIENCE, self.orders.message()).await.expect("no order came");
        next.map(|order| order.expect("the stream ended"))
    }

    pub async fn send(&self, report: Report) {
        self.out.send(WorkRequest { message: Some(report) }).await.unwrap();
    }

    /// What comes next, however long it takes.
    pub async fn next_for_long(&mut self) -> Result<WorkResponse, Status> {
        self.orders.message().await.map(|order| order.expect("the stream ended"))
    }

    /// To send from another task.
    pub fn outgoing(&self) -> mpsc::Sender<WorkRequest> {
        self.out.clone()
    }

    /// What has come and was not looked at yet.
    pub fn next_now(&mut self) -> Option<Order> {
        let next = self.orders.message().now_or_never()?;
        next.unwrap().expect("the stream ended").message
    }

    /// The status with which the server ends the stream.
    pub async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }

    /// Waits for a job and accepts it.
    pub async fn take(&mut self) -> Assignment {
        let assignment = self.assigned().await;
        self.send(Report::Accepted(Accepted { attempt: assignment.attempt.clone() })).await;
        assignment
    }

    /// The same, with heartbeats meanwhile.
    pub async fn take_while_alive(&mut self) -> Assignment {
        let mut beats = tokio::time::interval(Duration::from_millis(50));
        let (mut unanswered, mut found) = (0, None);
        // No answer is left behind, which would be taken for that to a later heartbeat.
        while found.is_none() || unanswered > 0 {
            tokio::select! {
                order = self.orders.message() => match order.unwrap().expect("the stream ended").message.unwrap() {
                    Order::HeartbeatAck(_) => unanswered -= 1,
                    Order::Assignment(assignment) => {
                        self.send(Report::Accepted(Accepted { attempt: assignment.attempt.clone() })).await;
                        found = Some(assignment);
                    }
                    other => panic!("expected an assignment, not {other:?}"),
                },
                _ = beats.tick(), if found.is_none() => {
                    self.send(Report::Heartbeat(Heartbeat::default())).await;
                    unanswered += 1;
                }
            }
        }
        found.unwrap()
    }

    pub async fn assigned(&mut self) -> Assignment {
        match self.order().await {
            Order::Assignment(assignment) => assignment,
            other => panic!("expected an assignment, not {other:?}"),
        }
    }

    /// Makes sure that everything said so far has been dealt with.
    pub async fn sync(&mut self) -> Vec<Order> {
        self.send(Report::Heartbeat(Heartbeat::default())).await;
        let mut before = Vec::new();
        loop {
            match self.order().await {
                ack @ Order::HeartbeatAck(_) => {
                    before.push(ack);
                    return before;
                }
                other => before.push(other),
            }
        }
    }

    pub async fn write(&mut self, at: &AttemptRef, name: &str, bytes: &[u8]) -> Result<WriteArtifactResponse, Status> {
        use write_artifact_request::Part;
        let header = WriteArtifactHeader { attempt: Some(at.clone()), name: name.into() };
        let parts = [Part::Header(header), Part::Chunk(bytes.to_vec().into())];
        let parts = parts.map(|part| WriteArtifactRequest { part: Some(part) });
        Ok(self.client.write_artifact(tokio_stream::iter(parts)).await?.into_inner())
    }

    pub async fn plan(&self, at: &AttemptRef, pages_total: i32) {
        self.send(Report::Plan(ReportPlan { attempt: Some(at.clone()), pages_total, document_pages: 0 })).await;
    }

    pub async fn page(&mut self, at: &AttemptRef, number: i32) {
        self.write(at, &format!("pages/{number:06}.json"), page_json(number).as_bytes()).await.unwrap();
        let page = Page { number, width: 100.0, height: 100.0, zones: vec![zone(number)], ..Page::default() };
        self.send(Report::Page(ReportPage { attempt: Some(at.clone()), page: Some(page), ..Default::default() })).await;
    }

    pub async fn succeed(&self, at: &AttemptRef) {
        self.send(Report::Succeeded(ReportSucceeded { attempt: Some(at.clone()), warnings: vec![] })).await;
    }

    pub async fn fail(&self, at: &AttemptRef, retryable: bool) {
        let error = JobError { code: "BROKEN".into(), message: "It broke.".into(), retryable };
        self.send(Report::Failed(ReportFailed { attempt: Some(at.clone()), error: Some(error) })).await;
    }

    /// The whole of a job with so many pages and one Markdown result.
    pub async fn work_off(&mut self, at: &AttemptRef, pages: i32) {
        self.plan(at, pages).await;
        for page in 1..=pages {
            self.page(at, page).await;
        }
        self.write(at, "result.md", b"# Hello").await.unwrap();
        let format = ResultFormat::Markdown.into();
        self.send(Report::ExportStarted(ReportExportStarted { attempt: Some(at.clone()), format })).await;
        self.send(Report::ExportCompleted(ReportExportCompleted { attempt: Some(at.clone()), format })).await;
        self.succeed(at).await;
    }
}

/// What a worker writes for a page here.
pub fn page_json(number: i32) -> String {
    format!("{{\"number\":{number}}}")
}

pub fn zone(page: i32) -> Zone {
    Zone {
        zone_id: format!("p{page}z1"),
        index: 1,
        page,
        kind: ZoneKind::Paragraph.into(),
        tool: "text-layer".into(),
        status: ZoneStatus::Completed.into(),
        confidence: 0.9,
        ..Zone::default()
    }
}

/// A stream of steps.
pub struct Watcher(pub Streaming<WatchJobResponse>);

impl Watcher {
    pub async fn next(&mut self) -> Option<WatchJobResponse> {
        tokio::time::timeout(PATIENCE, self.0.message()).await.expect("no step came").expect("the watch failed")
    }

    /// Waits for a durable event of this name.
    pub async fn until(&mut self, wanted: &str) {
        loop {
            let step = self.next().await.expect("the job ended before");
            if matches!(&step.step, Some(Step::Event(event)) if !step.cursor.is_empty() && name(event) == wanted) {
                return;
            }
        }
    }

    /// The durable events until the stream ends, each with its cursor.
    pub async fn durable(mut self) -> Vec<(i64, String, JobEvent)> {
        let mut events = Vec::new();
        while let Some(step) = self.next().await {
            if let Some(Step::Event(event)) = step.step.filter(|_| !step.cursor.is_empty()) {
                events.push((event.revision, step.cursor, event));
            }
        }
        events
    }
}

/// The name of what happened.
pub fn name(event: &JobEvent) -> &'static str {
    use job_event::Change::*;
    match event.change.as_ref().unwrap() {
        Queued(_) => "queued",
        Started(_) => "started",
        Planned(_) => "planned",
        Progressed(_) => "progressed",
        ZoneStarted(_) => "zone",
        PageFinished(_) => "page",
        ExportStarted(_) => "export-started",
        ExportProgressed(_) => "export-progressed",
        ExportCompleted(_) => "export-completed",
        ExportFailed(_) => "export-failed",
        OutputStored(_) => "output-stored",
        Retrying(_) => "retrying",
        Cancelling(_) => "cancelling",
        Succeeded(_) => "succeeded",
        Failed(_) => "failed",
        Cancelled(_) => "cancelled",
        QueuePositionChanged(_) => "position",
        Deleted(_) => "deleted",
    }
}

pub fn names(events: &[(i64, String, JobEvent)]) -> Vec<&'static str> {
    events.iter().map(|(_, _, event)| name(event)).collect()
}

/// The reason in a status.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

pub fn markdown_only() -> SubmitJobHeader {
    SubmitJobHeader { formats: vec![ResultFormat::Markdown.into()], ..SubmitJobHeader::default() }
}

/// What lies where uploads wait to be whole.
pub fn uploads(world: &World) -> Vec<std::ffi::OsString> {
    let folder = world.folder.path().join("objects/uploads");
    std::fs::read_dir(folder).map(|found| found.map(|file| file.unwrap().file_name()).collect()).unwrap_or_default()
}
