//! What can go wrong, as clients see it. The only file that maps the server's statuses to codes and codes to HTTP.

use std::borrow::Cow;
use std::time::Duration;

use courant_proto::v1::ErrorReason;
use http::StatusCode;
use tonic::Code as Grpc;
use tonic_types::StatusExt as _;

use crate::wire::field::InvalidField;

/// The prefix of the reasons in the proto, which clients do not see.
const PREFIX: &str = "ERROR_REASON_";
/// How long a client waits before trying again, when nobody says better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A failure as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ApiError {
    pub code: Code,
    /// For people: what to do.
    pub message: Cow<'static, str>,
    /// When trying again can help: how long to wait.
    pub retry_after: Option<Duration>,
    /// The fields that are wrong, with what is wrong about them.
    pub fields: Vec<(String, String)>,
}

/// The closed list of codes: the server's and our own (`PROTOCOL.md`, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// One of the server's.
    Server(ErrorReason),
    /// Not a message of the protocol.
    BadMessage,
    /// Not what a WebSocket client may send (RFC 6455).
    ProtocolViolation,
    /// Text that is not UTF-8.
    InvalidText,
    /// The command's `type` is not known.
    UnknownCommand,
    /// The page asking is not one of ours.
    OriginForbidden,
    /// Another user's token on an open connection.
    SubjectChanged,
    /// No token in time.
    AuthTimeout,
    /// None of the offered subprotocols is known.
    SubprotocolUnknown,
    /// The message is over the limit.
    MessageTooLarge,
    /// Too many messages or requests in a short time. This one was not done.
    RateLimited,
    /// The client does not read fast enough.
    TooSlow,
    /// The server cannot be reached.
    ServerUnavailable,
    /// A WebSocket handshake was expected.
    UpgradeRequired,
    /// There is nothing at the path.
    NotFound,
    /// No such method on this path.
    MethodNotAllowed,
    /// Another version of the upload protocol, or none.
    TusVersion,
    /// A body of another type.
    ContentType,
    /// No format that the client accepts.
    NotAcceptable,
    /// The job of a conversion has failed.
    JobFailed,
}

impl Code {
    /// The name clients see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server(reason) => reason.as_str_name().trim_start_matches(PREFIX),
            Self::BadMessage => "BAD_MESSAGE",
            Self::ProtocolViolation => "PROTOCOL_VIOLATION",
            Self::InvalidText => "INVALID_TEXT",
            Self::UnknownCommand => "UNKNOWN_COMMAND",
            Self::OriginForbidden => "ORIGIN_FORBIDDEN",
            Self::SubjectChanged => "SUBJECT_CHANGED",
            Self::AuthTimeout => "AUTH_TIMEOUT",
            Self::SubprotocolUnknown => "SUBPROTOCOL_UNKNOWN",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::RateLimited => "RATE_LIMITED",
            Self::TooSlow => "TOO_SLOW",
            Self::ServerUnavailable => "SERVER_UNAVAILABLE",
            Self::UpgradeRequired => "UPGRADE_REQUIRED",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::TusVersion => "TUS_VERSION_UNKNOWN",
            Self::ContentType => "CONTENT_TYPE_WRONG",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::JobFailed => "JOB_FAILED",
        }
    }

    /// The status over HTTP.
    pub fn http(self) -> StatusCode {
        match self {
            Self::Server(reason) => reason_http(reason),
            Self::BadMessage
            | Self::ProtocolViolation
            | Self::InvalidText
            | Self::UnknownCommand
            | Self::SubprotocolUnknown => StatusCode::BAD_REQUEST,
            Self::OriginForbidden | Self::SubjectChanged => StatusCode::FORBIDDEN,
            Self::AuthTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::ServerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TusVersion => StatusCode::PRECONDITION_FAILED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::JobFailed => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

fn reason_http(reason: ErrorReason) -> StatusCode {
    use ErrorReason as R;
    match reason {
        R::TokenMissing | R::TokenInvalid | R::TokenExpired => StatusCode::UNAUTHORIZED,
        R::RoleRequired | R::WorkerIdTaken => StatusCode::FORBIDDEN,
        R::JobNotFound
        | R::ResultNotFound
        | R::ArtifactNotFound
        | R::BatchNotFound
        | R::WorkerNotFound
        | R::UploadNotFound
        | R::WebhookNotFound => StatusCode::NOT_FOUND,
        R::ResultNotReady
        | R::JobState
        | R::RequestIdMismatch
        | R::LeaseLost
        | R::PasswordUnreadable
        | R::PushDisabled
        | R::UploadOffset
        | R::WorkerReplaced => StatusCode::CONFLICT,
        R::InvalidField
        | R::WrongOrder
        | R::DocumentEmpty
        | R::DocumentCut
        | R::CursorInvalid
        | R::PageTokenInvalid
        | R::FilterInvalid => StatusCode::BAD_REQUEST,
        R::CursorTooOld => StatusCode::GONE,
        R::ChecksumMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        R::DocumentTooLarge | R::ArtifactTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        R::OffsetOutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
        R::UploadStalled => StatusCode::REQUEST_TIMEOUT,
        R::TooMany | R::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        R::KeysStale | R::Draining | R::StorageUnavailable | R::Busy => StatusCode::SERVICE_UNAVAILABLE,
        R::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        R::Unspecified | R::Internal | R::StorageMisconfigured => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ApiError {
    /// A failure of our own that trying again does not help.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None, fields: Vec::new() }
    }

    /// A field of a request is wrong.
    pub fn field(name: &str, problem: impl Into<String>) -> Self {
        InvalidField::new(name, problem).into()
    }

    /// Too much of something, for now.
    pub fn too_many(message: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(Code::Server(ErrorReason::TooMany), message) }
    }

    /// Too fast: it was not done, and may be asked again after so long.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        let retry_after = Some(wait.max(Duration::from_millis(1)));
        Self { retry_after, ..Self::new(Code::RateLimited, message) }
    }

    /// The server does not answer.
    pub fn unreachable() -> Self {
        let message = "the server cannot be reached at the moment; try again";
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(Code::ServerUnavailable, message) }
    }

    /// No such job or not the caller's: always the same words.
    pub fn job_not_found() -> Self {
        Self::new(Code::Server(ErrorReason::JobNotFound), "there is no such job, or it is not yours")
    }

    /// Whether trying again can help.
    pub fn retryable(&self) -> bool {
        self.retry_after.is_some()
    }

    /// Whether it is an answer of the server with this reason.
    pub fn is(&self, reason: ErrorReason) -> bool {
        self.code == Code::Server(reason)
    }
}

