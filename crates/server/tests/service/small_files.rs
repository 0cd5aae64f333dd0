//! Documents and artifacts that are small enough for the log.

use courant_proto::v1::*;

use crate::support::*;

fn thousand(config: &mut courant_server::Config) {
    config.small_file_bytes = 1000;
}

async fn document(world: &World, id: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = DownloadDocumentRequest { job_id: id.into(), ..Default::default() };
    let mut stream = world.jobs("alice").download_document(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        if let Some(download_document_response::Part::Chunk(chunk)) = message.part {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes)
}

async fn submit(world: &World, bytes: usize) -> String {
    world.submit_with("alice", markdown_only(), &vec![b'x'; bytes]).await.unwrap().job.unwrap().job_id
}

#[tokio::test]
async fn a_file_lies_in_the_log_up_to_the_limit_and_is_there_after_a_restart() {
    let world = World::tuned(thousand).await;
    let small = submit(&world, 1000).await;
    assert_eq!(world.files().len(), 0, "{:?}", world.files());
    let large = submit(&world, 1001).await;
    assert_eq!(world.files().len(), 1, "{:?}", world.files());
    let world = world.restart().await;
    for (job, bytes) in [(&small, 1000), (&large, 1001)] {
        assert_eq!(document(&world, job).await.unwrap(), vec![b'x'; bytes]);
    }
}

#[tokio::test]
async fn the_last_written_artifact_counts_whichever_side_of_the_limit_it_is() {
    let world = World::tuned(thousand).await;
    submit(&world, 10).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    for bytes in [10, 5000, 20, 6000] {
        worker.write(&at, "result.md", &vec![b'y'; bytes]).await.unwrap();
        let request =
            ReadArtifactRequest { attempt: Some(at.clone()), name: "result.md".into(), written_by: at.attempt };
        let mut stream = worker.client.read_artifact(request).await.unwrap().into_inner();
        let mut found = 0;
        while let Some(piece) = stream.message().await.unwrap() {
            found += piece.chunk.len();
        }
        assert_eq!(found, bytes);
    }
}

#[tokio::test]
async fn a_small_file_goes_with_its_job() {
    let world = World::tuned(thousand).await;
    let id = submit(&world, 10).await;
    world.cancel("alice", &id).await.unwrap();
    world.jobs("alice").delete_job(DeleteJobRequest { job_id: id.clone() }).await.unwrap();
    assert_eq!(reason(&document(&world, &id).await.unwrap_err()), "JOB_NOT_FOUND");
}

/// Submits and removals of one request at the same time: whoever is there has its document.
#[tokio::test]
async fn a_job_that_is_there_has_its_small_document_however_submits_and_removals_meet() {
    let world = World::tuned(thousand).await;
    let header = SubmitJobHeader { request_id: "r".into(), ..SubmitJobHeader::default() };
    for _ in 0..20 {
        let submits = futures::future::join_all((0..4).map(|_| async {
            let job = world.submit_with("alice", header.clone(), b"x").await.unwrap().job.unwrap().job_id;
            let _ = world.cancel("alice", &job).await;
            let _ = world.jobs("alice").delete_job(DeleteJobRequest { job_id: job }).await;
        }));
        submits.await;
        let last = world.submit_with("alice", header.clone(), b"x").await.unwrap().job.unwrap().job_id;
        assert_eq!(document(&world, &last).await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn an_artifact_of_an_attempt_that_is_over_is_refused() {
    let world = World::tuned(thousand).await;
    let id = submit(&world, 10).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.fail(&at, false).await;
    worker.sync().await;
    assert_eq!(reason(&worker.write(&at, "result.md", b"late").await.unwrap_err()), "LEASE_LOST");
    world.jobs("alice").delete_job(DeleteJobRequest { job_id: id }).await.unwrap();
    assert_eq!(reason(&worker.write(&at, "result.md", b"later").await.unwrap_err()), "LEASE_LOST");
}

/// A repeated request makes a job with the id of the removed one. What was written for that is not there for this one.
#[tokio::test]
async fn artifacts_of_a_removed_job_are_not_those_of_the_next_with_its_id() {
    let world = World::tuned(thousand).await;
    let header = SubmitJobHeader { request_id: "r".into(), ..markdown_only() };
    let mut worker = world.worker("w").await;
    for round in 0..2 {
        let id = world.submit_with("alice", header.clone(), b"x").await.unwrap().job.unwrap().job_id;
        let at = worker.take().await.attempt.unwrap();
        worker.plan(&at, 1).await;
        if round == 0 {
            worker.write(&at, "pages/000001.json", b"{}").await.unwrap();
        }
        let page = Page { number: 1, ..Page::default() };
        worker
            .send(work_request::Message::Page(ReportPage {
                attempt: Some(at.clone()),
                page: Some(page),
                ..Default::default()
            }))
            .await;
        worker.succeed(&at).await;
        worker.sync().await;
        let state = world.job("alice", &id).await.state();
        assert_eq!(state, if round == 0 { JobState::Succeeded } else { JobState::Failed });
        world.jobs("alice").delete_job(DeleteJobRequest { job_id: id }).await.unwrap();
    }
}

async fn page(world: &World, id: &str, page: i32) -> Vec<u8> {
    use read_page_response::Part;
    let mut stream =
        world.jobs("alice").read_page(ReadPageRequest { job_id: id.into(), page }).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(Part::Chunk(chunk)) = message.part {
            bytes.extend_from_slice(&chunk);
        }
    }
    bytes
}

fn page_with(at: &AttemptRef, number: i32, artifact: Vec<u8>) -> work_request::Message {
    let page = Some(Page { number, ..Page::default() });
    work_request::Message::Page(ReportPage { attempt: Some(at.clone()), page, artifact: artifact.into() })
}

#[tokio::test]
async fn the_artifact_of_a_page_comes_with_its_report_and_stays_as_it_was_first() {
    let world = World::tuned(thousand).await;
    let id = submit(&world, 10).await;
    let mut worker = world.worker("w").await;
    assert_eq!(worker.welcome.max_page_artifact_bytes, 1000);
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 3).await;
    // The largest that goes into the log, one that a server with other settings would take, and one said twice.
    for (number, bytes) in [(1, vec![b'a'; 1000]), (2, vec![b'b'; 5000]), (3, vec![b'c'; 10]), (3, vec![b'd'; 10])] {
        worker.send(page_with(&at, number, bytes)).await;
    }
    worker.sync().await;
    assert_eq!(world.job("alice", &id).await.pages_done, 3);
    let world = world.restart().await;
    let pages = [page(&world, &id, 1).await, page(&world, &id, 2).await, page(&world, &id, 3).await];
    assert_eq!(pages, [vec![b'a'; 1000], vec![b'b'; 5000], vec![b'c'; 10]]);
}

#[tokio::test]
async fn artifacts_that_are_too_large_for_a_report_and_those_of_lost_attempts_are_not_stored() {
    let world = World::tuned(thousand).await;
    let id = submit(&world, 10).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 2).await;
    worker.send(page_with(&at, 1, vec![b'a'; 10])).await;
    worker.send(page_with(&at, 2, vec![b'b'; (256 << 10) + 1])).await;
    worker.sync().await;
    let job = world.job("alice", &id).await;
    let error = job.error.unwrap();
    assert_eq!((error.code.as_str(), job.pages_done), ("INVALID_REPORT", 1), "{error:?}");
    assert!(error.message.contains("WriteArtifact"), "{error:?}");
    let files = world.files();
    worker.send(page_with(&at, 2, vec![b'b'; 5000])).await;
    let lost = worker.order().await;
    assert!(matches!(lost, work_response::Message::LeaseLost(_)), "{lost:?}");
    assert_eq!(world.files(), files);
}

#[tokio::test]
async fn the_limit_of_artifacts_holds_for_those_within_reports() {
    let world = World::tuned(|config| config.max_artifact_bytes = 8).await;
    let id = submit(&world, 10).await;
    let mut worker = world.worker("w").await;
    assert_eq!(worker.welcome.max_page_artifact_bytes, 8);
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 2).await;
    worker.send(page_with(&at, 1, vec![b'a'; 8])).await;
    worker.send(page_with(&at, 2, vec![b'b'; 9])).await;
    worker.sync().await;
    let job = world.job("alice", &id).await;
    assert_eq!((job.error.unwrap().code.as_str(), job.pages_done), ("INVALID_REPORT", 1));
}
