//! Errors as gRPC statuses: the only place that knows how one becomes the other.

use std::collections::HashMap;
use std::time::Duration;

use courant_auth::TokenError;
use courant_engine::Error as Refused;
use courant_joblog::log::AppendError;
use courant_proto::v1::{CallError, ErrorReason};
use courant_runtime::logging::Occasional;
use parking_lot::Mutex;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::Error;
use crate::fault::{Fault, error_chain};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "courant";
/// What the names of reasons begin with in the proto, and nowhere else.
const REASON_PREFIX: &str = "ERROR_REASON_";
/// When a caller may try again after a passing fault.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// When a caller may try again while there is no space.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = classify(&error);
        if matches!(code, Code::Internal | Code::Unavailable) {
            log(&error);
        }
        let name = reason.as_str_name().trim_start_matches(REASON_PREFIX);
        let mut details = ErrorDetails::with_error_info(name, DOMAIN, HashMap::new());
        if let Error::Field { field, problem } = &error {
            details.add_bad_request_violation(field.as_ref(), problem);
        }
        if let Error::Engine(Refused::JobState { job, needs, .. }) = &error {
            details.add_precondition_failure_violation("STATE", job.as_str(), *needs);
        }
        if let Error::Filter(why) = &error {
            details.add_bad_request_violation("filter", &why.problem);
        }
        if let Error::Engine(Refused::Quota(refusal)) = &error {
            details.add_quota_failure_violation(
                format!("owner:{}", refusal.owner),
                format!("{}: {refusal}", refusal.which.name()),
            );
            details.set_retry_info(refusal.retry_after);
        }
        if let Some(after) = retry_after(code, reason) {
            details.set_retry_info(Some(after));
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

/// An error of one request of a stream, which goes on.
pub fn call_error(error: Error) -> CallError {
    let status = Status::from(error);
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| format!("{REASON_PREFIX}{}", info.reason));
    CallError {
        code: status.code().into(),
        message: status.message().to_owned(),
        reason: reason.and_then(|name| ErrorReason::from_str_name(&name)).unwrap_or_default().into(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay?.try_into().ok()),
    }
}

/// Why a report of a worker cannot be taken now but may be later, and when; none where saying it again would not help or the
/// log itself has failed, with which the server ends.
pub fn deferral(error: &Error) -> Option<(ErrorReason, Duration)> {
    let passes =
        matches!(error, Error::Objects(_) | Error::Engine(Refused::Append(AppendError::Full) | Refused::Busy(_)));
    passes.then(|| {
        log(error);
        let (code, reason) = classify(error);
        // What takes a person takes longer.
        (reason, retry_after(code, reason).unwrap_or(RETRY_WHEN_FULL))
    })
}

/// What the log keeps and the client does not read.
fn log(error: &Error) {
    match error {
        Error::Engine(Refused::IllegalChange(cause)) => {
            tracing::error!(%cause, "a change was illegal where it should not be")
        }
        // The log reports once by itself that it is full.
        Error::Engine(Refused::Append(AppendError::Full)) => tracing::debug!("nothing was appended: no space"),
        // That it is away is said once, by who tries to reach it.
        Error::Engine(Refused::Append(AppendError::Unavailable { .. })) => {
            tracing::debug!("nothing was appended: the log cannot be reached")
        }
        Error::Engine(Refused::Append(cause)) => tracing::error!(%cause, "append failed"),
        Error::Engine(Refused::Read(cause)) => tracing::error!(%cause, "read failed"),
        Error::Objects(cause) => {
            // Every call may fail alike while the store is away.
            static LINES: Mutex<Option<Occasional>> = Mutex::new(None);
            LINES.lock().get_or_insert_default().log(|left_out| {
                tracing::error!(cause = error_chain(cause), left_out, "the store of documents and results failed");
            });
        }
        Error::NotificationStore(cause) => tracing::error!(%cause, "the store of notifications failed"),
        Error::WebhookStore(cause) => tracing::error!(%cause, "the store of webhooks failed"),
        Error::Lanes(cause) => tracing::error!(%cause, "a lane was not changed"),
        Error::AuditLog(cause) => tracing::error!(%cause, "the audit log cannot be read"),
        other => tracing::debug!(%other, "call refused"),
    }
}

