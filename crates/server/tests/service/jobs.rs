//! Submitting, listing, cancelling, retrying, reading results.

use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::*;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_document_becomes_a_job_and_the_job_a_result() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"%PDF-1.7 hello").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let watcher = world.watch("alice", &id, &submitted.cursor).await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 2).await;
    let events = watcher.durable().await;
    let expected = ["queued", "started", "planned", "page", "page", "export-started", "export-completed", "succeeded"];
    assert_eq!(names(&events), expected);
    assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0), "revisions grow");
    let percents: Vec<f64> =
        events.iter().map(|(_, _, event)| event.job.as_ref().unwrap().progress.as_ref().unwrap().percent).collect();
    assert!(percents.windows(2).all(|pair| pair[0] <= pair[1]), "{percents:?}");
    assert_eq!(*percents.last().unwrap(), 100.0);

    let request = ReadResultRequest { job_id: id.clone(), format: ResultFormat::Markdown.into(), offset: 2, limit: 3 };
    let mut parts = world.jobs("alice").read_result(request).await.unwrap().into_inner();
    let Some(read_result_response::Part::Header(header)) = parts.message().await.unwrap().unwrap().part else {
        panic!()
    };
    assert_eq!((header.size_bytes, header.content_type.as_str()), (7, "text/markdown; charset=utf-8"));
    let Some(read_result_response::Part::Chunk(chunk)) = parts.message().await.unwrap().unwrap().part else { panic!() };
    assert_eq!(&chunk[..], b"Hel");
    let job = world.job("alice", &id).await;
    assert_eq!((job.state(), job.pages_done, job.zones_completed), (JobState::Succeeded, 2, 2));
}

#[tokio::test]
async fn a_page_is_read_as_soon_as_it_is_done() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"%PDF-1.7 hello").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let mut watcher = world.watch("alice", &id, &submitted.cursor).await;
    let page = async |page: i32| read_page(&world, &id, page).await;
    assert_eq!(reason(&page(1).await.unwrap_err()), "RESULT_NOT_READY", "nobody has looked at it");
    let mut first = world.worker("w1").await;
    let at = first.take().await.attempt.unwrap();
    first.plan(&at, 3).await;
    first.page(&at, 2).await;
    watcher.until("page").await;
    assert_eq!(page(2).await.unwrap(), (1, page_json(2)));
    assert_eq!(reason(&page(1).await.unwrap_err()), "RESULT_NOT_READY");
    assert_eq!(reason(&page(4).await.unwrap_err()), "RESULT_NOT_FOUND", "there are three");
    for none in [0, -1, i32::MIN] {
        assert_eq!(reason(&page(none).await.unwrap_err()), "INVALID_FIELD");
    }

    first.fail(&at, true).await;
    let at = first.take().await.attempt.unwrap();
    first.page(&at, 1).await;
    first.page(&at, 3).await;
    first.fail(&at, false).await;
    watcher.durable().await;
    let mut read = Vec::new();
    for number in 1..=3 {
        read.push(page(number).await.unwrap());
    }
    assert_eq!(read, [(2, page_json(1)), (1, page_json(2)), (2, page_json(3))], "also of a job that failed");
}

#[tokio::test]
async fn a_page_that_was_never_read_is_not_found_once_the_job_is_over() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    world.jobs("alice").cancel_job(CancelJobRequest { job_id: id.clone() }).await.unwrap();
    assert_eq!(reason(&read_page(&world, &id, 1).await.unwrap_err()), "RESULT_NOT_FOUND");
}

/// The attempt that did a page, and what it wrote.
async fn read_page(world: &World, job_id: &str, page: i32) -> Result<(i32, String), tonic::Status> {
    use read_page_response::Part;
    let request = ReadPageRequest { job_id: job_id.to_owned(), page };
    let mut stream = world.jobs("alice").read_page(request).await?.into_inner();
    let Some(Part::Header(header)) = stream.message().await?.unwrap().part else { panic!("no header") };
    let mut written = Vec::new();
    while let Some(message) = stream.message().await? {
        let Some(Part::Chunk(chunk)) = message.part else { panic!("not a chunk") };
        written.extend_from_slice(&chunk);
    }
    assert_eq!(header.size_bytes, written.len() as i64);
    Ok((header.attempt, String::from_utf8(written).unwrap()))
}

