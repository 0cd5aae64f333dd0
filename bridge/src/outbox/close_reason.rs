//! Close codes, and which error leads to which (`PROTOCOL.md`, section 6).

use std::time::Duration;

use courant_proto::v1::ErrorReason;

use crate::api_error::{ApiError, Code};
use crate::wire::message::{Closing, ServerMessage};

/// Why the bridge closes a connection. 10xx and 44xx: do not just come back; 45xx: come back with backoff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    pub code: u16,
    /// The error behind it.
    pub error: ApiError,
}

impl CloseReason {
    /// For an error that ends the connection.
    pub fn on(error: ApiError) -> Self {
        Self { code: close_code(error.code), error }
    }

    /// The client does not read fast enough.
    pub fn too_slow() -> Self {
        let message = "this connection does not read fast enough; connect again and continue from your last cursor";
        Self::on(ApiError { retry_after: Some(Duration::ZERO), ..ApiError::new(Code::TooSlow, message) })
    }

    pub fn closing(&self) -> ServerMessage {
        ServerMessage::Closing(Closing {
            code: self.code,
            reason: self.error.code.name().to_owned(),
            message: self.error.message.to_string(),
            retry_after_ms: self.error.retry_after.map_or(0, |wait| wait.as_millis() as u64),
        })
    }
}

fn close_code(code: Code) -> u16 {
    match code {
        // Those of RFC 6455, section 7.4.1, for violations of it.
        Code::ProtocolViolation => 1002,
        Code::InvalidText => 1007,
        Code::MessageTooLarge => 1009,
        Code::BadMessage | Code::UnknownCommand => 4400,
        Code::OriginForbidden | Code::SubjectChanged => 4403,
        Code::SubprotocolUnknown => 4406,
        Code::AuthTimeout => 4408,
        Code::ServerUnavailable => 4504,
        Code::TooSlow => 4508,
        Code::UpgradeRequired
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::TusVersion
        | Code::ContentType
        | Code::NotAcceptable
        | Code::JobFailed => 4500,
        Code::Server(ErrorReason::TokenMissing | ErrorReason::TokenInvalid | ErrorReason::TokenExpired) => 4401,
        Code::Server(ErrorReason::RoleRequired) => 4403,
        Code::Server(ErrorReason::TooMany) | Code::RateLimited => 4429,
        Code::Server(ErrorReason::Draining | ErrorReason::KeysStale) => 4503,
        Code::Server(_) => 4500,
    }
}
