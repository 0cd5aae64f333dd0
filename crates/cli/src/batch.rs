//! `courant batch`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use courant_proto::v1::{self, GetBatchRequest, WatchBatchRequest};
use serde_json::json;

use crate::args::Batch;
use crate::connect::connect;
use crate::failure::{Failure, passes};
use crate::out;

/// The pause before a broken watch is begun again: a batch is always told as it is now.
const WAIT: Duration = Duration::from_secs(1);

/// Shows the batch, or follows it to its end.
pub async fn run(args: Batch) -> Result<ExitCode, Failure> {
    if args.watch {
        return follow(&args).await;
    }
    let mut client = connect(&args.connection).await?;
    let request = GetBatchRequest { batch_id: args.batch, owner: args.owner.unwrap_or_default() };
    let answer = client.get_batch(request).await?.into_inner();
    print(&answer.batch.ok_or(Failure::Incomplete("the batch"))?, args.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn follow(args: &Batch) -> Result<ExitCode, Failure> {
    let (mut last_message, mut last) = (Instant::now(), None);
    loop {
        match follow_once(args, &mut last_message, &mut last).await {
            Ok(Some(batch)) => {
                let good = batch.jobs_succeeded == batch.jobs_total;
                return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Ok(None) | Err(Failure::Unreachable { .. } | Failure::NotRunning(_)) => {}
            Err(failure) => return Err(failure),
        }
        if last_message.elapsed() > args.following.give_up_after {
            return Err(Failure::GaveUp(humantime::format_duration(args.following.give_up_after)));
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// One watch. Gives the batch back once it is complete, nothing when the watch broke.
async fn follow_once(
    args: &Batch,
    last_message: &mut Instant,
    last: &mut Option<v1::Batch>,
) -> Result<Option<v1::Batch>, Failure> {
    let mut client = connect(&args.connection).await?;
    let request = WatchBatchRequest {
        batch_id: args.batch.clone(),
        owner: args.owner.clone().unwrap_or_default(),
        min_interval: prost_types::Duration::try_from(args.following.min_interval).ok(),
    };
    let mut states = match client.watch_batch(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if passes(&status) => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    loop {
        let batch = match states.message().await {
            Ok(Some(state)) => state.batch.ok_or(Failure::Incomplete("the batch"))?,
            Ok(None) => return Ok(None),
            Err(status) if passes(&status) => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        *last_message = Instant::now();
        // The same again is a sign of life.
        if last.as_ref() != Some(&batch) {
            print(&batch, args.json)?;
        }
        if batch.complete {
            return Ok(Some(batch));
        }
        *last = Some(batch);
    }
}

/// One state: a line for people, or of JSON.
pub fn print(batch: &v1::Batch, json: bool) -> Result<(), Failure> {
    if json {
        return out::line(json!({
            "batchId": batch.batch_id,
            "owner": batch.owner,
            "jobsTotal": batch.jobs_total,
            "jobsQueued": batch.jobs_queued,
            "jobsRunning": batch.jobs_running,
            "jobsCancelling": batch.jobs_cancelling,
            "jobsSucceeded": batch.jobs_succeeded,
            "jobsFailed": batch.jobs_failed,
            "jobsCancelled": batch.jobs_cancelled,
            "progress": batch.percent,
            "pagesTotal": batch.pages_total,
            "pagesDone": batch.pages_done,
            "complete": batch.complete,
            "createTime": batch.create_time.map(|time| time.to_string()),
            "endTime": batch.end_time.map(|time| time.to_string()),
            "revision": batch.revision,
        }));
    }
    let counts = [
        (batch.jobs_queued, "queued"),
        (batch.jobs_running, "running"),
        (batch.jobs_cancelling, "being cancelled"),
        (batch.jobs_succeeded, "succeeded"),
        (batch.jobs_failed, "failed"),
        (batch.jobs_cancelled, "cancelled"),
    ];
    let there: i32 = counts.iter().map(|(count, _)| count).sum();
    let missing = (batch.jobs_total - there, "not submitted yet");
    let words = counts.into_iter().chain([missing]).filter(|(count, _)| *count > 0);
    let words: Vec<String> = words.map(|(count, word)| format!("{count} {word}")).collect();
    out::line(format_args!("{}  {:>3.0} %  {}", batch.batch_id, batch.percent, words.join(", ")))
}
