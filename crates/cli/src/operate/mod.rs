//! `courant workers`, `drain`, `resume` and `metrics`: for operators.

mod metrics;
mod workers;

use std::process::ExitCode;

use courant_proto::v1::{
    DrainWorkerRequest, GetSystemMetricsRequest, ListWorkersRequest, ResumeWorkerRequest, WatchSystemMetricsRequest,
    WatchWorkersRequest, Worker,
};
use tonic::Status;

use crate::args::{WatchFlags, WorkerIds};
use crate::connect::{Admin, connect_admin};
use crate::failure::Failure;

/// Lists the workers, once or whenever something about them changes.
pub async fn workers(args: WatchFlags) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    if !args.watch {
        let list = admin.list_workers(ListWorkersRequest {}).await?.into_inner();
        workers::print(&list.workers, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let min_interval = prost_types::Duration::try_from(args.interval).ok();
    let mut lists = admin.watch_workers(WatchWorkersRequest { min_interval }).await?.into_inner();
    let mut shown = None;
    while let Some(list) = lists.message().await? {
        // The same comes again from time to time, to show that the connection lives.
        let rows = workers::rows(&list.workers);
        if shown.as_ref() != Some(&rows) {
            workers::print(&list.workers, args.json)?;
            shown = Some(rows);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the metrics, once or again and again.
pub async fn metrics(args: WatchFlags) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    if !args.watch {
        let answer = admin.get_system_metrics(GetSystemMetricsRequest {}).await?.into_inner();
        metrics::print(&answer.metrics.ok_or(Failure::Incomplete("the metrics"))?, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let interval = prost_types::Duration::try_from(args.interval).ok();
    let mut sets = admin.watch_system_metrics(WatchSystemMetricsRequest { interval }).await?.into_inner();
    while let Some(set) = sets.message().await? {
        metrics::print(&set.metrics.ok_or(Failure::Incomplete("the metrics"))?, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Drains each worker; goes on with the others when one cannot be.
pub async fn drain(args: WorkerIds) -> Result<ExitCode, Failure> {
    each(args, async |admin, worker_id| {
        admin.drain_worker(DrainWorkerRequest { worker_id }).await.map(|answer| answer.into_inner().worker)
    })
    .await
}

/// Resumes each worker; goes on with the others when one cannot be.
pub async fn resume(args: WorkerIds) -> Result<ExitCode, Failure> {
    each(args, async |admin, worker_id| {
        admin.resume_worker(ResumeWorkerRequest { worker_id }).await.map(|answer| answer.into_inner().worker)
    })
    .await
}

async fn each(
    args: WorkerIds,
    act: impl AsyncFn(&mut Admin, String) -> Result<Option<Worker>, Status>,
) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    let (mut code, mut done) = (ExitCode::SUCCESS, Vec::new());
    for worker in args.workers {
        match act(&mut admin, worker.clone()).await {
            Ok(found) => done.push(found.ok_or(Failure::Incomplete("the worker"))?),
            Err(status) => {
                eprintln!("courant: {worker}: {}", Failure::from(status));
                code = ExitCode::FAILURE;
            }
        }
    }
    if !done.is_empty() {
        workers::print(&done, args.json)?;
    }
    Ok(code)
}
