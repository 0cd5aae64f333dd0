//! `GET /v1/jobs/{id}/outputs`: what workers have made of a document.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::uncached;
use crate::api_error::ApiError;
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::wire::job::Output;

/// All outputs of a job, those of exports first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct OutputsAnswer {
    /// In the order in which they were stored.
    pub outputs: Vec<Output>,
}

/// `GET /v1/jobs/{id}/outputs`
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(job_id): Path<String>,
) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::ListOutputsRequest { job_id: job_id.clone() }, &caller.token)?;
    let found = app.server.jobs().list_outputs(request).await?.into_inner();
    Ok(uncached(OutputsAnswer { outputs: found.outputs.iter().map(|output| Output::new(&job_id, output)).collect() }))
}
