//! What a caller asks of the workers: handed on byte for byte, part of what a request id promises, found by filters.

use courant_proto::v1::*;
use tonic::Code;

use crate::support::*;

/// Numbers and white space as they are: nobody reads and writes it again on the way.
const PARAMETERS: &str =
    "{ \"mode\": \"fast\", \"dpi\": 300, \"exact\": 0.10000000000000000001, \"ocr\": {\"on\": true} }";

/// Work of which the server knows nothing.
const KIND: &str = "words";

fn with(parameters: &str) -> SubmitJobHeader {
    SubmitJobHeader { kind: KIND.into(), parameters: parameters.into(), ..SubmitJobHeader::default() }
}

/// An object of about so many bytes.
fn large(bytes: usize) -> String {
    format!("{{\"mode\":\"large\",\"text\":\"{}\"}}", "x".repeat(bytes))
}

async fn get(world: &World, id: &str) -> GetJobResponse {
    world.jobs("alice").get_job(GetJobRequest { job_id: id.into() }).await.unwrap().into_inner()
}

#[tokio::test]
async fn workers_get_them_and_the_labels_as_they_were_submitted_in_every_attempt() {
    let world = World::new().await;
    let mut worker = world.worker_for("w1", KIND).await;
    for parameters in ["", PARAMETERS, &large(10_000)] {
        let labels = [("team".to_owned(), "red".to_owned())].into();
        let header = SubmitJobHeader { labels, ..with(parameters) };
        let id = world.submit_with("alice", header, b"x").await.unwrap().job.unwrap().job_id;
        for attempt in 1..=2 {
            let given = worker.take().await;
            let at = given.attempt.unwrap();
            assert_eq!((at.attempt, given.parameters.as_str()), (attempt, parameters));
            assert_eq!(given.labels["team"], "red");
            worker.fail(&at, attempt == 1).await;
        }
        let found = get(&world, &id).await;
        assert_eq!(found.parameters, parameters);
        let (job, is_short) = (found.job.unwrap(), parameters.len() <= 2048);
        assert_eq!(
            (job.parameters.as_str(), job.parameters_bytes as usize),
            (if is_short { parameters } else { "" }, parameters.len())
        );
    }
}

#[tokio::test]
async fn they_survive_a_restart_and_go_with_the_job() {
    let world = World::new().await;
    let text = large(60_000);
    let id = world.submit_with("alice", with(&text), b"x").await.unwrap().job.unwrap().job_id;
    let world = world.restart().await;
    assert_eq!(get(&world, &id).await.parameters, text);
    let mut worker = world.worker_for("w1", KIND).await;
    let given = worker.take().await;
    assert_eq!(given.parameters, text);
    worker.fail(&given.attempt.unwrap(), false).await;
    worker.sync().await;
    world.jobs("alice").delete_job(DeleteJobRequest { job_id: id.clone() }).await.unwrap();
    let gone = world.jobs("alice").get_job(GetJobRequest { job_id: id }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn a_request_id_stands_for_them_too() {
    let world = World::new().await;
    let header = |parameters: &str| SubmitJobHeader { request_id: "r".into(), ..with(parameters) };
    for (first, other) in [(PARAMETERS.to_owned(), "{}".to_owned()), (large(9_000), large(9_001))] {
        let header = |text: &str| SubmitJobHeader { request_id: format!("r{}", first.len()), ..header(text) };
        let made = world.submit_with("alice", header(&first), b"one").await.unwrap();
        assert_eq!(world.submit_with("alice", header(&first), b"one").await.unwrap(), made);
        for other in ["", &other] {
            let refused = world.submit_with("alice", header(other), b"one").await.unwrap_err();
            assert_eq!(reason(&refused), "REQUEST_ID_MISMATCH", "{other}");
        }
    }
}

#[tokio::test]
async fn filters_find_jobs_by_them() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for parameters in [PARAMETERS, "{\"mode\":\"slow\"}", "", &large(9_000)] {
        ids.push(world.submit_with("alice", with(parameters), b"x").await.unwrap().job.unwrap().job_id);
    }
    for (filter, expected) in [
        ("parameters.mode = fast", &ids[..1]),
        ("parameters.dpi = 300 parameters.ocr.on = true", &ids[..1]),
        ("parameters.mode:* OR parameters:none", &ids[..2]),
        ("parameters.mode = slow", &ids[1..2]),
        // Larger ones are not kept where filters look.
        ("parameters.mode = large", &[]),
    ] {
        let request = ListJobsRequest { filter: filter.into(), ..ListJobsRequest::default() };
        let found = world.jobs("alice").list_jobs(request).await.unwrap().into_inner();
        let mut found: Vec<String> = found.jobs.into_iter().map(|job| job.job_id).collect();
        found.reverse();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn what_is_no_object_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    let deep = "{\"a\":".repeat(40) + "1" + &"}".repeat(40);
    for bad in ["[]", "7", "{", "{\"a\":1,\"a\":2}", "{\"a\":NaN}", &deep, &large(70_000)] {
        let refused = world.submit_with("alice", with(bad), b"x").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{bad}");
        assert!(refused.message().contains("parameters"), "{refused:?}");
    }
    let listed = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert!(listed.jobs.is_empty() && world.files().is_empty());
}
