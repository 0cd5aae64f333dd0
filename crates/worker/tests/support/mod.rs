//! A server for tests: speaks the wire, keeps documents and artifacts in memory, and does on every stream exactly what
//! the test says.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use courant_proto::v1::work_request::Message as Said;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use courant_proto::v1::write_artifact_request::Part;
use courant_proto::v1::*;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Nothing in these tests takes longer, unless it hangs.
pub const LONG: Duration = Duration::from_secs(60);

/// What the test and the service share.
#[derive(Default)]
pub struct Memory {
    pub documents: Mutex<HashMap<String, Bytes>>,
    pub artifacts: Mutex<HashMap<(String, i32, String), Bytes>>,
    pub passwords: Mutex<HashMap<String, String>>,
    /// This many calls beside the stream are answered with UNAVAILABLE first.
    pub failing_calls: AtomicU32,
    pub tokens: Mutex<Vec<String>>,
}

struct Service {
    memory: Arc<Memory>,
    streams: mpsc::UnboundedSender<Line>,
}

/// The server of a test.
pub struct FakeServer {
    pub address: SocketAddr,
    pub memory: Arc<Memory>,
    streams: mpsc::UnboundedReceiver<Line>,
}

/// One `Work` stream, seen from the server.
pub struct Line {
    said: Streaming<WorkRequest>,
    replies: mpsc::Sender<Result<WorkResponse, Status>>,
}

impl FakeServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(Memory::default());
        let (send, streams) = mpsc::unbounded_channel();
        let service = WorkerServiceServer::new(Service { memory: memory.clone(), streams: send });
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, memory, streams }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next stream the worker opens, its hello taken.
    pub async fn line(&mut self) -> (Line, Hello) {
        let mut line = tokio::time::timeout(LONG, self.streams.recv()).await.expect("a stream").unwrap();
        match line.next().await {
            Some(Said::Hello(hello)) => (line, hello),
            other => panic!("not a hello: {other:?}"),
        }
    }

    /// The next stream, welcomed with everything it has in flight.
    pub async fn welcomed_line(&mut self) -> Line {
        let (line, hello) = self.line().await;
        line.welcome(hello.in_flight, Duration::from_secs(10)).await;
        line
    }
}

impl Line {
    /// What the worker says next; none when it has closed the stream.
    pub async fn next(&mut self) -> Option<Said> {
        let next = tokio::time::timeout(LONG, self.said.message()).await.expect("the worker says nothing");
        next.ok().flatten().and_then(|request| request.message)
    }

    /// What the worker says next, apart from heartbeats, which are answered.
    pub async fn report(&mut self) -> Option<Said> {
        loop {
            match self.next().await {
                Some(Said::Heartbeat(_)) => self.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await,
                other => return other,
            }
        }
    }

    /// What the worker says next, heartbeats left without an answer.
    pub async fn unanswered(&mut self) -> Option<Said> {
        loop {
            match self.next().await {
                Some(Said::Heartbeat(_)) => {}
                other => return other,
            }
        }
    }

    pub async fn reply(&self, reply: Reply) {
        let _ = self.replies.send(Ok(WorkResponse { message: Some(reply) })).await;
    }

    pub async fn fail(self, status: Status) {
        let _ = self.replies.send(Err(status)).await;
    }

    pub async fn welcome(&self, in_flight: Vec<AttemptRef>, interval: Duration) {
        let duration = |duration: Duration| prost_types::Duration::try_from(duration).ok();
        self.reply(Reply::Welcome(Welcome {
            heartbeat_interval: duration(interval),
            lease_duration: duration(3 * interval),
            in_flight,
            max_artifact_bytes: 64 << 20,
            max_page_artifact_bytes: 0,
        }))
        .await;
    }

