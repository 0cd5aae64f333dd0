//! Nonsense over JobService, in tables: a typed error that names the field, nothing changed, nothing left.

use courant_auth::Role;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::*;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::*;

/// Texts that no id may be.
const NO_IDS: [&str; 14] = [
    "\0",
    "a\0b",
    "line\nbreak",
    "\u{7f}",
    "\u{85}",
    "right\u{202E}to-left",
    "\u{2066}isolated\u{2069}",
    "\u{200B}",
    "zero\u{200B}width",
    "join\u{200D}er",
    "\u{FEFF}bom",
    "soft\u{AD}hyphen",
    "\u{2028}",
    "tag\u{E0041}",
];
/// Texts that are odd, and ids all the same: kept letter by letter.
const ODD_IDS: [&str; 10] = [
    "../../etc/passwd",
    "/",
    "C:\\x",
    "\u{301}",
    "e\u{301}",
    "𝒳𐍈😀",
    "a b ",
    "%2e%2e%2f",
    "job.*.>",
    "'; DROP TABLE entry; --",
];

fn field(status: &Status) -> String {
    let violations = status.get_error_details().bad_request().map(|bad| bad.field_violations.clone());
    violations.unwrap_or_default().first().map(|violation| violation.field.clone()).unwrap_or_default()
}

async fn nothing_came_of_it(world: &World) {
    let all = ListJobsRequest { owner: "-".into(), ..ListJobsRequest::default() };
    let list = world.jobs_as("root", &[Role::Admin]).list_jobs(all).await.unwrap().into_inner();
    assert!(list.jobs.is_empty(), "{:?}", list.jobs);
    assert!(uploads(world).is_empty());
    let jobs = world.folder.path().join("objects/jobs");
    assert!(std::fs::read_dir(jobs).map_or(true, |mut found| found.next().is_none()));
}

#[tokio::test]
async fn ids_that_cannot_be_seen_or_are_too_long_are_refused_by_field() {
    let world = World::new().await;
    type Put = fn(&mut SubmitJobHeader, String);
    let put: [(&str, Put); 3] = [
        ("request_id", |header, text| header.request_id = text),
        ("document_id", |header, text| header.document_id = text),
        ("batch_id", |header, text| header.batch_id = text),
    ];
    let long = "x".repeat(129);
    for text in NO_IDS.into_iter().chain([long.as_str()]) {
        for (name, put) in put {
            let mut header = SubmitJobHeader::default();
            put(&mut header, text.to_owned());
            let refused = world.submit_with("alice", header, b"x").await.unwrap_err();
            assert_eq!((refused.code(), field(&refused).as_str()), (Code::InvalidArgument, name), "{text:?}");
        }
        let mut alice = world.jobs("alice");
        let list = ListJobsRequest { batch_id: text.into(), ..ListJobsRequest::default() };
        assert_eq!(field(&alice.list_jobs(list).await.unwrap_err()), "batch_id");
        let watch = WatchJobsRequest { document_id: text.into(), ..WatchJobsRequest::default() };
        assert_eq!(field(&alice.watch_jobs(watch).await.unwrap_err()), "document_id");
        let batch = GetBatchRequest { batch_id: text.into(), ..GetBatchRequest::default() };
        assert_eq!(field(&alice.get_batch(batch).await.unwrap_err()), "batch_id");
    }
    nothing_came_of_it(&world).await;
}

#[tokio::test]
async fn odd_ids_are_kept_letter_by_letter_also_over_a_restart() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for text in ODD_IDS {
        let header = SubmitJobHeader {
            request_id: text.into(),
            document_id: text.into(),
            batch_id: text.into(),
            labels: [(text.to_owned(), text.to_owned())].into(),
            ..SubmitJobHeader::default()
        };
        let job = world.submit_with("alice", header, b"x").await.unwrap().job.unwrap();
        assert_eq!([&job.request_id, &job.document_id, &job.batch_id, &job.labels[text]], [text; 4]);
        jobs.push(job);
    }
    let world = world.restart().await;
    for (text, job) in ODD_IDS.into_iter().zip(jobs) {
        let by = ListJobsRequest { batch_id: text.into(), ..ListJobsRequest::default() };
        let list = world.jobs("alice").list_jobs(by).await.unwrap().into_inner();
        assert_eq!(list.jobs.iter().map(|job| job.job_id.as_str()).collect::<Vec<_>>(), [job.job_id.as_str()]);
    }
}

