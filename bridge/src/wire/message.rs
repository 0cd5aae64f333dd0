//! Everything the bridge sends (`PROTOCOL.md`, sections 2 and 3).

use std::sync::Arc;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admin::{AuditEntry, Connections};
use super::device::ShownDevice;
use super::job::{Export, Job, Output, Page, Zone};
#[cfg(feature = "schema")]
use super::schema_enums;
use super::service::{Notification, Queue, Statistics, Worker};
use super::update::JobUpdate;

/// A message to the browser. Replies have an `id`, pushes do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    Connected(Connected),
    AuthError(Refusal),
    Subscribed(Subscribed),
    Ok(Reply),
    Pong(Reply),
    Error(ErrorReply),
    Snapshot(Snapshot),
    Live(Mark),
    Gap(Gap),
    Bookmark(Mark),
    Stalled(Ended),
    Unsubscribed(Ended),
    Draining(Draining),
    Closing(Closing),
    JobQueued(Event),
    JobStarted(Event),
    JobPlanned(Event),
    JobProgress(Update),
    ZoneProcessing(Update),
    ZoneCompleted(Box<ZoneEvent>),
    PageCompleted(Event),
    ExportStarted(Event),
    ExportProgress(Update),
    ExportCompleted(Event),
    ExportFailed(Event),
    OutputStored(Event),
    JobRetrying(Event),
    JobCancelling(Event),
    JobCompleted(Event),
    JobFailed(Event),
    JobCancelled(Event),
    JobDeleted(Box<Deleted>),
    QueuePosition(Update),
    QueueStatus(Box<QueueStatus>),
    SystemMetrics(Box<SystemMetrics>),
    Workers(Box<Workers>),
    Connections(Box<ConnectionsStatus>),
    Audit(Box<Audit>),
    Devices(Box<Devices>),
    AuthExpiring(Expiring),
    Notification(Box<NotificationEvent>),
}

/// Something durable. Boxed, so that small messages stay small.
pub type Event = Box<JobEvent>;
/// Something transient.
pub type Update = Box<JobUpdate>;

/// Answers an accepted `auth`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    pub connection_id: String,
    /// As which of the user's devices it is shown.
    pub device_id: String,
    pub user: String,
    #[cfg_attr(feature = "schema", schemars(with = "Vec<RoleName>"))]
    pub roles: Vec<courant_auth::Role>,
    /// Renew the token before.
    pub token_expires_at: String,
    /// Send a `ping` so often.
    pub ping_interval_ms: u64,
    /// When nothing comes for so long after a `ping`, the connection is dead.
    pub pong_timeout_ms: u64,
    pub limits: Limits,
    /// Of the bridge.
    pub version: String,
}

/// The roles of a user.
#[cfg(feature = "schema")]
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "keep"))]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum RoleName {
    Admin,
    Service,
    Worker,
    Bridge,
}

/// Limits of one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Of one message of the client.
    pub max_message_bytes: usize,
    /// Topics that may be followed at the same time.
    pub max_subscriptions: usize,
    /// On average.
    pub messages_per_second: u32,
    /// How many messages may come at once. `null`: a bridge that takes one topic in a `subscribe`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    pub message_burst: u32,
    /// How much may wait for the client before the connection is closed as too slow.
    pub outbox_bytes: usize,
}

/// The token is not accepted, or not any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Refusal {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    pub code: String,
    pub message: String,
}

/// Answers `subscribe`, once for each topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    pub topic: Arc<str>,
    pub mode: Mode,
    /// Why a cursor could not be continued from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema_enums::GapReason>"))]
    pub reason: Option<String>,
    /// `null`: snapshots follow.
    pub cursor: Option<String>,
    /// Least time between two transient messages of a job and type.
    pub min_interval_ms: u64,
}

/// What follows a `subscribed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What was missed since the cursor.
    Resumed,
    /// The jobs as they are.
    Snapshot,
}

/// An answer that says no more than that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// A command could not be carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErrorReply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Of a `subscribe` to several topics: which of them was refused; left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    pub code: String,
    pub message: String,
    /// Whether trying again can help.
    pub retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A job as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Snapshot {
    pub topic: Arc<str>,
    pub job: Box<Job>,
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Mark {
    pub topic: Arc<str>,
    pub cursor: String,
}

/// The topic starts over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Gap {
    pub topic: Arc<str>,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::GapReason"))]
    pub reason: String,
}

/// Nothing comes on the topic, for the time being or for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Ended {
    pub topic: Arc<str>,
    pub code: String,
}

/// The bridge is stopping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    pub retry_after_ms: u64,
}

/// The connection is about to be closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// The WebSocket close code.
    pub code: u16,
    pub reason: String,
    pub message: String,
    /// Wait so long before connecting again.
    pub retry_after_ms: u64,
}

/// Something durable happened to a job: the whole job as it is afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct JobEvent {
    pub topic: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(flatten)]
    pub job: Job,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// A job is gone: only its names are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    pub topic: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    pub job_id: String,
    pub document_id: String,
    pub batch_id: Option<String>,
    pub owner: String,
    pub revision: i64,
    pub timestamp: Option<String>,
}

/// A zone of a page that is about to be announced. Not the whole job: a page may have hundreds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ZoneEvent {
    pub topic: Arc<str>,
    pub job_id: String,
    pub document_id: String,
    pub batch_id: Option<String>,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::JobStatus"))]
    pub status: String,
    /// 0 to 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub progress: f64,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::Step"))]
    pub step: String,
    pub zones_completed: i32,
    pub zones_total: i32,
    pub revision: i64,
    pub timestamp: Option<String>,
    pub zone: Zone,
}

/// The queue as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct QueueStatus {
    pub topic: Arc<str>,
    pub cursor: String,
    pub queue: Queue,
}

/// The statistics as they are: pushed on `admin`, or the reply to `request-system-metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct SystemMetrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    pub metrics: Statistics,
}

/// All workers as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Workers {
    pub topic: Arc<str>,
    pub cursor: String,
    pub workers: Vec<Worker>,
}

/// Who is connected to this bridge, by topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ConnectionsStatus {
    pub topic: Arc<str>,
    pub cursor: String,
    pub connections: Connections,
}

/// What was done through this bridge lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Audit {
    pub topic: Arc<str>,
    pub cursor: String,
    pub entries: Vec<AuditEntry>,
}

/// The user's devices that are connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Devices {
    pub topic: Arc<str>,
    pub cursor: String,
    /// Those that have been connected longest first.
    pub devices: Vec<ShownDevice>,
    /// `false`: those connected to other bridges are not known at the moment.
    pub complete: bool,
}

/// The token runs out soon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    pub token_expires_at: String,
    pub expires_in_ms: u64,
}

/// A notification that is new, or was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct NotificationEvent {
    pub topic: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many are unread now.
    pub unread: i32,
    pub notification: Notification,
}
