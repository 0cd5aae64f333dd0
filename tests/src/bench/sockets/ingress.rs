//! The way in for what Courant's browsers see: workers of the real protocol that hold one job for each topic and report.
//!
//! Not on the SDK: that merges what a job reports faster than it can be sent, which is right for a worker and wrong for a
//! benchmark, and it takes more processor time than all else here.

mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use courant_proto::v1::work_request::Message as Out;
use courant_proto::v1::{
    AttemptRef, Page, ReportPage, ReportPlan, ReportProgress, Stage, SubmitJobHeader, WorkRequest, Zone, ZoneKind,
    ZoneStatus,
};
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::transport::Channel;

use self::worker::{Worker, connect};
use super::courant::Courant;
use super::stamp;
use crate::grpc::{Jobs, accepted};

/// The most jobs that one worker may have.
const SLOTS: usize = 1024;
/// Submits under way at a time.
const SUBMITS: usize = 64;
/// The longest until the next job is assigned.
const ASSIGNING: Duration = Duration::from_secs(60);
/// Pages of each document: fewer than make it a large one, which has a lane of its own.
const PAGES: i32 = 400;
/// Bytes of a zone's note, with which a zone takes about 1 kB as JSON.
const NOTE: usize = 700;
/// The kind of the jobs.
const KIND: &str = "bench-topic";

/// What is submitted: one job for each topic.
#[derive(Clone, Debug)]
pub struct Submission {
    pub owner: String,
    pub document_id: String,
}

/// A job that is being worked on.
#[derive(Clone, Debug)]
struct Job {
    attempt: AttemptRef,
    worker: usize,
    pages: i32,
}

/// Workers with a job for each topic.
pub struct Ingress {
    workers: Vec<Worker>,
    jobs: Vec<Job>,
    /// The ids of the jobs, by topic.
    pub ids: Vec<String>,
    failed: Arc<Mutex<Option<String>>>,
}

impl Ingress {
    /// Submits the jobs and takes them.
    pub async fn start(courant: &Courant, topics: &[Submission]) -> anyhow::Result<Self> {
        let failed = Arc::default();
        let (assigned, assignments) = mpsc::unbounded_channel();
        let mut workers = Vec::new();
        for number in 0..topics.len().div_ceil(SLOTS) {
            let slots = (topics.len() - number * SLOTS).min(SLOTS);
            workers.push(Worker::start(courant, number, slots, assigned.clone(), Arc::clone(&failed)).await?);
        }
        let channel = connect(courant).await?;
        let submits = futures::stream::iter(topics).map(|topic| submit(courant, &channel, topic));
        let (ids, attempts) =
            tokio::try_join!(submits.buffered(SUBMITS).try_collect::<Vec<_>>(), collect(assignments, topics.len()))?;
        let jobs = ids.iter().map(|id| {
            let (worker, attempt) = attempts.get(id).with_context(|| format!("job {id} was not assigned"))?;
            // In reports it may be left out: the stream knows whose it is.
            let attempt = AttemptRef { credential: String::new(), ..attempt.clone() };
            Ok(Job { attempt, worker: *worker, pages: 0 })
        });
        Ok(Self { workers, jobs: jobs.collect::<anyhow::Result<_>>()?, ids, failed })
    }

    /// Reports progress of a topic's job: a transient message, whose `operation` says when it was sent.
    pub async fn progress(&self, topic: usize) -> anyhow::Result<()> {
        let job = &self.jobs[topic];
        let report = ReportProgress {
            attempt: Some(job.attempt.clone()),
            percent: 42.5,
            stage: Stage::Extract.into(),
            operation: stamp::text(stamp::now()),
            units_done: 5,
            units_total: 12,
        };
        self.send(job.worker, Out::Progress(report)).await
    }

    /// Says how many pages the document of a topic's job has, which has to come before its pages.
    pub async fn plan(&self, topic: usize) -> anyhow::Result<()> {
        let job = &self.jobs[topic];
        let plan = ReportPlan { attempt: Some(job.attempt.clone()), pages_total: PAGES, document_pages: 0 };
        self.send(job.worker, Out::Plan(plan)).await
    }

    /// Reports the next page of a topic's job, a durable message, with so many zones, of which the first has the stamp.
    pub async fn page(&mut self, topic: usize, zones: usize) -> anyhow::Result<()> {
        let job = &mut self.jobs[topic];
        job.pages += 1;
        ensure!(job.pages <= PAGES, "a job has at most {PAGES} pages");
        let number = job.pages;
        let worker = job.worker;
        let long = "n".repeat(NOTE);
        let zones = (1..).take(zones).map(|index| Zone {
            zone_id: format!("p{number}z{index}"),
            index,
            page: number,
            kind: ZoneKind::Paragraph.into(),
            status: ZoneStatus::Completed.into(),
            tool: "text-layer".to_owned(),
            note: if index == 1 { stamp::text(stamp::now()) + &long } else { long.clone() },
            ..Zone::default()
        });
        let page = Page { number, zones: zones.collect(), ..Page::default() };
        let artifact = b"{}".to_vec().into();
        let report = ReportPage { attempt: Some(self.jobs[topic].attempt.clone()), page: Some(page), artifact };
        self.send(worker, Out::Page(report)).await
    }

    async fn send(&self, worker: usize, message: Out) -> anyhow::Result<()> {
        let sent = self.workers[worker].reports.send(WorkRequest { message: Some(message) }).await;
        if let Some(reason) = self.failed.lock().as_deref() {
            bail!("a worker cannot go on: {reason}");
        }
        Ok(sent?)
    }
}

async fn submit(courant: &Courant, channel: &Channel, topic: &Submission) -> anyhow::Result<String> {
    let jobs = Jobs::over(channel.clone(), &courant.token(&topic.owner, &[])?)?;
    let header = SubmitJobHeader {
        kind: KIND.to_owned(),
        filename: "report-of-the-year.pdf".to_owned(),
        document_id: topic.document_id.clone(),
        ..SubmitJobHeader::default()
    };
    Ok(accepted(jobs.submit_with(header, b"x".to_vec()).await?)?.0.job_id)
}

/// Waits until so many jobs are assigned; gives back whom each was given to.
async fn collect(
    mut assignments: mpsc::UnboundedReceiver<(usize, AttemptRef)>,
    count: usize,
) -> anyhow::Result<HashMap<String, (usize, AttemptRef)>> {
    let mut found = HashMap::new();
    while found.len() < count {
        let Ok(next) = tokio::time::timeout(ASSIGNING, assignments.recv()).await else {
            bail!("{} of {count} jobs were assigned, then none for {ASSIGNING:?}", found.len());
        };
        let (worker, attempt) = next.context("all workers are gone")?;
        found.insert(attempt.job_id.clone(), (worker, attempt));
    }
    Ok(found)
}