#[tokio::test]
async fn submitting_twice_with_one_request_id_gives_one_job() {
    let world = World::new().await;
    let header = || SubmitJobHeader { request_id: "r-1".into(), ..SubmitJobHeader::default() };
    let first = world.submit_with("alice", header(), b"one").await.unwrap();
    let again = world.submit_with("alice", header(), b"one").await.unwrap();
    assert_eq!(first, again);
    let other = world.submit_with("alice", header(), b"two").await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::AlreadyExists, "REQUEST_ID_MISMATCH"));
    let bobs = world.submit_with("bob", header(), b"two").await.unwrap();
    assert_ne!(bobs.job.unwrap().job_id, first.job.unwrap().job_id);
}

#[tokio::test]
async fn twenty_at_once_with_one_request_id_make_one_job() {
    let world = World::new().await;
    let header = SubmitJobHeader { request_id: "r".into(), ..SubmitJobHeader::default() };
    let submits = (0..20).map(|_| world.submit_with("alice", header.clone(), b"one"));
    let ids: std::collections::HashSet<String> = futures::future::join_all(submits)
        .await
        .into_iter()
        .map(|submitted| submitted.unwrap().job.unwrap().job_id)
        .collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_a_document_is_refused_with_the_reason() {
    let world = World::tuned(|config| config.max_document_bytes = 10).await;
    let header = || Part::Header(SubmitJobHeader::default());
    let chunk = |bytes: &'static [u8]| Part::Chunk(bytes.into());
    let labels = (0..33).map(|n| (n.to_string(), String::new())).collect();
    let cases = [
        (vec![], "WRONG_ORDER"),
        (vec![chunk(b"x")], "WRONG_ORDER"),
        (vec![header(), header()], "WRONG_ORDER"),
        (vec![header()], "DOCUMENT_EMPTY"),
        (vec![header(), chunk(b"0123456"), chunk(b"789a")], "DOCUMENT_TOO_LARGE"),
        (vec![Part::Header(SubmitJobHeader { kind: "P/F".into(), ..Default::default() })], "INVALID_FIELD"),
        (vec![Part::Header(SubmitJobHeader { labels, ..Default::default() })], "INVALID_FIELD"),
        (vec![Part::Header(SubmitJobHeader { lane: 77, ..Default::default() })], "INVALID_FIELD"),
        (
            vec![Part::Header(SubmitJobHeader { sha256: "ab".repeat(32), ..Default::default() }), chunk(b"x")],
            "CHECKSUM_MISMATCH",
        ),
        (vec![Part::Header(SubmitJobHeader { owner: "bob".into(), ..Default::default() })], "ROLE_REQUIRED"),
    ];
    for (parts, expected) in cases {
        assert_eq!(reason(&world.submit_parts("alice", parts).await.unwrap_err()), expected);
    }
    let list = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert!(list.jobs.is_empty(), "nothing came of it");
}

#[tokio::test]
async fn lists_are_newest_first_and_pages_stay_put_under_inserts() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.submit("alice").await.job.unwrap().job_id);
    }
    let mut alice = world.jobs("alice");
    let page = |page_token| ListJobsRequest { page_size: 2, page_token, ..ListJobsRequest::default() };
    let first = alice.list_jobs(page(String::new())).await.unwrap().into_inner();
    world.submit("alice").await;
    let second = alice.list_jobs(page(first.next_page_token.clone())).await.unwrap().into_inner();
    let third = alice.list_jobs(page(second.next_page_token.clone())).await.unwrap().into_inner();
    let listed: Vec<String> =
        [first.jobs, second.jobs, third.jobs].concat().into_iter().map(|job| job.job_id).collect();
    let all: std::collections::HashSet<_> = ids.iter().cloned().collect();
    assert_eq!(listed.len(), 5);
    assert_eq!(listed.iter().cloned().collect::<std::collections::HashSet<_>>(), all);
    assert!(third.next_page_token.is_empty());
    let wrong = alice.list_jobs(page("nonsense".into())).await.unwrap_err();
    assert_eq!(reason(&wrong), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_waiting_job_knows_its_place_and_leaves_its_lane_when_cancelled() {
    let world = World::new().await;
    let first = world.submit("alice").await.job.unwrap();
    let second = world.submit("alice").await.job.unwrap();
    let place = |job: Job| job.queue_position.map(|place| place.position);
    assert_eq!(place(world.job("alice", &first.job_id).await), Some(1));
    assert_eq!(place(world.job("alice", &second.job_id).await), Some(2));
    assert_eq!(world.cancel("alice", &first.job_id).await.unwrap().state(), JobState::Cancelled);
    assert_eq!(place(world.job("alice", &second.job_id).await), Some(1));
    let again = world.cancel("alice", &first.job_id).await.unwrap();
    assert_eq!(again.state(), JobState::Cancelled, "cancelling twice changes nothing");
}

#[tokio::test]
async fn a_failed_job_is_retried_by_hand_and_a_finished_one_is_neither_cancelled_nor_retried() {
    let world = World::new().await;
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 2).await;
    worker.page(&at, 1).await;
    worker.fail(&at, false).await;
    worker.sync().await;
    let failed = world.job("alice", &id).await;
    assert_eq!((failed.state(), failed.error.unwrap().code.as_str()), (JobState::Failed, "BROKEN"));

    let retry = RetryJobRequest { job_id: id.clone(), password: None };
    world.jobs("alice").retry_job(retry.clone()).await.unwrap();
    let assignment = worker.take().await;
    assert_eq!(assignment.pages_total, 2);
    assert_eq!(assignment.finished_pages, [FinishedPages { first: 1, last: 1, attempt: 1 }], "page 1 is kept");
    worker.work_off(&assignment.attempt.unwrap(), 2).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Succeeded);

    let late = world.cancel("alice", &id).await.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::FailedPrecondition, "JOB_STATE"));
    let late = world.jobs("alice").retry_job(retry).await.unwrap_err();
    assert_eq!(reason(&late), "JOB_STATE");
}

