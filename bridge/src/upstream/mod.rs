//! Where topics' updates come from: watches on the server, and what the bridge knows of itself. Each kind of topic has its
//! file, which opens a stream and turns what comes into updates, encoded once for all subscribers.
//!
//! All topics of jobs share one stream to the server ([`crate::server`]), the others have one each: topics cannot tell.

mod admin;
pub mod audit;
mod content;
mod devices;
mod jobs;
mod notifications;
pub mod overview;
mod queue;

use std::sync::Arc;

use courant_proto::v1::ErrorReason;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::api_error::{ApiError, Code};
use crate::config::Times;
use crate::presence::local::LocalPresence;
use crate::server::Server;
use crate::topic::scope::{Scope, TopicKey};
use crate::topic::upstream::{Grant, JobAccess, SubscribeRequest, Updates, Upstream};
use crate::wire::{Audience, TopicKind, TopicName};
use overview::Overview;

/// The server, with what this bridge adds to its states.
pub struct ServerUpstream {
    /// Where watches are opened.
    pub server: Server,
    /// Who is connected here.
    pub presence: Arc<LocalPresence>,
    /// What admins see of this bridge.
    pub overview: Overview,
    /// How long devices linger, and how often states are repeated.
    pub times: Times,
}

impl Upstream for ServerUpstream {
    fn follow<'a>(&'a self, key: &'a TopicKey, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>> {
        let TopicKey { scope, tier, .. } = key;
        async move {
            match &scope.topic {
                TopicName::Job(_) | TopicName::Document(_) | TopicName::Batch(_) | TopicName::Mine => {
                    Ok(jobs::follow(&self.server, scope, *tier, after))
                }
                TopicName::Queue => queue::follow(&self.server, *tier).await,
                TopicName::Admin => admin::follow(&self.server, &self.overview, *tier, self.times.client_ping).await,
                TopicName::Devices => {
                    let (grace, repeat) = (self.times.presence_grace, self.times.client_ping);
                    Ok(devices::follow(&self.presence, &scope.owner, *tier, grace, repeat).await)
                }
                TopicName::Notifications => notifications::follow(&self.server, scope, after).await,
            }
        }
        .boxed()
    }

    fn replay<'a>(&'a self, scope: &'a Scope, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>> {
        jobs::replay(&self.server, scope, after).boxed()
    }

    fn authorize<'a>(&'a self, request: &'a SubscribeRequest) -> BoxFuture<'a, Result<Grant, ApiError>> {
        let topic = request.topic.clone();
        async move {
            let owner = match topic.kind() {
                TopicKind::Jobs(_) => return jobs::authorize(&self.server, request).await,
                TopicKind::State { audience: Audience::Admins, .. } if request.access != JobAccess::All => {
                    return Err(ApiError::new(Code::Server(ErrorReason::RoleRequired), "this topic is for admins"));
                }
                TopicKind::State { audience: Audience::Everybody | Audience::Admins, .. } => String::new(),
                // Always the user's own, also for admins.
                TopicKind::State { audience: Audience::Owner, .. } | TopicKind::Inbox => {
                    request.user.name().to_string()
                }
            };
            Ok(Grant::new(Scope::new(topic, owner)))
        }
        .boxed()
    }

    fn head<'a>(&'a self, scope: &'a Scope, request: &'a SubscribeRequest) -> BoxFuture<'a, Result<String, ApiError>> {
        jobs::head(&self.server, scope, request).boxed()
    }
}
