//! `ConvertDocument`: submits a document, waits for the end of its job, and answers with the result.
//!
//! The wait is a watch of the engine: nothing is asked again and again. While it lasts, the call holds its share of the
//! conversions and the watch, and nothing of the document.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Identity;
use courant_engine::hub::Scope;
use courant_engine::snapshot::JobSnapshot;
use courant_engine::transitions;
use courant_engine::watch::{self, End, OnGap, Watch, WatchError};
use courant_joblog::ids::JobId;
use courant_joblog::job::State;
use courant_proto::v1::convert_document_header::Result as Wanted;
use courant_proto::v1::convert_document_request::Part as RequestPart;
use courant_proto::v1::convert_document_response::Part;
use courant_proto::v1::submit_job_request::Part as SubmitPart;
use courant_proto::v1::{
    ConvertDocumentHeader, ConvertDocumentRequest, ConvertDocumentResponse, ReadOutputRequest, ReadOutputResponse,
    ReadResultHeader, ReadResultRequest, ReadResultResponse, SubmitJobHeader, SubmitJobRequest, SubmitJobResponse,
    read_output_response, read_result_response,
};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::actions::Jobs;
use super::{outputs, results, submit};
use crate::auth::time_left;
use crate::convert;
use crate::error::Error;
use crate::parameters::{self, PDF_KIND};
use crate::share::UserPermit;

/// How long a caller waits that does not say. Below the minute after which proxies give up.
const DEFAULT_WAIT: Duration = Duration::from_secs(50);
/// Nothing of what happens meanwhile is for the caller: transient updates come as seldom as they may.
const QUIET: Duration = Duration::from_secs(60);

pub type ConvertDocumentStream = BoxStream<'static, Result<ConvertDocumentResponse, Status>>;

/// What the caller wants beside the submit.
struct Conversion {
    wanted: Wanted,
    wait: Duration,
    cancel_on_disconnect: bool,
}

/// Takes the document in; what comes of it is in the stream.
pub async fn start(
    jobs: &Jobs,
    identity: Arc<Identity>,
    mut inbound: Streaming<ConvertDocumentRequest>,
) -> Result<ConvertDocumentStream, Error> {
    let services = &jobs.services;
    let used = services.shares.conversions.try_take(&identity.subject, 1)?;
    let first = tokio::time::timeout(services.config.upload_idle, first(&mut inbound)).await;
    let header = first.map_err(|_| Error::UploadStalled(services.config.upload_idle))??;
    let (submit, conversion) = check(header, services.config.max_conversion_wait)?;
    let header = SubmitJobRequest { part: Some(SubmitPart::Header(submit)) };
    let mut parts = futures::stream::once(async { Ok(header) }).chain(inbound.map_ok(piece)).boxed();
    let submitted = submit::submit(services, &jobs.registry, &identity, &mut parts).await?;
    let job = submitted.job.as_ref().map(|job| job.job_id.clone()).unwrap_or_default();
    let waiting = Waiting::begin(jobs.clone(), identity, convert::job_id(&job)?, conversion, used);
    let first = answer(Part::Submitted(submitted));
    Ok(futures::stream::once(async { Ok(first) }).chain(waiting.finish().try_flatten_stream()).boxed())
}

async fn first(inbound: &mut Streaming<ConvertDocumentRequest>) -> Result<ConvertDocumentHeader, Error> {
    let message = inbound.message().await.map_err(|status| match status.code() {
        Code::OutOfRange => Error::field("header", "is too large"),
        _ => Error::WrongOrder("the upload was cut off"),
    })?;
    match message.and_then(|message| message.part) {
        Some(RequestPart::Header(header)) => Ok(header),
        _ => Err(Error::WrongOrder("the first message must be the header")),
    }
}

/// A piece of the document as a submit has it. A second header is one there, too, and refused.
fn piece(message: ConvertDocumentRequest) -> SubmitJobRequest {
    let part = message.part.map(|part| match part {
        RequestPart::Header(header) => SubmitPart::Header(header.submit.unwrap_or_default()),
        RequestPart::Chunk(chunk) => SubmitPart::Chunk(chunk),
    });
    SubmitJobRequest { part }
}

