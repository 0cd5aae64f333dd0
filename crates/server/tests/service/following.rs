//! Watching: nothing missed, nothing double, whatever is cut.

use courant_auth::Role;
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::watch_jobs_response::Step as Many;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::*;

use crate::support::*;

#[tokio::test]
async fn a_watch_begins_with_a_snapshot_then_live_and_ends_with_the_job() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut watcher = world.watch("alice", &id, "").await;
    let first = watcher.next().await.unwrap();
    assert!(matches!(first.step, Some(Step::Snapshot(_))) && !first.cursor.is_empty());
    assert!(matches!(watcher.next().await.unwrap().step, Some(Step::Live(_))));
    world.cancel("alice", &id).await.unwrap();
    assert_eq!(names(&watcher.durable().await), ["cancelled"]);
    let after_the_end = world.watch("alice", &id, "").await.durable().await;
    assert!(after_the_end.is_empty(), "a watch of an ended job is a snapshot and the end");
}

#[tokio::test]
async fn every_cursor_of_a_finished_job_leads_to_exactly_the_rest() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 20).await;
    worker.sync().await;
    let all = world.watch("alice", &id, &submitted.cursor).await.durable().await;
    assert_eq!(all.len(), 26);
    for (seen, (_, cursor, _)) in all.iter().enumerate() {
        let rest = world.watch("alice", &id, cursor).await.durable().await;
        assert_eq!(rest, all[seen + 1..], "after {seen}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_after_a_restart() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 3).await;
    worker.page(&at, 1).await;
    worker.sync().await;
    drop(worker);
    let world = world.restart().await;
    let mut worker = world.worker("w1").await;
    let assignment = worker.take().await;
    assert_eq!(assignment.finished_pages, [FinishedPages { first: 1, last: 1, attempt: 1 }]);
    worker.work_off(&assignment.attempt.unwrap(), 3).await;
    let events = world.watch("alice", &id, &submitted.cursor).await.durable().await;
    let expected = [
        "queued",
        "started",
        "planned",
        "page",
        "retrying",
        "started",
        "page",
        "page",
        "export-started",
        "export-completed",
        "succeeded",
    ];
    assert_eq!(names(&events), expected);
}

#[tokio::test]
async fn a_cursor_of_another_log_is_told_as_a_gap() {
    let (world, other) = (World::new().await, World::new().await);
    let foreign = other.submit("alice").await.cursor;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut watcher = world.watch("alice", &id, &foreign).await;
    let Some(Step::Gap(gap)) = watcher.next().await.unwrap().step else { panic!("no gap") };
    assert_eq!(gap.reason(), GapReason::LogReplaced);
    assert!(matches!(watcher.next().await.unwrap().step, Some(Step::Snapshot(_))));
    assert!(matches!(watcher.next().await.unwrap().step, Some(Step::Live(_))));
    let after_cursor = foreign.clone();
    let strict = WatchJobRequest { job_id: id.clone(), after_cursor, fail_on_gap: true, ..Default::default() };
    let mut strict = world.jobs("alice").watch_job(strict).await.unwrap().into_inner();
    let refused = strict.message().await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::OutOfRange, "CURSOR_TOO_OLD"));
    let request = WatchJobRequest { job_id: id, after_cursor: "nonsense".into(), ..Default::default() };
    assert_eq!(reason(&world.jobs("alice").watch_job(request).await.unwrap_err()), "CURSOR_INVALID");
}

#[tokio::test]
async fn a_watcher_too_slow_for_its_buffer_still_gets_everything_once() {
    let world = World::tuned(|config| config.watch_buffer = 4).await;
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let slow = world.watch("alice", &id, &submitted.cursor).await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 300).await;
    worker.sync().await;
    let events = slow.durable().await;
    assert_eq!(events.len(), 306);
    assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[tokio::test]
async fn a_quiet_watch_gets_bookmarks() {
    let world = World::tuned(|config| config.bookmark_interval = std::time::Duration::from_millis(100)).await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut watcher = world.watch("alice", &id, "").await;
    loop {
        let step = watcher.next().await.unwrap();
        if matches!(step.step, Some(Step::Bookmark(_))) {
            assert!(!step.cursor.is_empty());
            break;
        }
    }
}

#[tokio::test]
async fn progress_is_told_live_and_never_goes_back() {
    let world = World::new().await;
    let submitted = world.submit("alice").await;
    let id = submitted.job.unwrap().job_id;
    let mut watcher = world.watch("alice", &id, &submitted.cursor).await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    for percent in [20.0, 40.0, 30.0] {
        let report = ReportProgress {
            attempt: Some(at.clone()),
            percent,
            stage: Stage::Extract.into(),
            operation: format!("at {percent}"),
            ..ReportProgress::default()
        };
        worker.send(Report::Progress(report)).await;
        worker.sync().await;
    }
    let zone_report = ReportZone { attempt: Some(at.clone()), zone: Some(zone(1)) };
    worker.send(Report::Zone(zone_report)).await;
    worker.fail(&at, false).await;
    let mut percents = Vec::new();
    let mut zones = 0;
    while let Some(step) = watcher.next().await {
        let Some(Step::Event(event)) = step.step else { continue };
        if step.cursor.is_empty() {
            percents.push(event.job.as_ref().unwrap().progress.as_ref().unwrap().percent);
            zones += usize::from(name(&event) == "zone");
        }
    }
    assert!(percents.windows(2).all(|pair| pair[0] <= pair[1]), "{percents:?}");
    assert_eq!((percents.first(), percents.last(), zones), (Some(&20.0), Some(&40.0), 1));
}

#[tokio::test]
async fn one_watch_follows_all_jobs_of_an_owner_a_batch_or_everybody() {
    let world = World::new().await;
    let mine = world.submit("alice").await;
    let request = WatchJobsRequest { after_cursor: mine.cursor.clone(), ..WatchJobsRequest::default() };
    let mut own = world.jobs("alice").watch_jobs(request.clone()).await.unwrap().into_inner();
    let in_batch = WatchJobsRequest { batch_id: "b".into(), ..request.clone() };
    let mut batch = world.jobs("alice").watch_jobs(in_batch).await.unwrap().into_inner();
    let everybody = WatchJobsRequest { owner: "-".into(), ..request };
    let mut all = world.jobs_as("root", &[Role::Admin]).watch_jobs(everybody.clone()).await.unwrap().into_inner();
    let refused = world.jobs("alice").watch_jobs(everybody).await.unwrap_err();
    assert_eq!(reason(&refused), "ROLE_REQUIRED");
    let bobs = world.submit("bob").await.job.unwrap().job_id;
    let header = SubmitJobHeader { batch_id: "b".into(), ..SubmitJobHeader::default() };
    let batched = world.submit_with("alice", header, b"x").await.unwrap().job.unwrap().job_id;
    let mine = mine.job.unwrap().job_id;
    assert_eq!(queued(&mut own, 2).await, [mine.clone(), batched.clone()]);
    assert_eq!(queued(&mut batch, 1).await, std::slice::from_ref(&batched));
    assert_eq!(queued(&mut all, 3).await, [mine, bobs, batched]);
}

/// The jobs of the next queued events.
async fn queued(stream: &mut tonic::Streaming<WatchJobsResponse>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let step = tokio::time::timeout(PATIENCE, stream.message()).await.expect("no step").unwrap().unwrap();
        if let Some(Many::Event(event)) = step.step
            && name(&event) == "queued"
        {
            ids.push(event.job.unwrap().job_id);
        }
    }
    ids
}
