//! One connection from handshake to close: who it is, what it follows, when it must end. What it says is done in
//! [`commands`].

mod commands;
mod rates;
mod server_query;

use std::sync::Arc;

use bytes::Bytes;
use courant_auth::{Identity, TokenError};
use courant_runtime::next_tick;
use courant_tls::Socket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::format::{Format, Framing};
use super::reader::Inbound;
use super::socket::FramedSocket;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::connection::permits::ConnectionPermit;
use crate::connection::replies;
use crate::connection::subscriptions::{FinishedTask, Subscriptions};
use crate::ledger;
use crate::metrics::Limit;
use crate::outbox::Outbox;
use crate::outbox::close_reason::CloseReason;
use crate::presence::local::PresenceGuard;
use crate::wire::Command;
use crate::wire::admin::AuditAction;
use crate::wire::command::Auth;
use crate::wire::packed::unframed;
use rates::{RateDecision, Rates};
use server_query::Answer;

/// Pings without a sign of life after which the peer is gone.
const MISSED_PINGS: u32 = 2;

pub struct Session {
    app: Arc<App>,
    permit: ConnectionPermit,
    id: ulid::Ulid,
    outbox: Arc<Outbox>,
    rates: Rates,
    user: Option<User>,
    /// Its entry among those who are connected, once its user is known.
    presence: Option<PresenceGuard>,
    format: Format,
    /// The token in the cookie of a page of ours.
    cookie: Option<String>,
    subscriptions: Subscriptions,
    unanswered_pings: u32,
    next_ping: Instant,
    ending: bool,
    /// When the token is due, then its end, then the end of the closing handshake.
    deadline: Instant,
    /// When to remind of the token's end.
    warning: Option<Instant>,
    /// When it is asked to leave, once the bridge drains.
    leaves: Option<Instant>,
    /// Statistics that were asked for.
    queries: JoinSet<(Option<u64>, Result<Answer, ApiError>)>,
}

/// Whose connection it is.
struct User {
    identity: Arc<Identity>,
    token: String,
    /// What the user holds.
    shares: Arc<ledger::User>,
}

/// What wakes a session.
enum SessionEvent {
    Inbound(Inbound),
    Joined(FinishedTask),
    Answered((Option<u64>, Result<Answer, ApiError>)),
    /// One of the session's times has come.
    Due,
    Ending,
    Drain,
    /// An operator has the connections of its user closed.
    Closed,
    ServerUnavailable,
}

impl Session {
    /// A connection whose user is not known yet.
    pub fn new(app: Arc<App>, permit: ConnectionPermit, format: Format) -> Self {
        let limits = &app.config.limits;
        Self {
            permit,
            id: replies::connection_id(),
            outbox: Arc::new(Outbox::new(limits.outbox_bytes, app.metrics.clone())),
            rates: Rates::new(limits),
            user: None,
            presence: None,
            format,
            cookie: None,
            subscriptions: Subscriptions::new(),
            unanswered_pings: 0,
            next_ping: next_tick(Instant::now() + app.config.times.ping),
            ending: false,
            deadline: Instant::now() + app.config.times.auth,
            warning: None,
            leaves: None,
            queries: JoinSet::new(),
            app,
        }
    }

    /// Ends it with this error, before the first message.
    pub fn refuse(&mut self, error: ApiError) {
        self.end(error);
    }

    /// Takes a token that came with the handshake.
    pub fn authenticate(&mut self, token: String) {
        self.auth(None, Auth { token: Some(token), device: None });
    }

    /// Takes the token of the cookie, for an `auth` that brings none.
    pub fn set_cookie(&mut self, cookie: Option<String>) {
        self.cookie = cookie;
    }

