//! `POST /v1/convert`: submits a document, waits for the end of its job, and answers with the result.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use courant_proto::v1::convert_document_header::Result as Wanted;
use courant_proto::v1::convert_document_request::Part as RequestPart;
use courant_proto::v1::convert_document_response::Part;
use courant_proto::v1::{self, ErrorReason};
use futures::StreamExt as _;
use futures::stream;
use http::header::{CONTENT_LOCATION, HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};
use tonic::Streaming;

use super::document_body::{Fields, receive};
use super::jobs::{JobAnswer, uncached};
use super::pieces::Pieces;
use super::results::{chunks, file, missing_header};
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::problem::{self, Problem};
use crate::request::{accept, parameters, query};
use crate::wire::admin::AuditAction;
use crate::wire::job::JobError;
use crate::wire::names;

/// What the answer says of a preference (RFC 7240).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Names the job of an answer whose body is its result.
const COURANT_JOB: HeaderName = HeaderName::from_static("courant-job");

/// What the request asks for.
#[derive(Default)]
struct Conversion {
    submit: v1::SubmitJobHeader,
    format: Option<v1::ResultFormat>,
    output: String,
    wait: Option<Duration>,
    cancel_on_disconnect: bool,
}

impl Fields for Conversion {
    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        if !query::check(parameters::CONVERT, name, &value)? {
            return query::submission(&mut self.submit, name, value);
        }
        match name {
            "format" => self.format = names::parse_format(&value),
            "output" => self.output = value,
            "cancelOnDisconnect" => self.cancel_on_disconnect = value == "true",
            "wait" => self.wait = Some(query::seconds(name, &value)?),
            _ => {}
        }
        Ok(())
    }

    fn submit(&mut self) -> &mut v1::SubmitJobHeader {
        &mut self.submit
    }
}

impl Conversion {
    /// What the caller of the server is told. Without a format in the request its `Accept` decides.
    fn header(self, accepted: Result<v1::ResultFormat, ApiError>) -> Result<v1::ConvertDocumentHeader, ApiError> {
        let result = match (self.format, self.output) {
            (Some(_), output) if !output.is_empty() => {
                return Err(ApiError::field("output", "must not be given together with format"));
            }
            (Some(format), _) => Wanted::Format(format.into()),
            (None, output) if !output.is_empty() => Wanted::Output(output),
            (None, _) => Wanted::Format(accepted?.into()),
        };
        let wait = self.wait.and_then(|wait| prost_types::Duration::try_from(wait).ok());
        let (submit, cancel_on_disconnect) = (Some(self.submit), self.cancel_on_disconnect);
        Ok(v1::ConvertDocumentHeader { submit, result: Some(result), wait, cancel_on_disconnect })
    }
}

/// `POST /v1/convert`
pub async fn convert(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let mut conversion = Conversion::default();
    for (name, value) in query::pairs(request.uri(), &[parameters::SUBMIT, parameters::CONVERT])? {
        conversion.set(&name, value)?;
    }
    let preferred = accept::wait(request.headers()).filter(|_| conversion.wait.is_none());
    conversion.wait = conversion.wait.or(preferred);
    let accepted = accept::format(request.headers());
    let (server, token) = (app.clone(), caller.token.clone());
    let call = move |conversion: Conversion, pieces: Pieces| async move {
        let cancels = conversion.cancel_on_disconnect;
        let part = |part| v1::ConvertDocumentRequest { part: Some(part) };
        let header = part(RequestPart::Header(conversion.header(accepted)?));
        let parts = stream::iter([header]).chain(pieces.map(move |piece| part(RequestPart::Chunk(piece))));
        let request = server.server.stream_as(parts, &token)?;
        let mut answer = server.server.bulk().convert_document(request).await?.into_inner();
        match answer.message().await?.and_then(|first| first.part) {
            Some(Part::Submitted(submitted)) => Ok(Submitted { submitted, answer, cancels }),
            _ => Err(missing_header()),
        }
    };
    // The upload's share is given back here: who waits holds nothing but the request.
    let submitted = receive(&app, &caller, conversion, request, call).await?;
    let job_id = submitted.submitted.job.as_ref().map(|job| job.job_id.clone()).unwrap_or_default();
    caller.audit(&app, AuditAction::Submitted, Some(&job_id));
    let mut response = submitted.respond(&app, &caller, &job_id).await?;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&job_id) {
        headers.insert(COURANT_JOB, value);
    }
    if let Some(wait) = preferred
        && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert(PREFERENCE_APPLIED, value);
    }
    Ok(response)
}

/// A conversion whose job there is.
struct Submitted {
    submitted: v1::SubmitJobResponse,
    /// The rest of the answer.
    answer: Streaming<v1::ConvertDocumentResponse>,
    /// Whether the job is cancelled when the call to the server ends early.
    cancels: bool,
}

impl Submitted {
    async fn respond(mut self, app: &Arc<App>, caller: &Caller, job_id: &str) -> Result<Response, ApiError> {
        let leaving = async {
            app.drain.begun().await;
            if self.cancels {
                // To leave now would cancel the job; it may end before the bridge does.
                std::future::pending().await
            }
        };
        let next = tokio::select! {
            next = self.answer.message() => next,
            () = leaving => Ok(None),
        };
        match next.map(|message| message.and_then(|message| message.part)) {
            Ok(Some(Part::Header(header))) => self.result(app, caller, header, job_id),
            Ok(Some(Part::Failed(job))) => Ok(failed(&job)),
            Ok(Some(Part::Unfinished(now))) => unfinished(now),
            // The bridge or the server goes away. The job stays, and whoever follows it misses nothing.
            Ok(_) => unfinished(self.submitted),
            Err(status) => match ApiError::from(status) {
                error if error.code == Code::ServerUnavailable || error.is(ErrorReason::Draining) => {
                    unfinished(self.submitted)
                }
                error => Err(error),
            },
        }
    }

    fn result(
        self,
        app: &App,
        caller: &Caller,
        header: v1::ReadResultHeader,
        job_id: &str,
    ) -> Result<Response, ApiError> {
        let chunk = |message: v1::ConvertDocumentResponse| match message.part {
            Some(Part::Chunk(chunk)) => chunk,
            _ => Bytes::new(),
        };
        let body = Body::from_stream(chunks(self.answer, caller.take_download(app)?, chunk));
        let mut response = file(&header, body)?;
        if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{job_id}")) {
            response.headers_mut().insert(CONTENT_LOCATION, location);
        }
        Ok(response)
    }
}

/// 202: the job goes on.
fn unfinished(now: v1::SubmitJobResponse) -> Result<Response, ApiError> {
    let location = now.job.as_ref().map(|job| format!("/v1/jobs/{}", job.job_id)).unwrap_or_default();
    let body = uncached(JobAnswer::new(now.job, Some(now.cursor))?);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}

/// 422: the error of the job.
fn failed(job: &v1::Job) -> Response {
    let job_error = job.error.as_ref().map(JobError::from);
    let message = job_error.as_ref().map_or("the job was cancelled", |error| error.message.as_str());
    let error = ApiError::new(Code::JobFailed, message.to_owned());
    problem::respond(&error, Problem { job_id: Some(job.job_id.clone()), job_error, ..Problem::from(&error) })
}
