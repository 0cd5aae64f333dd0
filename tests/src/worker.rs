//! A worker of the test's own, outside of `courant up`: the test decides what happens to each job, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use async_trait::async_trait;
use courant_auth::Role;
use courant_proto::v1::Page;
use courant_worker::{Config, Handler, Outcome, Stage, Task, TaskError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::up::HOUR;
use crate::{Up, within};

/// A connected worker for jobs of one kind.
pub struct Worker {
    works: mpsc::Receiver<Work>,
    shutdown: CancellationToken,
    running: Option<JoinHandle<Result<(), courant_worker::Error>>>,
}

/// An attempt that the worker has been given. Nothing happens to it but what the test does.
pub struct Work {
    /// For reports.
    pub task: Task,
    end: oneshot::Sender<Result<Outcome, TaskError>>,
}

struct Hand(mpsc::Sender<Work>);

#[async_trait]
impl Handler for Hand {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        let (end, ended) = oneshot::channel();
        let stopped = task.cancelled().clone();
        let gone = || TaskError::transient("TEST_OVER", "the test has let go of the job");
        self.0.send(Work { task, end }).await.map_err(|_| gone())?;
        tokio::select! {
            ended = ended => ended.unwrap_or_else(|_| Err(gone())),
            () = stopped.cancelled() => Err(gone()),
        }
    }
}

impl Worker {
    /// Connects a worker with this many slots.
    pub fn start(up: &Up, kind: &str, slots: u32) -> anyhow::Result<Self> {
        Self::connect(&up.grpc, &|name| up.token(name, &[Role::Worker], HOUR), kind, slots)
    }

    /// The same for the server at `127.0.0.1:port`; the function makes the token of the worker with this name.
    pub fn connect(
        grpc: &str,
        token: &dyn Fn(&str) -> anyhow::Result<String>,
        kind: &str,
        slots: u32,
    ) -> anyhow::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let token = token(&name)?;
        let mut config =
            Config::new(format!("http://{grpc}"), Arc::new(move || token.clone()), name, [kind.to_owned()]);
        config.slots = slots;
        let (hand, works) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(courant_worker::run(config, Arc::new(Hand(hand)), shutdown.clone()));
        Ok(Self { works, shutdown, running: Some(running) })
    }

    /// The next job given to this worker.
    pub async fn next(&mut self) -> anyhow::Result<Work> {
        within("a job for the test's worker", async { self.works.recv().await.context("the worker has ended") }).await
    }

    /// Lets the worker go in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        let running = self.running.take().context("stopped once")?;
        within("the test's worker to stop", async { Ok(running.await??) }).await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Work {
    /// Finishes a page without zones.
    pub async fn page(&self, number: i32) -> anyhow::Result<()> {
        self.task.write_artifact(&format!("pages/{number:06}.json"), "{}".to_owned()).await?;
        Ok(self.task.page(Page { number, ..Page::default() }).await?)
    }

    /// Exports this text in all formats asked for.
    pub async fn export(&self, text: &str) -> anyhow::Result<()> {
        for format in self.task.formats() {
            self.task.export_started(format).await?;
            let name = format!("result.{}", extension(format));
            self.task.write_artifact(&name, text.to_owned()).await?;
            self.task.export_completed(format).await?;
        }
        Ok(())
    }

    /// Says how far it is.
    pub fn progress(&self, percent: f64) {
        self.task.progress(percent, Stage::Extract, "Testing", (0, 0));
    }

    /// Ends the attempt well.
    pub fn succeed(self) {
        // The attempt may have been stopped meanwhile; then nobody listens, which is what the test is about.
        let _ = self.end.send(Ok(Outcome::default()));
    }

    /// Ends the attempt badly.
    pub fn fail(self, error: TaskError) {
        let _ = self.end.send(Err(error));
    }

    /// Waits until the attempt is told to stop.
    pub async fn stopped(&self) -> anyhow::Result<()> {
        within("the attempt to be stopped", async {
            self.task.cancelled().cancelled().await;
            Ok(())
        })
        .await
    }
}

fn extension(format: courant_worker::ResultFormat) -> &'static str {
    match format {
        courant_worker::ResultFormat::Unspecified | courant_worker::ResultFormat::Json => "json",
        courant_worker::ResultFormat::Markdown => "md",
        courant_worker::ResultFormat::Text => "txt",
        courant_worker::ResultFormat::Html => "html",
    }
}
