//! `POST /v1/jobs`: submits a document.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use courant_proto::v1::{self, submit_job_request::Part};
use futures::StreamExt as _;
use futures::stream;
use http::StatusCode;
use http::header::LOCATION;

use super::document_body::{Fields, receive};
use super::jobs::{JobAnswer, uncached};
use super::pieces::Pieces;
use crate::api_error::ApiError;
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::{parameters, query};
use crate::wire::admin::AuditAction;

impl Fields for v1::SubmitJobHeader {
    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        query::submission(self, name, value)
    }

    fn submit(&mut self) -> &mut v1::SubmitJobHeader {
        self
    }
}

/// `POST /v1/jobs`
pub async fn submit(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let mut header = v1::SubmitJobHeader::default();
    for (name, value) in query::pairs(request.uri(), &[parameters::SUBMIT])? {
        query::submission(&mut header, &name, value)?;
    }
    let call = |header, pieces: Pieces| {
        let part = |part| v1::SubmitJobRequest { part: Some(part) };
        let parts = stream::iter([part(Part::Header(header))]).chain(pieces.map(move |piece| part(Part::Chunk(piece))));
        let (app, request) = (app.clone(), app.server.stream_as(parts, &caller.token));
        async move { Ok(app.server.bulk().submit_job(request?).await?.into_inner()) }
    };
    let answer = receive(&app, &caller, header, request, call).await?;
    caller.audit(&app, AuditAction::Submitted, answer.job.as_ref().map(|job| job.job_id.as_str()));
    let location = answer.job.as_ref().map(|job| format!("/v1/jobs/{}", job.job_id)).unwrap_or_default();
    let body = uncached(JobAnswer::new(answer.job, Some(answer.cursor))?);
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}
