//! Single jobs of one owner while another owner has thousands waiting.

use std::time::Instant;

use anyhow::Context as _;
use courant_proto::v1::job_event::Change;
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::{JobEvent, WatchJobsRequest};

use super::load::{Submits, Way, Workers, owners, submit_all};
use super::{Options, Row, server};
use crate::grpc::Jobs;

/// Jobs of the first owner.
const WAITING: usize = 10_000;
/// Jobs of the second, one at a time.
const SAMPLES: usize = 200;
/// Slots of the one worker.
const SLOTS: u32 = 8;

pub async fn measure(options: &Options) -> anyhow::Result<Row> {
    let mut row = Row::new(format!(
        "fairness: {SAMPLES} single jobs of one owner while {WAITING} of another wait, {SLOTS} slots"
    ));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let clients = owners(&up, 2).await?;
        let [many, single] =
            [Submits::open(&clients[0], Way::Stream).await?, Submits::open(&clients[1], Way::Calls).await?];
        let alone = {
            let workers = Workers::start(&up, 1, SLOTS)?;
            let taken = one_by_one(&clients[1], &single).await?;
            workers.stop().await?;
            taken
        };
        let mut first = starts(&clients[0]).await?;
        submit_all(&[many], WAITING, 100).await?;
        let workers = Workers::start(&up, 1, SLOTS)?;
        // They are under way.
        first.next().await?;
        let others = tokio::spawn(first.collect());
        let beside = one_by_one(&clients[1], &single).await?;
        let starts = others.await??;
        workers.stop().await?;
        let before = |job: &Sample| starts.iter().filter(|at| (job.queued..job.started).contains(*at)).count();
        let mut jobs: Vec<usize> = beside.iter().map(before).collect();
        jobs.sort_unstable();
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        for (name, jobs) in [("jobs of the other before it, p50", jobs[SAMPLES / 2]), ("at most", jobs[SAMPLES - 1])] {
            row.add(name, jobs as f64);
        }
        row.add("p50 ms", median(&beside));
        row.add("p50 ms alone", median(&alone));
    }
    Ok(row)
}

/// A job of the second owner: the revisions at which it was queued and started, and how long it took.
struct Sample {
    queued: i64,
    started: i64,
    ms: f64,
}

async fn one_by_one(jobs: &Jobs, submits: &Submits) -> anyhow::Result<Vec<Sample>> {
    let mut watch = starts(jobs).await?;
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let job = submits.submit().await?;
        let (mut queued, mut started) = (0, 0);
        loop {
            let event = watch.event().await?;
            if event.job.as_ref().is_none_or(|of| of.job_id != job) {
                continue;
            }
            match event.change {
                Some(Change::Queued(_)) => queued = event.revision,
                Some(Change::Started(_)) => started = event.revision,
                Some(Change::Succeeded(_)) => break,
                _ => {}
            }
        }
        samples.push(Sample { queued, started, ms: begun.elapsed().as_secs_f64() * 1e3 });
    }
    Ok(samples)
}

fn median(samples: &[Sample]) -> f64 {
    let mut taken: Vec<f64> = samples.iter().map(|sample| sample.ms).collect();
    taken.sort_by(f64::total_cmp);
    taken[taken.len() / 2]
}

/// What happens to the jobs of one owner, from now on.
struct Starts(tonic::Streaming<courant_proto::v1::WatchJobsResponse>);

async fn starts(jobs: &Jobs) -> anyhow::Result<Starts> {
    let mut stream = jobs.client.clone().watch_jobs(WatchJobsRequest::default()).await?.into_inner();
    while !matches!(stream.message().await?.context("the watch ended")?.step, Some(Step::Live(_))) {}
    Ok(Starts(stream))
}

impl Starts {
    async fn event(&mut self) -> anyhow::Result<JobEvent> {
        loop {
            if let Some(Step::Event(event)) = self.0.message().await?.context("the watch ended")?.step {
                return Ok(event);
            }
        }
    }

    /// The revision of the next start.
    async fn next(&mut self) -> anyhow::Result<i64> {
        loop {
            let event = self.event().await?;
            if matches!(event.change, Some(Change::Started(_))) {
                return Ok(event.revision);
            }
        }
    }

    /// The revisions of all starts until no job is left.
    async fn collect(mut self) -> anyhow::Result<Vec<i64>> {
        let mut revisions = Vec::new();
        while revisions.len() + 1 < WAITING {
            revisions.push(self.next().await?);
        }
        Ok(revisions)
    }
}
