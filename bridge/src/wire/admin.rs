//! What admins see of bridges: who is connected, and what was done through them.

use std::collections::BTreeMap;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Connections and subscriptions of this bridge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Connections {
    pub bridge: String,
    pub total: usize,
    pub users: usize,
    #[serde(rename = "byUser")]
    pub by_user: Vec<Count>,
    #[serde(rename = "roomsTotal")]
    pub rooms_total: usize,
    #[serde(rename = "byKind")]
    pub by_kind: BTreeMap<String, usize>,
    pub rooms: Vec<Count>,
    pub everywhere: Option<Everywhere>,
}

/// The same over all bridges that are registered, and these one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Everywhere {
    pub total: i32,
    pub users: i32,
    pub devices: i32,
    #[serde(rename = "byKind")]
    pub by_kind: BTreeMap<String, usize>,
    pub rooms: Vec<Count>,
    pub bridges: Vec<BridgeLine>,
}

/// One of several bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BridgeLine {
    pub bridge: String,
    pub software: String,
    pub connect_time: Option<String>,
    pub connections: i32,
    pub users: i32,
    pub rooms: i32,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Count {
    pub name: String,
    pub connections: usize,
}

/// What an audit entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Deed"))]
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
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Record"))]
pub struct AuditEntry {
    pub number: u64,
    pub time: String,
    #[serde(rename = "deed")]
    pub action: AuditAction,
    pub user: Option<String>,
    pub address: Option<String>,
    pub target: Option<String>,
    /// How often, when more than once: refusals alike are one entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