fn check(header: ConvertDocumentHeader, longest: Duration) -> Result<(SubmitJobHeader, Conversion), Error> {
    let ConvertDocumentHeader { submit, result, wait, cancel_on_disconnect } = header;
    let mut submit = submit.ok_or_else(|| Error::field("header.submit", "must be set"))?;
    let wanted = result.ok_or_else(|| Error::field("header.result", "must be a format or the name of an output"))?;
    if let Wanted::Format(format) = wanted {
        convert::format_in("header.format", format)?;
        if !submit.formats.contains(&format) {
            // What nobody reads is not made.
            submit.formats.push(format);
        }
        refuse_unwritten(&submit, format)?;
    }
    let wait = match wait {
        None => DEFAULT_WAIT,
        Some(wait) => Duration::try_from(wait).map_err(|_| Error::field("header.wait", "must not be negative"))?,
    };
    Ok((submit, Conversion { wanted, wait: wait.min(longest), cancel_on_disconnect }))
}

/// Formats of the parameters win over those of the submit: without the wanted one there would be nothing to answer with.
fn refuse_unwritten(submit: &SubmitJobHeader, wanted: i32) -> Result<(), Error> {
    let kind = if submit.kind.is_empty() { PDF_KIND } else { &submit.kind };
    let written = parameters::check_for_kind(kind, parameters::check(submit.parameters.clone())?.as_ref())?;
    if written.is_some_and(|written| !written.iter().any(|format| i32::from(convert::format(*format)) == wanted)) {
        return Err(Error::field("parameters.formats", "must have the format that is wanted; leave it out"));
    }
    Ok(())
}

fn answer(part: Part) -> ConvertDocumentResponse {
    ConvertDocumentResponse { part: Some(part) }
}

/// A caller that waits for the end of a job. Dropped before the answer it is a caller that went away.
struct Waiting {
    jobs: Jobs,
    identity: Arc<Identity>,
    job: JobId,
    conversion: Conversion,
    until: Instant,
    /// Its share of the conversions.
    used: UserPermit,
    answered: bool,
}

impl Waiting {
    fn begin(jobs: Jobs, identity: Arc<Identity>, job: JobId, conversion: Conversion, used: UserPermit) -> Self {
        let until = Instant::now() + conversion.wait;
        Self { jobs, identity, job, conversion, until, used, answered: false }
    }

    /// The rest of the answer.
    async fn finish(mut self) -> Result<ConvertDocumentStream, Status> {
        let snapshot = self.ended().await?;
        // From here on a caller that goes away has its answer.
        self.answered = true;
        let job = &snapshot.current.job;
        match job.state {
            State::Succeeded => Ok(self.result(&snapshot).await?),
            State::Failed | State::Cancelled => Ok(one(Part::Failed(self.jobs.wire(&snapshot)))),
            State::Queued | State::Running | State::Cancelling => {
                let cursor = self.jobs.services.engine.cursor(snapshot.current.revision).encode();
                Ok(one(Part::Unfinished(SubmitJobResponse { job: Some(self.jobs.wire(&snapshot)), cursor })))
            }
        }
    }

    /// The job once it has ended, or as it is when the time or the token is over, or the server stops.
    async fn ended(&self) -> Result<JobSnapshot, Error> {
        let watch = Watch {
            scope: Scope::job(self.job.clone()),
            after: None,
            min_interval: QUIET,
            end: End::WithTheJob,
            on_gap: OnGap::StartOver,
            token_left: time_left(&self.identity),
        };
        let services = &self.jobs.services;
        let form = |step: Result<watch::Update, WatchError>| step.map(drop);
        let mut steps = watch::start(services.engine.clone(), &services.watch_tasks(), watch, form);
        let ended = async {
            while let Some(step) = steps.recv().await {
                match step {
                    Ok(()) => {}
                    // Whoever has another token, or another server, goes on from the cursor.
                    Err(WatchError::Stopping | WatchError::TokenExpired) => break,
                    Err(error) => return Err(Error::from(error)),
                }
            }
            Ok(())
        };
        tokio::time::timeout_at(self.until, ended).await.unwrap_or(Ok(()))?;
        self.jobs.visible(&self.identity, self.job.as_str()).await
    }

