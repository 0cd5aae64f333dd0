//! `PresenceService`: which devices of whom are connected, over all bridges. Bridges report it ([`attend`]), the server puts
//! it together ([`registry`]) and sends each bridge the users it follows. Servers on one log tell each other of their bridges.
//!
//! Nothing of it is durable and no job depends on it. Must never guess: who is not reported is not there.

mod attend;
mod checked;
mod merge;
pub mod registry;
mod send_queue;

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod lossy_link;

use std::sync::Arc;

use courant_auth::Role;
use courant_proto::v1::presence_service_server::PresenceService;
use courant_proto::v1::{
    AttendRequest, AttendResponse, ListDevicesRequest, ListDevicesResponse, WatchBridgesRequest, WatchBridgesResponse,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::audit;
use crate::auth::{caller, require, time_left};
use crate::convert::interval_within;
use crate::sampled::{self, Intervals, LISTS_EVERY};
use crate::services::Services;
use crate::shares::WithPermit;
use registry::PresenceRegistry;

/// The largest message of a bridge: a thousand devices with the longest names fit.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

pub struct Presences {
    /// What the services share.
    pub services: Arc<Services>,
    pub presence: Arc<PresenceRegistry>,
}

#[tonic::async_trait]
impl PresenceService for Presences {
    type AttendStream = ReceiverStream<Result<AttendResponse, Status>>;
    type WatchBridgesStream = WithPermit<ReceiverStream<Result<WatchBridgesResponse, Status>>>;

    async fn attend(&self, request: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        let identity = caller(&request)?;
        require(&identity, Role::Bridge, "bridge")?;
        let token_left = time_left(&identity);
        let out = attend::start(self.services.clone(), self.presence.clone(), request.into_inner(), token_left);
        Ok(Response::new(out.into()))
    }

    async fn list_devices(
        &self,
        request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let identity = caller(&request)?;
        let user = match request.get_ref().user.as_str() {
            "" => identity.subject.as_str(),
            user if user != identity.subject && !identity.has(Role::Service) => {
                require(&identity, Role::Admin, "admin or service")?;
                audit::note_others();
                audit::note_target(user);
                user
            }
            user => user,
        };
        Ok(Response::new(ListDevicesResponse { devices: self.presence.devices(user) }))
    }

    async fn watch_bridges(
        &self,
        request: Request<WatchBridgesRequest>,
    ) -> Result<Response<Self::WatchBridgesStream>, Status> {
        let identity = caller(&request)?;
        if !identity.has(Role::Bridge) {
            require(&identity, Role::Admin, "admin")?;
        }
        let used = self.services.shares.state_watch(&identity)?;
        let sample_every = interval_within("min_interval", request.get_ref().min_interval, LISTS_EVERY)?;
        let send_within = self.services.config.bookmark_interval;
        let intervals = Intervals { sample_every, send_within, token_left: time_left(&identity) };
        let presence = self.presence.clone();
        let take = move || presence.bridges();
        let states = sampled::start(self.services.clone(), intervals, take, PartialEq::eq, |state| state);
        Ok(Response::new(WithPermit::new(states, used)))
    }
}
