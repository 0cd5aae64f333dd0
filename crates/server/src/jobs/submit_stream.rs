//! Many small documents on one stream, each answered by itself.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Identity, TokenError};
use courant_proto::v1::submit_jobs_response::Outcome;
use courant_proto::v1::{SubmitJobResponse, SubmitJobsRequest, SubmitJobsResponse};
use courant_runtime::request;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status, Streaming};

use super::actions::Jobs;
use super::submit::{self, MAX_CHUNK};
use super::submit_request::SubmitRequest;
use crate::audit;
use crate::auth::time_left;
use crate::error::Error;
use crate::incoming_body::{IncomingBody, MAX_PIECE_MESSAGE};
use crate::shares::WithPermit;
use crate::status::call_error;

/// Requests of one stream that are under way. When there are more the stream is not read, so that the caller's own window
/// fills; others do not notice.
pub const MAX_UNDER_WAY: usize = 256;
/// Bytes of their documents. The last one may exceed it, by no more than a message has.
pub const MAX_BYTES: usize = 1 << 20;
/// Memory of the documents under way.
const UNDER_WAY_MEMORY: u32 = (MAX_BYTES + MAX_PIECE_MESSAGE) as u32;
/// Answers on their way to the caller.
const ANSWERS: usize = 64;

pub type Answers = mpsc::Receiver<Result<SubmitJobsResponse, Status>>;

/// Serves the stream; the answers come out of the receiver. Whoever goes away has the jobs of all requests that were read, or
/// of some, but never half of one.
pub fn start(jobs: Jobs, identity: Arc<Identity>, inbound: Streaming<SubmitJobsRequest>) -> Answers {
    let (answers, out) = mpsc::channel(ANSWERS);
    jobs.services.clone().streams.spawn(request::kept(audit::carry(async move {
        if let Err(error) = serve(&jobs, &identity, inbound, &answers).await {
            tracing::debug!(%error, "a stream of submits ended");
            let _ = answers.try_send(Err(error.into()));
        }
    })));
    out
}

async fn serve(
    jobs: &Jobs,
    identity: &Identity,
    mut inbound: Streaming<SubmitJobsRequest>,
    answers: &mpsc::Sender<Result<SubmitJobsResponse, Status>>,
) -> Result<(), Error> {
    let expires = Instant::now() + time_left(identity).min(Duration::from_secs(366 * 24 * 3600));
    let (user, idle) = (&*identity.subject, jobs.services.config.upload_idle);
    let _memory = jobs.services.shares.upload_memory.take(user, UNDER_WAY_MEMORY, idle).await?;
    let mut body = IncomingBody::begin(&jobs.services, user, 0).await?;
    let mut under_way = FuturesUnordered::new();
    let (mut bytes, mut reading, mut end, mut answered) = (0, true, Ok(()), true);
    loop {
        let has_capacity = under_way.len() < MAX_UNDER_WAY && bytes < MAX_BYTES;
        tokio::select! {
            Some((length, answer)) = under_way.next() => {
                bytes -= length;
                // What was read is done to its end, whether or not somebody reads the answers.
                if answered && let Err(error) = deliver(answers, answer, idle).await {
                    (answered, reading, end) = (false, false, Err(error));
                }
            }
            next = body.next(next(&mut inbound)), if reading && has_capacity => match next {
                Ok(Some(request)) => {
                    let length = request.document.len();
                    body.arrived(length);
                    bytes += length;
                    under_way.push(take(jobs, identity, request).map(move |answer| (length, answer)));
                }
                // Who pauses opens another stream: this one's memory is for others.
                Ok(None) | Err(Error::UploadStalled(_) | Error::UploadTooSlow(_)) => reading = false,
                Err(error) => (reading, end) = (false, Err(error)),
            },
            () = jobs.services.stopping.cancelled(), if reading => (reading, end) = (false, Err(Error::Draining)),
            () = sleep_until(expires), if reading => (reading, end) = (false, Err(TokenError::Expired.into())),
            else => return end,
        }
    }
}

async fn next(inbound: &mut Streaming<SubmitJobsRequest>) -> Result<Option<SubmitJobsRequest>, Error> {
    inbound.message().await.map_err(|status| match status.code() {
        Code::OutOfRange => too_large(),
        _ => Error::field("message", format!("cannot be read: {}", status.message())),
    })
}

fn too_large() -> Error {
    Error::field("document", "must have at most 1 MiB; a larger one needs SubmitJob")
}

/// Sends an answer. A caller that is gone does not need it; one that does not read is told so.
async fn deliver(
    answers: &mpsc::Sender<Result<SubmitJobsResponse, Status>>,
    answer: SubmitJobsResponse,
    within: Duration,
) -> Result<(), Error> {
    match timeout(within, answers.send(Ok(answer))).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::UploadStalled(within)),
    }
}

async fn take(jobs: &Jobs, identity: &Identity, request: SubmitJobsRequest) -> SubmitJobsResponse {
    let number = request.number;
    let outcome = match submit(jobs, identity, request).await {
        Ok(submitted) => {
            let job = submitted.job.as_ref().map(|job| job.job_id.as_str());
            audit::record_now("job.submit", Code::Ok, job, None);
            Outcome::Submitted(submitted)
        }
        Err(error) => {
            let refused = call_error(error);
            audit::record_now("job.submit", Code::from_i32(refused.code), None, None);
            Outcome::Error(refused)
        }
    };
    SubmitJobsResponse { number, outcome: Some(outcome) }
}

async fn submit(jobs: &Jobs, identity: &Identity, request: SubmitJobsRequest) -> Result<SubmitJobResponse, Error> {
    let services = &jobs.services;
    let SubmitJobsRequest { header, document, .. } = request;
    let header = header.ok_or_else(|| Error::field("header", "must be set"))?;
    if document.len() > MAX_CHUNK {
        return Err(too_large());
    }
    let request = SubmitRequest::check(header, identity, &services.config)?;
    let reservation = submit::reserve(services, &request)?;
    let found = document.len() as u64;
    submit::check_limit(services, &request, reservation.as_ref(), found)?;
    submit::check_whole(&request, found)?;
    let document = services.files.whole_document(document).await?;
    submit::check_sum(&request, &document)?;
    let registry = Some(jobs.registry.clone());
    let submitted = submit::commit(services.clone(), registry, request, document, reservation).await?;
    submit::answer(services, &submitted).await
}

/// The stream to the caller, which counts as one of its user's.
pub type SubmitJobsStream = WithPermit<tokio_stream::wrappers::ReceiverStream<Result<SubmitJobsResponse, Status>>>;
