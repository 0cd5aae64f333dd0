//! Workers: the same jobs given to one worker or to a thousand, by the real dispatcher. Workers do nothing and end their jobs at
//! once.

use std::path::Path;
use std::sync::Arc;

use courant_engine::attempt::AttemptId;
use courant_joblog::event::Change;
use courant_joblog::ids::{JobId, WorkerId};
use courant_joblog::job::{Job, State};
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{Assignment, WorkResponse};
use courant_server::services::Services;
use courant_server::worker::dispatch;
use courant_server::worker::registry::{OUTBOX, Registry, WorkerCapabilities};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::measure::{Stopwatch, bytes_each, resident};
use super::report::Row;
use super::service::{KIND, TIMES, each, open, owner, submit};

/// Jobs that a worker takes at once.
const SLOTS: u32 = 4;
const OWNERS: usize = 100;

/// Jobs that come one by one, while all workers are idle.
const SINGLE: usize = 300;

pub async fn row(folder: &Path, size: usize) -> anyhow::Result<Row> {
    let mut row = Row::default();
    let services = open(folder).await?;
    let jobs = TIMES + 2 * size * SLOTS as usize;
    each(0..jobs, |number| submit(&services, number, owner(number % OWNERS))).await?;
    let (registry, done, empty) = (Arc::new(Registry::default()), watch::Sender::new(0), resident()?);
    for number in 0..size {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let worker = WorkerId::new(format!("worker-{number:04}"));
        let capabilities = WorkerCapabilities {
            kinds: [KIND.into()].into(),
            slots: SLOTS,
            software: "growth".into(),
            takes_parts: true,
            ..WorkerCapabilities::default()
        };
        let session = registry.attach(worker.clone(), "worker", capabilities, outbox)?;
        registry.welcomed(&session);
        tokio::spawn(work(services.clone(), registry.clone(), worker, inbox, done.clone()));
    }
    row.add("bytes a worker", bytes_each(empty, resident()?, size));
    let watch = Stopwatch::start();
    let dispatching = tokio::spawn(dispatch::run(services.clone(), registry, Default::default()));
    let mut ended = done.subscribe();
    ended.wait_for(|ended| *ended == jobs).await?;
    let cost = watch.stop();
    row.add("a job, µs of the processors", cost.processor_us(jobs));
    row.add("a job, µs on the clock", cost.clock_us(jobs));
    let watch = Stopwatch::start();
    for number in 0..SINGLE {
        submit(&services, number, owner(number % OWNERS)).await?;
        ended.wait_for(|ended| *ended > jobs + number).await?;
    }
    row.add("a single job, µs of the processors", watch.stop().processor_us(SINGLE));
    dispatching.abort();
    Ok(row)
}

async fn work(
    services: Arc<Services>,
    registry: Arc<Registry>,
    worker: WorkerId,
    mut inbox: mpsc::Receiver<Result<WorkResponse, Status>>,
    done: watch::Sender<usize>,
) -> anyhow::Result<()> {
    while let Some(message) = inbox.recv().await {
        let Some(Message::Assignment(Assignment { attempt: Some(attempt), .. })) = message?.message else { continue };
        registry.renew_lease(&worker);
        let attempt = AttemptId { job: JobId::new(attempt.job_id), number: u32::try_from(attempt.attempt)? };
        registry.confirm(&worker, &attempt);
        let end = |job: &Job| {
            let ours = job.state == State::Running && job.attempt == attempt.number;
            Ok(ours.then(|| Change::Succeeded { attempt: attempt.number, warnings: Vec::new() }))
        };
        services.engine.change(&attempt.job, end).await?;
        done.send_modify(|ended| *ended += 1);
    }
    Ok(())
}
