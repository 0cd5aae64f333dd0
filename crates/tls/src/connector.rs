//! gRPC channels, over TLS whose certificates may change while they live, to whichever of several servers is there.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::Socket;
use crate::client::ClientTls;
use crate::servers::{Away, Servers};

/// How long one of several servers may take to accept a connection, before the next one is tried. The time of the endpoint is for
/// all of them.
const ONE_OF_SEVERAL_WITHIN: Duration = Duration::from_millis(1_500);
/// The same where there is one, which is waited for.
const ONLY_ONE_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks whether a server is back.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A channel that connects when it is first used, and again after every loss. The endpoint is one of these servers'.
pub fn lazy(endpoint: &Endpoint, servers: &Servers, tls: Option<&ClientTls>) -> Channel {
    match Connector::new(servers, tls) {
        Some(connector) => endpoint.connect_with_connector_lazy(connector),
        None => endpoint.connect_lazy(),
    }
}

/// A channel that is connected.
pub async fn connect(
    endpoint: &Endpoint,
    servers: &Servers,
    tls: Option<&ClientTls>,
) -> Result<Channel, tonic::transport::Error> {
    match Connector::new(servers, tls) {
        Some(connector) => endpoint.connect_with_connector(connector).await,
        None => endpoint.connect().await,
    }
}

#[derive(Clone, Debug)]
struct Connector {
    servers: Servers,
    tls: Option<ClientTls>,
}

impl Connector {
    /// None where the endpoint's own will do.
    fn new(servers: &Servers, tls: Option<&ClientTls>) -> Option<Self> {
        (servers.are_several() || servers.is_patient() || tls.is_some())
            .then(|| Self { servers: servers.clone(), tls: tls.cloned() })
    }

    /// To whichever server is there, or comes back while it is waited for.
    async fn connect(self) -> Result<Socket, Error> {
        if self.servers.are_known_away() {
            return Err(Error::new(ErrorKind::NotConnected, "the server is away"));
        }
        loop {
            match self.connect_once().await {
                Err(error) if self.servers.failed() == Away::GiveUp => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
                connected => return connected,
            }
        }
    }

    async fn connect_once(&self) -> Result<Socket, Error> {
        if !self.servers.are_several() && !self.servers.is_patient() {
            let (index, only) = self.servers.in_turn().next().ok_or_else(|| Error::other("there is no address"))?;
            return dial(&only, self.tls.as_ref()).await.inspect(|_| self.servers.use_next(index));
        }
        let within = if self.servers.are_several() { ONE_OF_SEVERAL_WITHIN } else { ONLY_ONE_WITHIN };
        let mut last = Error::other("there is no address");
        for (index, address) in self.servers.in_turn() {
            match tokio::time::timeout(within, dial(&address, self.tls.as_ref())).await {
                Ok(Ok(socket)) => {
                    self.servers.use_next(index);
                    return Ok(socket);
                }
                Ok(Err(error)) => last = Error::new(error.kind(), format!("{address}: {error}")),
                Err(_) => last = Error::new(ErrorKind::TimedOut, format!("{address} does not answer")),
            }
            tracing::debug!(error = %last, "trying the next server");
        }
        Err(last)
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connector.connect().await?)) })
    }
}

async fn dial(uri: &Uri, tls: Option<&ClientTls>) -> Result<Socket, Error> {
    let host = uri.host().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the address has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    match tls {
        Some(tls) => handshake(socket, host, tls).await,
        None => Ok(Socket::Plain(socket)),
    }
}

async fn handshake(socket: TcpStream, host: &str, tls: &ClientTls) -> Result<Socket, Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    let config: Arc<_> = tls.config().map_err(Error::other)?;
    let socket = TlsConnector::from(config).connect(name, socket).await?;
    if socket.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Error::other("gRPC is not spoken there (TLS without ALPN h2)"));
    }
    Ok(Socket::Tls(Box::new(socket.into())))
}
