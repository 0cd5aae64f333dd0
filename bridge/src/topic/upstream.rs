//! Where updates come from: the only thing topics know of the server.

use std::sync::Arc;

use courant_proto::v1::{self, GapReason};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::scope::{Scope, TopicKey};
use crate::api_error::ApiError;
use crate::ledger::User;
use crate::wire::encode::{Push, Slot};
use crate::wire::{ServerMessage, ThrottleTier, TopicName};

/// The source of all topics' updates. Whether each topic has a stream of its own behind it or all share one is its affair.
///
/// Updates of one scope come in order and without gaps; where that cannot be, a [`Content::Gap`] says so.
pub trait Upstream: Send + Sync {
    /// For all subscribers of a topic: updates after a cursor, without end. After an empty cursor snapshots come first.
    fn follow<'a>(&'a self, key: &'a TopicKey, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>>;

    /// For one subscriber: what it missed after its cursor, up to [`Content::Live`]; of [`Content::Event`]s the durable ones.
    fn replay<'a>(&'a self, scope: &'a Scope, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>>;

    /// Asks, in the user's name, whether the topic may be followed.
    fn authorize<'a>(&'a self, request: &'a SubscribeRequest) -> BoxFuture<'a, Result<Grant, ApiError>>;

    /// The cursor of the present, where a topic begins that nobody follows yet.
    fn head<'a>(&'a self, scope: &'a Scope, request: &'a SubscribeRequest) -> BoxFuture<'a, Result<String, ApiError>>;
}

/// Ends with its first error. A stream that ends without one is lost all the same.
pub type Updates = BoxStream<'static, Result<Update, ApiError>>;

/// What comes from upstream.
#[derive(Debug)]
pub struct Update {
    /// Whoever continues from here has missed nothing up to and with this update; empty: the cursor stays where it was.
    pub cursor: String,
    pub content: Content,
}

/// What an update says.
#[derive(Debug)]
pub enum Content {
    Event(Push),
    /// A job as it is. Comes before `Live` alone.
    Snapshot(Push),
    /// A part of a state, whole: the newest counts.
    Part(Part),
    /// What follows does not continue what came before.
    Gap(GapReason),
    /// Nothing before this is missing, up to a revision of the log.
    Live(i64),
    /// A sign of life that moves the cursor.
    Bookmark,
    /// Nothing more will come, for the reason of this code.
    Ended(&'static str),
    /// Nothing for this scope: only the cursor moves.
    Nothing,
}

impl Update {
    /// One that leaves the cursor where it is.
    pub fn new(content: Content) -> Self {
        Self { cursor: String::new(), content }
    }

    /// Whether it shows that the server is there.
    pub fn is_from_server(&self) -> bool {
        !matches!(&self.content, Content::Part(Part { origin: Origin::Bridge, .. }))
    }
}

/// A part of a state.
pub struct Part {
    pub slot: Slot,
    /// The same for states that look the same to subscribers.
    pub hash: u64,
    pub origin: Origin,
    /// Writes the message of a topic, given its name and the cursor of the whole state.
    pub message: Box<dyn FnOnce(Arc<str>, String) -> ServerMessage + Send + Sync>,
}

/// Who knows a part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The server reported it.
    Server,
    /// The bridge knows it by itself, also while the server is unavailable.
    Bridge,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("slot", &self.slot).field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// What a client asks to follow. Has the user's token, so it is never printed.
pub struct SubscribeRequest {
    /// The command to answer.
    pub id: Option<u64>,
    /// The topic as the client names it.
    pub topic: TopicName,
    /// Continue after this cursor; none: begin with what is now.
    pub after: Option<String>,
    /// How often transient messages come.
    pub tier: ThrottleTier,
    /// For asking the server in the user's name.
    pub token: String,
    /// Whose shares of the bridge it takes.
    pub user: Arc<User>,
    /// Whose jobs the topics `document` and `batch` are about.
    pub access: JobAccess,
}

/// Whose jobs a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAccess {
    Own,
    All,
}

/// Leave to follow a scope.
#[derive(Debug)]
pub struct Grant {
    pub scope: Scope,
    /// If the topic is one job: the job now, and the cursor after it.
    pub job: Option<(v1::Job, String)>,
}

impl Grant {
    /// Leave to follow a scope that has no first snapshot.
    pub fn new(scope: Scope) -> Self {
        Self { scope, job: None }
    }
}
