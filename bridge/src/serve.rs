//! The listener: accepts, speaks HTTP/1.1, and stops in order: sessions are told first, then requests end, then rooms.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use courant_tls::{Protocol, Socket};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::app::{App, Peer};
use crate::config::{Config, ConfigError};
use crate::http::router;

/// Buffer for a request's head; more is refused with 431.
const HEAD_BYTES: usize = 32 << 10;
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A peer that takes nothing for this long is gone, whether it is dead or only stopped reading a download.
const STUCK: Duration = Duration::from_secs(120);

/// Why a bridge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The way to the core cannot be set up.
    #[error("cannot set up the way to the core: {0}")]
    Core(#[from] tonic::transport::Error),
}

/// Runs a bridge on a listener until `shutdown` is cancelled, then drains it.
pub async fn run(listener: TcpListener, config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    config.check()?;
    let drain_time = config.times.drain;
    let (stop, drain) = (CancellationToken::new(), shutdown.child_token());
    // Whatever ends this function ends what it started.
    let _stop = stop.clone().drop_guard();
    let sockets = Arc::new(Semaphore::new(config.limits.sockets));
    if let Some(tls) = &config.tls {
        tls.keep_fresh();
    }
    let app = App::start(config, drain, stop)?;
    let router = router(app.clone());
    loop {
        let Ok(permit) = sockets.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (tasks, app, router) = (app.tasks.clone(), app.clone(), router.clone());
                let task = async move {
                    connection(app, router, socket, peer).await;
                    drop(permit);
                };
                tasks.spawn(task);
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    app.tasks.close();
    match tokio::time::timeout(drain_time, app.tasks.wait()).await {
        Ok(()) => tracing::info!("drained: every connection has ended"),
        Err(_) => tracing::warn!(left = app.tasks.len(), "connections were cut after {drain_time:?}"),
    }
    Ok(())
}

/// Lets the process open as many files as it may: each connection is one, and the usual 1024 are soon used up.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let allowed = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, current = ?allowed.current, "the limit of open files could not be raised");
    }
}

async fn connection(app: Arc<App>, router: Router, socket: TcpStream, peer: SocketAddr) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&socket, STUCK.as_millis() as u32) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip().to_canonical()));
        router.clone().call(request)
    });
    let socket = match &app.config.tls {
        None => Socket::Plain(socket),
        Some(tls) => match tls.accept(socket, Protocol::Http1).await {
            Ok(socket) => socket,
            Err(error) => return tracing::debug!(%error, "no TLS came about"),
        },
    };
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.times.header)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = app.drain.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
