//! The client of the server: channels, tokens and deadlines. Knows calls, not what they mean to browsers.

mod bearer;
mod channel_pool;
pub mod health;
mod resend;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::WatchJobsRequest;
use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use courant_proto::v1::presence_service_client::PresenceServiceClient;
use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::upload_service_client::UploadServiceClient;
use courant_proto::v1::webhook_service_client::WebhookServiceClient;
use courant_tls::{AddressError, Servers, connector};
use tonic::Request;
use tonic::transport::Channel;

use self::bearer::with_token;
pub use self::bearer::{CallToken, UserToken};
pub use self::channel_pool::ChannelLease;
use self::channel_pool::{ChannelPool, MAX_MESSAGE};
use self::resend::Resend;
pub use self::watches::Steps;
use self::watches::Watches;
use crate::api_error::{ApiError, Code};
use crate::config::{Config, TokenSource};

/// Pings notice a dead connection to the server though nothing is asked.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
/// What a stream at a client's pace may hold back, so that a thousand slow ones do not starve the others: on their
/// connection each has a small window and all together a very large one.
const BULK_STREAM_WINDOW: u32 = 64 << 10;
const BULK_CONNECTION_WINDOW: u32 = 1 << 30;
/// What the stream of all watches holds back while this bridge is busy.
const WATCHES_WINDOW: u32 = 8 << 20;

/// The server, as the bridge calls it. Cheap to clone.
///
/// Each kind of call has HTTP/2 connections of its own: a server takes a limited number of streams on one connection, and
/// what users open must not keep calls or health checks waiting.
#[derive(Clone)]
pub struct Server {
    /// Health checks and the few streams that are the bridge's own. It alone does not wait for a server that is away.
    system: Channel,
    /// Calls that answer at once.
    calls: Resend,
    /// For uploads and downloads, so that their bytes hold up no other call.
    transfers: Resend,
    /// What users stream, over several connections.
    streams: Arc<ChannelPool>,
    watches: Watches,
    token: TokenSource,
    call: Duration,
    wait: Duration,
}

impl Server {
    /// Connects when first needed, and again after every loss.
    pub fn new(config: &Config) -> Result<Self, AddressError> {
        let servers = Servers::parse(&config.server)?;
        let patient = servers.patient(config.times.server_wait);
        let endpoint = servers
            .endpoint()
            .connect_timeout(config.times.server_wait + CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let bulk = endpoint
            .clone()
            .initial_stream_window_size(BULK_STREAM_WINDOW)
            .initial_connection_window_size(BULK_CONNECTION_WINDOW);
        let tls = config.server_tls.as_ref();
        let system = connector::lazy(&endpoint.clone().connect_timeout(CONNECT), &servers, tls);
        let calls = Resend::new(connector::lazy(&endpoint, &patient, tls));
        let transfers = Resend::new(connector::lazy(&bulk, &patient, tls));
        let streams = ChannelPool::new(|| connector::lazy(&bulk, &patient, tls));
        let token = config.server_token.clone();
        let all = endpoint
            .clone()
            .initial_stream_window_size(WATCHES_WINDOW)
            .initial_connection_window_size(2 * WATCHES_WINDOW);
        let watches = Watches::new(connector::lazy(&all, &patient, tls), token.clone());
        Ok(Self {
            system,
            calls,
            transfers,
            streams,
            watches,
            token,
            call: config.times.call,
            wait: config.times.server_wait,
        })
    }

    /// A connection for one more stream of a user.
    pub fn stream_channel(&self) -> ChannelLease {
        self.streams.lease()
    }

    /// Follows the jobs of a request, or only this one.
    pub fn watch_jobs(&self, watch: WatchJobsRequest, job_id: Option<&str>) -> Steps {
        self.watches.watch(watch, job_id)
    }

    /// For calls that answer at once.
    pub fn jobs(&self) -> JobServiceClient<Resend> {
        JobServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub fn queue(&self) -> QueueServiceClient<Resend> {
        QueueServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For notifications, except their watches.
    pub fn notifications(&self) -> NotificationServiceClient<Resend> {
        NotificationServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub fn webhooks(&self) -> WebhookServiceClient<Resend> {
        WebhookServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub fn admin(&self) -> AdminServiceClient<Resend> {
        AdminServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For who is connected.
    pub fn presence(&self) -> PresenceServiceClient<Resend> {
        PresenceServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The bridge's own watch of the queue, shared by all subscribers.
    pub fn system_queue(&self) -> QueueServiceClient<Channel> {
        QueueServiceClient::new(self.system.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The bridge's own watches of the service, shared by all subscribers.
    pub fn system_admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.system.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The bridge's own streams about who is connected.
    pub fn system_presence(&self) -> PresenceServiceClient<Channel> {
        PresenceServiceClient::new(self.system.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For documents and results, which go at a client's pace.
    pub fn bulk(&self) -> JobServiceClient<Resend> {
        JobServiceClient::new(self.transfers.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For uploads in pieces, how far they are.
    pub fn uploads(&self) -> UploadServiceClient<Resend> {
        UploadServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For the bytes of uploads, which come at a client's pace.
    pub fn bulk_uploads(&self) -> UploadServiceClient<Resend> {
        UploadServiceClient::new(self.transfers.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// A request in a user's name, with a deadline.
    pub fn call_as<T>(&self, message: T, token: &(impl CallToken + ?Sized)) -> Result<Request<T>, ApiError> {
        let mut request = self.stream_as(message, token)?;
        request.set_timeout(self.call);
        Ok(request)
    }

    /// A request in a user's name, without a deadline.
    pub fn stream_as<T>(&self, message: T, token: &(impl CallToken + ?Sized)) -> Result<Request<T>, ApiError> {
        with_token(message, token).map_err(|_| courant_auth::TokenError::Invalid.into())
    }

    /// A request in the bridge's own name, without a deadline.
    pub fn stream_own<T>(&self, message: T) -> Result<Request<T>, ApiError> {
        self.stream_as(message, &(self.token)()).map_err(|_| own_token())
    }

    /// A request in the bridge's own name, with a deadline.
    pub fn call_own<T>(&self, message: T) -> Result<Request<T>, ApiError> {
        self.call_as(message, &(self.token)()).map_err(|_| own_token())
    }
}

fn own_token() -> ApiError {
    tracing::error!("the bridge's own token cannot be sent");
    ApiError::new(
        Code::Server(courant_proto::v1::ErrorReason::Internal),
        "the bridge is misconfigured; contact its operator",
    )
}
