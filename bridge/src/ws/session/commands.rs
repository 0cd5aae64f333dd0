//! What each command does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use courant_auth::{Identity, Role, TokenError};
use courant_proto::v1::ErrorReason;
use courant_runtime::traces::Span;
use tokio::time::Instant;

use super::server_query::{Answer, ServerQuery};
use super::{Session, User};
use crate::api_error::{ApiError, Code};
use crate::connection::replies;
use crate::metrics::Limit;
use crate::presence::connections::Transport;
use crate::request::context::command_span;
use crate::topic::subscriber::Subscriber;
use crate::topic::upstream::{JobAccess, SubscribeRequest};
use crate::wire::admin::AuditAction;
use crate::wire::command::{Auth, MarkRead, Subscribe, SubscribeTopic, Unsubscribe, Verb};
use crate::wire::device::Device;
use crate::wire::encode::Push;
use crate::wire::message::{Reply, SystemMetrics};
use crate::wire::{Command, CommandError, ServerMessage, ThrottleTier, TopicName};

/// Queries to the server of one connection that may be under way at once.
const MAX_QUERIES: usize = 4;

impl Session {
    pub(super) fn command(&mut self, command: Result<Command, CommandError>) {
        // Others of this user's connections may be the busy ones: this one stays.
        let user = self.user.as_ref().map(|user| &user.identity.subject);
        if let Some(Err(error)) = user.map(|user| self.app.permits.check_user_rate(user, self.permit.address())) {
            return self.error(command.ok().and_then(|command| command.id), &error);
        }
        let Command { id, verb } = match command {
            Ok(command) => command,
            Err(error) => {
                let (id, code) = match error {
                    CommandError::Bad { id, .. } => (id, Code::BadMessage),
                    CommandError::Unknown { id } => (id, Code::UnknownCommand),
                };
                return self.error(id, &ApiError::new(code, error.to_string()));
            }
        };
        match verb {
            Verb::Ping => self.outbox.reply(&ServerMessage::Pong(Reply { id })),
            Verb::Auth(auth) => self.auth(id, auth),
            Verb::Subscribe(_)
            | Verb::Unsubscribe(_)
            | Verb::Ack(_)
            | Verb::MarkRead(_)
            | Verb::RequestSystemMetrics
                if self.user.is_none() =>
            {
                let code = Code::Server(ErrorReason::TokenMissing);
                self.error(id, &ApiError::new(code, "send {\"type\":\"auth\",\"token\":…} first"));
            }
            Verb::Subscribe(subscribe) => self.subscribe(id, subscribe),
            Verb::Unsubscribe(unsubscribe) => self.unsubscribe(id, unsubscribe),
            Verb::Ack(ack) => match parse(&ack.topic) {
                Ok(_) => self.ok(id),
                Err(error) => self.error(id, &error),
            },
            Verb::RequestSystemMetrics => self.ask(id, ServerQuery::Statistics),
            Verb::MarkRead(MarkRead { ids }) => self.ask(id, ServerQuery::MarkRead(ids)),
        }
    }

    /// A few at a time: more are refused until some are answered.
    fn ask(&mut self, id: Option<u64>, query: ServerQuery) {
        let Some(user) = &self.user else { return };
        if self.queries.len() >= MAX_QUERIES {
            return self.error(id, &ApiError::too_many("wait for the answers to what you have asked already"));
        }
        let (server, token) = (self.app.server.clone(), user.token.clone());
        self.queries.spawn(async move { (id, query.run(&server, &token).await) });
    }

    pub(super) fn answer(&self, id: Option<u64>, answer: Result<Answer, ApiError>) {
        match answer {
            Ok(Answer::Done) => self.ok(id),
            Ok(Answer::Statistics(metrics)) => {
                let message = SystemMetrics { id, topic: None, cursor: None, metrics: *metrics };
                self.outbox.reply(&ServerMessage::SystemMetrics(Box::new(message)));
            }
            Err(error) => self.error(id, &error),
        }
    }

    pub(super) fn auth(&mut self, id: Option<u64>, auth: Auth) {
        let device = match auth.device.map(|device| device.check("device.id", "device.name")).transpose() {
            Ok(device) => device,
            Err(invalid) => return self.error(id, &invalid.into()),
        };
        let Some(token) = auth.token.or_else(|| self.cookie.clone()) else {
            let why = "send a token, or open the connection from a page of ours with a session cookie";
            return self.refuse_token(id, ApiError::new(Code::Server(ErrorReason::TokenMissing), why));
        };
        let identity = match self.app.config.verifier.verify(&token) {
            Ok(identity) => identity,
            // Nothing is wrong with the token: the client may come back with it.
            Err(error @ TokenError::KeysStale) => return self.end(error.into()),
            Err(error) => return self.refuse_token(id, error.into()),
        };
        if self.user.as_ref().is_some_and(|user| user.identity.subject != identity.subject) {
            let message = "this connection belongs to another user; open a new one";
            return self.refuse_token(id, ApiError::new(Code::SubjectChanged, message));
        }
        if self.user.is_none() {
            self.audit(AuditAction::Connected, Some(&identity.subject));
        }
        if let Err(error) = self.permit.assign_to(&identity.subject) {
            return self.end(error);
        }
        // The verifier's leeway is for clocks that differ; the connection ends when the token says so.
        let left = identity.expires.duration_since(SystemTime::now()).unwrap_or_default();
        let left = left.min(Duration::from_secs(366 * 24 * 3600));
        self.deadline = Instant::now() + left;
        self.warning = replies::warn_at(left, self.app.config.times.token_warning);
        let device = self.enter_presence(&identity.subject, device);
        self.outbox.reply(&replies::connected(id, self.id, &device, &identity, &self.app.config));
        let shares = self.app.ledger.user(&identity.subject);
        self.outbox.assign_to(&shares);
        let before = self.user.replace(User { identity: identity.clone(), token, shares });
        if let Some(before) = before {
            self.recheck(&before.identity, &identity);
        }
    }

