//! Claims, leases, fencing, cancels.

use std::time::Duration;

use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_silent_worker_loses_its_job_and_its_late_reports_are_refused() {
    let world = World::tuned(|config| config.lease = Duration::from_millis(600)).await;
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut silent = world.worker("silent").await;
    let old = silent.take().await.attempt.unwrap();
    let mut second = world.worker("second").await;
    let new = second.take_while_alive().await.attempt.unwrap();
    assert_eq!((old.attempt, new.attempt), (1, 2));
    let refused = silent.write(&old, "pages/000001.json", b"{}").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "LEASE_LOST"));
    silent.succeed(&old).await;
    let sent = silent.sync().await;
    assert!(sent.iter().any(|order| matches!(order, Order::LeaseLost(lost) if lost.attempt.as_ref() == Some(&old))));
    second.work_off(&new, 1).await;
    second.sync().await;
    let job = world.job("alice", &id).await;
    assert_eq!(
        (job.state(), job.attempt, job.attempts[0].error.as_ref().unwrap().code.as_str()),
        (JobState::Succeeded, 2, "WORKER_LOST")
    );
}

#[tokio::test]
async fn a_worker_that_comes_back_with_its_job_keeps_it_and_without_it_loses_it() {
    let world = World::new().await;
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    let back = world.worker_with("w", 1, vec![at.clone()]).await;
    assert_eq!(back.welcome.in_flight, std::slice::from_ref(&at));
    let replaced = loop {
        match worker.next().await {
            Ok(_) => continue,
            Err(status) => break status,
        }
    };
    assert_eq!((replaced.code(), reason(&replaced).as_str()), (Code::Aborted, "WORKER_REPLACED"));
    let mut fresh = world.worker_with("w", 1, vec![]).await;
    assert!(fresh.welcome.in_flight.is_empty());
    let again = fresh.take().await.attempt.unwrap();
    assert_eq!((again.job_id, again.attempt), (id, 2));
}

#[tokio::test]
async fn an_assignment_that_is_not_accepted_goes_on_and_costs_nothing() {
    let world = World::tuned(|config| {
        config.accept_within = Duration::from_millis(100);
        config.max_attempts = 1;
    })
    .await;
    world.submit("alice").await;
    let mut silent = world.worker("silent").await;
    assert_eq!(silent.assigned().await.attempt.unwrap().attempt, 1);
    let mut other = world.worker("other").await;
    let at = other.assigned().await.attempt.unwrap();
    assert_eq!(at.attempt, 2, "offered again, although one attempt is all it has");
    other.send(Report::Slots(ChangeSlots { slots: 0 })).await;
    other.send(Report::Released(ReportReleased { attempt: Some(at) })).await;
    other.sync().await;
    // Who did not answer gets nothing more before it is heard again.
    silent.send(Report::Heartbeat(Heartbeat::default())).await;
    assert!(matches!(silent.order().await, Order::HeartbeatAck(_)));
    assert_eq!(silent.assigned().await.attempt.unwrap().attempt, 3);
}

#[tokio::test]
async fn a_running_job_is_cancelled_through_its_worker_even_if_it_says_done() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.sync().await;
    assert_eq!(world.cancel("alice", &id).await.unwrap().state(), JobState::Cancelling);
    loop {
        if let Order::Cancel(cancel) = worker.order().await {
            assert_eq!(cancel.attempt.as_ref(), Some(&at));
            break;
        }
    }
    worker.succeed(&at).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Cancelled);
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_left_behind() {
    let world = World::tuned(|config| config.cancel_grace = Duration::from_millis(100)).await;
    let submitted = world.submit("alice").await;
    let id = submitted.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    worker.take().await;
    worker.sync().await;
    world.cancel("alice", &id).await.unwrap();
    let events = world.watch("alice", &id, &submitted.cursor).await.durable().await;
    assert_eq!(names(&events), ["queued", "started", "cancelling", "cancelled"]);
}

#[tokio::test]
async fn retryable_failures_are_tried_again_until_the_attempts_are_used_up() {
    let world = World::new().await;
    let submitted = world.submit("alice").await;
    let id = submitted.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    for _ in 0..3 {
        let at = worker.take().await.attempt.unwrap();
        worker.fail(&at, true).await;
    }
    let events = world.watch("alice", &id, &submitted.cursor).await.durable().await;
    let expected = ["queued", "started", "retrying", "started", "retrying", "started", "failed"];
    assert_eq!(names(&events), expected);
    assert_eq!(world.job("alice", &id).await.attempts.len(), 3, "why each attempt failed is kept");
}

