//! `courant admin cancel-jobs`, `retry-jobs` and `delete-jobs`: jobs of any user, by their ids or by a filter.

use std::process::ExitCode;

use courant_proto::v1::{CancelJobRequest, DeleteJobRequest, Job, ListJobsRequest, RetryJobRequest};
use serde_json::json;
use tonic::Status;

use crate::args::Bulk;
use crate::connect::{Client, connect_jobs};
use crate::failure::Failure;
use crate::{jobs, out};
use courant_auth::Role;

/// The largest page the service gives.
const PAGE: usize = 1000;

/// What is done to each job.
#[derive(Clone, Copy)]
pub enum Action {
    Cancel,
    Retry,
    Delete,
}

/// Does it to each job; goes on with the others when one cannot be.
pub async fn run(args: Bulk, action: Action) -> Result<ExitCode, Failure> {
    let mut client = connect_jobs(&args.operator.connection, &[Role::Admin]).await?;
    let (json, found) = match &args.filter {
        Some(filter) => (args.operator.json, find(&mut client, filter, args.limit as usize).await?),
        None => (args.operator.json, Vec::new()),
    };
    if args.dry_run {
        for job in &found {
            jobs::print(job, json)?;
        }
        args.jobs.iter().try_for_each(out::line)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for job_id in args.jobs.into_iter().chain(found.into_iter().map(|job| job.job_id)) {
        match act(&mut client, action, &job_id).await {
            Ok(Some(job)) => jobs::print(&job, json)?,
            Ok(None) if json => out::line(json!({ "jobId": job_id, "deleted": true }))?,
            Ok(None) => out::line(&job_id)?,
            Err(status) => {
                eprintln!("courant: {job_id}: {}", Failure::from(status));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The jobs of all users for which a filter holds: found first, so that what is done to one changes nothing for the others.
async fn find(client: &mut Client, filter: &str, limit: usize) -> Result<Vec<Job>, Failure> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let page_size = i32::try_from((limit + 1 - found.len()).min(PAGE)).unwrap_or(i32::MAX);
        let request = ListJobsRequest {
            page_size,
            page_token,
            owner: "-".to_owned(),
            filter: filter.to_owned(),
            ..ListJobsRequest::default()
        };
        let answer = client.list_jobs(request).await?.into_inner();
        found.extend(answer.jobs);
        if found.len() > limit {
            return Err(Failure::TooManyJobs(limit));
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

async fn act(client: &mut Client, action: Action, job_id: &str) -> Result<Option<Job>, Status> {
    let job_id = job_id.to_owned();
    match action {
        Action::Cancel => Ok(client.cancel_job(CancelJobRequest { job_id }).await?.into_inner().job),
        Action::Retry => Ok(client.retry_job(RetryJobRequest { job_id, password: None }).await?.into_inner().job),
        Action::Delete => client.delete_job(DeleteJobRequest { job_id }).await.map(|_| None),
    }
}
