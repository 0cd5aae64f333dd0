//! Batches, the queue, quotas and the operators' calls over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use courant_auth::Role;
use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action;
use super::jobs::uncached;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::request::{parameters, query};
use crate::wire::admin::AuditAction;
use crate::wire::device::ShownDevice;
use crate::wire::service::{Batch, Queue, Quota, Statistics, Worker};

/// A batch and where to start watching it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// The batch as it is now.
    pub batch: Batch,
    /// A watch from here misses nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many jobs were asked to stop by this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_cancelled: Option<i32>,
}

/// The queue as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct QueueAnswer {
    /// The queue as it is now.
    pub queue: Queue,
}

/// What one may submit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct QuotaAnswer {
    /// Those that are on.
    pub quotas: Vec<Quota>,
}

/// The devices that are connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct DevicesAnswer {
    /// Each once, those that have been connected longest first.
    pub devices: Vec<ShownDevice>,
}

/// All workers that the server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WorkersAnswer {
    /// In the order of their ids.
    pub workers: Vec<Worker>,
}

/// A worker after a call about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WorkerAnswer {
    /// As it is now.
    pub worker: Worker,
}

/// The statistics of the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct SystemAnswer {
    /// As they are now.
    pub metrics: Statistics,
}

/// `GET /v1/batches/{id}`
pub async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(batch_id): Path<String>,
    uri: http::Uri,
) -> Result<Response, ApiError> {
    let request = v1::GetBatchRequest { batch_id, owner: owner(&uri)? };
    let found = app.server.jobs().get_batch(app.server.call_as(request, &caller.token)?).await?.into_inner();
    let batch = Batch::from(&found.batch.unwrap_or_default());
    Ok(uncached(BatchAnswer { batch, cursor: Some(found.cursor), jobs_cancelled: None }))
}

/// `POST /v1/batches/{id}:cancel`
pub async fn change_batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(path): Path<String>,
    uri: http::Uri,
) -> Result<Response, ApiError> {
    let Some((id, wanted)) = path.rsplit_once(':') else { return Ok(action::missing("GET, HEAD")) };
    if wanted != "cancel" {
        return Err(ApiError::new(Code::NotFound, "the only action of a batch is :cancel"));
    };
    let request = v1::CancelBatchRequest { batch_id: id.to_owned(), owner: owner(&uri)? };
    let done = app.server.jobs().cancel_batch(app.server.call_as(request, &caller.token)?).await?.into_inner();
    caller.audit(&app, AuditAction::Cancelled, Some(id));
    let batch = Batch::from(&done.batch.unwrap_or_default());
    Ok(uncached(BatchAnswer { batch, cursor: None, jobs_cancelled: Some(done.jobs_cancelled) }))
}

/// `GET /v1/queue`
pub async fn queue(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::GetQueueRequest {}, &caller.token)?;
    let found = app.server.queue().get_queue(request).await?.into_inner();
    Ok(uncached(QueueAnswer { queue: Queue::from(&found.queue.unwrap_or_default()) }))
}

/// `GET /v1/quota`
pub async fn quota(State(app): State<Arc<App>>, caller: Caller, uri: http::Uri) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::GetQuotaRequest { owner: owner(&uri)? }, &caller.token)?;
    let found = app.server.queue().get_quota(request).await?.into_inner();
    Ok(uncached(QuotaAnswer { quotas: found.quotas.iter().map(Quota::from).collect() }))
}

/// `GET /v1/devices`: those connected now, over all bridges.
pub async fn devices(State(app): State<Arc<App>>, caller: Caller, uri: http::Uri) -> Result<Response, ApiError> {
    let request =
        app.server.call_as(v1::ListDevicesRequest { user: query::only(&uri, parameters::DEVICES)? }, &caller.token)?;
    let found = app.server.presence().list_devices(request).await?.into_inner();
    Ok(uncached(DevicesAnswer { devices: found.devices.iter().map(ShownDevice::from).collect() }))
}

/// `GET /v1/workers`
pub async fn workers(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Role::Admin)?;
    caller.audit(&app, AuditAction::AdminRead, Some("workers"));
    let request = app.server.call_as(v1::ListWorkersRequest {}, &caller.token)?;
    let found = app.server.admin().list_workers(request).await?.into_inner();
    Ok(uncached(WorkersAnswer { workers: found.workers.iter().map(Worker::from).collect() }))
}

/// `GET /v1/system`
pub async fn system(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Role::Admin)?;
    caller.audit(&app, AuditAction::AdminRead, Some("system"));
    let request = app.server.call_as(v1::GetSystemMetricsRequest {}, &caller.token)?;
    let found = app.server.admin().get_system_metrics(request).await?.into_inner();
    Ok(uncached(SystemAnswer { metrics: Statistics::from(&found.metrics.unwrap_or_default()) }))
}

/// `POST /v1/workers/{id}:drain` and `:resume`
pub async fn change_worker(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Role::Admin)?;
    let mut admin = app.server.admin();
    let (worker, action, id) = match path.rsplit_once(':') {
        Some((id, "drain")) => {
            let request = app.server.call_as(v1::DrainWorkerRequest { worker_id: id.to_owned() }, &caller.token)?;
            (admin.drain_worker(request).await?.into_inner().worker, AuditAction::WorkerDrained, id)
        }
        Some((id, "resume")) => {
            let request = app.server.call_as(v1::ResumeWorkerRequest { worker_id: id.to_owned() }, &caller.token)?;
            (admin.resume_worker(request).await?.into_inner().worker, AuditAction::WorkerResumed, id)
        }
        _ => return Err(ApiError::new(Code::NotFound, "the actions of a worker are :drain and :resume")),
    };
    caller.audit(&app, action, Some(id));
    Ok(uncached(WorkerAnswer { worker: Worker::from(&worker.unwrap_or_default()) }))
}

fn owner(uri: &http::Uri) -> Result<String, ApiError> {
    query::only(uri, parameters::OWNER)
}
