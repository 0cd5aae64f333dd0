//! `QueueService`: what waits and who works, for everybody with a token.

mod current;
mod state;

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Role;
use courant_joblog::ids::Owner;
use courant_proto::v1::queue_service_server::QueueService;
use courant_proto::v1::{
    GetQueueRequest, GetQueueResponse, GetQuotaRequest, GetQuotaResponse, WatchQueueRequest, WatchQueueResponse,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::auth::{caller, require, time_left};
use crate::convert;
use crate::convert::interval_in;
use crate::sampled::{self, Intervals};
use crate::services::Services;
use crate::shares::WithPermit;
use crate::worker::registry::Registry;

pub use current::{QueueCache, Version};

/// The least time between two states, when none is asked for.
pub const EVERY: Duration = Duration::from_secs(1);
/// Shorter intervals are raised to this.
pub const SHORTEST: Duration = Duration::from_millis(100);

pub struct Queues {
    /// What the services share.
    pub services: Arc<Services>,
    pub registry: Arc<Registry>,
    /// The queue as all callers see it.
    pub now: Arc<QueueCache>,
}

#[tonic::async_trait]
impl QueueService for Queues {
    type WatchQueueStream = WithPermit<ReceiverStream<Result<WatchQueueResponse, Status>>>;

    async fn get_queue(&self, request: Request<GetQueueRequest>) -> Result<Response<GetQueueResponse>, Status> {
        caller(&request)?;
        let now = self.now.get(&self.services, &self.registry, Duration::ZERO);
        let queue = Some((*now.queue).clone());
        Ok(Response::new(GetQueueResponse { queue }))
    }

    async fn watch_queue(
        &self,
        request: Request<WatchQueueRequest>,
    ) -> Result<Response<Self::WatchQueueStream>, Status> {
        let identity = caller(&request)?;
        let (used, token_left) = (self.services.shares.state_watch(&identity)?, time_left(&identity));
        let asked = request.get_ref().min_interval;
        let sample_every = if asked.is_some() { interval_in(asked)?.max(SHORTEST) } else { EVERY };
        let intervals = Intervals { sample_every, send_within: self.services.config.bookmark_interval, token_left };
        let (services, registry) = (self.services.clone(), self.registry.clone());
        let now = self.now.clone();
        let take = move || now.get(&services, &registry, SHORTEST);
        let same = |before: &Version, after: &Version| before.number == after.number;
        let form = |version: Version| WatchQueueResponse { queue: Some((*version.queue).clone()) };
        let states = sampled::start(self.services.clone(), intervals, take, same, form);
        Ok(Response::new(WithPermit::new(states, used)))
    }

    async fn get_quota(&self, request: Request<GetQuotaRequest>) -> Result<Response<GetQuotaResponse>, Status> {
        let identity = caller(&request)?;
        let owner = match request.get_ref().owner.as_str() {
            "" => identity.subject.as_str(),
            owner if owner != identity.subject => {
                require(&identity, Role::Admin, "admin")?;
                owner
            }
            own => own,
        };
        let owner = Owner::new(owner);
        let used = self.services.engine.projection(&self.services.projections.quotas, |quotas, _| quotas.used(&owner));
        Ok(Response::new(GetQuotaResponse { quotas: used.into_iter().map(convert::quota).collect() }))
    }
}
