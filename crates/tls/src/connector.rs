//! gRPC channels over TLS whose certificates may change while they live.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::Socket;
use crate::client::ClientTls;

/// A channel that connects when it is first used, and again after every loss.
pub fn lazy(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Channel {
    match tls {
        Some(tls) => endpoint.connect_with_connector_lazy(Connector(tls.clone())),
        None => endpoint.connect_lazy(),
    }
}

/// A channel that is connected.
pub async fn connect(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Result<Channel, tonic::transport::Error> {
    match tls {
        Some(tls) => endpoint.connect_with_connector(Connector(tls.clone())).await,
        None => endpoint.connect().await,
    }
}

#[derive(Clone, Debug)]
struct Connector(ClientTls);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(handshake(&uri, &tls).await?)) })
    }
}

async fn handshake(uri: &Uri, tls: &ClientTls) -> Result<Socket, Error> {
    let host = uri.host().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the address has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    let config: Arc<_> = tls.config().map_err(Error::other)?;
    let socket = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    socket.set_nodelay(true)?;
    let socket = TlsConnector::from(config).connect(name, socket).await?;
    if socket.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Error::other("gRPC is not spoken there (TLS without ALPN h2)"));
    }
    Ok(Socket::Tls(Box::new(socket.into())))
}