    /// Enters presence under the device the client names; without a name as before, or as a device of its own.
    fn enter_presence(&mut self, user: &str, device: Option<Device>) -> String {
        let device = match (&self.presence, device) {
            (Some(guard), None) => return guard.device().to_owned(),
            (_, Some(device)) => device,
            (None, None) => Device::of(self.id),
        };
        let guard = self.app.presence.enter(user, &device, Transport::WebSocket);
        if !guard.is_shown() {
            self.record_refusal(Limit::DevicesPerUser);
        }
        // Entered before the former entry goes: a device that is renamed does not leave.
        self.presence = Some(guard);
        device.id
    }

    pub(super) fn refuse_token(&mut self, id: Option<u64>, error: ApiError) {
        self.audit(AuditAction::TokenRefused, self.user.as_ref().map(|user| user.identity.subject.as_str()));
        self.outbox.reply(&replies::auth_error(id, &error));
        self.end(error);
    }

    /// Each topic is answered by itself.
    fn subscribe(&mut self, id: Option<u64>, mut command: Subscribe) {
        let trace = command.traceparent.take();
        let wanted = match command.into_topics(self.app.config.limits.subscriptions) {
            Ok(wanted) => wanted,
            Err(invalid) => return self.error(id, &invalid.into()),
        };
        for SubscribeTopic { topic, after, min_interval_ms } in wanted {
            let after = after.filter(|after| !after.is_empty());
            let mut span = command_span("subscribe", trace.as_deref());
            span.set("courant.topic", topic.clone());
            if let Err(error) = self.join(id, &topic, after, min_interval_ms, span) {
                self.outbox.reply(&replies::refused(id, topic, &error));
            }
        }
    }

    fn unsubscribe(&mut self, id: Option<u64>, command: Unsubscribe) {
        let unwanted = command.into_topics(self.app.config.limits.subscriptions).map_err(ApiError::from);
        let parsed = unwanted.and_then(|names| names.iter().map(|name| parse(name)).collect::<Result<Vec<_>, _>>());
        match parsed {
            Ok(topics) => {
                topics.iter().for_each(|topic| self.subscriptions.remove(topic));
                self.ok(id);
            }
            Err(error) => self.error(id, &error),
        }
    }

    fn join(
        &mut self,
        id: Option<u64>,
        topic: &str,
        after: Option<String>,
        min_interval_ms: Option<u64>,
        span: Span,
    ) -> Result<(), ApiError> {
        let topic = parse(topic)?;
        let Some(user) = &self.user else { return Ok(()) };
        self.subscriptions.remove(&topic);
        let limit = self.app.config.limits.subscriptions;
        if self.subscriptions.len() >= limit {
            self.record_refusal(Limit::Subscriptions);
            return Err(ApiError::too_many(format!("a connection may have {limit} subscriptions; end some")));
        }
        let followed = topic.kind().is_for_admins().then(|| topic.to_string());
        let request = SubscribeRequest {
            id,
            topic,
            after,
            tier: min_interval_ms.map_or_else(ThrottleTier::default, ThrottleTier::at_least),
            token: user.token.clone(),
            user: user.shares.clone(),
            access: JobAccess::of(&user.identity),
        };
        let (allowed, subject) = (user.identity.has(Role::Admin), user.identity.subject.clone());
        let subscriber = Subscriber::new(self.outbox.clone());
        let added = self.subscriptions.add(&self.app.topics, subscriber, request, span);
        added.inspect_err(|_| self.record_refusal(Limit::TopicsPerUser))?;
        if let Some(topic) = followed.filter(|_| allowed) {
            let address = Some(self.permit.address());
            self.app.audit.record(AuditAction::TopicFollowed, Some(&subject), address, Some(&topic));
        }
        Ok(())
    }

    /// Rights may have changed with the token: what it does not allow any more ends, the rest goes on.
    fn recheck(&mut self, before: &Identity, now: &Identity) {
        for topic in self.subscriptions.recheck(before, now) {
            let code = Code::Server(ErrorReason::RoleRequired).name();
            self.outbox.push(0, Arc::new(Push::ended(&topic.to_string().into(), code)));
        }
    }

    fn ok(&self, id: Option<u64>) {
        if id.is_some() {
            self.outbox.reply(&ServerMessage::Ok(Reply { id }));
        }
    }
}

fn parse(topic: &str) -> Result<TopicName, ApiError> {
    topic.parse().map_err(|error| ApiError::field("topic", format!("{error}")))
}