#[tokio::test]
async fn a_report_that_makes_no_sense_fails_the_job_and_not_the_worker() {
    let world = World::new().await;
    let invalid: [fn(AttemptRef) -> Report; 4] = [
        |at| Report::Progress(ReportProgress { attempt: Some(at), percent: f64::NAN, ..Default::default() }),
        |at| Report::Plan(ReportPlan { attempt: Some(at), pages_total: -1, document_pages: 0 }),
        |at| Report::Page(ReportPage { attempt: Some(at), page: Some(Page::default()), ..Default::default() }),
        |at| Report::ExportCompleted(ReportExportCompleted { attempt: Some(at), format: 1 }),
    ];
    let mut worker = world.worker("w").await;
    for report in invalid {
        let id = world.submit("alice").await.job.unwrap().job_id;
        let at = worker.take().await.attempt.unwrap();
        worker.send(report(at)).await;
        let sent = worker.sync().await;
        assert!(matches!(sent[0], Order::LeaseLost(_)));
        let job = world.job("alice", &id).await;
        assert_eq!((job.state(), job.error.unwrap().code.as_str()), (JobState::Failed, "INVALID_REPORT"));
    }
}

#[tokio::test]
async fn repeated_reports_change_nothing() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 1).await;
    worker.plan(&at, 1).await;
    worker.page(&at, 1).await;
    worker.page(&at, 1).await;
    worker.work_off(&at, 1).await;
    worker.succeed(&at).await;
    worker.sync().await;
    let events = world.watch("alice", &id, &submitted.cursor).await.durable().await;
    let expected = ["queued", "started", "planned", "page", "export-started", "export-completed", "succeeded"];
    assert_eq!(names(&events), expected);
}

#[tokio::test]
async fn a_worker_gets_as_many_jobs_as_it_has_slots_and_only_its_kinds() {
    let world = World::new().await;
    for _ in 0..3 {
        world.submit("alice").await;
    }
    let other = SubmitJobHeader { kind: "other".into(), ..SubmitJobHeader::default() };
    world.submit_with("alice", other, b"x").await.unwrap();
    let mut worker = world.worker_with("w", 2, vec![]).await;
    let (first, second) = (worker.take().await, worker.take().await);
    assert_eq!(worker.sync().await.len(), 1, "no third job while both slots are taken");
    worker.fail(first.attempt.as_ref().unwrap(), false).await;
    let third = worker.take().await;
    worker.fail(second.attempt.as_ref().unwrap(), false).await;
    worker.fail(third.attempt.as_ref().unwrap(), false).await;
    assert_eq!(worker.sync().await.len(), 1, "nothing of another kind comes");
}

#[tokio::test]
async fn artifacts_are_checked_and_read_back() {
    let world = World::tuned(|config| config.max_artifact_bytes = 8).await;
    world.submit("alice").await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(reason(&worker.write(&at, "../escape", b"x").await.unwrap_err()), "INVALID_FIELD");
    assert_eq!(reason(&worker.write(&at, "big", b"123456789").await.unwrap_err()), "ARTIFACT_TOO_LARGE");
    assert_eq!(worker.write(&at, "pages/000001.json", b"{}").await.unwrap().size_bytes, 2);
    let read = |name: &str| ReadArtifactRequest { attempt: Some(at.clone()), written_by: 1, name: name.into() };
    let mut stream = worker.client.read_artifact(read("pages/000001.json")).await.unwrap().into_inner();
    assert_eq!(&stream.message().await.unwrap().unwrap().chunk[..], b"{}");
    let missing = worker.client.read_artifact(read("pages/000002.json")).await.unwrap_err();
    assert_eq!(reason(&missing), "ARTIFACT_NOT_FOUND");
    let mut document =
        worker.client.read_document(ReadDocumentRequest { attempt: Some(at) }).await.unwrap().into_inner();
    assert_eq!(&document.message().await.unwrap().unwrap().chunk[..], b"%PDF-1.7 hello");
}