#[tokio::test]
async fn absurd_headers_are_refused_by_field() {
    let world = World::new().await;
    let labels = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let base = SubmitJobHeader::default;
    let cases = [
        ("pages", SubmitJobHeader { pages: -1, ..base() }),
        ("pages", SubmitJobHeader { pages: 100_001, ..base() }),
        ("pages", SubmitJobHeader { pages: i32::MIN, ..base() }),
        ("batch_size", SubmitJobHeader { batch_id: "b".into(), batch_size: -5, ..base() }),
        ("batch_size", SubmitJobHeader { batch_id: "b".into(), batch_size: i32::MAX, ..base() }),
        ("batch_size", SubmitJobHeader { batch_size: 3, ..base() }),
        ("document_bytes", SubmitJobHeader { document_bytes: -1, ..base() }),
        ("lane", SubmitJobHeader { lane: -7, ..base() }),
        ("formats", SubmitJobHeader { formats: vec![1, 99], ..base() }),
        ("kind", SubmitJobHeader { kind: "p d f".into(), ..base() }),
        ("kind", SubmitJobHeader { kind: "x".repeat(65), ..base() }),
        ("sha256", SubmitJobHeader { sha256: "é".repeat(32), ..base() }),
        ("filename", SubmitJobHeader { filename: "x".repeat(256), ..base() }),
        ("filename", SubmitJobHeader { filename: "invoice\u{202E}fdp.exe".into(), ..base() }),
        ("filename", SubmitJobHeader { filename: "a\0.pdf".into(), ..base() }),
        ("labels", SubmitJobHeader { labels: labels("", "x"), ..base() }),
        ("labels", SubmitJobHeader { labels: labels("x", &"y".repeat(256)), ..base() }),
        ("labels", SubmitJobHeader { labels: labels(&"x".repeat(64), ""), ..base() }),
        ("labels", SubmitJobHeader { labels: labels("a\u{200B}", ""), ..base() }),
        ("labels", SubmitJobHeader { labels: labels("a", "\0"), ..base() }),
    ];
    for (name, header) in cases {
        let refused = world.submit_with("alice", header.clone(), b"x").await.unwrap_err();
        assert_eq!((reason(&refused).as_str(), field(&refused).as_str()), ("INVALID_FIELD", name), "{header:?}");
    }
    let owner = SubmitJobHeader { owner: "al\0ice".into(), ..base() };
    let parts =
        [Part::Header(owner), Part::Chunk(b"x".to_vec().into())].map(|part| SubmitJobRequest { part: Some(part) });
    let refused = world.jobs_as("intake", &[Role::Service]).submit_job(tokio_stream::iter(parts)).await.unwrap_err();
    assert_eq!(field(&refused), "owner");
    nothing_came_of_it(&world).await;
}

#[tokio::test]
async fn absurd_requests_of_every_other_call_are_refused() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let before = world.job("alice", &id).await;
    let mut alice = world.jobs("alice");
    let long = |seconds: i64, nanos: i32| Some(prost_types::Duration { seconds, nanos });
    for job_id in ["", &"x".repeat(129), &"é".repeat(65)] {
        let job_id = job_id.to_owned();
        let calls = [
            alice.get_job(GetJobRequest { job_id: job_id.clone() }).await.unwrap_err(),
            alice.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.unwrap_err(),
            alice.retry_job(RetryJobRequest { job_id: job_id.clone(), password: None }).await.unwrap_err(),
            alice.delete_job(DeleteJobRequest { job_id: job_id.clone() }).await.unwrap_err(),
            alice.watch_job(WatchJobRequest { job_id: job_id.clone(), ..Default::default() }).await.unwrap_err(),
            alice.read_page(ReadPageRequest { job_id: job_id.clone(), page: 1 }).await.unwrap_err(),
            alice.read_result(ReadResultRequest { job_id, format: 1, ..Default::default() }).await.unwrap_err(),
        ];
        assert!(calls.iter().all(|status| field(status) == "job_id"), "{calls:?}");
    }
    for job_id in NO_IDS.into_iter().chain(ODD_IDS) {
        let missing = alice.get_job(GetJobRequest { job_id: job_id.into() }).await.unwrap_err();
        assert_eq!(reason(&missing), "JOB_NOT_FOUND", "{job_id:?}");
    }
    for min_interval in [long(-1, 0), long(61, 0), long(i64::MAX, i32::MAX), long(0, -1)] {
        let watch = WatchJobRequest { job_id: id.clone(), min_interval, ..Default::default() };
        assert_eq!(field(&alice.watch_job(watch).await.unwrap_err()), "min_interval", "{min_interval:?}");
    }
    for (page_size, states, wrong) in
        [(-1, vec![], "page_size"), (i32::MIN, vec![], "page_size"), (0, vec![0], "states"), (0, vec![99], "states")]
    {
        let list = ListJobsRequest { page_size, states, ..ListJobsRequest::default() };
        assert_eq!(field(&alice.list_jobs(list).await.unwrap_err()), wrong);
    }
    for page_token in ["x", "%%%", "AAAA", &"A".repeat(10_000)] {
        let list = ListJobsRequest { page_token: page_token.into(), ..ListJobsRequest::default() };
        assert_eq!(reason(&alice.list_jobs(list).await.unwrap_err()), "PAGE_TOKEN_INVALID");
    }
    for after_cursor in ["x", &"A".repeat(24), &"A".repeat(1 << 20), "\u{202E}"] {
        let watch = WatchJobsRequest { after_cursor: after_cursor.into(), ..Default::default() };
        assert_eq!(reason(&alice.watch_jobs(watch).await.unwrap_err()), "CURSOR_INVALID");
    }
    for (format, offset, limit) in [(0, 0, 0), (9, 0, 0), (1, -1, 0), (1, 0, -1), (1, i64::MIN, 0)] {
        let read = ReadResultRequest { job_id: id.clone(), format, offset, limit };
        let refused = alice.read_result(read).await.unwrap_err();
        assert!(["INVALID_FIELD", "RESULT_NOT_READY"].contains(&reason(&refused).as_str()), "{refused:?}");
    }
    assert_eq!(world.job("alice", &id).await, before, "nothing changed");
}