    /// Runs it to its end. Boxed: whoever calls this would have room for it twice.
    pub async fn run(mut self: Box<Self>, socket: Socket, read: Bytes) {
        let mut socket = framed(&self.app, self.format, self.outbox.clone(), socket, read);
        let mut outages = self.app.server_unavailable.clone();
        outages.mark_unchanged();
        tracing::debug!(connection = %self.id, "opened");
        loop {
            let (ending, due) = (self.ending, self.next_due());
            let event = tokio::select! {
                inbound = socket.next() => SessionEvent::Inbound(inbound),
                Some(joined) = self.subscriptions.finished() => SessionEvent::Joined(joined),
                Some(Ok(answer)) = self.queries.join_next() => SessionEvent::Answered(answer),
                () = tokio::time::sleep_until(due) => SessionEvent::Due,
                () = self.outbox.ended(), if !ending => SessionEvent::Ending,
                () = self.app.drain.begun(), if !ending && self.leaves.is_none() => SessionEvent::Drain,
                // It may come again, as after a drain.
                () = self.permit.closed(), if !ending && self.leaves.is_none() => SessionEvent::Closed,
                Ok(()) = outages.changed(), if !ending => SessionEvent::ServerUnavailable,
            };
            if self.handle(event, &mut socket) == Flow::Stop {
                break;
            }
        }
        self.subscriptions.clear();
        if let Some(user) = &self.user {
            self.audit(AuditAction::Disconnected, Some(&user.identity.subject));
        }
        tracing::debug!(connection = %self.id, "closed");
    }

    fn handle(&mut self, event: SessionEvent, socket: &mut FramedSocket) -> Flow {
        match event {
            SessionEvent::Inbound(Inbound::Gone) => return Flow::Stop,
            SessionEvent::Inbound(inbound) => {
                self.unanswered_pings = 0;
                self.inbound(inbound);
            }
            SessionEvent::Joined(finished) => {
                if let Some(refused) = self.subscriptions.apply(finished) {
                    self.outbox.reply(&replies::refused(refused.command, refused.topic.to_string(), &refused.error));
                }
            }
            SessionEvent::Answered((id, answer)) => self.answer(id, answer),
            SessionEvent::Due => return self.handle_due(Instant::now(), socket),
            SessionEvent::Ending => self.begin_ending(),
            SessionEvent::Drain => self.leaves = Some(self.app.drain.draw()),
            SessionEvent::Closed => self.leaves = Some(Instant::now()),
            SessionEvent::ServerUnavailable => self.end(ApiError::unreachable()),
        }
        Flow::Continue
    }

    /// One timer for all that is due some time: there are many sessions.
    fn next_due(&self) -> Instant {
        let next = self.deadline.min(self.next_ping);
        let leaves = self.leaves.filter(|_| !self.outbox.is_ended());
        [self.warning, leaves].into_iter().flatten().fold(next, Instant::min)
    }

    fn handle_due(&mut self, now: Instant, socket: &mut FramedSocket) -> Flow {
        if self.deadline <= now {
            if self.ending {
                return Flow::Stop;
            }
            // It may have ended a moment ago.
            if !self.outbox.is_ended() {
                self.handle_deadline();
            }
        }
        if self.warning.take_if(|warning| *warning <= now).is_some()
            && let Some(user) = &self.user
        {
            self.outbox.reply(&replies::auth_expiring(&user.identity));
        }
        if self.leaves.is_some_and(|leaves| leaves <= now) && !self.outbox.is_ended() {
            self.outbox.end_for_drain();
        }
        if self.next_ping <= now {
            if self.unanswered_pings >= MISSED_PINGS {
                tracing::debug!(connection = %self.id, "closing: pings unanswered");
                return Flow::Stop;
            }
            self.unanswered_pings += 1;
            self.next_ping = next_tick(now + self.app.config.times.ping);
            socket.ping();
        }
        Flow::Continue
    }

    /// From here on only the last words are written, and they have limited time.
    fn begin_ending(&mut self) {
        self.ending = true;
        self.deadline = Instant::now() + self.app.config.times.close;
        self.warning = None;
        self.subscriptions.clear();
        self.presence = None;
    }

