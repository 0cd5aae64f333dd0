//! The end: the whole history of every job is read once more, with its document, and the results of those that ended well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use courant_proto::v1::{
    DownloadDocumentRequest, DownloadDocumentResponse, GetBatchRequest, GetJobRequest, Job, ListJobsRequest,
    ReadPageRequest, ReadPageResponse, ReadResultRequest, ReadResultResponse, ResultFormat, download_document_response,
    read_page_response, read_result_response,
};
use courant_runtime::hex;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Streaming;

use super::super::fact::{self, WatchUpdate};
use super::super::record::{After, Closed, Outcome, Record, RecordWriter, Scope, Via};
use super::grpc::{Grpc, timely};
use super::steps::{Step, Watch};
use super::{BATCHES, User, World};

/// Histories that are read at once.
const AT_ONCE: usize = 8;
/// How often one is tried.
const TRIES: u32 = 5;

/// Waits until every job has ended; `false` when time is up first.
pub async fn all_ended(world: &World, until: Instant) -> bool {
    while Instant::now() < until {
        if unfinished(world).await == Some(0) {
            return true;
        }
        sleep(Duration::from_millis(500)).await;
    }
    false
}

async fn unfinished(world: &World) -> Option<usize> {
    let grpc = Grpc::new(&world.grpc, &world.admin).ok()?;
    let states = vec![1, 2, 3];
    let request = ListJobsRequest { owner: "-".to_owned(), page_size: 1000, states, ..ListJobsRequest::default() };
    let answer = timely(async { grpc.client().list_jobs(grpc.with(request)).await }).await.ok()?;
    Some(answer.into_inner().jobs.len())
}

/// Reads everything.
///
/// `patience` is how long a history may take that does not come to its end.
pub async fn read_all(world: &Arc<World>, writer: &RecordWriter, results: &RecordWriter, patience: Duration) {
    for user in &world.users {
        let Ok(grpc) = Grpc::new(&world.grpc, user) else { continue };
        finish_removals(&grpc, user, writer).await;
        let mut all = user.all.lock().clone();
        all.retain(|(job, _)| !user.deleted.lock().contains(job));
        all.sort();
        all.dedup_by(|a, b| a.0 == b.0);
        let reads = all.iter().map(|(job, cursor)| {
            let (world, user, grpc) = (world.clone(), user.clone(), grpc.clone());
            async move {
                for _ in 0..TRIES {
                    if history(&grpc, &user, (job, cursor), writer, patience).await {
                        break;
                    }
                }
                read_results(&world, &user, &grpc, job, results).await;
            }
        });
        futures::stream::iter(reads).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        for batch in BATCHES {
            read_batch(&grpc, user, batch, results).await;
        }
    }
}

/// Finds out of every job that may have been removed whether it was; one that is still there is read like all others.
async fn finish_removals(grpc: &Grpc, user: &User, writer: &RecordWriter) {
    let maybe: Vec<String> = user.deleted.lock().iter().cloned().collect();
    for job in maybe {
        let request = GetJobRequest { job_id: job.clone() };
        let name = user.name.clone();
        match timely(async { grpc.client().get_job(grpc.with(request)).await }).await {
            Ok(_) => {
                user.deleted.lock().remove(&job);
                writer.write(Record::Kept { user: name, job });
            }
            Err(status) if super::grpc::reason(&status) == "JOB_NOT_FOUND" => {
                writer.write(Record::Deleted { user: name, job, outcome: Outcome::Done });
            }
            Err(_) => {}
        }
    }
}

async fn history(grpc: &Grpc, user: &User, of: (&str, &str), writer: &RecordWriter, patience: Duration) -> bool {
    let (job, cursor) = of;
    let (seg, scope) = (writer.number(), Scope::Job(job.to_owned()));
    let (after, name) = (After::Submit(job.to_owned()), user.name.clone());
    writer.write(Record::Open { seg, user: name, scope: scope.clone(), via: Via::Grpc, after, last: true });
    let how = match super::grpc::Watch::open(grpc, &scope, cursor, Duration::ZERO).await {
        Ok(watch) => read_to_end(Watch::Grpc(Box::new(watch)), seg, writer, patience).await,
        Err(status) => super::steps::refused(super::grpc::reason(&status)),
    };
    // One that goes on does not end by being read again.
    let done = matches!(how, Closed::Ended | Closed::Left);
    writer.write(Record::Closed { seg, how });
    done
}

async fn read_to_end(mut watch: Watch, seg: u64, writer: &RecordWriter, patience: Duration) -> Closed {
    let until = Instant::now() + patience;
    loop {
        match timeout_at(until, watch.next()).await {
            Err(_) => return Closed::Left,
            Ok(Err(how)) => return how,
            Ok(Ok((_, Step::Update(WatchUpdate::Fact(fact))))) => writer.write(Record::Heard { seg, fact: *fact }),
            Ok(Ok((_, Step::Snapshot(fact)))) => writer.write(Record::Snapshot { seg, fact }),
            Ok(Ok((_, Step::Gap(reason)))) => writer.write(Record::Gap { seg, reason }),
            Ok(Ok((_, Step::Live))) => writer.write(Record::Live { seg }),
            Ok(Ok(_)) => {}
        }
    }
}

