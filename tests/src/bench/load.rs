//! Clients and workers of the benchmark.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use clap::ValueEnum;
use courant_auth::Role;
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::{JobState, SubmitJobHeader, WatchJobsRequest, WatchJobsResponse};
use courant_worker::{Config, Handler, Outcome, Task, TaskError};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::Up;
use crate::grpc::Jobs;
use crate::server::{Server, Shared};
use crate::submitter::Submitter;
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
        let mut started = Self { shutdown: CancellationToken::new(), running: Vec::new() };
        for number in 0..workers {
            let name = format!("bench-{number}");
            let token = up.token(&name, &[Role::Worker], HOUR)?;
            started.add(&up.grpc, name, token, slots);
        }
        Ok(started)
    }

    /// One worker at each of these servers.
    pub fn at(servers: &[Server], shared: &Shared, slots: u32) -> anyhow::Result<Self> {
        let mut started = Self { shutdown: CancellationToken::new(), running: Vec::new() };
        for (number, server) in servers.iter().enumerate() {
            let name = format!("bench-{number}");
            let token = shared.token(&name, &[Role::Worker])?;
            started.add(&server.grpc, name, token, slots);
        }
        Ok(started)
    }

    fn add(&mut self, address: &str, name: String, token: String, slots: u32) {
        let mut config =
            Config::new(format!("http://{address}"), Arc::new(move || token.clone()), name, [KIND.to_owned()]);
        config.slots = slots;
        self.running.push(tokio::spawn(courant_worker::run(config, Arc::new(Nothing), self.shutdown.clone())));
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        for running in self.running {
            running.await??;
        }
        Ok(())
    }
}

/// How documents are submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// All of an owner on one stream, which answers each by itself.
    Stream,
    /// Each by a call of its own.
    Calls,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream => "on a stream",
            Self::Calls => "by calls",
        })
    }
}

/// What submits small documents of one owner.
#[derive(Clone)]
pub enum Submits {
    Stream(Submitter),
    Calls(Jobs),
}

impl Submits {
    pub async fn open(jobs: &Jobs, way: Way) -> anyhow::Result<Self> {
        Ok(match way {
            Way::Stream => Self::Stream(Submitter::open(jobs).await?),
            Way::Calls => Self::Calls(jobs.clone()),
        })
    }

    /// Submits one; gives back its job's id.
    pub async fn submit(&self) -> anyhow::Result<String> {
        let header = SubmitJobHeader { kind: KIND.to_owned(), ..Default::default() };
        let answer = match self {
            Self::Calls(jobs) => jobs.submit_with(header, DOCUMENT.to_vec()).await?,
            Self::Stream(submitter) => match submitter.submit(header, DOCUMENT.to_vec()).await? {
                Ok(answer) => answer,
                Err(error) => anyhow::bail!("refused: {error:?}"),
            },
        };
        Ok(answer.job.context("an answer without a job")?.job_id)
    }
}

/// Submits `count` small documents, `at_once` of them at a time: so many tasks, each with the same number, which belong to the
/// owners in turn. Where the numbers of tasks and owners divide evenly, so do the documents of the owners.
pub async fn submit_all(owners: &[Submits], count: usize, at_once: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for task in 0..at_once {
        let submits = owners[task % owners.len()].clone();
        let share = count / at_once + usize::from(task < count % at_once);
        tasks.spawn(async move {
            for _ in 0..share {
                submits.submit().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
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
                Some(Step::Snapshot(snapshot)) => snapshot.job.map(|job| *job),
                Some(Step::Event(event)) => event.job.map(|job| *job),
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

/// What submits for each of these owners.
pub async fn submits(owners: &[Jobs], way: Way) -> anyhow::Result<Vec<Submits>> {
    let mut all = Vec::new();
    for owner in owners {
        all.push(Submits::open(owner, way).await?);
    }
    Ok(all)
}
