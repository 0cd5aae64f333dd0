//! A service: it submits a document over gRPC and follows it to its end.

use std::time::Duration;

use anyhow::ensure;
use courant_proto::v1::SubmitJobHeader;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::Client;
use super::tally::Wait;
use crate::documents;
use crate::grpc::{Jobs, Watch, accepted};

/// Between two documents.
const PAUSE: Duration = Duration::from_millis(50);
/// Before a call that failed is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(100);
/// A call that is not answered within this time never is.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Enough for a worker to be in the middle of it when it is stopped.
const PAGES: usize = 60;

pub(super) async fn work(client: Client) -> anyhow::Result<()> {
    let jobs = Jobs::connect(&client.grpc, &client.token).await?;
    let mut round = 0;
    while !client.stop.is_cancelled() {
        round += 1;
        let submit = || {
            let request_id = format!("grpc-{}-{round}", client.number);
            let header = SubmitJobHeader { filename: "long.pdf".into(), request_id, ..SubmitJobHeader::default() };
            jobs.submit_with(header, documents::pages(PAGES))
        };
        let (job, cursor) = accepted(until_answered(&client, "SubmitJob", submit).await?)?;
        client.tally.submitted(job.job_id.clone());
        follow(&client, &jobs, &job.job_id, cursor).await?;
        until_answered(&client, "GetJob", || jobs.get(&job.job_id)).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Follows a job to its end: what has ended without that begins again where it was.
async fn follow(client: &Client, jobs: &Jobs, id: &str, mut cursor: String) -> anyhow::Result<()> {
    let (mut revisions, mut lost) = (Vec::new(), None);
    loop {
        let mut watch: Watch = until_answered(client, "WatchJob", || jobs.watch(id, &cursor)).await?;
        let mut ended = false;
        while let Ok(Some(_)) = watch.next().await {
            if let Some(at) = lost.take() {
                client.tally.waited(Wait::Watch, Instant::elapsed(&at), || id.to_owned());
            }
            ended |=
                watch.events().last().is_some_and(|event| event.job.as_ref().is_some_and(|job| job.end_time.is_some()));
        }
        revisions.extend(watch.revisions());
        cursor.clone_from(&watch.cursor);
        if ended {
            break;
        }
        lost = Some(Instant::now());
    }
    if !revisions.is_sorted_by(|one, next| one < next) {
        client.tally.violation(format!("events of job {id} came twice or in another order over gRPC: {revisions:?}"));
    }
    Ok(())
}

async fn until_answered<T, F>(client: &Client, what: &str, mut call: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, Status>>,
{
    let began = Instant::now();
    loop {
        match call().await {
            Ok(answer) => {
                client.tally.waited(Wait::Grpc, began.elapsed(), || what.to_owned());
                return Ok(answer);
            }
            Err(status) if status.code() == Code::Unavailable => client.tally.unavailable(),
            Err(status) => {
                client.tally.failed(format!("{what}: {:?} {}", status.code(), status.message()));
                ensure!(matches!(status.code(), Code::Unknown | Code::Internal), "{what}: {status}");
            }
        }
        ensure!(began.elapsed() < GIVE_UP, "{what}: no answer within {GIVE_UP:?}");
        tokio::time::sleep(REPEAT_AFTER).await;
    }
}
