//! `courant cancel`, `courant retry` and `courant delete`.

use std::process::ExitCode;

use courant_proto::v1::{CancelBatchRequest, CancelJobRequest, DeleteJobRequest, Job, RetryJobRequest};
use tonic::Status;

use crate::args::{Act, Cancel, Retry};
use crate::connect::{Client, connect};
use crate::failure::Failure;
use crate::{batch, jobs, out, password};

/// Cancels each job, or a whole batch; goes on with the others when one cannot be.
pub async fn cancel(args: Cancel) -> Result<ExitCode, Failure> {
    if let Some(batch_id) = args.batch {
        let mut client = connect(&args.connection).await?;
        let request = CancelBatchRequest { batch_id, owner: args.owner.unwrap_or_default() };
        let answer = client.cancel_batch(request).await?.into_inner();
        batch::print(&answer.batch.ok_or(Failure::Incomplete("the batch"))?, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let act = Act { jobs: args.jobs, json: args.json, connection: args.connection };
    each(act, async |client, job_id| {
        client.cancel_job(CancelJobRequest { job_id }).await.map(|answer| answer.into_inner().job)
    })
    .await
}

/// Queues each job again; goes on with the others when one cannot be.
pub async fn retry(args: Retry) -> Result<ExitCode, Failure> {
    let password = password::read(args.password_file.as_deref()).await?;
    each(args.act, async |client, job_id| {
        client
            .retry_job(RetryJobRequest { job_id, password: password.clone() })
            .await
            .map(|answer| answer.into_inner().job)
    })
    .await
}

/// Removes each job; goes on with the others when one cannot be. Prints the ids of those that are gone.
pub async fn delete(args: Act) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let mut code = ExitCode::SUCCESS;
    for job_id in args.jobs {
        match client.delete_job(DeleteJobRequest { job_id: job_id.clone() }).await {
            Ok(_) if args.json => out::line(serde_json::json!({ "jobId": job_id, "deleted": true }))?,
            Ok(_) => out::line(&job_id)?,
            Err(status) => code = refused(&job_id, status),
        }
    }
    Ok(code)
}

async fn each(
    args: Act,
    act: impl AsyncFn(&mut Client, String) -> Result<Option<Job>, Status>,
) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let mut code = ExitCode::SUCCESS;
    for job_id in args.jobs {
        match act(&mut client, job_id.clone()).await {
            Ok(Some(job)) => jobs::print(&job, args.json)?,
            Ok(None) => return Err(Failure::Incomplete("the job")),
            Err(status) => code = refused(&job_id, status),
        }
    }
    Ok(code)
}

fn refused(job_id: &str, status: Status) -> ExitCode {
    eprintln!("courant: {job_id}: {}", Failure::from(status));
    ExitCode::FAILURE
}