    /// Gives a job and takes its acceptance.
    pub async fn assign(&mut self, assignment: Assignment) {
        let attempt = assignment.attempt.clone();
        self.reply(Reply::Assignment(assignment)).await;
        match self.report().await {
            Some(Said::Accepted(accepted)) => assert_eq!(accepted.attempt, attempt),
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Everything reported until the attempt ends, the end included. Heartbeats are answered.
    pub async fn reports(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.report().await {
            let end = matches!(said, Said::Succeeded(_) | Said::Failed(_) | Said::Cancelled(_) | Said::Released(_));
            all.push(said);
            if end {
                break;
            }
        }
        all
    }
}

/// A job of the kind `text`.
pub fn assignment(job_id: &str, number: i32) -> Assignment {
    Assignment {
        attempt: Some(AttemptRef { job_id: job_id.into(), attempt: number, ..Default::default() }),
        kind: "text".into(),
        filename: "some.txt".into(),
        formats: vec![ResultFormat::Json.into()],
        ..Default::default()
    }
}

/// The server fails to read its document.
pub const FAULTY_JOB: &str = "F";

type Chunks<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    fn check(&self, metadata: &tonic::metadata::MetadataMap) -> Result<(), Status> {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.memory.tokens.lock().unwrap().push(token.to_owned());
        let failing = &self.memory.failing_calls;
        if failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Status::unavailable("the test says no"));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl WorkerService for Service {
    type WorkStream = ReceiverStream<Result<WorkResponse, Status>>;
    type ReadDocumentStream = Chunks<ReadDocumentResponse>;
    type ReadArtifactStream = Chunks<ReadArtifactResponse>;

    async fn work(&self, request: Request<Streaming<WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let (replies, receive) = mpsc::channel(64);
        let line = Line { said: request.into_inner(), replies };
        self.streams.send(line).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn read_document(
        &self,
        request: Request<ReadDocumentRequest>,
    ) -> Result<Response<Self::ReadDocumentStream>, Status> {
        self.check(request.metadata())?;
        let job = request.into_inner().attempt.unwrap_or_default().job_id;
        let bytes = self.memory.documents.lock().unwrap().get(&job).cloned();
        if job == FAULTY_JOB {
            return Err(Status::internal("the store does not have what should be there"));
        }
        let bytes = bytes.ok_or_else(|| Status::aborted("the lease is lost"))?;
        let chunks: Vec<_> = bytes.chunks(100_000).map(Bytes::copy_from_slice).collect();
        let responses = chunks.into_iter().map(|chunk| Ok(ReadDocumentResponse { chunk }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    async fn read_password(
        &self,
        request: Request<ReadPasswordRequest>,
    ) -> Result<Response<ReadPasswordResponse>, Status> {
        self.check(request.metadata())?;
        let job = request.into_inner().attempt.unwrap_or_default().job_id;
        let text = self.memory.passwords.lock().unwrap().get(&job).cloned();
        let text = text.ok_or_else(|| Status::failed_precondition("no password"))?;
        Ok(Response::new(ReadPasswordResponse { password: Some(Password { text }) }))
    }

    async fn write_artifact(
        &self,
        request: Request<Streaming<WriteArtifactRequest>>,
    ) -> Result<Response<WriteArtifactResponse>, Status> {
        use sha2::Digest;
        self.check(request.metadata())?;
        let mut parts = request.into_inner();
        let Some(WriteArtifactRequest { part: Some(Part::Header(header)) }) = parts.message().await? else {
            return Err(Status::invalid_argument("no header"));
        };
        let mut bytes = Vec::new();
        while let Some(message) = parts.next().await {
            match message?.part {
                Some(Part::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
                _ => return Err(Status::invalid_argument("not a chunk")),
            }
        }
        let sha256 = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = WriteArtifactResponse { size_bytes: bytes.len() as i64, sha256 };
        let attempt = header.attempt.unwrap_or_default();
        let key = (attempt.job_id, attempt.attempt, header.name);
        self.memory.artifacts.lock().unwrap().insert(key, bytes.into());
        Ok(Response::new(answer))
    }

    async fn read_artifact(
        &self,
        request: Request<ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        self.check(request.metadata())?;
        let ReadArtifactRequest { attempt, written_by, name } = request.into_inner();
        let key = (attempt.unwrap_or_default().job_id, written_by, name);
        let bytes = self.memory.artifacts.lock().unwrap().get(&key).cloned();
        let chunk = bytes.ok_or_else(|| Status::not_found("no such artifact"))?;
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(ReadArtifactResponse { chunk })]))))
    }
}
