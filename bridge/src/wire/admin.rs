//! What admins see of bridges: who is connected, and what was done through them.

use std::collections::BTreeMap;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Connections and subscriptions of this bridge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Connections {
    /// Names the bridge until it stops.
    pub bridge: String,
    /// All connections.
    pub total: usize,
    /// Different users of them.
    pub users: usize,
    /// The 50 users with the most connections.
    #[serde(rename = "byUser")]
    pub by_user: Vec<Count>,
    /// Topics with subscribers.
    #[serde(rename = "topicsTotal")]
    pub topics_total: usize,
    /// Subscriptions by kind of topic, such as `mine` or `job`.
    #[serde(rename = "byKind")]
    pub by_kind: BTreeMap<String, usize>,
    /// The 50 topics with the most subscriptions.
    pub topics: Vec<Count>,
    /// Over all bridges; `null` until the server has sent it.
    #[serde(rename = "allBridges")]
    pub all_bridges: Option<AllBridges>,
}

/// Connections and subscriptions of all bridges that are registered with the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AllBridges {
    pub total: i32,
    /// Each once.
    pub users: i32,
    /// Each once.
    pub devices: i32,
    /// Subscriptions by kind of topic.
    #[serde(rename = "byKind")]
    pub by_kind: BTreeMap<String, usize>,
    /// The 50 topics with the most subscriptions, of each bridge's 200.
    pub topics: Vec<Count>,
    /// Oldest first.
    pub bridges: Vec<BridgeConnections>,
}

/// One of several bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BridgeConnections {
    pub bridge: String,
    pub software: String,
    pub connect_time: Option<String>,
    pub connections: i32,
    pub users: i32,
    /// Topics with subscribers.
    pub topics: i32,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Count {
    /// Of a user or a topic.
    pub name: String,
    /// Of a topic: subscriptions.
    pub connections: usize,
}

/// What an audit entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-unknown" = "keep")))]
#[serde(rename_all = "kebab-case")]
pub enum AuditAction {
    /// A token was accepted on a new connection.
    Connected,
    /// A token was refused.
    TokenRefused,
    /// A connection of a known user ended.
    Disconnected,
    /// A limit refused something.
    LimitRefused,
    /// A document was submitted.
    Submitted,
    /// A job or a batch was cancelled.
    Cancelled,
    /// A job was tried again.
    Retried,
    /// A job was deleted.
    Deleted,
    /// A worker was drained: it takes nothing new.
    WorkerDrained,
    /// A worker was resumed: it takes jobs again.
    WorkerResumed,
    /// A notification was sent.
    Notified,
    /// Something was read that only admins may.
    AdminRead,
    /// A topic was subscribed to that only admins may.
    TopicFollowed,
    /// Something else; the server's audit log has its name.
    Other,
}

impl AuditAction {
    /// What the server's audit log calls it.
    pub fn named(name: &str) -> Self {
        match name {
            "connection.open" => Self::Connected,
            "connection.close" => Self::Disconnected,
            "token.refused" => Self::TokenRefused,
            "limit.refused" => Self::LimitRefused,
            "job.submit" => Self::Submitted,
            "job.cancel" | "batch.cancel" => Self::Cancelled,
            "job.retry" => Self::Retried,
            "job.delete" => Self::Deleted,
            "worker.drain" => Self::WorkerDrained,
            "worker.resume" => Self::WorkerResumed,
            "notification.send" => Self::Notified,
            "admin.read" | "job.read" | "quota.read" | "connection.read" => Self::AdminRead,
            "topic.follow" => Self::TopicFollowed,
            _ => Self::Other,
        }
    }

    /// Its name in the server's audit log, where only the bridge knows of it; what is done by a call in a user's name the server
    /// writes itself.
    pub fn reported_as(self) -> Option<&'static str> {
        match self {
            Self::Connected => Some("connection.open"),
            Self::Disconnected => Some("connection.close"),
            Self::TokenRefused => Some("token.refused"),
            Self::LimitRefused => Some("limit.refused"),
            Self::TopicFollowed => Some("topic.follow"),
            Self::Submitted
            | Self::Cancelled
            | Self::Retried
            | Self::Deleted
            | Self::WorkerDrained
            | Self::WorkerResumed
            | Self::Notified
            | Self::AdminRead
            | Self::Other => None,
        }
    }
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AuditEntry {
    /// Grows with each entry of one audit log.
    pub number: u64,
    pub time: String,
    pub action: AuditAction,
    /// `null` where nobody was recognised.
    pub user: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// A connection, job, batch, worker or user.
    pub target: Option<String>,
    /// How often: refusals that are alike are one entry. Left out when it is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How it ended, as gRPC names it. Left out when it ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
