//! One request that follows topics, until its answer ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use courant_auth::{Identity, Role, TokenError};
use courant_runtime::traces::Span;
use http::request::Parts;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::query::{EventsQuery, TopicQuery};
use crate::api_error::{ApiError, Code};
use crate::app::{App, Peer};
use crate::connection::permits::ConnectionPermit;
use crate::connection::replies;
use crate::connection::subscriptions::{FinishedTask, Subscriptions};
use crate::metrics::Limit;
use crate::outbox::close_reason::CloseReason;
use crate::outbox::{Batch, Outbox, Taken};
use crate::presence::connections::Transport;
use crate::presence::local::PresenceGuard;
use crate::request::caller::Caller;
use crate::request::headers;
use crate::sockets::{SocketPermit, UpgradedSocket};
use crate::topic::subscriber::Subscriber;
use crate::topic::upstream::{JobAccess, SubscribeRequest};
use crate::wire::admin::AuditAction;
use crate::wire::device::Device;
use crate::wire::encode::{Push, text};

/// One request that follows topics. Dropping it ends its subscriptions and gives back its permit.
pub(super) struct EventsSession {
    pub(super) app: Arc<App>,
    outbox: Arc<Outbox>,
    subscriptions: Subscriptions,
    server_unavailable: watch::Receiver<u64>,
    /// When the token runs out.
    expires: Instant,
    /// When to say that it will.
    warning: Option<Instant>,
    /// When it is asked to leave, once the bridge drains.
    leaves: Option<Instant>,
    identity: Arc<Identity>,
    /// How many topics were asked for.
    pub(super) asked: usize,
    pub(super) greeting: Utf8Bytes,
    permit: ConnectionPermit,
    /// Meanwhile it is no HTTP connection among others.
    _lent: Option<UpgradedSocket>,
    /// Its entry among those who are connected.
    _presence: PresenceGuard,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Messages, in the batch.
    Messages,
    /// Nothing until the given time.
    Silence,
    /// The last words have been given out.
    End,
}

impl EventsSession {
    /// Subscribes. When the only topic is refused, the response is a plain HTTP error.
    pub(super) async fn open(
        app: Arc<App>,
        caller: &Caller,
        parts: &Parts,
        query: EventsQuery,
        transport: Transport,
    ) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| ApiError::new(Code::BadMessage, "this connection has no address"))?;
        let address = headers::address(*peer, &parts.headers, &app.config);
        app.permits.check_connect_rate(address)?;
        let mut permit = app.permits.permit(address)?;
        permit.assign_to(&caller.identity.subject)?;
        let left = caller.identity.expires.duration_since(SystemTime::now()).unwrap_or_default();
        let left = left.min(Duration::from_secs(366 * 24 * 3600));
        let connection = replies::connection_id();
        let device = query.device.clone().unwrap_or_else(|| match transport {
            Transport::Poll => Device::of_polls(),
            Transport::WebSocket | Transport::EventStream => Device::of(connection),
        });
        let presence = app.presence.enter(&caller.identity.subject, &device, transport);
        if !presence.is_shown() {
            app.permits.refused(Limit::DevicesPerUser, Some(&caller.identity.subject), address);
        }
        let mut server_unavailable = app.server_unavailable.clone();
        server_unavailable.mark_unchanged();
        let outbox = Outbox::new(app.config.limits.outbox_bytes, app.metrics.clone());
        outbox.assign_to(&app.ledger.user(&caller.identity.subject));
        let mut session = Self {
            outbox: Arc::new(outbox),
            subscriptions: Subscriptions::new(),
            server_unavailable,
            expires: Instant::now() + left,
            leaves: None,
            warning: replies::warn_at(left, app.config.times.token_warning),
            identity: caller.identity.clone(),
            asked: query.topics.len(),
            greeting: text(&replies::connected(None, connection, &device.id, &caller.identity, &app.config)),
            permit,
            _lent: parts.extensions.get::<SocketPermit>().map(SocketPermit::release_for_upgrade),
            _presence: presence,
            app,
        };
        session.subscribe(caller, query, address)?;
        if session.asked == 1 {
            session.wait_for_answer().await?;
        }
        Ok(session)
    }

    fn subscribe(&mut self, caller: &Caller, query: EventsQuery, address: IpAddr) -> Result<(), ApiError> {
        let user = self.app.ledger.user(&caller.identity.subject);
        for TopicQuery { topic, after } in query.topics {
            if topic.kind().is_for_admins() && caller.identity.has(Role::Admin) {
                caller.audit(&self.app, AuditAction::TopicFollowed, Some(&topic.to_string()));
            }
            let request = SubscribeRequest {
                id: None,
                topic,
                after,
                tier: query.tier,
                token: caller.token.jwt.clone(),
                user: user.clone(),
                access: JobAccess::of(&caller.identity),
            };
            let subscriber = Subscriber::new(self.outbox.clone());
            self.subscriptions.add(&self.app.topics, subscriber, request, Span::default()).inspect_err(|_| {
                self.app.permits.refused(Limit::TopicsPerUser, Some(user.name()), address);
            })?;
        }
        Ok(())
    }

    /// Waits until the only join has its first message, or came to nothing.
    async fn wait_for_answer(&mut self) -> Result<(), ApiError> {
        loop {
            tokio::select! {
                () = self.outbox.wait_until_filled() => return Ok(()),
                Some(finished) = self.subscriptions.finished() => {
                    if let Some(refused) = self.subscriptions.apply(finished) {
                        return Err(refused.error);
                    }
                }
            }
        }
    }

    /// What comes next, until a time. Ends with the token, the bridge and the server as a WebSocket does.
    pub(super) async fn next(&mut self, batch: &mut impl Batch, until: Instant) -> Next {
        let outbox = self.outbox.clone();
        loop {
            tokio::select! {
                biased;
                taken = std::future::poll_fn(|context| outbox.poll_take(batch, context)) => return match taken {
                    Taken::End(_) => Next::End,
                    Taken::Some | Taken::Nothing => Next::Messages,
                },
                Some(finished) = self.subscriptions.finished() => self.handle_finished(finished),
                () = sleep_until(until), if !self.outbox.is_ended() => return Next::Silence,
                () = sleep_until(self.warning.unwrap_or(self.expires)), if self.warning.is_some() => {
                    self.warning = None;
                    self.outbox.reply(&replies::auth_expiring(&self.identity));
                }
                () = sleep_until(self.expires), if !self.outbox.is_ended() => self.expire(),
                // It may come again, as after a drain.
                () = self.permit.closed(), if self.leaves.is_none() => self.leaves = Some(Instant::now()),
                () = self.app.drain.begun(), if self.leaves.is_none() => self.leaves = Some(self.app.drain.draw()),
                () = sleep_until(self.leaves.unwrap_or(self.expires)), if self.leaves.is_some() && !self.outbox.is_ended() => {
                    self.outbox.end_for_drain();
                }
                Ok(()) = self.server_unavailable.changed(), if !self.outbox.is_ended() => {
                    self.outbox.end(CloseReason::on(ApiError::unreachable()));
                }
            }
        }
    }

    fn handle_finished(&mut self, finished: FinishedTask) {
        if let Some(refused) = self.subscriptions.apply(finished) {
            let message = replies::refused(None, refused.topic.to_string(), &refused.error);
            self.outbox.push(0, Arc::new(Push::refused(&refused.topic.to_string().into(), message)));
        }
    }

    fn expire(&self) {
        let error: ApiError = TokenError::Expired.into();
        self.outbox.reply(&replies::auth_error(None, &error));
        self.outbox.end(CloseReason::on(error));
    }
}
