//! Reading and writing beside the stream: the document in, artifacts out and in.
//!
//! Every call carries a fresh token. While the server is away calls are tried again from the start, for as long as the
//! configured patience lasts and the attempt is not stopped. Bytes are checked before they are believed.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::write_artifact_request::Part;
use courant_proto::v1::{
    Password, ReadArtifactRequest, ReadDocumentRequest, ReadPasswordRequest, WriteArtifactHeader, WriteArtifactRequest,
    WriteArtifactResponse,
};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::attempt::{Attempt, Stop};
use crate::config::TokenSource;
use crate::task::{CallError, Source};
use courant_runtime::request::{self, Context, TRACEPARENT};
use courant_runtime::{Backoff, hex};

/// How much is sent at once.
const CHUNK: usize = 256 * 1024;
/// Chunks of an artifact read ahead of the network.
const AHEAD: usize = 4;

pub(crate) type Client = WorkerServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on every call, and the span that it is a part of.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) TokenSource);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {}", (self.0)());
        let value = value.parse().map_err(|_| Status::unauthenticated("the token has characters no token has"))?;
        request.metadata_mut().insert("authorization", value);
        let trace = request::with_current(Context::traceparent).flatten();
        if let Some(trace) = trace.and_then(|trace| trace.parse().ok()) {
            request.metadata_mut().insert(TRACEPARENT, trace);
        }
        Ok(request)
    }
}

/// The way to the server.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) client: Client,
    pub(crate) patience: Duration,
    pub(crate) backoff: (Duration, Duration),
}

impl Calls {
    /// Reads the document into `path`; the file is whole and right when this returns.
    pub(crate) async fn read_document(
        &self,
        attempt: &Attempt,
        path: &Path,
        (bytes, sha256): (i64, &str),
    ) -> Result<(), CallError> {
        self.with_retries(attempt, || async {
            let request = ReadDocumentRequest { attempt: Some(attempt.key.to_ref()) };
            let mut chunks = self.client.clone().read_document(request).await?.into_inner();
            let mut file = File::create(path).await.map_err(AttemptError::io)?;
            let mut received = Received::new(bytes.max(0).unsigned_abs());
            while let Some(message) = chunks.next().await {
                let chunk = message?.chunk;
                received.add(&chunk)?;
                file.write_all(&chunk).await.map_err(AttemptError::io)?;
            }
            file.flush().await.map_err(AttemptError::io)?;
            received.finish(Some(sha256)).map(drop)
        })
        .await
    }

    /// Reads the password of the document.
    pub(crate) async fn read_password(&self, attempt: &Attempt) -> Result<Password, CallError> {
        let read = self.with_retries(attempt, || async {
            let request = ReadPasswordRequest { attempt: Some(attempt.key.to_ref()) };
            Ok(self.client.clone().read_password(request).await?.into_inner().password)
        });
        read.await?.ok_or(CallError::PasswordUnreadable)
    }

    /// Stores an artifact and compares what the server has with what was sent.
    pub(crate) async fn write_artifact(
        &self,
        attempt: &Attempt,
        name: &str,
        source: &Source,
    ) -> Result<WriteArtifactResponse, CallError> {
        self.with_retries(attempt, || async {
            let header = WriteArtifactHeader { attempt: Some(attempt.key.to_ref()), name: name.to_owned() };
            let (send, receive) = tokio::sync::mpsc::channel(AHEAD);
            let feed = feed(send, header, source);
            let mut client = self.client.clone();
            // Both at once: a refusal ends the call while there is still something to send.
            let (answer, sum) = tokio::join!(client.write_artifact(ReceiverStream::new(receive)), feed);
            let answer = answer?.into_inner();
            let (bytes, sha256) = sum?;
            if answer.sha256 != sha256 || answer.size_bytes.max(0).unsigned_abs() != bytes {
                return Err(AttemptError::Corrupt);
            }
            Ok(answer)
        })
        .await
    }