/// When to try again; none where that does not help before a person has done something.
fn retry_after(code: Code, reason: ErrorReason) -> Option<Duration> {
    match (code, reason) {
        (_, ErrorReason::StorageMisconfigured) => None,
        (Code::Unavailable, ErrorReason::StorageFull) => Some(RETRY_WHEN_FULL),
        (Code::Unavailable, _) | (_, ErrorReason::TooMany) => Some(RETRY_AFTER),
        _ => None,
    }
}

fn classify(error: &Error) -> (Code, ErrorReason) {
    match error {
        Error::Engine(refused) => classify_refused(refused),
        Error::TokenMissing => (Code::Unauthenticated, ErrorReason::TokenMissing),
        Error::Token(TokenError::Invalid) => (Code::Unauthenticated, ErrorReason::TokenInvalid),
        Error::Token(TokenError::Expired) => (Code::Unauthenticated, ErrorReason::TokenExpired),
        Error::Token(TokenError::KeysStale) => (Code::Unavailable, ErrorReason::KeysStale),
        Error::RoleRequired(_) => (Code::PermissionDenied, ErrorReason::RoleRequired),
        Error::ResultNotFound { .. } | Error::OutputNotFound { .. } | Error::PageNotFound { .. } => {
            (Code::NotFound, ErrorReason::ResultNotFound)
        }
        Error::ResultNotReady { .. } | Error::PageNotReady { .. } => {
            (Code::FailedPrecondition, ErrorReason::ResultNotReady)
        }
        Error::Field { .. } => (Code::InvalidArgument, ErrorReason::InvalidField),
        Error::WrongOrder(_) => (Code::InvalidArgument, ErrorReason::WrongOrder),
        Error::DocumentEmpty => (Code::InvalidArgument, ErrorReason::DocumentEmpty),
        Error::DocumentTooLarge { .. } => (Code::ResourceExhausted, ErrorReason::DocumentTooLarge),
        Error::ChecksumMismatch { .. } => (Code::InvalidArgument, ErrorReason::ChecksumMismatch),
        Error::DocumentCut { .. } => (Code::InvalidArgument, ErrorReason::DocumentCut),
        Error::UploadNotFound(_) => (Code::NotFound, ErrorReason::UploadNotFound),
        Error::UploadOffset { .. } => (Code::Aborted, ErrorReason::UploadOffset),
        Error::BatchNotFound(_) => (Code::NotFound, ErrorReason::BatchNotFound),
        Error::Filter(_) => (Code::InvalidArgument, ErrorReason::FilterInvalid),
        Error::RequestIdMismatch => (Code::AlreadyExists, ErrorReason::RequestIdMismatch),
        Error::Cursor(_) => (Code::InvalidArgument, ErrorReason::CursorInvalid),
        Error::PageToken => (Code::InvalidArgument, ErrorReason::PageTokenInvalid),
        Error::PushDisabled => (Code::FailedPrecondition, ErrorReason::PushDisabled),
        Error::PasswordUnreadable(_) => (Code::FailedPrecondition, ErrorReason::PasswordUnreadable),
        Error::ArtifactNotFound(_) => (Code::NotFound, ErrorReason::ArtifactNotFound),
        Error::ArtifactTooLarge { .. } => (Code::ResourceExhausted, ErrorReason::ArtifactTooLarge),
        Error::Offset { .. } => (Code::OutOfRange, ErrorReason::OffsetOutOfRange),
        Error::Draining => (Code::Unavailable, ErrorReason::Draining),
        Error::PeerSilent(_) => (Code::Unavailable, ErrorReason::Busy),
        Error::Replaced => (Code::Aborted, ErrorReason::WorkerReplaced),
        Error::WorkerIdTaken(_) => (Code::PermissionDenied, ErrorReason::WorkerIdTaken),
        Error::WorkerNotFound(_) => (Code::NotFound, ErrorReason::WorkerNotFound),
        Error::WebhookNotFound(_) => (Code::NotFound, ErrorReason::WebhookNotFound),
        Error::NotificationStore(_) | Error::WebhookStore(_) | Error::AuditLog(_) | Error::Lanes(_) => {
            (Code::Unavailable, ErrorReason::StorageUnavailable)
        }
        Error::Objects(cause) => match Fault::of(cause) {
            Fault::Missing => (Code::Internal, ErrorReason::Internal),
            // Workers wait for the operator with what they have; the reason tells clients that it takes one.
            Fault::Misconfigured(_) => (Code::Unavailable, ErrorReason::StorageMisconfigured),
            Fault::Full => (Code::Unavailable, ErrorReason::StorageFull),
            Fault::Overloaded | Fault::Timeout | Fault::Unavailable => {
                (Code::Unavailable, ErrorReason::StorageUnavailable)
            }
        },
        Error::TooMany(_) => (Code::ResourceExhausted, ErrorReason::TooMany),
        Error::UploadStalled(_) | Error::UploadTooSlow(_) => (Code::DeadlineExceeded, ErrorReason::UploadStalled),
    }
}

