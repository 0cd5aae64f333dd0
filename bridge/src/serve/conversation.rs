//! One connection: TLS, and HTTP/1.1 or, where both sides know it, HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use courant_tls::{Protocol, Socket};
use http::header::HOST;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service as _;

use super::open_requests::OpenRequests;
use crate::app::{App, Peer};
use crate::sockets::SocketPermit;

/// Buffer for a request's head; more is refused with 431.
const HEAD_BYTES: usize = 32 << 10;
/// A peer that takes nothing for this long is gone, whether it is dead or only stopped reading a download.
const STUCK: Duration = Duration::from_secs(120);

/// HTTP/2: bytes of one request's body, and of all on a connection, that the client may send before they are read.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// HTTP/2: bytes of one answer that wait for the client to take them.
const SEND_BYTES: usize = 64 << 10;
/// HTTP/2: requests at once that the client has taken back before they were looked at. More end the connection
/// (CVE-2023-44487).
const RESETS_WAITING: usize = 20;
/// HTTP/2: requests of one connection that we ended because they were broken. More end the connection.
const BROKEN_REQUESTS: usize = 128;

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
        Some(tls) => match tls.accept(socket, Protocol::Http1OrHttp2).await {
            Ok(socket) => socket,
            Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
        },
    };
    let connection = Connection { app, router, peer, permit };
    let ended = if socket.is_http2() { connection.http2(socket).await } else { connection.http1(socket).await };
    if let Err(error) = ended {
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
            () = app.drain.begun() => {}
            () = permit.is_surplus() => {}
        }
        conversation.as_mut().graceful_shutdown();
        conversation.await
    }

    async fn http2(self, socket: Socket) -> hyper::Result<()> {
        let (app, permit, requests) = (self.app.clone(), self.permit.clone(), OpenRequests::new());
        let times = &app.config.times;
        let open = requests.clone();
        let service = service_fn(move |request| {
            let (begun, mut router) = (open.begin(), self.router.clone());
            let answered = router.call(with_host(self.request(request)));
            async move { answered.await.map(|answer| begun.answer(answer)) }
        });
        let conversation = http2::Builder::new(Streams(app.clone()))
            .timer(TokioTimer::new())
            .max_concurrent_streams(app.config.limits.http2_streams)
            .max_header_list_size(HEAD_BYTES as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BYTES)
            .max_pending_accept_reset_streams(RESETS_WAITING)
            .max_local_error_reset_streams(BROKEN_REQUESTS)
            .keep_alive_interval(times.ping)
            .keep_alive_timeout(times.ping)
            .serve_connection(TokioIo::new(socket), service);
        tokio::pin!(conversation);
        let stuck = requests.end_stuck(STUCK);
        tokio::pin!(stuck);
        tokio::select! {
            ended = conversation.as_mut() => return ended,
            () = app.drain.begun() => {}
            () = permit.is_surplus() => {}
            () = requests.idle_for(times.header) => {}
            never = stuck.as_mut() => match never {},
        }
        conversation.as_mut().graceful_shutdown();
        // To end in order the client must take what there is left, and say so.
        let taking = if requests.any() { STUCK } else { times.close };
        tokio::select! {
            ended = conversation => ended,
            () = requests.idle_for(times.header + taking) => Ok(()),
            never = stuck => match never {},
        }
    }
}

/// Who was asked for says the authority in HTTP/2; we look for it where it is in HTTP/1.1.
fn with_host(mut request: Request<Body>) -> Request<Body> {
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// Runs the requests of HTTP/2 connections among all that a drain waits for.
#[derive(Clone)]
struct Streams(Arc<App>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}
