//! The listener: accepts, serves HTTP/1.1 and HTTP/2, and stops in order.
//!
//! Draining: first the bridge is not ready but serves all the same, so that load balancers turn away (`--lame-duck`); then
//! nothing is accepted and clients are asked to leave; what is under way finishes (`--drain`); then topics and the rest stop.

mod acceptor;
mod conversation;
mod open_requests;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use courant_runtime::Shutdown;
use courant_runtime::supervisor::{Supervisor, TaskFailed};
use courant_tls::AddressError;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, ConfigError};
use acceptor::Acceptor;

/// For background tasks to end at last.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Why a bridge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the server cannot be used.
    #[error("--server: {0}")]
    Server(#[from] AddressError),
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
            tracing::info!(left = app.tasks.len(), "connections closed: shutdown without drain");
            Ok(())
        }
        () = serve(listener, &app) => Ok(()),
    };
    stop.cancel();
    if tokio::time::timeout(STOP_TIME, app.supervisor.stopped()).await.is_err() {
        tracing::warn!(within = ?STOP_TIME, "background tasks did not end in time");
    }
    served
}

/// Serves, and drains when that begins.
async fn serve(listener: TcpListener, app: &Arc<App>) {
    let (times, shutdown) = (&app.config.times, &app.shutdown);
    let mut acceptor = Acceptor::new(app);
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
    drop(acceptor);
    app.drain.begin(app.permits.count(), times.drain_spread);
    app.tasks.close();
    match tokio::time::timeout(times.drain, app.tasks.wait()).await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => {
            tracing::warn!(left = app.tasks.len(), grace = ?times.drain, "connections closed: the drain took too long")
        }
    }
}
