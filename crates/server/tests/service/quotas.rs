//! Quotas: what one owner may have waiting and may submit.

use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::*;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::*;

/// The quota that a refusal names.
fn refused(status: &Status) -> (String, String, Option<Duration>) {
    let details = status.get_error_details();
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    let violation = &details.quota_failure().unwrap().violations[0];
    let name = violation.description.split(':').next().unwrap().to_owned();
    (violation.subject.clone(), name, details.retry_info().and_then(|info| info.retry_delay))
}

fn asking(request_id: &str) -> SubmitJobHeader {
    SubmitJobHeader { request_id: request_id.into(), ..SubmitJobHeader::default() }
}

#[tokio::test]
async fn only_so_many_jobs_wait_and_one_that_leaves_makes_room() {
    let world = World::tuned(|config| config.quota_waiting = 2).await;
    let first = world.submit_with("alice", asking("r"), b"x").await.unwrap().job.unwrap();
    world.submit("alice").await;
    let over = world.submit_with("alice", asking(""), b"x").await.unwrap_err();
    assert_eq!(refused(&over), ("owner:alice".into(), "jobs-waiting".into(), Some(Duration::from_secs(5))));
    world.submit("bob").await;
    let again = world.submit_with("alice", asking("r"), b"x").await.unwrap().job.unwrap();
    assert_eq!(again.job_id, first.job_id, "a repeat of what was taken is never refused");
    world.cancel("alice", &first.job_id).await.unwrap();
    world.submit("alice").await;
    let mut intake = world.jobs_as("intake", &[Role::Service]);
    let for_alice = SubmitJobHeader { owner: "alice".into(), ..SubmitJobHeader::default() };
    let parts =
        [Part::Header(for_alice), Part::Chunk(b"x".to_vec().into())].map(|part| SubmitJobRequest { part: Some(part) });
    let over = intake.submit_job(tokio_stream::iter(parts)).await.unwrap_err();
    assert_eq!(refused(&over).0, "owner:alice", "who submits for a user uses the user's quota");
}

#[tokio::test]
async fn a_retry_by_hand_counts_as_a_submit() {
    let world = World::tuned(|config| config.quota_submits_per_minute = 2).await;
    let job_id = world.submit("alice").await.job.unwrap().job_id;
    let retry = || RetryJobRequest { job_id: job_id.clone(), password: None };
    let early = world.jobs("alice").retry_job(retry()).await.unwrap_err();
    assert_eq!(reason(&early), "JOB_STATE", "what can never be tried again is not a matter of quotas");
    world.cancel("alice", &job_id).await.unwrap();
    world.jobs("alice").retry_job(retry()).await.unwrap();
    world.cancel("alice", &job_id).await.unwrap();
    let over = world.jobs("alice").retry_job(retry()).await.unwrap_err();
    let (subject, name, after) = refused(&over);
    assert_eq!((subject.as_str(), name.as_str()), ("owner:alice", "submits-per-minute"));
    // Counted in steps: one may have to pass beyond the minute.
    assert!(after.is_some_and(|after| after <= Duration::from_secs(62)));

    let world = World::tuned(|config| config.quota_waiting = 1).await;
    let job_id = world.submit("alice").await.job.unwrap().job_id;
    world.cancel("alice", &job_id).await.unwrap();
    world.submit("alice").await;
    let over = world.jobs("alice").retry_job(RetryJobRequest { job_id, password: None }).await.unwrap_err();
    assert_eq!(refused(&over).1, "jobs-waiting");
}

#[tokio::test]
async fn many_at_once_do_not_go_over_together() {
    let world = World::tuned(|config| config.quota_waiting = 5).await;
    let submits = (0..40).map(|_| world.submit_with("alice", asking(""), b"x"));
    let taken = futures::future::join_all(submits).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(taken, 5);
    let list = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.jobs.len(), 5);
}

#[tokio::test]
async fn bytes_are_counted_before_they_are_sent_where_they_are_said_and_as_they_come_where_not() {
    let world = World::tuned(|config| config.quota_bytes_per_day = 100).await;
    world.submit_with("alice", asking(""), &[b'x'; 60]).await.unwrap();
    let sent = SubmitJobHeader { document_bytes: 50, ..SubmitJobHeader::default() };
    // The stream never ends: only the header can have been the reason.
    let (parts, stream) = tokio::sync::mpsc::channel(1);
    parts.send(SubmitJobRequest { part: Some(Part::Header(sent)) }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let over = tokio::time::timeout(PATIENCE, world.jobs("alice").submit_job(stream)).await.unwrap().unwrap_err();
    let (_, quota, after) = refused(&over);
    assert_eq!(quota, "bytes-per-day");
    assert!((23..=25).contains(&(after.unwrap().as_secs() / 3600)), "{after:?}");
    let over = world.submit_with("alice", asking(""), &[b'x'; 41]).await.unwrap_err();
    assert_eq!(refused(&over).1, "bytes-per-day");
    let never = world.submit_with("alice", asking(""), &[b'x'; 101]).await.unwrap_err();
    assert_eq!(refused(&never).2, None, "waiting would not help");
    world.submit_with("alice", asking(""), &[b'x'; 40]).await.unwrap();
    assert!(uploads(&world).is_empty());
}

#[tokio::test]
async fn what_was_used_is_known_after_a_restart() {
    let world = World::tuned(|config| {
        config.quota_waiting = 10;
        config.quota_bytes_per_day = 100;
        config.quota_submits_per_minute = 3;
    })
    .await;
    for _ in 0..3 {
        world.submit_with("alice", asking(""), &[b'x'; 20]).await.unwrap();
    }
    let over = world.submit_with("alice", asking(""), b"x").await.unwrap_err();
    let (_, quota, after) = refused(&over);
    assert_eq!(quota, "submits-per-minute");
    assert!(after.unwrap() <= Duration::from_secs(61) && after.unwrap() >= Duration::from_secs(1));
    let before = world.quota("alice").await;
    let world = world.restart().await;
    let used = |quotas: &[Quota]| quotas.iter().map(|quota| (quota.name.clone(), quota.used)).collect::<Vec<_>>();
    let expected = [("jobs-waiting", 3), ("bytes-per-day", 60), ("submits-per-minute", 3)];
    let expected = expected.map(|(name, used)| (name.to_owned(), used));
    assert_eq!((used(&before), used(&world.quota("alice").await)), (expected.to_vec(), expected.to_vec()));
    let minute = &before[2];
    assert!(minute.retry_after.is_some_and(|after| (1..=61).contains(&after.seconds)), "{minute:?}");
    let over = world.submit_with("alice", asking(""), b"x").await.unwrap_err();
    assert_eq!(refused(&over).1, "submits-per-minute");
    assert_eq!(used(&world.quota("bob").await)[0].1, 0);
}

#[tokio::test]
async fn a_submit_that_comes_to_nothing_uses_nothing() {
    let world = World::tuned(|config| config.quota_submits_per_minute = 1).await;
    let wrong = SubmitJobHeader { sha256: "ab".repeat(32), ..SubmitJobHeader::default() };
    for _ in 0..3 {
        let refused = world.submit_with("alice", wrong.clone(), b"x").await.unwrap_err();
        assert_eq!(reason(&refused), "CHECKSUM_MISMATCH");
    }
    world.submit("alice").await;
}