    /// Reads an artifact of at most `limit` bytes.
    pub(crate) async fn read_artifact(
        &self,
        attempt: &Attempt,
        written_by: i32,
        name: &str,
        limit: usize,
    ) -> Result<Bytes, CallError> {
        self.with_retries(attempt, || async {
            let request =
                ReadArtifactRequest { attempt: Some(attempt.key.to_ref()), written_by, name: name.to_owned() };
            let mut chunks = self.client.clone().read_artifact(request).await?.into_inner();
            let mut whole = BytesMut::new();
            while let Some(message) = chunks.next().await {
                let chunk = message?.chunk;
                if whole.len() + chunk.len() > limit {
                    return Err(AttemptError::Corrupt);
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole.freeze())
        })
        .await
    }

    /// Runs a call until it is answered, the attempt is stopped or patience ends.
    async fn with_retries<T, F>(&self, attempt: &Attempt, mut call: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut backoff = Backoff::new(self.backoff.0, self.backoff.1);
        loop {
            let error = tokio::select! {
                biased;
                () = attempt.stopped().cancelled() => return Err(CallError::Stopped),
                result = call() => match result {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
            };
            let again = matches!(&error, AttemptError::Status(status) if is_retryable(status))
                || matches!(error, AttemptError::Corrupt);
            if !again || Instant::now() >= deadline {
                return Err(error.into_error(attempt));
            }
            tracing::debug!(?error, "the call is tried again");
            tokio::select! {
                () = attempt.stopped().cancelled() => return Err(CallError::Stopped),
                () = sleep(backoff.pause()) => {}
            }
        }
    }
}

/// Sends the header and the bytes; gives their number and checksum. A receiver that has gone is not an error here: its
/// answer says more.
async fn feed(
    send: tokio::sync::mpsc::Sender<WriteArtifactRequest>,
    header: WriteArtifactHeader,
    source: &Source,
) -> Result<(u64, String), AttemptError> {
    let mut received = Received::new(u64::MAX);
    let part = |part| WriteArtifactRequest { part: Some(part) };
    let mut open = send.send(part(Part::Header(header))).await.is_ok();
    match source {
        Source::Bytes(bytes) => {
            let mut rest = bytes.clone();
            while open && !rest.is_empty() {
                let chunk = rest.split_to(rest.len().min(CHUNK));
                received.add(&chunk)?;
                open = send.send(part(Part::Chunk(chunk))).await.is_ok();
            }
        }
        Source::File(path) => {
            let mut file = File::open(path).await.map_err(AttemptError::io)?;
            while open {
                let mut chunk = BytesMut::with_capacity(CHUNK);
                if file.read_buf(&mut chunk).await.map_err(AttemptError::io)? == 0 {
                    break;
                }
                let chunk = chunk.freeze();
                received.add(&chunk)?;
                open = send.send(part(Part::Chunk(chunk))).await.is_ok();
            }
        }
    }
    received.finish(None)
}

/// Counts and hashes what passes.
struct Received {
    expected: u64,
    bytes: u64,
    hash: Sha256,
}

impl Received {
    fn new(expected: u64) -> Self {
        Self { expected, bytes: 0, hash: Sha256::new() }
    }

    fn add(&mut self, chunk: &[u8]) -> Result<(), AttemptError> {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
        if self.bytes > self.expected { Err(AttemptError::Corrupt) } else { Ok(()) }
    }

    fn finish(self, sha256: Option<&str>) -> Result<(u64, String), AttemptError> {
        let sum = hex(&self.hash.finalize());
        match sha256 {
            Some(expected) if expected != sum || self.bytes != self.expected => Err(AttemptError::Corrupt),
            _ => Ok((self.bytes, sum)),
        }
    }
}

#[derive(Debug)]
enum AttemptError {
    Status(Status),
    Io(std::io::Error),
    Corrupt,
}

impl AttemptError {
    fn io(error: std::io::Error) -> Self {
        Self::Io(error)
    }

    fn into_error(self, attempt: &Attempt) -> CallError {
        match self {
            Self::Io(error) => CallError::Io(error),
            Self::Corrupt => CallError::Corrupt,
            Self::Status(status) if status.code() == Code::Aborted => {
                attempt.stop(Stop::Lost);
                CallError::Stopped
            }
            Self::Status(status) if status.code() == Code::NotFound => CallError::NotFound,
            // Of all calls, only reading a password has a precondition.
            Self::Status(status) if status.code() == Code::FailedPrecondition => CallError::PasswordUnreadable,
            Self::Status(status) if status.code() == Code::ResourceExhausted => {
                CallError::TooLarge(status.message().to_owned())
            }
            Self::Status(status) if is_retryable(&status) => CallError::Unavailable(status.message().to_owned()),
            Self::Status(status) if status.code() == Code::Internal => CallError::Failed(status.message().to_owned()),
            Self::Status(status) => CallError::Refused(status.message().to_owned()),
        }
    }
}

impl From<Status> for AttemptError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// Whether the same call may work later. A broken connection shows as UNAVAILABLE or, in the middle of an answer, as a
/// status that this side made up, which has the broken connection as its source.
pub(crate) fn is_retryable(status: &Status) -> bool {
    let broken = std::error::Error::source(status).is_some();
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => broken,
        _ => false,
    }
}