    async fn result(self, snapshot: &JobSnapshot) -> Result<ConvertDocumentStream, Error> {
        let (services, job) = (self.jobs.services.clone(), &snapshot.current.job);
        match self.conversion.wanted.clone() {
            Wanted::Format(format) => {
                let request = ReadResultRequest { format, ..ReadResultRequest::default() };
                let parts = results::read(&services, job, &request).await?;
                Ok(self.streamed(parts, |message: ReadResultResponse| match message.part? {
                    read_result_response::Part::Header(header) => Some(Part::Header(header)),
                    read_result_response::Part::Chunk(chunk) => Some(Part::Chunk(chunk)),
                }))
            }
            Wanted::Output(name) => {
                let request = ReadOutputRequest { name, ..ReadOutputRequest::default() };
                let parts = outputs::read(&services, job, &request).await?;
                Ok(self.streamed(parts, |message: ReadOutputResponse| match message.part? {
                    read_output_response::Part::Header(output) => Some(Part::Header(ReadResultHeader {
                        filename: output.name.rsplit('/').next().unwrap_or_default().to_owned(),
                        content_type: output.media_type,
                        size_bytes: output.size_bytes,
                        sha256: output.sha256,
                    })),
                    read_output_response::Part::Chunk(chunk) => Some(Part::Chunk(chunk)),
                }))
            }
        }
    }

    /// The parts of the result; the share is held for as long as they are read.
    fn streamed<M: Send + 'static>(
        self,
        parts: BoxStream<'static, Result<M, Status>>,
        part: impl Fn(M) -> Option<Part> + Send + 'static,
    ) -> ConvertDocumentStream {
        parts
            .map_ok(move |message| {
                let _ = &self.used;
                ConvertDocumentResponse { part: part(message) }
            })
            .boxed()
    }
}

fn one(part: Part) -> ConvertDocumentStream {
    futures::stream::once(async { Ok(answer(part)) }).boxed()
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let services = &self.jobs.services;
        // A server that stops cuts its calls: then nobody has gone away.
        if self.answered || !self.conversion.cancel_on_disconnect || services.stopping.is_cancelled() {
            return;
        }
        let (jobs, job, by) = (self.jobs.clone(), self.job.clone(), self.identity.clone());
        services.detached.spawn(async move {
            let cancelled = jobs.services.engine.change(&job, |job| transitions::cancel(job, &by.subject)).await;
            match cancelled {
                Ok(_) => tracing::info!(%job, by = %by.subject, "job cancelled: its caller went away"),
                // It has ended meanwhile.
                Err(error) => tracing::debug!(%job, %error, "a job whose caller went away was not cancelled"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::ResultFormat;

    use super::*;

    fn header(result: Option<Wanted>, wait: Option<prost_types::Duration>) -> ConvertDocumentHeader {
        let submit = Some(SubmitJobHeader::default());
        ConvertDocumentHeader { submit, result, wait, cancel_on_disconnect: false }
    }

    #[test]
    fn the_wait_is_cut_and_the_format_is_made() {
        let longest = Duration::from_secs(100);
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let md = || Some(Wanted::Format(ResultFormat::Markdown.into()));
        let (submit, conversion) = check(header(md(), None), longest).unwrap();
        assert_eq!((submit.formats, conversion.wait), (vec![i32::from(ResultFormat::Markdown)], DEFAULT_WAIT));
        assert_eq!(check(header(md(), seconds(3600)), longest).unwrap().1.wait, longest);
        assert_eq!(check(header(md(), seconds(0)), longest).unwrap().1.wait, Duration::ZERO);
        let (submit, _) = check(header(Some(Wanted::Output("a/b.csv".into())), None), longest).unwrap();
        assert!(submit.formats.is_empty());
        for bad in [header(None, None), header(md(), seconds(-1)), header(Some(Wanted::Format(0)), None)] {
            assert!(check(bad, longest).is_err());
        }
    }
}
