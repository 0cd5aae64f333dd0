//! Many documents on one stream of submits.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::submit_jobs_response::Outcome;
use courant_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::gated_log::GatedLog;
use crate::support::*;

/// One stream of submits.
struct Stream {
    requests: mpsc::Sender<SubmitJobsRequest>,
    answers: Streaming<SubmitJobsResponse>,
}

impl Stream {
    async fn open(world: &World, who: &str) -> Result<Self, Status> {
        let (requests, sent) = mpsc::channel(4);
        let answers = world.jobs(who).submit_jobs(ReceiverStream::new(sent)).await?.into_inner();
        Ok(Self { requests, answers })
    }

    async fn send(&self, number: i64, request_id: &str, document: impl Into<Vec<u8>>) {
        let header = SubmitJobHeader { request_id: request_id.into(), ..SubmitJobHeader::default() };
        self.send_with(number, header, document).await;
    }

    async fn send_with(&self, number: i64, header: SubmitJobHeader, document: impl Into<Vec<u8>>) {
        let request = SubmitJobsRequest { number, header: Some(header), document: document.into().into() };
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<SubmitJobsResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("no answer came")
    }

    async fn answer(&mut self) -> (i64, Outcome) {
        let answer = self.next().await.unwrap().expect("the stream has ended");
        (answer.number, answer.outcome.unwrap())
    }

    async fn submitted(&mut self) -> (i64, SubmitJobResponse) {
        match self.answer().await {
            (number, Outcome::Submitted(submitted)) => (number, submitted),
            (number, Outcome::Error(error)) => panic!("{number} was refused: {error:?}"),
        }
    }

    async fn refused(&mut self) -> (i64, Code, ErrorReason, String) {
        match self.answer().await {
            (number, Outcome::Error(error)) => (number, Code::from(error.code), error.reason(), error.message),
            (number, Outcome::Submitted(_)) => panic!("{number} was taken"),
        }
    }
}

#[tokio::test]
async fn each_document_becomes_a_job_and_is_answered_by_its_number() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    for number in 0..100 {
        // A small one, one that the log does not keep, and the largest.
        let bytes = match number {
            7 => 1 << 20,
            8 => 100_000,
            _ => 1_000,
        };
        stream.send(number, "", vec![b'x'; bytes]).await;
    }
    let mut jobs = std::collections::BTreeMap::new();
    while jobs.len() < 100 {
        let (number, submitted) = stream.submitted().await;
        assert!(jobs.insert(number, submitted.job.unwrap()).is_none(), "{number} was answered twice");
        assert!(!submitted.cursor.is_empty());
    }
    drop(stream.requests);
    assert!(stream.answers.message().await.unwrap().is_none(), "it ends well");
    let bytes: Vec<i64> = [0, 7, 8].iter().map(|number| jobs[number].document_bytes).collect();
    assert_eq!(bytes, [1_000, 1 << 20, 100_000]);
    let mut worker = world.worker("w").await;
    assert_eq!(worker.take().await.document_bytes, 1_000);
}

