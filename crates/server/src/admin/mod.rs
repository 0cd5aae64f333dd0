//! `AdminService`: the server and its workers, for operators. Every call needs the role `admin`; a bridge may read.

mod audit;
mod explain;
mod lanes;
mod log_info;
mod machine;
mod metrics;
mod verify;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Identity, Role};
use courant_engine::Error as Refused;
use courant_engine::filter;
use courant_joblog::ids::WorkerId;
use courant_proto::v1::admin_service_server::AdminService;
use courant_proto::v1::{
    CloseConnectionsRequest, CloseConnectionsResponse, DrainWorkerRequest, DrainWorkerResponse, ExplainJobRequest,
    ExplainJobResponse, GetLogInfoRequest, GetLogInfoResponse, GetSystemMetricsRequest, GetSystemMetricsResponse,
    ListAuditEventsRequest, ListAuditEventsResponse, ListLanesRequest, ListLanesResponse, ListWorkersRequest,
    ListWorkersResponse, PauseLaneRequest, PauseLaneResponse, RecordAuditEventsRequest, RecordAuditEventsResponse,
    ResumeLaneRequest, ResumeLaneResponse, ResumeWorkerRequest, ResumeWorkerResponse, SetLaneWeightRequest,
    SetLaneWeightResponse, VerifyIntegrityRequest, VerifyIntegrityResponse, WatchSystemMetricsRequest,
    WatchSystemMetricsResponse, WatchWorkersRequest, WatchWorkersResponse, Worker,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::audit::{note_job, note_target};
use crate::auth::{caller, require, time_left};
use crate::convert::{interval_within, job_id};
use crate::error::Error;
use crate::peers::Peers;
use crate::presence::registry::PresenceRegistry;
use crate::sampled::{self, Intervals, LISTS_EVERY};
use crate::services::Services;
use crate::shares::WithPermit;
use crate::worker::registry::Registry;
use machine::ProcessSampler;

/// Time between two sets of figures, when none is asked for, and its bounds.
pub const METRICS_EVERY: (Duration, Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(1), Duration::from_secs(60));
/// How long a call waits for other lists of the same user.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a user's name.
const MAX_USER_BYTES: usize = 255;

pub struct Admin {
    services: Arc<Services>,
    registry: Arc<Registry>,
    /// The other servers on the same log, where there can be some.
    peers: Option<Arc<Peers>>,
    presence: Arc<PresenceRegistry>,
    machine: Arc<ProcessSampler>,
}

impl Admin {
    /// On what the services share.
    pub fn new(
        services: Arc<Services>,
        registry: Arc<Registry>,
        peers: Option<Arc<Peers>>,
        presence: Arc<PresenceRegistry>,
    ) -> Self {
        Self { services, registry, peers, presence, machine: Arc::default() }
    }

    /// Drains or resumes a worker of this server or of another. `false` when there is no such worker.
    async fn set_drained(&self, worker: &str, drained: bool) -> Result<bool, Error> {
        let worker = WorkerId::new(worker);
        match &self.peers {
            _ if self.registry.set_drained(&worker, drained) => Ok(true),
            Some(peers) => peers.set_drained(&worker, drained).await,
            None => Ok(false),
        }
    }

    /// A worker after something was done to it.
    fn after(&self, did: bool, worker: String, by: &Identity, what: &'static str) -> Result<Option<Worker>, Error> {
        let found = workers::find(&self.services, &self.registry, &worker).filter(|_| did);
        let found = found.ok_or(Error::WorkerNotFound(worker))?;
        tracing::info!(worker = %found.worker_id, by = %by.subject, what, "worker changed by an operator");
        self.services.engine.wake.notify_one();
        Ok(Some(found))
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type WatchSystemMetricsStream = WithPermit<ReceiverStream<Result<WatchSystemMetricsResponse, Status>>>;
    type VerifyIntegrityStream = WithPermit<ReceiverStream<Result<VerifyIntegrityResponse, Status>>>;
    type WatchWorkersStream = WithPermit<ReceiverStream<Result<WatchWorkersResponse, Status>>>;

    async fn get_system_metrics(
        &self,
        request: Request<GetSystemMetricsRequest>,
    ) -> Result<Response<GetSystemMetricsResponse>, Status> {
        reader(&request)?;
        let metrics = Some(metrics::take(&self.services, &self.registry, &self.machine));
        Ok(Response::new(GetSystemMetricsResponse { metrics }))
    }

    async fn watch_system_metrics(
        &self,
        request: Request<WatchSystemMetricsRequest>,
    ) -> Result<Response<Self::WatchSystemMetricsStream>, Status> {
        let identity = reader(&request)?;
        let (used, token_left) = (self.services.shares.state_watch(&identity)?, time_left(&identity));
        let sample_every = interval_within("interval", request.get_ref().interval, METRICS_EVERY)?;
        let intervals = Intervals { sample_every, send_within: sample_every, token_left };
        let (services, registry, machine) = (self.services.clone(), self.registry.clone(), self.machine.clone());
        let take = move || metrics::take(&services, &registry, &machine);
        let form = |metrics| WatchSystemMetricsResponse { metrics: Some(metrics) };
        let states = sampled::start(self.services.clone(), intervals, take, |_, _| false, form);
        Ok(Response::new(WithPermit::new(states, used)))
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(ListWorkersResponse { workers: workers::list(&self.services, &self.registry) }))
    }

    async fn watch_workers(
        &self,
        request: Request<WatchWorkersRequest>,
    ) -> Result<Response<Self::WatchWorkersStream>, Status> {
        let identity = reader(&request)?;
        let (used, token_left) = (self.services.shares.state_watch(&identity)?, time_left(&identity));
        let sample_every = interval_within("min_interval", request.get_ref().min_interval, LISTS_EVERY)?;
        let intervals = Intervals { sample_every, send_within: self.services.config.bookmark_interval, token_left };
        let (services, registry) = (self.services.clone(), self.registry.clone());
        let take = move || workers::list(&services, &registry);
        let form = |workers| WatchWorkersResponse { workers };
        let states = sampled::start(self.services.clone(), intervals, take, workers::same, form);
        Ok(Response::new(WithPermit::new(states, used)))
    }

    async fn drain_worker(
        &self,
        request: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        note_target(&request.get_ref().worker_id);
        let identity = admin(&request)?;
        let id = request.into_inner().worker_id;
        let did = self.set_drained(&id, true).await?;
        Ok(Response::new(DrainWorkerResponse { worker: self.after(did, id, &identity, "drained")? }))
    }

    async fn resume_worker(
        &self,
        request: Request<ResumeWorkerRequest>,
    ) -> Result<Response<ResumeWorkerResponse>, Status> {
        note_target(&request.get_ref().worker_id);
        let identity = admin(&request)?;
        let id = request.into_inner().worker_id;
        let did = self.set_drained(&id, false).await?;
        Ok(Response::new(ResumeWorkerResponse { worker: self.after(did, id, &identity, "resumed")? }))
    }

    async fn list_lanes(&self, request: Request<ListLanesRequest>) -> Result<Response<ListLanesResponse>, Status> {
        reader(&request)?;
        let lanes = lanes::list(&self.services, &self.services.lanes);
        Ok(Response::new(ListLanesResponse { lanes }))
    }

    async fn pause_lane(&self, request: Request<PauseLaneRequest>) -> Result<Response<PauseLaneResponse>, Status> {
        let identity = admin(&request)?;
        let PauseLaneRequest { lane, reason } = request.into_inner();
        let lane = lanes::lane_in(lane)?;
        note_target(crate::lanes::name(lane));
        let lane = lanes::set_paused(&self.services, &self.services.lanes, &identity, lane, Some(&reason)).await?;
        Ok(Response::new(PauseLaneResponse { lane: Some(lane) }))
    }

    async fn resume_lane(&self, request: Request<ResumeLaneRequest>) -> Result<Response<ResumeLaneResponse>, Status> {
        let identity = admin(&request)?;
        let lane = lanes::lane_in(request.get_ref().lane)?;
        note_target(crate::lanes::name(lane));
        let lane = lanes::set_paused(&self.services, &self.services.lanes, &identity, lane, None).await?;
        Ok(Response::new(ResumeLaneResponse { lane: Some(lane) }))
    }

    async fn set_lane_weight(
        &self,
        request: Request<SetLaneWeightRequest>,
    ) -> Result<Response<SetLaneWeightResponse>, Status> {
        let identity = admin(&request)?;
        let SetLaneWeightRequest { lane, weight } = request.into_inner();
        let (lane, weight) = (lanes::lane_in(lane)?, lanes::weight_in(weight)?);
        let shown = weight.map_or("default".to_owned(), |weight| weight.to_string());
        note_target(&format!("{}={shown}", crate::lanes::name(lane)));
        let lane = lanes::set_weight(&self.services, &self.services.lanes, &identity, lane, weight).await?;
        Ok(Response::new(SetLaneWeightResponse { lane: Some(lane) }))
    }

    async fn explain_job(&self, request: Request<ExplainJobRequest>) -> Result<Response<ExplainJobResponse>, Status> {
        let identity = admin(&request)?;
        let id = job_id(&request.get_ref().job_id)?;
        note_job(id.as_str());
        let found = self.services.engine.find(&id).await.map_err(Error::from)?;
        let found = found.ok_or_else(|| Error::from(Refused::JobNotFound(id)))?;
        let _turn = self.services.shares.lists.take(&identity.subject, 1, TURN_WITHIN).await.map_err(Error::from)?;
        let paused = self.services.lanes.paused();
        Ok(Response::new(explain::explain(&self.services, &self.registry, paused, found).await?))
    }

    async fn get_log_info(&self, request: Request<GetLogInfoRequest>) -> Result<Response<GetLogInfoResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(log_info::read(&self.services).await?))
    }

    async fn verify_integrity(
        &self,
        request: Request<VerifyIntegrityRequest>,
    ) -> Result<Response<Self::VerifyIntegrityStream>, Status> {
        let identity = admin(&request)?;
        let request = request.into_inner();
        let filter = filter::parse(&request.filter).map_err(Error::Filter)?;
        let rate = verify::rate_in(request.bytes_per_second)?;
        let used = self.services.shares.verifications.try_take(&identity.subject, 1).map_err(Error::from)?;
        let answers = verify::start(self.services.clone(), filter, rate, used);
        Ok(Response::new(WithPermit::new(answers, self.services.shares.stream(&identity)?)))
    }

    async fn close_connections(
        &self,
        request: Request<CloseConnectionsRequest>,
    ) -> Result<Response<CloseConnectionsResponse>, Status> {
        note_target(&request.get_ref().user);
        let identity = admin(&request)?;
        let user = request.into_inner().user;
        if !(1..=MAX_USER_BYTES).contains(&user.len()) {
            return Err(Error::field("user", format!("must have 1 to {MAX_USER_BYTES} bytes")).into());
        }
        let devices = self.presence.devices(&user);
        self.presence.close_user(&user);
        if let Some(peers) = &self.peers {
            peers.close_user(&user).await;
        }
        tracing::info!(%user, by = %identity.subject, devices = devices.len(), "connections closed by an operator");
        Ok(Response::new(CloseConnectionsResponse { devices }))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let identity = reader(&request)?;
        Ok(Response::new(audit::list(&self.services, &identity, request.into_inner()).await?))
    }

    async fn record_audit_events(
        &self,
        request: Request<RecordAuditEventsRequest>,
    ) -> Result<Response<RecordAuditEventsResponse>, Status> {
        let identity = reader(&request)?;
        audit::record(&self.services.audit, &identity, request.into_inner())?;
        Ok(Response::new(RecordAuditEventsResponse {}))
    }
}

/// An admin, or a bridge that shows it to admins: it has asked for their role itself.
fn reader<T>(request: &Request<T>) -> Result<Arc<Identity>, Error> {
    let identity = caller(request)?;
    if !identity.has(Role::Bridge) {
        require(&identity, Role::Admin, "admin")?;
    }
    Ok(identity)
}

fn admin<T>(request: &Request<T>) -> Result<Arc<Identity>, Error> {
    let identity = caller(request)?;
    require(&identity, Role::Admin, "admin")?;
    Ok(identity)
}
