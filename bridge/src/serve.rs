//! The listener: accepts, serves HTTP/1.1, and stops in order.
//!
//! Draining: first the bridge is not ready but serves all the same, so that load balancers turn away (`--lame-duck`); then
//! nothing is accepted and clients are asked to leave; what is under way finishes (`--drain`); then topics and the rest stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use courant_runtime::Shutdown;
use courant_runtime::logging::Occasional;
use courant_runtime::supervisor::{Supervisor, TaskFailed};
use courant_tls::{Protocol, Socket};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::app::{App, Peer};
use crate::config::{Config, ConfigError};
use crate::http::router;
use crate::request::problem::Problem;
use crate::sockets::{SocketPermit, Sockets, refusal};

/// Buffer for a request's head; more is refused with 431.
const HEAD_BYTES: usize = 32 << 10;
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections at once that get an answer saying that there are too many; more are closed without one.
const REFUSALS: usize = 64;
/// How long such a connection has to read it.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// For background tasks to end at last.
const STOP_TIME: Duration = Duration::from_secs(1);

/// A peer that takes nothing for this long is gone, whether it is dead or only stopped reading a download.
const STUCK: Duration = Duration::from_secs(120);

/// Why a bridge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client of the server cannot be set up.
    #[error("cannot set up the client of the server: {0}")]
    Server(#[from] tonic::transport::Error),
    /// A background task is gone, and the bridge cannot go on without it.
    #[error(transparent)]
    Task(#[from] TaskFailed),
}

/// Runs a bridge on a listener until it is shut down. Draining ends by itself; the end cuts everything at once.
pub fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Into<Shutdown>,
) -> BoxFuture<'static, Result<(), Error>> {
    boxed(listener, config, shutdown.into())
}

/// A box is compiled here, with this crate; a plain future would be compiled again in each program that awaits it.
fn boxed(listener: TcpListener, config: Config, shutdown: Shutdown) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(run_until_stopped(listener, config, shutdown))
}

async fn run_until_stopped(listener: TcpListener, config: Config, shutdown: Shutdown) -> Result<(), Error> {
    config.check()?;
    let stop = CancellationToken::new();
    // Whatever ends this function ends what it started.
    let _stop = stop.clone().drop_guard();
    let supervisor = Supervisor::new(stop.clone());
    if let Some(tls) = &config.tls {
        supervisor.keep("TLS files", tls.keep_fresh());
    }
    let app = App::start(config, shutdown.clone(), supervisor)?;
    let served = tokio::select! {
        failed = app.supervisor.failed() => Err(failed.into()),
        () = shutdown.ended() => {
            tracing::warn!(left = app.tasks.len(), "connections closed: shutdown without drain");
            Ok(())
        }
        () = serve(listener, &app) => Ok(()),
    };
    stop.cancel();
    if tokio::time::timeout(STOP_TIME, app.supervisor.stopped()).await.is_err() {
        tracing::warn!("background tasks did not end in {STOP_TIME:?}");
    }
    served
}

/// Serves, and drains when that begins.
async fn serve(listener: TcpListener, app: &Arc<App>) {
    let (times, shutdown) = (&app.config.times, &app.shutdown);
    let acceptor = Acceptor::new(app);
    tokio::select! {
        never = acceptor.accept(&listener) => match never {},
        () = shutdown.draining() => {}
    }
    tracing::info!(lame_duck = ?times.lame_duck, "not ready, still serving");
    tokio::select! {
        never = acceptor.accept(&listener) => match never {},
        () = shutdown.lame_duck(times.lame_duck) => {}
    }
    drop(listener);
    app.drain.cancel();
    app.tasks.close();
    match tokio::time::timeout(times.drain, app.tasks.wait()).await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => {
            tracing::warn!(left = app.tasks.len(), "connections closed: drain took longer than {:?}", times.drain)
        }
    }
}

/// Accepts connections up to the limits. Waits for nothing but the next one: one over a limit is refused beside.
struct Acceptor {
    app: Arc<App>,
    router: Router,
    sockets: Arc<Sockets>,
    refusals: Arc<Semaphore>,
}

impl Acceptor {
    fn new(app: &Arc<App>) -> Self {
        let limits = &app.config.limits;
        // Behind a proxy all come from its address.
        let per_address = if app.config.trust_forwarded { limits.sockets } else { limits.sockets_per_address };
        let (sockets, refusals) = (Sockets::new(limits.sockets, per_address), Arc::new(Semaphore::new(REFUSALS)));
        Self { app: app.clone(), router: router(app.clone()), sockets, refusals }
    }

    async fn accept(&self, listener: &TcpListener) -> Infallible {
        let mut failures = Occasional::default();
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.handle_socket(socket, peer),
                Err(error) => {
                    failures.log(|left_out| tracing::warn!(%error, left_out, "accept failed"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn handle_socket(&self, socket: TcpStream, peer: SocketAddr) {
        let (app, router) = (self.app.clone(), self.router.clone());
        let address = peer.ip().to_canonical();
        match self.sockets.acquire(address) {
            Ok(permit) => {
                self.app.spawn(async move { connection(app, router, socket, Peer(address), permit).await });
            }
            Err(limit) => {
                app.permits.refused(limit, None, address);
                let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
                self.app.spawn(async move {
                    let problem = Problem::from(&refusal(limit));
                    let sent = tokio::time::timeout(REFUSAL_TIME, refuse(&app, socket, &problem)).await;
                    if let Ok(Err(error)) = sent {
                        tracing::debug!(%error, "refusal could not be sent");
                    }
                    drop(permit);
                });
            }
        }
    }
}

/// Answers whatever is asked, and closes.
async fn refuse(app: &App, socket: TcpStream, problem: &Problem) -> std::io::Result<()> {
    let mut socket = match &app.config.tls {
        None => Socket::Plain(socket),
        Some(tls) => tls.accept(socket, Protocol::Http1).await?,
    };
    let body = serde_json::to_string(problem)?;
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        problem.status,
        problem.title,
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    socket.shutdown().await?;
    // A socket that is closed with unread bytes is reset, and the answer would be lost.
    let mut scratch = [0; 4096];
    while socket.read(&mut scratch).await? > 0 {}
    Ok(())
}

async fn connection(app: Arc<App>, router: Router, socket: TcpStream, peer: Peer, permit: SocketPermit) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&socket, STUCK.as_millis() as u32) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(permit.clone());
        router.clone().call(request)
    });
    let socket = match &app.config.tls {
        None => Socket::Plain(socket),
        Some(tls) => match tls.accept(socket, Protocol::Http1).await {
            Ok(socket) => socket,
            Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
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
