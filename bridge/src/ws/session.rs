//! One connection from handshake to close: who it is, what it follows, when it must end. What it says is done in
//! [`commands`].

mod commands;
mod question;
mod rates;

use std::sync::Arc;

use bytes::Bytes;
use courant_auth::{Identity, TokenError};
use courant_tls::Socket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::format::{Format, Frames};
use super::wire::{Inbound, Wire};
use crate::app::App;
use crate::connection::registry::Seat;
use crate::connection::replies;
use crate::connection::subscriptions::{Finished, Subscriptions};
use crate::fault::{Code, Fault};
use crate::ledger;
use crate::metrics::Limit;
use crate::outbox::Outbox;
use crate::outbox::close::Verdict;
use crate::presence::book::Stay;
use crate::wire::Command;
use crate::wire::admin::Deed;
use crate::wire::command::Auth;
use crate::wire::packed::unframed;
use question::Answer;
use rates::{Judged, Rates};

/// Pings without a sign of life after which the peer is gone.
const MISSED_PINGS: u32 = 2;

/// One connection.
pub struct Session {
    app: Arc<App>,
    seat: Seat,
    id: ulid::Ulid,
    outbox: Arc<Outbox>,
    rates: Rates,
    user: Option<User>,
    /// Its entry among those who are connected, once its user is known.
    stay: Option<Stay>,
    format: Format,
    /// The token in the cookie of a page of ours.
    cookie: Option<String>,
    subscriptions: Subscriptions,
    unanswered: u32,
    ending: bool,
    /// When the next thing is due that is not a ping: the token, then its end, then the end of the closing handshake.
    deadline: Instant,
    /// When to remind of the token's end.
    warning: Option<Instant>,
    /// Figures that were asked for.
    asked: JoinSet<(Option<u64>, Result<Answer, Fault>)>,
}

/// Who the connection speaks for.
struct User {
    identity: Identity,
    token: String,
    /// What the user holds.
    held: Arc<ledger::User>,
}

/// What wakes a session.
enum Turn {
    Inbound(Inbound),
    Joined(Finished),
    Answered((Option<u64>, Result<Answer, Fault>)),
    Ping,
    Warning,
    Deadline,
    Ending,
    Drain,
    CoreAway,
}

impl Session {
    /// A connection whose user is not known yet.
    pub fn new(app: Arc<App>, seat: Seat, format: Format) -> Self {
        let limits = &app.config.limits;
        Self {
            seat,
            id: replies::connection_id(),
            outbox: Arc::new(Outbox::new(limits.outbox_bytes, app.metrics.clone())),
            rates: Rates::new(limits),
            user: None,
            stay: None,
            format,
            cookie: None,
            subscriptions: Subscriptions::new(),
            unanswered: 0,
            ending: false,
            deadline: Instant::now() + app.config.times.auth,
            warning: None,
            asked: JoinSet::new(),
            app,
        }
    }

    /// Puts in a verdict before the first message.
    pub fn refuse(&mut self, fault: Fault) {
        self.end(fault);
    }

    /// Takes a token that came with the handshake.
    pub fn offer(&mut self, token: String) {
        self.auth(None, Auth { token: Some(token), device: None });
    }

    /// Takes the token of the cookie, for an `auth` that brings none.
    pub fn keep(&mut self, cookie: Option<String>) {
        self.cookie = cookie;
    }

    /// Runs it to its end.
    pub async fn run(mut self, socket: Socket, read: Bytes) {
        let mut wire = wire(&self.app, self.format, self.outbox.clone(), socket, read).await;
        let every = self.app.config.times.ping;
        let mut pings = tokio::time::interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = self.app.core_away.clone();
        away.mark_unchanged();
        tracing::debug!(connection = %self.id, "opened");
        loop {
            let ending = self.ending;
            let turn = tokio::select! {
                inbound = wire.next() => Turn::Inbound(inbound),
                Some(joined) = self.subscriptions.finished() => Turn::Joined(joined),
                Some(Ok(answer)) = self.asked.join_next() => Turn::Answered(answer),
                _ = pings.tick() => Turn::Ping,
                () = due(self.warning), if !ending => Turn::Warning,
                () = tokio::time::sleep_until(self.deadline) => Turn::Deadline,
                () = self.outbox.ended(), if !ending => Turn::Ending,
                () = self.app.drain.cancelled(), if !ending => Turn::Drain,
                Ok(()) = away.changed(), if !ending => Turn::CoreAway,
            };
            if self.turn(turn, &mut wire) == Then::Stop {
                break;
            }
        }
        self.subscriptions.clear();
        if let Some(user) = &self.user {
            self.note(Deed::Disconnected, Some(&user.identity.subject));
        }
        tracing::debug!(connection = %self.id, "closed");
    }

