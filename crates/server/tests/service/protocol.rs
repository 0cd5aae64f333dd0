//! The gRPC face itself: deadlines, sizes, compression, fields of a newer client.

use std::time::Duration;

use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request};

use crate::support::*;

fn part(part: Part) -> SubmitJobRequest {
    SubmitJobRequest { part: Some(part) }
}

/// An upload that has begun and does not go on.
async fn begun() -> (tokio::sync::mpsc::Sender<SubmitJobRequest>, ReceiverStream<SubmitJobRequest>) {
    let (parts, stream) = tokio::sync::mpsc::channel(16);
    parts.send(part(Part::Header(SubmitJobHeader::default()))).await.unwrap();
    // More than what is kept in memory, so that there is a file.
    for _ in 0..6 {
        parts.send(part(Part::Chunk(vec![b'x'; 1 << 20].into()))).await.unwrap();
    }
    (parts, ReceiverStream::new(stream))
}

#[tokio::test]
async fn a_deadline_ends_an_upload_and_frees_what_it_held() {
    let world = World::tuned(|config| config.quota_waiting = 1).await;
    let (_open, stream) = begun().await;
    let mut request = Request::new(stream);
    request.set_timeout(Duration::from_secs(2));
    let mut alice = world.jobs("alice");
    let late = tokio::spawn(async move { alice.submit_job(request).await });
    until(|| !uploads(&world).is_empty()).await;
    let status = late.await.unwrap().unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    until(|| uploads(&world).is_empty()).await;
    // Its place in the quota is free again.
    let waiting = async {
        while world.submit_with("alice", SubmitJobHeader::default(), b"x").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("its place is still taken");
}

#[tokio::test]
async fn an_upload_that_stops_halfway_leaves_nothing() {
    let world = World::new().await;
    let (open, stream) = begun().await;
    let mut alice = world.jobs("alice");
    let call = tokio::spawn(async move { alice.submit_job(stream).await });
    until(|| !uploads(&world).is_empty()).await;
    call.abort();
    drop(open);
    until(|| uploads(&world).is_empty()).await;
    let promise = SubmitJobHeader { document_bytes: 10, ..SubmitJobHeader::default() };
    for document in ["short", "much too long"] {
        let refused = world.submit_with("alice", promise.clone(), document.as_bytes()).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "DOCUMENT_CUT"));
    }
    world.submit_with("alice", promise, b"0123456789").await.unwrap();
    let list = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.jobs.len(), 1);
    until(|| uploads(&world).is_empty()).await;
}

#[tokio::test]
async fn a_document_that_is_said_to_be_too_large_is_refused_before_it_is_sent() {
    let world = World::tuned(|config| config.max_document_bytes = 10).await;
    let header = SubmitJobHeader { document_bytes: 11, ..SubmitJobHeader::default() };
    let (parts, stream) = tokio::sync::mpsc::channel(1);
    parts.send(part(Part::Header(header))).await.unwrap();
    let call = world.jobs("alice").submit_job(ReceiverStream::new(stream)).await.unwrap_err();
    assert_eq!(reason(&call), "DOCUMENT_TOO_LARGE");
}

#[tokio::test]
async fn messages_have_a_size() {
    let world = World::new().await;
    let header = || Part::Header(SubmitJobHeader::default());
    for chunk in [vec![], vec![0; (1 << 20) + 1], vec![0; 5 << 20]] {
        let refused = world.submit_parts("alice", vec![header(), Part::Chunk(chunk.into())]).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
    }
    let labels = [("a".to_owned(), "x".repeat(10 << 20))].into();
    let huge = Part::Header(SubmitJobHeader { labels, ..SubmitJobHeader::default() });
    assert_eq!(reason(&world.submit_parts("alice", vec![huge]).await.unwrap_err()), "INVALID_FIELD");
    let huge = ListJobsRequest { document_id: "x".repeat(10 << 20), ..ListJobsRequest::default() };
    assert_eq!(world.jobs("alice").list_jobs(huge).await.unwrap_err().code(), Code::OutOfRange);
    until(|| uploads(&world).is_empty()).await;
    world.submit("alice").await;
}

#[tokio::test]
async fn answers_and_requests_may_be_compressed() {
    let world = World::new().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let token = Bearer(world.token("alice", &[]));
        let mut client = JobServiceClient::with_interceptor(world.channel.clone(), token)
            .send_compressed(encoding)
            .accept_compressed(encoding);
        let document = Part::Chunk(vec![b'x'; 1 << 20].into());
        let parts = [Part::Header(SubmitJobHeader::default()), document].map(part);
        let job = client.submit_job(tokio_stream::iter(parts)).await.unwrap().into_inner().job.unwrap();
        assert_eq!(job.document_bytes, 1 << 20);
        let answer = client.list_jobs(ListJobsRequest::default()).await.unwrap();
        let received = answer.metadata().get("grpc-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(received.as_deref(), Some(if encoding == CompressionEncoding::Gzip { "gzip" } else { "zstd" }));
        assert!(!answer.into_inner().jobs.is_empty());
    }
}

/// A GetJobRequest of a client that knows more fields than we do.
#[derive(Clone, PartialEq, prost::Message)]
struct NewerGetJobRequest {
    #[prost(string, tag = "1")]
    job_id: String,
    #[prost(string, tag = "900")]
    unknown: String,
    #[prost(message, optional, tag = "901")]
    nested: Option<prost_types::Duration>,
}

#[tokio::test]
async fn fields_we_do_not_know_are_passed_over() {
    let world = World::new().await;
    let job = world.submit("alice").await.job.unwrap();
    let mut grpc = tonic::client::Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let nested = Some(prost_types::Duration { seconds: 1, nanos: 2 });
    let mut request = Request::new(NewerGetJobRequest { job_id: job.job_id.clone(), unknown: "x".into(), nested });
    request.metadata_mut().insert("authorization", format!("Bearer {}", world.token("alice", &[])).parse().unwrap());
    let path = http::uri::PathAndQuery::from_static("/courant.v1.JobService/GetJob");
    let codec = tonic_prost::ProstCodec::<NewerGetJobRequest, GetJobResponse>::default();
    let answer = grpc.unary(request, path, codec).await.unwrap().into_inner();
    assert_eq!(answer.job.unwrap().job_id, job.job_id);
}