async fn read_batch(grpc: &Grpc, user: &User, batch: &str, writer: &RecordWriter) {
    let request = GetBatchRequest { batch_id: batch.to_owned(), owner: String::new() };
    let answer = timely(async { grpc.client().get_batch(grpc.with(request)).await }).await;
    let Ok(Some(state)) = answer.map(|answer| answer.into_inner().batch) else { return };
    let counts = [state.jobs_total, state.jobs_succeeded, state.jobs_failed, state.jobs_cancelled];
    let (user, batch, complete) = (user.name.clone(), batch.to_owned(), state.complete);
    writer.write(Record::Batch { user, batch, counts, complete });
}

async fn read_results(world: &World, user: &User, grpc: &Grpc, job: &str, writer: &RecordWriter) {
    let (server, request) = (grpc.turn(), GetJobRequest { job_id: job.to_owned() });
    let answer = timely(async { grpc.client_of(server).get_job(grpc.with(request)).await });
    let Ok(Some(state)) = answer.await.map(|answer| answer.into_inner().job) else { return };
    writer.write(Record::Read {
        user: user.name.clone(),
        via: Via::Grpc,
        call: "get".to_owned(),
        server: Some(server),
        fact: fact::of_job(&state),
    });
    let read = document(grpc, job).await.unwrap_or_else(|error| error);
    writer.write(Record::Document { user: user.name.clone(), job: job.to_owned(), read });
    if fact::state(state.state()) != "succeeded" {
        return;
    }
    if state.kind == fact::KIND && state.pages_total > 0 {
        read_page(user, grpc, &state, writer).await;
    }
    for (number, (format, promised)) in fact::exports(&state).enumerate() {
        let over_http = number % 2 == 1;
        let read =
            if over_http { over_http_of(world, user, job, format).await } else { bytes(grpc, job, format).await };
        let via = if over_http { Via::Http } else { Via::Grpc };
        let read = read.unwrap_or_else(|error| error);
        let (user, job, promised) = (user.name.clone(), job.to_owned(), promised.to_owned());
        writer.write(Record::Result { user, via, job, of: fact::format(format).to_owned(), promised, read });
    }
}

/// Reads one of the pages.
async fn read_page(user: &User, grpc: &Grpc, state: &Job, writer: &RecordWriter) {
    let page = 1 + state.job_id.bytes().map(i32::from).sum::<i32>() % state.pages_total;
    let request = ReadPageRequest { job_id: state.job_id.clone(), page };
    let (att, read) = match page_of(grpc, request).await {
        Ok((att, text)) => (att, String::from_utf8_lossy(&text).into_owned()),
        Err(error) => (0, error),
    };
    writer.write(Record::Page { user: user.name.clone(), job: state.job_id.clone(), page, att, read });
}

async fn page_of(grpc: &Grpc, request: ReadPageRequest) -> Result<(i32, Vec<u8>), String> {
    use read_page_response::Part;
    let stream = timely(async { grpc.client().read_page(grpc.with(request)).await }).await;
    let mut stream = stream.map_err(|status| status.to_string())?.into_inner();
    let (mut att, mut text) = (0, Vec::new());
    while let Some(ReadPageResponse { part }) = stream.message().await.map_err(|status| status.to_string())? {
        match part {
            Some(Part::Header(header)) => att = header.attempt,
            Some(Part::Chunk(chunk)) => text.extend_from_slice(&chunk),
            None => {}
        }
    }
    Ok((att, text))
}

async fn document(grpc: &Grpc, job: &str) -> Result<String, String> {
    use download_document_response::Part;
    let request = DownloadDocumentRequest { job_id: job.to_owned(), offset: 0, limit: 0 };
    let stream = timely(async { grpc.client().download_document(grpc.with(request)).await }).await;
    sha(stream.map_err(|status| status.to_string())?.into_inner(), |DownloadDocumentResponse { part }| match part {
        Some(Part::Chunk(chunk)) => Some(chunk),
        _ => None,
    })
    .await
}

async fn bytes(grpc: &Grpc, job: &str, format: ResultFormat) -> Result<String, String> {
    use read_result_response::Part;
    let request = ReadResultRequest { job_id: job.to_owned(), format: format.into(), offset: 0, limit: 0 };
    let stream = timely(async { grpc.client().read_result(grpc.with(request)).await }).await;
    sha(stream.map_err(|status| status.to_string())?.into_inner(), |ReadResultResponse { part }| match part {
        Some(Part::Chunk(chunk)) => Some(chunk),
        _ => None,
    })
    .await
}

/// The checksum of what comes in pieces.
async fn sha<T>(mut stream: Streaming<T>, chunk: impl Fn(T) -> Option<Bytes>) -> Result<String, String> {
    let mut hasher = Sha256::new();
    while let Some(message) = stream.message().await.map_err(|status| status.to_string())? {
        hasher.update(chunk(message).unwrap_or_default());
    }
    Ok(hex(&hasher.finalize()))
}

async fn over_http_of(world: &World, user: &User, job: &str, format: ResultFormat) -> Result<String, String> {
    let url = format!("http://{}/v1/jobs/{job}/results/{}", world.http.any(), fact::format(format));
    let answer = reqwest::Client::new().get(url).bearer_auth(&user.token).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
    Ok(hex(&Sha256::digest(answer.bytes().await.map_err(|error| error.to_string())?)))
}
