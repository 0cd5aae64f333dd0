//! The replies of a session, put together.

use std::time::Duration;

use courant_auth::Identity;
use tokio::time::Instant;
use ulid::Ulid;

use crate::api_error::ApiError;
use crate::config::Config;
use crate::wire::ServerMessage;
use crate::wire::message::{Connected, ErrorReply, Expiring, Limits, Refusal};

/// Names a connection, in `connected` and in logs.
pub fn connection_id() -> Ulid {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 16];
    // Only tells connections apart: without randomness the time has to do.
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::warn!(%error, "no random numbers for a connection id; using the clock");
        random = now.as_nanos().to_le_bytes();
    }
    Ulid::from_parts(now.as_millis() as u64, u128::from_le_bytes(random))
}

/// Answers a good token.
pub fn connected(
    id: Option<u64>,
    connection: Ulid,
    device: &str,
    identity: &Identity,
    config: &Config,
) -> ServerMessage {
    let (limits, times) = (&config.limits, &config.times);
    ServerMessage::Connected(Connected {
        id,
        connection_id: connection.to_string(),
        device_id: device.to_owned(),
        user: identity.subject.clone(),
        roles: identity.roles.iter().copied().collect(),
        token_expires_at: prost_types::Timestamp::from(identity.expires).to_string(),
        ping_interval_ms: times.client_ping.as_millis() as u64,
        pong_timeout_ms: times.client_pong.as_millis() as u64,
        limits: Limits {
            max_message_bytes: limits.message_bytes,
            max_subscriptions: limits.subscriptions,
            messages_per_second: limits.messages_per_second,
            message_burst: limits.message_burst(),
            outbox_bytes: limits.outbox_bytes,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Says that the token runs out soon.
pub fn auth_expiring(identity: &Identity) -> ServerMessage {
    let left = identity.expires.duration_since(std::time::SystemTime::now()).unwrap_or_default();
    ServerMessage::AuthExpiring(Expiring {
        token_expires_at: prost_types::Timestamp::from(identity.expires).to_string(),
        expires_in_ms: left.as_millis() as u64,
    })
}

/// When to say so: `warning` before the end, or in the middle when there is less time than twice that. Never when the end
/// is here already.
pub fn warn_at(left: Duration, warning: Duration) -> Option<Instant> {
    (!left.is_zero()).then(|| Instant::now() + left.saturating_sub(warning.min(left / 2)))
}

/// Answers a bad token, or says that a good one has run out.
pub fn auth_error(id: Option<u64>, error: &ApiError) -> ServerMessage {
    let (code, message) = (error.code.name().to_owned(), error.message.to_string());
    ServerMessage::AuthError(Refusal { id, code, message })
}

/// Answers a command that failed.
pub fn error(id: Option<u64>, error: &ApiError) -> ServerMessage {
    ServerMessage::Error(failure(id, None, error))
}

/// Says that a topic cannot be followed.
pub fn refused(id: Option<u64>, topic: String, error: &ApiError) -> ServerMessage {
    ServerMessage::Error(failure(id, Some(topic), error))
}

fn failure(id: Option<u64>, topic: Option<String>, error: &ApiError) -> ErrorReply {
    ErrorReply {
        id,
        topic,
        code: error.code.name().to_owned(),
        message: error.message.to_string(),
        retryable: error.retryable(),
        retry_after_ms: error.retry_after.map(|wait| wait.as_millis() as u64),
    }
}
