//! Clients and workers of the benchmark.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use courant_auth::Role;
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::{JobState, WatchJobsRequest, WatchJobsResponse};
use courant_worker::{Config, Handler, Outcome, Task, TaskError};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::Up;
use crate::grpc::Jobs;
use crate::up::HOUR;

/// The kind of the benchmark's jobs.
pub const KIND: &str = "bench";

/// Bytes of a small document.
const DOCUMENT: [u8; 1024] = [b'x'; 1024];

struct Nothing;

#[async_trait]
impl Handler for Nothing {
    async fn run(&self, _task: Task) -> Result<Outcome, TaskError> {
        Ok(Outcome::default())
    }
}

/// Workers whose jobs succeed at once.
pub struct Workers {
    shutdown: CancellationToken,
    running: Vec<JoinHandle<Result<(), courant_worker::Error>>>,
}

impl Workers {
    pub fn start(up: &Up, workers: usize, slots: u32) -> anyhow::Result<Self> {
        let shutdown = CancellationToken::new();
        let mut running = Vec::new();
        for number in 0..workers {
            let name = format!("bench-{number}");
            let token = up.token(&name, &[Role::Worker], HOUR)?;
            let server = format!("http://{}", up.grpc);
            let mut config = Config::new(server, Arc::new(move || token.clone()), name, [KIND.to_owned()]);
            config.slots = slots;
            running.push(tokio::spawn(courant_worker::run(config, Arc::new(Nothing), shutdown.clone())));
        }
        Ok(Self { shutdown, running })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        for running in self.running {
            running.await??;
        }
        Ok(())
    }
}

/// Submits `count` small documents, `at_once` of them at a time: so many clients, each with the same number, which belong to the
/// owners in turn. Where the numbers of clients and owners divide evenly, so do the documents of the owners.
pub async fn submit_all(owners: &[Jobs], count: usize, at_once: usize) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for client in 0..at_once {
        let jobs = owners[client % owners.len()].clone();
        let share = count / at_once + usize::from(client < count % at_once);
        clients.spawn(async move {
            for _ in 0..share {
                submit(&jobs).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

/// Submits one small document; gives back its job's id.
pub async fn submit(jobs: &Jobs) -> anyhow::Result<String> {
    let header = courant_proto::v1::SubmitJobHeader { kind: KIND.to_owned(), ..Default::default() };
    let answer = jobs.submit_with(header, DOCUMENT.to_vec()).await?;
    Ok(answer.job.context("an answer without a job")?.job_id)
}

/// A watch over the jobs of one owner that counts those that ended.
pub struct Ends(Streaming<WatchJobsResponse>);

impl Ends {
    /// Watches from now on.
    pub async fn watch(jobs: &Jobs) -> anyhow::Result<Self> {
        let mut stream = jobs.client.clone().watch_jobs(WatchJobsRequest::default()).await?.into_inner();
        while !matches!(stream.message().await?.context("the watch ended")?.step, Some(Step::Live(_))) {}
        Ok(Self(stream))
    }

    /// The job that ended next.
    pub async fn next(&mut self) -> anyhow::Result<String> {
        loop {
            let message = self.0.message().await?.context("the watch ended")?;
            let job = match message.step {
                Some(Step::Snapshot(snapshot)) => snapshot.job,
                Some(Step::Event(event)) => event.job,
                _ => None,
            };
            if let Some(job) = job.filter(|job| job.state() == JobState::Succeeded) {
                return Ok(job.job_id);
            }
        }
    }

    /// Waits until so many jobs ended.
    pub async fn count(mut self, jobs: usize) -> anyhow::Result<()> {
        let mut ended = std::collections::HashSet::new();
        while ended.len() < jobs {
            ended.insert(self.next().await?);
        }
        Ok(())
    }
}

/// One client for each of so many owners.
pub async fn owners(up: &Up, count: usize) -> anyhow::Result<Vec<Jobs>> {
    let mut owners = Vec::new();
    for number in 0..count {
        owners.push(up.jobs(&format!("owner-{number}")).await?);
    }
    Ok(owners)
}
