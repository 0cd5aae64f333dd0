//! Why a command failed, in one sentence for the person at the terminal.

use std::path::PathBuf;

use tonic::Code;
use tonic_types::StatusExt;

/// Why a command failed. Printed after `courant: `; says what to do where we know it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0} is empty; there is nothing to process")]
    EmptyFile(PathBuf),
    #[error(transparent)]
    DataDir(#[from] courant_server::data_dir::DataDirError),
    #[error("no `courant up` runs on {0}; start one, or give --server and --token")]
    NotRunning(PathBuf),
    #[error(
        "there is no token and no secret in {0}; give --token (or COURANT_TOKEN), or the --data-dir of a `courant up` here"
    )]
    NoToken(PathBuf),
    #[error("the token holds characters that no token has; copy it again")]
    OddToken,
    #[error(transparent)]
    Address(#[from] courant_tls::AddressError),
    #[error(transparent)]
    Tls(#[from] courant_tls::TlsError),
    #[error("cannot reach {address}: {cause}; is `courant up` running there?")]
    Unreachable { address: String, cause: String },
    #[error("gave up after {0}: the service does not answer")]
    GaveUp(humantime::FormattedDuration),
    #[error("{0}")]
    Refused(String),
    #[error("{flag} needs exactly one {thing}")]
    OneOnly { flag: &'static str, thing: &'static str },
    #[error("more than {0} jobs are found, and nothing was done; narrow --filter, or raise --limit")]
    TooManyJobs(usize),
    #[error("the job {job} has failed: {why}")]
    JobFailed { job: String, why: String },
    #[error(
        "the job {0} has not ended yet and goes on; `courant watch {0}` follows it, `courant result {0}` reads what comes of it"
    )]
    Unfinished(String),
    #[error("the result arrived damaged (its checksum is wrong); try again")]
    Damaged,
    #[error("the service answered without {0}; is it a newer or older version?")]
    Incomplete(&'static str),
    #[error(transparent)]
    Listen(#[from] courant_runtime::ListenError),
    #[error(transparent)]
    Filter(#[from] courant_runtime::logging::FilterError),
    #[error("the {part} ended: {reason}")]
    PartEnded { part: String, reason: String },
    #[error("{0}")]
    Start(String),
    #[error(transparent)]
    Secret(#[from] courant_auth::secret::SecretError),
    #[error(transparent)]
    Sign(#[from] courant_auth::SignError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Transfer(#[from] courant_server::transfer::TransferError),
    #[error("there is no event {name:?}; there are {known}")]
    WebhookEvent { name: String, known: String },
    #[error("--parameters must be a JSON object: {0}")]
    Parameters(serde_json::Error),
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(sentence(&status))
    }
}

/// What the status says to people: its message, which fields were wrong, and the reason a program would look at.
pub fn sentence(status: &tonic::Status) -> String {
    let details = status.get_error_details();
    let message = if status.message().is_empty() { code_word(status.code()) } else { status.message() };
    let mut text = message.to_owned();
    // "transport error" alone helps nobody.
    if let Some(cause) = std::error::Error::source(status).map(root) {
        text = format!("{text}: {cause}");
    }
    for violation in details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default() {
        if !text.contains(&violation.description) {
            text.push_str(&format!("; {}: {}", violation.field, violation.description));
        }
    }
    match details.error_info() {
        Some(info) => format!("{text} ({})", info.reason),
        None => text,
    }
}

/// What is behind an error in the end.
pub fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn code_word(code: Code) -> &'static str {
    code.description()
}

/// Whether the same call may succeed a moment later (AIP-194): the service was not there, or the connection broke.
pub fn passes(status: &tonic::Status) -> bool {
    use std::error::Error as _;
    // Somebody has to do something first.
    let reason = status.get_details_error_info().map(|info| info.reason);
    if reason.as_deref() == Some("STORAGE_MISCONFIGURED") {
        return false;
    }
    // tonic reports a connection lost in mid-stream as UNKNOWN or INTERNAL with the transport's error as its source.
    status.code() == Code::Unavailable || status.source().is_some()
}