    fn turn(&mut self, turn: Turn, wire: &mut Wire) -> Then {
        match turn {
            Turn::Inbound(Inbound::Gone) => return Then::Stop,
            Turn::Inbound(inbound) => {
                self.unanswered = 0;
                self.inbound(inbound);
            }
            Turn::Joined(finished) => {
                if let Some(refused) = self.subscriptions.settle(finished) {
                    self.outbox.reply(&replies::refused(refused.command, refused.topic.to_string(), &refused.fault));
                }
            }
            Turn::Answered((id, answer)) => self.answer(id, answer),
            Turn::Warning => {
                self.warning = None;
                if let Some(user) = &self.user {
                    self.outbox.reply(&replies::auth_expiring(&user.identity));
                }
            }
            Turn::Ping if self.unanswered >= MISSED_PINGS => {
                tracing::debug!(connection = %self.id, "missed its pings");
                return Then::Stop;
            }
            Turn::Ping => {
                self.unanswered += 1;
                wire.ping();
            }
            Turn::Deadline if self.ending => return Then::Stop,
            Turn::Deadline => self.overdue(),
            Turn::Ending => self.ending(),
            Turn::Drain => self.drain(),
            Turn::CoreAway => self.end(Fault::unreachable()),
        }
        Then::GoOn
    }

    /// From here on only the last words are written, and they have limited time.
    fn ending(&mut self) {
        self.ending = true;
        self.deadline = Instant::now() + self.app.config.times.close;
        self.subscriptions.clear();
        self.stay = None;
    }

    fn inbound(&mut self, inbound: Inbound) {
        if self.outbox.is_ended() {
            return;
        }
        match inbound {
            Inbound::Text(_) | Inbound::Binary(_) if !self.may_speak(&inbound) => {}
            Inbound::Control if !self.rates.control() => {
                self.refused(Limit::Pings);
                self.end(Fault::too_many("too many WebSocket pings or pongs; send one in several seconds"));
            }
            Inbound::Text(text) if self.format == Format::Json => self.command(Command::parse(text.as_str())),
            Inbound::Text(_) => self.end(Fault::new(Code::BadMessage, "text is not spoken with courant.v1.msgpack")),
            Inbound::Binary(frame) if self.format == Format::MessagePack => match unframed(&frame) {
                Ok(packed) => self.command(Command::parse_packed(packed)),
                Err(why) => self.end(Fault::new(Code::BadMessage, why)),
            },
            Inbound::Binary(_) => {
                self.end(Fault::new(Code::BadMessage, "binary messages are spoken with courant.v1.msgpack alone"));
            }
            Inbound::Broken => self.end(Fault::new(Code::BadMessage, "not a WebSocket message of text in UTF-8")),
            Inbound::TooLarge => {
                let limit = self.app.config.limits.message_bytes;
                self.refused(Limit::MessageBytes);
                self.end(Fault::new(Code::MessageTooLarge, format!("a message may have at most {limit} bytes")));
            }
            Inbound::Control | Inbound::Alive | Inbound::Gone => {}
        }
    }

    /// Judges the rate of messages. One that comes too fast is answered and not read.
    fn may_speak(&mut self, inbound: &Inbound) -> bool {
        let wait = match self.rates.message() {
            Judged::Fine => return true,
            Judged::TooFast(wait) => wait,
            Judged::Flood => {
                self.refused(Limit::MessagesPerSecond);
                self.end(Fault::too_many("a flood of messages; keep to limits.messagesPerSecond, then connect again"));
                return false;
            }
        };
        self.refused(Limit::MessagesPerSecond);
        let id = match inbound {
            Inbound::Text(text) => Command::id_of(text.as_str()),
            Inbound::Binary(frame) => unframed(frame).ok().and_then(Command::id_of_packed),
            _ => None,
        };
        let limit = self.app.config.limits.messages_per_second;
        let message =
            format!("a connection may send {limit} messages per second; this one was not done, send it again later");
        self.error(id, &Fault::rate_limited(message, wait));
        false
    }

    fn refused(&self, limit: Limit) {
        let user = self.user.as_ref().map(|user| user.identity.subject.as_str());
        self.app.registry.refused(limit, user, self.seat.address());
    }

    fn note(&self, deed: Deed, user: Option<&str>) {
        self.app.trail.note(deed, user, Some(self.seat.address()), Some(&self.id.to_string()));
    }

    fn overdue(&mut self) {
        if self.user.is_some() {
            self.refuse_token(None, TokenError::Expired.into());
        } else {
            self.end(Fault::new(
                Code::AuthTimeout,
                "no token came in time; send {\"type\":\"auth\",\"token\":…} first",
            ));
        }
    }

    fn drain(&mut self) {
        self.outbox.end_for_drain(&self.app.config.times);
    }

    fn error(&self, id: Option<u64>, fault: &Fault) {
        self.outbox.reply(&replies::error(id, fault));
    }

    fn end(&mut self, fault: Fault) {
        tracing::debug!(connection = %self.id, %fault, "closing");
        self.outbox.end(Verdict::on(fault));
    }
}

/// Waits until then; for ever when there is no such time.
async fn due(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What a session does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

async fn wire(app: &App, format: Format, outbox: Arc<Outbox>, socket: Socket, read: Bytes) -> Wire {
    let limits = &app.config.limits;
    let frames = Frames::new(format, limits.compress_above, app.metrics.clone());
    Wire::new(socket, read, outbox, frames, limits.message_bytes).await
}

/// Tells a connection there is no seat for why, and closes it.
pub async fn turn_away(app: &App, fault: Fault, format: Format, socket: Socket, read: Bytes) {
    let outbox = Arc::new(Outbox::new(app.config.limits.outbox_bytes, app.metrics.clone()));
    outbox.end(Verdict::on(fault));
    let mut wire = wire(app, format, outbox, socket, read).await;
    let farewell = async { while !matches!(wire.next().await, Inbound::Gone) {} };
    let _ = tokio::time::timeout(app.config.times.close, farewell).await;
}