#[tokio::test]
async fn the_document_is_given_back_to_those_who_may_see_the_job() {
    use download_document_response::Part;
    let world = World::new().await;
    let header = SubmitJobHeader { filename: "a b.pdf".into(), ..SubmitJobHeader::default() };
    let job_id = world.submit_with("alice", header, b"0123456789").await.unwrap().job.unwrap().job_id;
    let read = async |who: &str, offset: i64, limit: i64| {
        let request = DownloadDocumentRequest { job_id: job_id.clone(), offset, limit };
        let mut stream = world.jobs(who).download_document(request).await?.into_inner();
        let Some(Part::Header(header)) = stream.message().await?.unwrap().part else { panic!("no header") };
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            let Some(Part::Chunk(chunk)) = message.part else { panic!("a second header") };
            bytes.extend_from_slice(&chunk);
        }
        Ok::<_, tonic::Status>((header, String::from_utf8(bytes).unwrap()))
    };
    let (header, all) = read("alice", 0, 0).await.unwrap();
    assert_eq!(
        (header.filename.as_str(), header.content_type.as_str(), header.size_bytes),
        ("a b.pdf", "application/pdf", 10)
    );
    assert_eq!(all, "0123456789");
    assert_eq!(read("alice", 3, 4).await.unwrap().1, "3456");
    assert_eq!(read("alice", 10, 0).await.unwrap().1, "");
    assert_eq!(reason(&read("alice", 11, 0).await.unwrap_err()), "OFFSET_OUT_OF_RANGE");
    assert_eq!(reason(&read("alice", -1, 0).await.unwrap_err()), "INVALID_FIELD");
    assert_eq!(reason(&read("bob", 0, 0).await.unwrap_err()), "JOB_NOT_FOUND");
}
