//! Server, bridge and workers as tasks of one program: when one ends before the program was stopped, all end, with its reason.

use std::sync::Arc;
use std::time::Duration;

use courant_pdf::PdfWorker;
use courant_runtime::Shutdown;
use courant_server::Server;
use courant_tls::ClientTls;
use courant_worker::{TokenSource, WorkerMetrics};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// At the end a worker hands its job back rather than finish it: together within the five seconds that the service drains.
const WORKER_GRACE: Duration = Duration::from_secs(1);
const WORKER_STOP: Duration = Duration::from_secs(3);

/// Where the parts reach the server: its URL, and TLS where that begins with `https://`.
pub struct ServerEndpoint {
    pub url: String,
    pub tls: Option<ClientTls>,
}

pub struct Parts {
    tasks: JoinSet<(String, Result<(), String>)>,
    shutdown: Shutdown,
    lame_duck: Duration,
}

impl Parts {
    pub fn new(shutdown: Shutdown, lame_duck: Duration) -> Self {
        Self { tasks: JoinSet::new(), shutdown, lame_duck }
    }

    /// Cancelled once nothing new is served any more: until then workers go on.
    fn stop(&self) -> CancellationToken {
        let (shutdown, lame_duck, stop) = (self.shutdown.clone(), self.lame_duck, CancellationToken::new());
        let stopped = stop.clone();
        tokio::spawn(async move {
            shutdown.draining().await;
            shutdown.lame_duck(lame_duck).await;
            stopped.cancel();
        });
        stop
    }

    pub fn server(&mut self, server: Server, listener: TcpListener) {
        let shutdown = self.shutdown.clone();
        self.spawn("service", async move { server.serve(listener, shutdown).await });
    }

    pub fn bridge(&mut self, listener: TcpListener, config: courant_bridge::Config) {
        let shutdown = self.shutdown.clone();
        self.spawn("web server", async move { courant_bridge::run(listener, config, shutdown).await });
    }

    /// A PDF worker for one document at a time.
    pub fn worker(
        &mut self,
        server: &ServerEndpoint,
        id: &str,
        token: TokenSource,
        handler: &PdfWorker,
        metrics: &WorkerMetrics,
    ) {
        let handler = Arc::new(handler.clone());
        let mut config = courant_worker::Config::new(&server.url, token, id, ["pdf"]);
        config.tls.clone_from(&server.tls);
        config.parts = handler.takes_parts();
        config.max_job_duration = handler.max_job_duration();
        config.grace = WORKER_GRACE;
        config.stop_timeout = WORKER_STOP;
        config.metrics.clone_from(metrics);
        config.software = concat!("courant/", env!("CARGO_PKG_VERSION")).to_owned();
        let stop = self.stop();
        self.spawn(&format!("worker {id}"), async move { courant_worker::run(config, handler, stop).await });
    }

    /// The demonstration may end when it likes, but not badly.
    pub fn demo<D>(&mut self, demo: impl FnOnce(CancellationToken) -> D)
    where
        D: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let stop = self.stop();
        let demo = demo(stop.clone());
        self.spawn("demonstration", async move {
            demo.await?;
            stop.cancelled().await;
            Ok::<_, Failure>(())
        });
    }

    fn spawn<E: std::fmt::Display>(&mut self, name: &str, part: impl Future<Output = Result<(), E>> + Send + 'static) {
        let name = name.to_owned();
        self.tasks.spawn(async move { (name, part.await.map_err(|error| error.to_string())) });
    }

    /// Waits for the end of all parts, or until everything is to end at once. The first part that ended by itself is the
    /// reason.
    pub async fn until_end(mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        loop {
            let ended = tokio::select! {
                ended = self.tasks.join_next() => ended,
                () = self.shutdown.ended() => return outcome,
            };
            let Some(ended) = ended else { return outcome };
            let (part, result) = ended.unwrap_or_else(|panic| ("program".to_owned(), Err(panic.to_string())));
            let asked = self.shutdown.is_draining();
            let reason = match result {
                Ok(()) if asked => continue,
                Ok(()) => "it stopped by itself".to_owned(),
                Err(reason) => reason,
            };
            if outcome.is_ok() {
                outcome = Err(Failure::PartEnded { part, reason });
            }
            self.shutdown.drain_at_once();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waits(shutdown: Shutdown) -> Result<(), String> {
        shutdown.draining().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_part_that_dies_takes_all_with_it_and_its_reason_is_kept() {
        let shutdown = Shutdown::new();
        let mut parts = Parts::new(shutdown.clone(), Duration::ZERO);
        parts.spawn("good", waits(shutdown));
        parts.spawn("bad", async { Err("the disk is full") });
        let failure = parts.until_end().await.unwrap_err();
        assert_eq!(failure.to_string(), "the bad ended: the disk is full");
    }

    #[tokio::test]
    async fn ending_when_told_is_no_failure() {
        let shutdown = Shutdown::new();
        let mut parts = Parts::new(shutdown.clone(), Duration::ZERO);
        parts.spawn("good", waits(shutdown.clone()));
        shutdown.drain();
        parts.until_end().await.unwrap();
    }
}
