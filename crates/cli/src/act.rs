//! `courant cancel` and `courant retry`.

use std::process::ExitCode;

use courant_proto::v1::{CancelJobRequest, Job, RetryJobRequest};
use tonic::Status;

use crate::args::Act;
use crate::connect::{Client, connect};
use crate::failure::Failure;
use crate::jobs::print;

/// Cancels each job; goes on with the others when one cannot be.
pub async fn cancel(args: Act) -> Result<ExitCode, Failure> {
    each(args, async |client, job_id| {
        client.cancel_job(CancelJobRequest { job_id }).await.map(|answer| answer.into_inner().job)
    })
    .await
}

/// Queues each job again; goes on with the others when one cannot be.
pub async fn retry(args: Act) -> Result<ExitCode, Failure> {
    each(args, async |client, job_id| {
        client.retry_job(RetryJobRequest { job_id }).await.map(|answer| answer.into_inner().job)
    })
    .await
}

async fn each(
    args: Act,
    act: impl AsyncFn(&mut Client, String) -> Result<Option<Job>, Status>,
) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let mut code = ExitCode::SUCCESS;
    for job_id in args.jobs {
        match act(&mut client, job_id.clone()).await {
            Ok(Some(job)) => print(&job, args.json)?,
            Ok(None) => return Err(Failure::Incomplete("the job")),
            Err(status) => {
                eprintln!("courant: {job_id}: {}", Failure::from(status));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
