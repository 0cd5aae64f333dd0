//! One connection: TLS and HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use courant_tls::{Protocol, Socket};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service as _;

use crate::app::{App, Peer};
use crate::sockets::SocketPermit;

/// Buffer for a request's head; more is refused with 431.
const HEAD_BYTES: usize = 32 << 10;
/// A peer that takes nothing for this long is gone, whether it is dead or only stopped reading a download.
const STUCK: Duration = Duration::from_secs(120);

/// Serves a connection to its end.
pub(super) async fn converse(app: Arc<App>, router: Router, socket: TcpStream, peer: Peer, permit: SocketPermit) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&socket, STUCK.as_millis() as u32) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let socket = match &app.config.tls {
        None => Socket::Plain(socket),
        Some(tls) => match tls.accept(socket, Protocol::Http1).await {
            Ok(socket) => socket,
            Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
        },
    };
    let connection = Connection { app, router, peer, permit };
    if let Err(error) = connection.http1(socket).await {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

/// What the requests of a connection have in common.
struct Connection {
    app: Arc<App>,
    router: Router,
    peer: Peer,
    permit: SocketPermit,
}

impl Connection {
    fn request(&self, request: Request<Incoming>) -> Request<Body> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.permit.clone());
        request
    }

    async fn http1(self, socket: Socket) -> hyper::Result<()> {
        let (app, permit) = (self.app.clone(), self.permit.clone());
        let service = service_fn(move |request| self.router.clone().call(self.request(request)));
        let conversation = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.config.times.header)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        tokio::pin!(conversation);
        tokio::select! {
            ended = conversation.as_mut() => return ended,
            () = app.drain.cancelled() => {}
            () = permit.is_surplus() => {}
        }
        conversation.as_mut().graceful_shutdown();
        conversation.await
    }
}