    fn inbound(&mut self, inbound: Inbound) {
        if self.outbox.is_ended() {
            return;
        }
        match inbound {
            Inbound::Text(_) | Inbound::Binary(_) if !self.check_message_rate(&inbound) => {}
            Inbound::Control if !self.rates.control() => {
                self.record_refusal(Limit::Pings);
                self.end(ApiError::too_many("too many WebSocket pings or pongs; send one in several seconds"));
            }
            Inbound::Text(text) if self.format == Format::Json => self.command(Command::parse(text.as_str())),
            Inbound::Text(_) => {
                self.end(ApiError::new(Code::BadMessage, "with courant.v1.msgpack send binary messages, not text"))
            }
            Inbound::Binary(frame) if self.format == Format::MessagePack => match unframed(&frame) {
                Ok(packed) => self.command(Command::parse_packed(packed)),
                Err(why) => self.end(ApiError::new(Code::BadMessage, why)),
            },
            Inbound::Binary(_) => {
                self.end(ApiError::new(Code::BadMessage, "binary messages need the subprotocol courant.v1.msgpack"));
            }
            Inbound::Broken => self.end(ApiError::new(Code::ProtocolViolation, "not a WebSocket message (RFC 6455)")),
            Inbound::InvalidText => self.end(ApiError::new(Code::InvalidText, "a text message that is not UTF-8")),
            Inbound::TooLarge => {
                let limit = self.app.config.limits.message_bytes;
                self.record_refusal(Limit::MessageBytes);
                self.end(ApiError::new(Code::MessageTooLarge, format!("a message may have at most {limit} bytes")));
            }
            Inbound::Control | Inbound::Alive | Inbound::Gone => {}
        }
    }

    /// Judges the rate of messages. One that comes too fast is answered and not read.
    fn check_message_rate(&mut self, inbound: &Inbound) -> bool {
        let wait = match self.rates.message() {
            RateDecision::Allowed => return true,
            RateDecision::Refused(wait) => wait,
            RateDecision::Flood => {
                self.record_refusal(Limit::MessagesPerSecond);
                self.end(ApiError::too_many(
                    "a flood of messages; keep to limits.messagesPerSecond, then connect again",
                ));
                return false;
            }
        };
        self.record_refusal(Limit::MessagesPerSecond);
        let id = match inbound {
            Inbound::Text(text) => Command::id_of(text.as_str()),
            Inbound::Binary(frame) => unframed(frame).ok().and_then(Command::id_of_packed),
            _ => None,
        };
        let limit = self.app.config.limits.messages_per_second;
        let message =
            format!("a connection may send {limit} messages per second; this one was not done, send it again later");
        self.error(id, &ApiError::rate_limited(message, wait));
        false
    }

    fn record_refusal(&self, limit: Limit) {
        let user = self.user.as_ref().map(|user| user.identity.subject.as_str());
        self.app.permits.refused(limit, user, self.permit.address());
    }

    fn audit(&self, action: AuditAction, user: Option<&str>) {
        self.app.audit.record(action, user, Some(self.permit.address()), Some(&self.id.to_string()));
    }

    fn handle_deadline(&mut self) {
        if self.user.is_some() {
            self.refuse_token(None, TokenError::Expired.into());
        } else {
            self.end(ApiError::new(
                Code::AuthTimeout,
                "no token came in time; send {\"type\":\"auth\",\"token\":…} first",
            ));
        }
    }

    fn error(&self, id: Option<u64>, error: &ApiError) {
        self.outbox.reply(&replies::error(id, error));
    }

    fn end(&mut self, error: ApiError) {
        tracing::debug!(connection = %self.id, %error, "closing");
        self.outbox.end(CloseReason::on(error));
    }
}

/// What a session does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

fn framed(app: &App, format: Format, outbox: Arc<Outbox>, socket: Socket, read: Bytes) -> FramedSocket {
    let limits = &app.config.limits;
    let framing = Framing::new(format, limits.compress_above, app.metrics.clone());
    FramedSocket::new(socket, read, outbox, framing, limits.message_bytes, &app.flushers)
}

/// Tells a connection there is no permit for why, and closes it.
pub async fn refuse_connection(app: &App, error: ApiError, format: Format, socket: Socket, read: Bytes) {
    let outbox = Arc::new(Outbox::new(app.config.limits.outbox_bytes, app.metrics.clone()));
    outbox.end(CloseReason::on(error));
    let mut socket = framed(app, format, outbox, socket, read);
    let farewell = async { while !matches!(socket.next().await, Inbound::Gone) {} };
    let _ = tokio::time::timeout(app.config.times.close, farewell).await;
}