#[tokio::test]
async fn one_that_is_refused_says_why_and_ends_nothing() {
    let world = World::tuned(|config| config.quota_waiting = 2).await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    stream.requests.send(SubmitJobsRequest { number: 1, header: None, document: "x".into() }).await.unwrap();
    let (number, code, reason, message) = stream.refused().await;
    assert_eq!((number, code, reason), (1, Code::InvalidArgument, ErrorReason::InvalidField));
    assert!(message.contains("header must be set"), "{message}");
    stream.send(2, "", "").await;
    assert_eq!(stream.refused().await.2, ErrorReason::DocumentEmpty);
    let cut = SubmitJobHeader { document_bytes: 5, ..SubmitJobHeader::default() };
    for document in ["four", "not five"] {
        stream.send_with(3, cut.clone(), document).await;
        assert_eq!(stream.refused().await.2, ErrorReason::DocumentCut);
    }
    let promised = SubmitJobHeader { sha256: "0".repeat(64), ..SubmitJobHeader::default() };
    stream.send_with(4, promised, "x").await;
    assert_eq!(stream.refused().await.2, ErrorReason::ChecksumMismatch);
    let of_another = SubmitJobHeader { owner: "bob".into(), ..SubmitJobHeader::default() };
    stream.send_with(5, of_another, "x").await;
    assert_eq!(stream.refused().await.1, Code::PermissionDenied);
    for number in [6, 7] {
        stream.send(number, "", "x").await;
        assert_eq!(stream.submitted().await.0, number);
    }
    stream.send(8, "", "x").await;
    match stream.answer().await {
        (8, Outcome::Error(error)) => assert_eq!(error.reason(), ErrorReason::QuotaExceeded, "{error:?}"),
        other => panic!("over the quota: {other:?}"),
    }
    world.submit("bob").await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_gives_the_same_job() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    for number in [1, 2] {
        stream.send(number, "r", "x").await;
    }
    let (first, second) = (stream.submitted().await.1.job.unwrap(), stream.submitted().await.1.job.unwrap());
    assert_eq!(first.job_id, second.job_id);
    let header = SubmitJobHeader { request_id: "r".into(), ..SubmitJobHeader::default() };
    let by_a_call = world.submit_with("alice", header, b"x").await.unwrap();
    assert_eq!(by_a_call.job.unwrap().job_id, first.job_id);
    stream.send(3, "r", "y").await;
    assert_eq!(stream.refused().await.2, ErrorReason::RequestIdMismatch);
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_stream_and_what_came_before_is_answered() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    stream.send(1, "", "x").await;
    stream.send(2, "", vec![b'x'; 2 << 20]).await;
    assert_eq!(stream.submitted().await.0, 1);
    let status = stream.next().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{status}");
    assert!(status.message().contains("SubmitJob"), "{status}");
}

#[tokio::test]
async fn a_stream_on_which_nothing_comes_ends_well() {
    let world = World::tuned(|config| config.upload_idle = Duration::from_millis(200)).await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    stream.send(1, "", "x").await;
    assert_eq!(stream.submitted().await.0, 1);
    assert!(stream.next().await.unwrap().is_none());
}

#[tokio::test]
async fn idle_streams_take_the_memory_of_their_own_user_only() {
    let world = World::tuned(|config| {
        config.upload_memory_per_user = 64 << 20;
        config.upload_memory = 128 << 20;
    })
    .await;
    // Opened is none before the server has memory for it, but each has its answer's header at once.
    let mut hoarded = Vec::new();
    for _ in 0..100 {
        hoarded.push(Stream::open(&world, "mallory").await.unwrap());
    }
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    stream.send(1, "", "x").await;
    assert_eq!(stream.submitted().await.0, 1);
}

#[tokio::test]
async fn streams_of_submits_count_as_streams_of_their_user() {
    let world = World::tuned(|config| config.streams_per_user = 2).await;
    let _open = [Stream::open(&world, "alice").await.unwrap(), Stream::open(&world, "alice").await.unwrap()];
    let status = Stream::open(&world, "alice").await.map(|_| ()).unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY"), "{status}");
    Stream::open(&world, "bob").await.unwrap();
}

#[tokio::test]
async fn while_the_log_hangs_no_more_is_read_than_may_be_under_way_and_all_of_it_is_answered() {
    let log = Arc::new(GatedLog::default());
    let world = World::with_log(log.clone(), |_| ()).await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    log.hold_all();
    let requests = stream.requests.clone();
    let sender = tokio::spawn(async move {
        for number in 0..1_000 {
            let header = Some(SubmitJobHeader::default());
            let document = vec![b'x'; 10_000].into();
            requests.send(SubmitJobsRequest { number, header, document }).await.unwrap();
        }
    });
    log.until_any_held(105).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // 1 MiB of 10,000 bytes each, and the one that exceeds it.
    assert_eq!(log.held(), 105);
    assert!(!sender.is_finished());
    log.release_all();
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 1_000 {
        assert!(answered.insert(stream.submitted().await.0));
    }
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_read() {
    let log = Arc::new(GatedLog::default());
    let world = World::with_log(log.clone(), |config| config.drain_grace = Duration::from_secs(20)).await;
    let mut stream = Stream::open(&world, "alice").await.unwrap();
    log.hold_all();
    stream.send(1, "", "x").await;
    log.until_any_held(1).await;
    let stopped = tokio::spawn(world.restart());
    tokio::time::sleep(Duration::from_millis(100)).await;
    log.release_all();
    assert_eq!(stream.submitted().await.0, 1);
    let status = stream.next().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DRAINING"), "{status}");
    drop(stream);
    stopped.await.unwrap();
}