impl From<InvalidField> for ApiError {
    fn from(invalid: InvalidField) -> Self {
        let message = invalid.to_string();
        let fields = vec![(invalid.field, invalid.problem)];
        Self { fields, ..Self::new(Code::Server(ErrorReason::InvalidField), message) }
    }
}

impl From<courant_auth::TokenError> for ApiError {
    fn from(error: courant_auth::TokenError) -> Self {
        let reason = match error {
            courant_auth::TokenError::Invalid => ErrorReason::TokenInvalid,
            courant_auth::TokenError::Expired => ErrorReason::TokenExpired,
            courant_auth::TokenError::KeysStale => ErrorReason::KeysStale,
        };
        let retry_after = (reason == ErrorReason::KeysStale).then_some(RETRY_AFTER);
        Self { retry_after, ..Self::new(Code::Server(reason), error.to_string()) }
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        let Some(reason) = reason(&status) else { return unexplained(&status) };
        if reason == ErrorReason::JobNotFound {
            return Self::job_not_found();
        }
        let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let passing = matches!(status.code(), Grpc::Unavailable | Grpc::ResourceExhausted)
            && !matches!(
                reason,
                ErrorReason::DocumentTooLarge | ErrorReason::ArtifactTooLarge | ErrorReason::StorageMisconfigured
            );
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        Self {
            code: Code::Server(reason),
            message: status.message().to_owned().into(),
            retry_after: retry.or(passing.then_some(RETRY_AFTER)),
            fields: violations.into_iter().map(|violation| (violation.field, violation.description)).collect(),
        }
    }
}

fn reason(status: &tonic::Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    ErrorReason::from_str_name(&format!("{PREFIX}{}", info.reason))
}

/// A status without a reason of ours: from the transport, a proxy between, or another version of the server.
fn unexplained(status: &tonic::Status) -> ApiError {
    let internal = || {
        tracing::warn!(code = ?status.code(), message = status.message(), "the server answered without a reason");
        ApiError::new(Code::Server(ErrorReason::Internal), "something failed on our side; the server's log says more")
    };
    match status.code() {
        // How a lost connection shows depends on when it was lost.
        Grpc::Unavailable | Grpc::Unknown | Grpc::DeadlineExceeded | Grpc::Cancelled | Grpc::Aborted => {
            ApiError::unreachable()
        }
        Grpc::Internal if std::error::Error::source(status).is_some() => ApiError::unreachable(),
        Grpc::NotFound => ApiError::job_not_found(),
        Grpc::Unauthenticated => courant_auth::TokenError::Invalid.into(),
        Grpc::PermissionDenied => {
            ApiError::new(Code::Server(ErrorReason::RoleRequired), "your token does not allow this")
        }
        Grpc::ResourceExhausted => ApiError::too_many("too many requests at once; try again later"),
        Grpc::InvalidArgument | Grpc::OutOfRange => {
            ApiError::new(Code::Server(ErrorReason::InvalidField), status.message().to_owned())
        }
        Grpc::Ok
        | Grpc::AlreadyExists
        | Grpc::FailedPrecondition
        | Grpc::Unimplemented
        | Grpc::Internal
        | Grpc::DataLoss => internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_job_reads_like_one_that_never_was() {
        let message_of = |message: &str| {
            let details = tonic_types::ErrorDetails::with_error_info(
                "JOB_NOT_FOUND",
                "courant",
                std::collections::HashMap::new(),
            );
            ApiError::from(tonic::Status::with_error_details(Grpc::NotFound, message, details))
        };
        assert_eq!(message_of("job 1 is bob's"), message_of("there is no job 2"));
    }

    #[test]
    fn a_lost_server_is_worth_another_try() {
        let error = ApiError::from(tonic::Status::unavailable("tcp connect error"));
        assert_eq!((error.code, error.retryable()), (Code::ServerUnavailable, true));
        assert!(!ApiError::from(tonic::Status::internal("bug at line 7")).message.contains("line 7"));
    }
}
