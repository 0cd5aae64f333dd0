//! Two users. What belongs to the one looks to the other exactly like what never was.

use anyhow::ensure;
use courant_proto::v1::{
    CancelJobRequest, GetJobRequest, ListJobsRequest, ReadResultRequest, ResultFormat, RetryJobRequest,
    WatchJobRequest, WatchJobsRequest,
};
use courant_tests::grpc::{Jobs, accepted, reason};
use courant_tests::http::Answer;
use courant_tests::{Up, documents};
use serde_json::json;
use tonic::{Code, Status};

const NEVER: &str = "00000000000000000000000000";

/// A finished job of alice's.
async fn alices(up: &Up) -> anyhow::Result<String> {
    let jobs = up.jobs("alice").await?;
    let (job, _) = accepted(jobs.submit("private.pdf", documents::pages(1)).await?)?;
    jobs.ended(&job.job_id).await?;
    Ok(job.job_id)
}

/// Every way to ask for one job over gRPC, and what came of it.
async fn refusals(jobs: &Jobs, id: &str) -> Vec<(&'static str, Option<Status>)> {
    let job_id = id.to_owned();
    let mut client = jobs.client.clone();
    let read = ReadResultRequest { job_id: job_id.clone(), format: ResultFormat::Text.into(), offset: 0, limit: 0 };
    let watch = WatchJobRequest { job_id: job_id.clone(), ..WatchJobRequest::default() };
    vec![
        ("get", client.get_job(GetJobRequest { job_id: job_id.clone() }).await.err()),
        ("cancel", client.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.err()),
        ("retry", client.retry_job(RetryJobRequest { job_id, password: None }).await.err()),
        ("result", client.read_result(read).await.err()),
        ("watch", client.watch_job(watch).await.err()),
    ]
}

#[tokio::test]
async fn over_grpc_a_strangers_job_is_one_that_never_was() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let id = alices(&up).await?;
    let bob = up.jobs("bob").await?;
    let strangers = refusals(&bob, &id).await;
    for ((call, theirs), (_, never)) in strangers.into_iter().zip(refusals(&bob, NEVER).await) {
        let (Some(theirs), Some(never)) = (theirs, never) else { anyhow::bail!("{call} was answered") };
        ensure!(theirs.code() == Code::NotFound && reason(&theirs) == "JOB_NOT_FOUND", "{call}: {theirs}");
        ensure!(theirs.message().replace(&id, NEVER) == never.message(), "{call}: {theirs} / {never}");
        let details = String::from_utf8_lossy(theirs.details()).replace(&id, NEVER);
        ensure!(details.as_bytes() == String::from_utf8_lossy(never.details()).as_bytes(), "{call}: details differ");
    }
    Ok(())
}

#[tokio::test]
async fn lists_and_watches_show_ones_own_only() -> anyhow::Result<()> {
    let up = Up::start().await?;
    alices(&up).await?;
    let mut bob = up.jobs("bob").await?.client;
    ensure!(bob.list_jobs(ListJobsRequest::default()).await?.into_inner().jobs.is_empty(), "bob sees jobs");
    for owner in ["alice", "-"] {
        let list = ListJobsRequest { owner: owner.to_owned(), ..ListJobsRequest::default() };
        let refused = bob.list_jobs(list).await.err().map(|status| status.code());
        ensure!(refused == Some(Code::PermissionDenied), "list {owner}: {refused:?}");
        let watch = WatchJobsRequest { owner: owner.to_owned(), ..WatchJobsRequest::default() };
        let refused = bob.watch_jobs(watch).await.err().map(|status| status.code());
        ensure!(refused == Some(Code::PermissionDenied), "watch {owner}: {refused:?}");
    }
    let mut socket = up.socket("bob").await?;
    socket.subscribe("mine", None).await?;
    socket.until(|message| message["type"] == "live").await?;
    ensure!(socket.heard.iter().all(|message| message["type"] != "snapshot"), "{:?}", socket.heard);
    Ok(())
}

#[tokio::test]
async fn over_http_and_websocket_too() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let id = alices(&up).await?;
    let web = up.web("bob")?;
    for path in ["", "/results/md", "/results/json"] {
        let theirs = web.get(&format!("/v1/jobs/{id}{path}")).await?;
        same(&theirs, &web.get(&format!("/v1/jobs/{NEVER}{path}")).await?, &id)?;
    }
    for act in [":cancel", ":retry"] {
        let theirs = web.post(&format!("/v1/jobs/{id}{act}"), Vec::new()).await?;
        same(&theirs, &web.post(&format!("/v1/jobs/{NEVER}{act}"), Vec::new()).await?, &id)?;
    }
    let mut socket = up.socket("bob").await?;
    let mut answers = Vec::new();
    for job in [id.as_str(), NEVER] {
        let mut answer = socket.ask(json!({"type": "subscribe", "topic": format!("job/{job}")})).await?;
        ensure!(answer["type"] == "error" && answer["code"] == "JOB_NOT_FOUND", "{answer}");
        answer["id"] = 0.into();
        answers.push(answer.to_string().replace(job, "ID"));
    }
    ensure!(answers[0] == answers[1], "{answers:?}");
    Ok(())
}

fn same(theirs: &Answer, never: &Answer, id: &str) -> anyhow::Result<()> {
    ensure!(theirs.status == 404 && theirs.json()?["code"] == "JOB_NOT_FOUND", "{theirs:?}");
    let masked = Answer {
        body: theirs.body.replace(id, NEVER),
        ..Answer { status: theirs.status, content_type: theirs.content_type.clone(), body: String::new() }
    };
    ensure!(masked == *never, "{masked:?} / {never:?}");
    Ok(())
}

#[tokio::test]
async fn an_admin_sees_all() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let id = alices(&up).await?;
    let token = up.token("root", &[courant_auth::Role::Admin], courant_tests::up::HOUR)?;
    let mut admin = Jobs::connect(&up.grpc, &token).await?.client;
    let all = ListJobsRequest { owner: "-".to_owned(), ..ListJobsRequest::default() };
    let jobs = admin.list_jobs(all).await?.into_inner().jobs;
    ensure!(jobs.len() == 1 && jobs[0].job_id == id, "{jobs:?}");
    Ok(())
}
