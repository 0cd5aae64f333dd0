//! The parts as tasks under one token: when one ends before it was told to, all end, with its reason.

use std::sync::Arc;
use std::time::Duration;

use courant_pdf::PdfWorker;
use courant_server::Server;
use courant_tls::ClientTls;
use courant_worker::TokenSource;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// At the end a worker hands its job back rather than finish it: together within the five seconds that the service drains.
const WORKER_GRACE: Duration = Duration::from_secs(1);
const WORKER_STOP: Duration = Duration::from_secs(3);

/// How the parts reach the service.
pub struct Way {
    pub core: String,
    pub tls: Option<ClientTls>,
}

/// What is running.
pub struct Parts {
    tasks: JoinSet<(String, Result<(), String>)>,
    shutdown: CancellationToken,
}

impl Parts {
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), shutdown }
    }

    pub fn server(&mut self, server: Server, listener: TcpListener) {
        let shutdown = self.shutdown.clone();
        self.spawn("service", async move { server.serve(listener, shutdown).await });
    }

    pub fn bridge(&mut self, listener: TcpListener, config: courant_bridge::Config) {
        let shutdown = self.shutdown.clone();
        self.spawn("browser edge", async move { courant_bridge::run(listener, config, shutdown).await });
    }

    /// A PDF worker for one document at a time.
    pub fn worker(&mut self, way: &Way, id: &str, token: TokenSource, handler: &PdfWorker) {
        let handler = Arc::new(handler.clone());
        let mut config = courant_worker::Config::new(&way.core, token, id, ["pdf"]);
        config.tls.clone_from(&way.tls);
        config.parts = handler.takes_parts();
        config.max_job_duration = handler.max_job_duration();
        config.grace = WORKER_GRACE;
        config.stop_timeout = WORKER_STOP;
        config.software = concat!("courant/", env!("CARGO_PKG_VERSION")).to_owned();
        let shutdown = self.shutdown.clone();
        self.spawn(&format!("worker {id}"), async move { courant_worker::run(config, handler, shutdown).await });
    }

    /// The demonstration may end when it likes, but not badly.
    pub fn demo(&mut self, demo: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.spawn("demonstration", async move {
            demo.await?;
            shutdown.cancelled().await;
            Ok::<_, Failure>(())
        });
    }

    fn spawn<E: std::fmt::Display>(&mut self, name: &str, part: impl Future<Output = Result<(), E>> + Send + 'static) {
        let name = name.to_owned();
        self.tasks.spawn(async move { (name, part.await.map_err(|error| error.to_string())) });
    }

    /// Waits for the end of all parts. The first that ended by itself is the reason.
    pub async fn until_end(mut self) -> Result<(), Failure> {
        let mut verdict = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let (part, result) = ended.unwrap_or_else(|panic| ("program".to_owned(), Err(panic.to_string())));
            let asked = self.shutdown.is_cancelled();
            let reason = match result {
                Ok(()) if asked => continue,
                Ok(()) => "it stopped by itself".to_owned(),
                Err(reason) => reason,
            };
            if verdict.is_ok() {
                verdict = Err(Failure::PartEnded { part, reason });
            }
            self.shutdown.cancel();
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waits(shutdown: CancellationToken) -> Result<(), String> {
        shutdown.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_part_that_dies_takes_all_with_it_and_its_reason_is_kept() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(shutdown.clone());
        parts.spawn("good", waits(shutdown));
        parts.spawn("bad", async { Err("the disk is full") });
        let failure = parts.until_end().await.unwrap_err();
        assert_eq!(failure.to_string(), "the bad ended: the disk is full");
    }

    #[tokio::test]
    async fn ending_when_told_is_no_failure() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(shutdown.clone());
        parts.spawn("good", waits(shutdown.clone()));
        shutdown.cancel();
        parts.until_end().await.unwrap();
    }
}