fn classify_refused(error: &Refused) -> (Code, ErrorReason) {
    match error {
        Refused::JobNotFound(_) => (Code::NotFound, ErrorReason::JobNotFound),
        Refused::JobState { .. } => (Code::FailedPrecondition, ErrorReason::JobState),
        Refused::LeaseLost { .. } => (Code::Aborted, ErrorReason::LeaseLost),
        Refused::Quota(_) => (Code::ResourceExhausted, ErrorReason::QuotaExceeded),
        Refused::CursorTooOld(_) => (Code::OutOfRange, ErrorReason::CursorTooOld),
        Refused::Append(AppendError::TooLarge { .. } | AppendError::Unencodable { .. }) | Refused::IllegalChange(_) => {
            (Code::Internal, ErrorReason::Internal)
        }
        Refused::Append(AppendError::Full) => (Code::Unavailable, ErrorReason::StorageFull),
        Refused::Append(
            AppendError::Unavailable { .. } | AppendError::Conflict { .. } | AppendError::Unknown { .. },
        )
        | Refused::Read(_) => (Code::Unavailable, ErrorReason::StorageUnavailable),
        Refused::Busy(_) => (Code::Unavailable, ErrorReason::Busy),
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::JobId;

    use super::*;

    #[test]
    fn a_status_carries_reason_domain_and_field() {
        let status = Status::from(Error::field("page_size", "must not be negative"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", DOMAIN));
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_size");
    }

    #[test]
    fn only_passing_faults_say_when_to_try_again() {
        let busy = Status::from(Error::from(Refused::Busy(JobId::new("J"))));
        assert!(busy.get_error_details().retry_info().is_some());
        let gone = Status::from(Error::from(Refused::JobNotFound(JobId::new("J"))));
        assert!(gone.get_error_details().retry_info().is_none());
        let store = |error| {
            let status = Status::from(Error::Objects(error));
            let details = status.get_error_details();
            (details.error_info().unwrap().reason.clone(), details.retry_info().is_some(), status.message().to_owned())
        };
        let denied = object_store::Error::PermissionDenied { path: "secret".into(), source: "key AKIA".into() };
        let (reason, again, message) = store(denied);
        assert_eq!((reason.as_str(), again), ("STORAGE_MISCONFIGURED", false));
        assert!(message.contains("access is denied") && !message.contains("AKIA"), "{message}");
        let full = std::io::Error::from_raw_os_error(28);
        let (reason, again, _) = store(object_store::Error::Generic { store: "local", source: full.into() });
        assert_eq!((reason.as_str(), again), ("STORAGE_FULL", true));
    }
}
