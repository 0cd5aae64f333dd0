//! gRPC with a token, short deadlines, and a new connection whenever the old one is doubtful.

use std::net::SocketAddr;
use std::time::Duration;

use courant_proto::v1::WatchJobRequest;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::{WatchJobsRequest, watch_job_response as one, watch_jobs_response as many};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;

use super::super::fact;
use super::super::record::Scope;
use super::User;
use super::endpoints::Endpoints;
use super::steps::Step;

/// The longest a call may take.
pub const CALL: Duration = Duration::from_secs(6);

/// A client of all servers.
#[derive(Clone)]
pub struct Grpc {
    channels: Vec<Channel>,
    servers: Endpoints,
    token: MetadataValue<Ascii>,
}

/// A connection that is made when it is needed.
pub fn channel(address: SocketAddr) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(Duration::from_secs(2));
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(2)).keep_alive_while_idle(true);
    Ok(endpoint.keep_alive_timeout(Duration::from_secs(2)).tcp_nodelay(true).connect_lazy())
}

/// The reason of an error, empty for one that has none.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Puts a deadline on a call.
pub async fn timely<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL, call).await {
        Ok(done) => done,
        Err(_) => Err(Status::deadline_exceeded("the tool's own deadline")),
    }
}

impl Grpc {
    pub fn new(servers: &Endpoints, user: &User) -> anyhow::Result<Self> {
        let channels = servers.all().iter().map(|address| channel(*address)).collect::<anyhow::Result<_>>()?;
        Ok(Self { channels, servers: servers.clone(), token: format!("Bearer {}", user.token).parse()? })
    }

    /// A client of the next server.
    pub fn client(&self) -> JobServiceClient<Channel> {
        self.client_of(self.turn())
    }

    /// A client of this server.
    pub fn client_of(&self, server: usize) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channels[server].clone())
    }

    /// The number of the next server.
    pub fn turn(&self) -> usize {
        self.servers.turn()
    }

    /// The connection to the next server, for other services.
    pub fn channel(&self) -> Channel {
        self.channels[self.turn()].clone()
    }

    /// A request with the token.
    pub fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }
}

/// A watch over gRPC.
pub enum Watch {
    /// Of one job.
    One(Streaming<courant_proto::v1::WatchJobResponse>),
    /// Of many.
    Many(Streaming<courant_proto::v1::WatchJobsResponse>),
}

impl Watch {
    pub async fn open(grpc: &Grpc, scope: &Scope, cursor: &str, interval: Duration) -> Result<Self, Status> {
        let (after_cursor, min_interval) = (cursor.to_owned(), prost_types::Duration::try_from(interval).ok());
        let (owner, document_id, batch_id) = match scope {
            Scope::Job(job_id) => {
                let watch = WatchJobRequest { job_id: job_id.clone(), after_cursor, min_interval, fail_on_gap: false };
                let opened = timely(async { grpc.client().watch_job(grpc.with(watch)).await }).await?;
                return Ok(Self::One(opened.into_inner()));
            }
            Scope::All => ("-", "", ""),
            Scope::Owner(owner) => (owner.as_str(), "", ""),
            Scope::Document(owner, document) => (owner.as_str(), document.as_str(), ""),
            Scope::Batch(owner, batch) => (owner.as_str(), "", batch.as_str()),
        };
        // One's own jobs are watched without a name: naming an owner is for admins.
        let owner = if owner == "-" { owner } else { "" }.to_owned();
        let (document_id, batch_id) = (document_id.to_owned(), batch_id.to_owned());
        let watch = WatchJobsRequest { owner, document_id, batch_id, after_cursor, min_interval, fail_on_gap: false };
        let opened = timely(async { grpc.client().watch_jobs(grpc.with(watch)).await }).await?;
        Ok(Self::Many(opened.into_inner()))
    }

    /// The next step; none at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<(String, Step)>, Status> {
        let found = match self {
            Self::Many(steps) => steps.message().await?.map(|message| (message.cursor, message.step)),
            Self::One(steps) => steps.message().await?.map(|message| (message.cursor, message.step.map(alike))),
        };
        Ok(found.map(|(cursor, step)| (cursor, step.map_or(Step::Other, step_of))))
    }
}

fn step_of(step: many::Step) -> Step {
    match step {
        many::Step::Snapshot(snapshot) => snapshot.job.map_or(Step::Other, |job| Step::Snapshot(fact::of_job(&job))),
        many::Step::Event(event) => fact::of_event(&event).map_or(Step::Other, Step::Update),
        many::Step::Live(_) => Step::Live,
        many::Step::Bookmark(_) => Step::Bookmark,
        many::Step::Gap(gap) => Step::Gap(gap.reason().as_str_name().trim_start_matches("GAP_REASON_").to_owned()),
    }
}

fn alike(step: one::Step) -> many::Step {
    match step {
        one::Step::Snapshot(snapshot) => many::Step::Snapshot(snapshot),
        one::Step::Event(event) => many::Step::Event(event),
        one::Step::Live(live) => many::Step::Live(live),
        one::Step::Bookmark(bookmark) => many::Step::Bookmark(bookmark),
        one::Step::Gap(gap) => many::Step::Gap(gap),
    }
}
