//! Finding the service and speaking to it with a token.

use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::presence_service_client::PresenceServiceClient;
use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::webhook_service_client::WebhookServiceClient;
use courant_tls::{ClientTls, Servers};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::args::Connection;
use crate::failure::{Failure, root};
use crate::home::{Home, RunningService};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// An event carries a page with up to 1000 zones.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
const DEFAULT_SERVER: &str = "127.0.0.1:50051";

/// The job service with our token on every call.
pub type Client = JobServiceClient<InterceptedService<Channel, Bearer>>;
/// The queue service, likewise.
pub type QueueClient = QueueServiceClient<InterceptedService<Channel, Bearer>>;
/// The service for operators, likewise.
pub type Admin = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Who is connected, likewise.
pub type Presence = PresenceServiceClient<InterceptedService<Channel, Bearer>>;

/// Webhooks, likewise.
pub type WebhookClient = WebhookServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on a call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects. Address and token are found again each time, because a restarted `up` may listen elsewhere and a token that a
/// command made for itself runs out.
pub async fn connect(to: &Connection) -> Result<Client, Failure> {
    let (channel, bearer) = reach(to, &[]).await?;
    Ok(JobServiceClient::with_interceptor(channel, bearer).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Connects to the job service; with these roles, if the token is made here.
pub async fn connect_jobs(to: &Connection, roles: &[Role]) -> Result<Client, Failure> {
    let (channel, bearer) = reach(to, roles).await?;
    Ok(JobServiceClient::with_interceptor(channel, bearer).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Connects to the service of webhooks.
pub async fn connect_webhooks(to: &Connection) -> Result<WebhookClient, Failure> {
    let (channel, bearer) = reach(to, &[]).await?;
    Ok(WebhookServiceClient::with_interceptor(channel, bearer))
}

/// Connects to the presence service as an operator.
pub async fn connect_presence(to: &Connection) -> Result<Presence, Failure> {
    let (channel, bearer) = reach(to, &[Role::Admin]).await?;
    Ok(PresenceServiceClient::with_interceptor(channel, bearer))
}

/// Connects as an operator: whoever can read the secret of the data folder may be one.
pub async fn connect_admin(to: &Connection) -> Result<Admin, Failure> {
    let (channel, bearer) = reach(to, &[Role::Admin]).await?;
    Ok(AdminServiceClient::with_interceptor(channel, bearer).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Connects to the queue service; with these roles, if the token is made here.
pub async fn connect_queue(to: &Connection, roles: &[Role]) -> Result<QueueClient, Failure> {
    let (channel, bearer) = reach(to, roles).await?;
    Ok(QueueServiceClient::with_interceptor(channel, bearer))
}

/// The way there, and a token: the one given, or one made here with these roles.
async fn reach(to: &Connection, roles: &[Role]) -> Result<(Channel, Bearer), Failure> {
    let (address, tls) = address(to)?;
    let token = match &to.token {
        Some(token) => token.clone(),
        None => Home::at(&to.data_dir).own_token(to.user.as_deref(), roles)?,
    };
    let servers = servers(&address)?;
    let channel = courant_tls::connector::connect(&endpoint(&servers), &servers, tls.as_ref())
        .await
        .map_err(|error| unreachable(&address, &error))?;
    let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse().map_err(|_| Failure::OddToken)?;
    bearer.set_sensitive(true);
    Ok((channel, Bearer(bearer)))
}

/// Where it is, and how it is believed.
fn address(to: &Connection) -> Result<(String, Option<ClientTls>), Failure> {
    let address = match &to.server {
        Some(server) => server.clone(),
        None => match Home::at(&to.data_dir).running() {
            Ok(RunningService { grpc, tls: Some(files), .. }) => return Ok((grpc, Some(files.into_client()?))),
            Ok(note) => note.grpc,
            // With a token of one's own the well-known port is worth a try; without, there is nothing to go by.
            Err(_) if to.token.is_some() => DEFAULT_SERVER.to_owned(),
            Err(failure) => return Err(failure),
        },
    };
    let tls = to.tls.load_for(&address)?;
    Ok((address, tls))
}

/// One server, or several with commas between them.
fn servers(addresses: &str) -> Result<Servers, Failure> {
    let url = |address: &str| if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let urls: Vec<String> = addresses.split(',').map(|address| url(address.trim())).collect();
    Ok(Servers::parse(&urls.join(","))?)
}

fn endpoint(servers: &Servers) -> Endpoint {
    servers
        .endpoint()
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN)
        .tcp_nodelay(true)
}

fn unreachable(address: &str, error: &tonic::transport::Error) -> Failure {
    Failure::Unreachable { address: address.to_owned(), cause: root(error) }
}
