//! How a server runs, and how it stops.

use std::time::Duration;

use courant_joblog::ids::WorkerId;
use courant_monitoring::GrpcCalls;
use courant_runtime::Shutdown;
use courant_runtime::supervisor::Supervisor;
use courant_tls::Protocol;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::errors::ServeError;
use super::health::{announce, announce_staying};
use super::metrics::ServerMetrics;
use super::open::Server;
use super::router::CountedRouter;
use crate::audit::Category;
use crate::audit::event::{AuditEvent, Source};

/// How long connections, and then tasks, may take to end at least once every stream was asked to.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

impl Server {
    /// Serves until asked to stop, then drains: not ready but serving for the time as a lame duck; then workers hand back and
    /// streams say where to go on, within the grace; then it ends. The end of `shutdown` cuts everything at once.
    pub fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Into<Shutdown>,
    ) -> BoxFuture<'static, Result<(), ServeError>> {
        self.boxed(listener, shutdown.into())
    }

    /// A box is compiled here, with this crate; a plain future would be compiled again in each program that awaits it.
    fn boxed(self, listener: TcpListener, shutdown: Shutdown) -> BoxFuture<'static, Result<(), ServeError>> {
        Box::pin(self.run(listener, shutdown))
    }

    async fn run(mut self, listener: TcpListener, shutdown: Shutdown) -> Result<(), ServeError> {
        announce_staying(&self.monitor, true);
        announce(&self.monitor, true);
        self.monitor.probes().set("drain", None);
        self.monitor.probes().set_started();
        self.audit("server.start");
        let calls = GrpcCalls::default();
        self.register_metrics(calls.clone());
        let router = self.router(&calls).await?.add_service(self.monitor.health().service());
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let background = self.start_background(Supervisor::new(stop.clone()), &shutdown);
        let served = tokio::select! {
            // Everything needs the log followed, to the end.
            followed = self.services.engine.follow() => followed.map_err(ServeError::Log),
            failed = background.failed() => Err(failed.into()),
            () = shutdown.ended() => {
                tracing::info!("connections were cut: stopped without grace");
                Ok(())
            }
            served = self.serve_and_drain(router, listener, &shutdown) => served,
        };
        self.services.stopping.cancel();
        stop.cancel();
        self.audit("server.stop");
        let tasks = async {
            background.stopped().await;
            self.services.streams.close();
            self.services.streams.wait().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, tasks).await.is_err() {
            tracing::warn!(within = ?CLOSE_WITHIN, "background tasks did not end in time");
        }
        served
    }

    fn register_metrics(&self, calls: GrpcCalls) {
        let (services, registry, presence) = (self.services.clone(), self.registry.clone(), self.presence.clone());
        ServerMetrics { services, registry, presence, calls }.register(&self.monitor);
        if let Some(tls) = self.tls.clone() {
            self.monitor.add_certificate("grpc", move || tls.expiry());
        }
    }

    fn audit(&self, action: &str) {
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        let event = AuditEvent { target: version, ..AuditEvent::now(Source::Server, action) };
        self.services.audit.record(Category::Action, event);
    }

    async fn serve_and_drain(
        &self,
        router: CountedRouter,
        listener: TcpListener,
        shutdown: &Shutdown,
    ) -> Result<(), ServeError> {
        let refusing = CancellationToken::new();
        let protocol = if self.browsers.is_on() { Protocol::Http1OrHttp2 } else { Protocol::Http2 };
        let incoming = courant_tls::incoming(listener, self.tls.clone(), &self.services.config.connections, protocol);
        let incoming = incoming.take_until(refusing.clone().cancelled_owned());
        let serving = router.serve_with_incoming_shutdown(incoming, std::future::pending());
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return Ok(served?),
            () = self.lame_duck(shutdown) => {}
        }
        // Nothing new comes in: open connections are asked (GOAWAY) to send no more calls, and finish those they have.
        refusing.cancel();
        let grace = Instant::now() + self.services.config.drain_grace;
        let drain = async {
            self.hand_back(grace).await;
            self.services.stopping.cancel();
            tokio::time::sleep_until(grace.max(Instant::now() + CLOSE_WITHIN)).await;
        };
        let served = async {
            serving.await?;
            self.services.detached.close();
            self.services.detached.wait().await;
            Ok::<(), ServeError>(())
        };
        tokio::select! {
            served = served => {
                served?;
                tracing::info!("drained: every call has ended");
            }
            () = drain => tracing::warn!(grace = ?self.services.config.drain_grace, "calls were cut: the drain took too long"),
        }
        Ok(())
    }

    /// Waits until draining begins, and on while the server says that it is not ready and serves all the same.
    async fn lame_duck(&self, shutdown: &Shutdown) {
        shutdown.draining().await;
        announce_staying(&self.monitor, false);
        announce(&self.monitor, false);
        self.monitor.probes().set("drain", Some("the server is stopping"));
        tracing::info!(lame_duck = ?self.lame_duck, "not ready any more, and still serving");
        shutdown.lame_duck(self.lame_duck).await;
    }

    /// Tells workers that the server stops. Those that stop with it hand back or finish what they hold, until the grace is over;
    /// the others keep it, and go on when they have another server or this one again.
    async fn hand_back(&self, grace: Instant) {
        self.registry.close();
        let mut applied = self.services.engine.applied();
        let busy = |worker: &WorkerId| self.services.engine.read(|view| view.held_count(worker) > 0);
        while self.stopping_workers.iter().any(busy) {
            tokio::select! {
                _ = applied.changed() => {}
                () = tokio::time::sleep_until(grace) => {
                    tracing::info!("jobs are still running; their workers keep them until their lease ends");
                    return;
                }
            }
        }
    }
}
