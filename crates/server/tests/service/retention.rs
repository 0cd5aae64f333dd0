//! Removing jobs: by time, by hand, and what is left when it is cut off in the middle.

use std::path::PathBuf;
use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::watch_jobs_response::Step as Many;
use courant_proto::v1::*;
use courant_server::config::Retention;
use tonic::{Code, Status, Streaming};

use crate::support::*;

fn short(config: &mut courant_server::Config) {
    in_object_store(config);
    config.retention = Retention(Some(Duration::from_millis(1500)));
}

async fn delete(world: &World, who: &str, id: &str) -> Result<(), Status> {
    world.jobs(who).delete_job(DeleteJobRequest { job_id: id.into() }).await.map(drop)
}

/// A finished job with a result.
async fn finished(world: &World, header: SubmitJobHeader) -> SubmitJobResponse {
    let submitted = world.submit_with("alice", header, b"x").await.unwrap();
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 2).await;
    worker.sync().await;
    submitted
}

fn id(submitted: &SubmitJobResponse) -> String {
    submitted.job.as_ref().unwrap().job_id.clone()
}

fn files(world: &World) -> Vec<PathBuf> {
    let jobs = world.folder.path().join("objects/jobs");
    std::fs::read_dir(jobs).map(|found| found.map(|file| file.unwrap().path()).collect()).unwrap_or_default()
}

async fn all(world: &World, after_cursor: &str) -> Streaming<WatchJobsResponse> {
    let request = WatchJobsRequest { after_cursor: after_cursor.into(), ..Default::default() };
    world.jobs("alice").watch_jobs(request).await.unwrap().into_inner()
}

async fn step(stream: &mut Streaming<WatchJobsResponse>) -> (String, Many) {
    let step = tokio::time::timeout(PATIENCE, stream.message()).await.expect("no step").unwrap().unwrap();
    (step.cursor, step.step.unwrap())
}

/// The next deletion, with its cursor.
async fn deletion(stream: &mut Streaming<WatchJobsResponse>) -> (String, JobEvent) {
    loop {
        if let (cursor, Many::Event(event)) = step(stream).await
            && name(&event) == "deleted"
        {
            return (cursor, event);
        }
    }
}

#[tokio::test]
async fn an_ended_job_says_when_it_goes_and_goes_with_all_it_has() {
    let world = World::tuned(short).await;
    let mut watch = all(&world, "").await;
    let batched = SubmitJobHeader { batch_id: "b".into(), ..markdown_only() };
    let submitted = finished(&world, batched).await;
    assert_eq!(submitted.job.as_ref().unwrap().expire_time, None, "it has not ended");
    let job = world.job("alice", &id(&submitted)).await;
    let (expires, ended) = (job.expire_time.unwrap(), job.end_time.unwrap());
    let keep = Duration::try_from(prost_types::Duration {
        seconds: expires.seconds - ended.seconds,
        nanos: expires.nanos - ended.nanos,
    });
    assert_eq!(keep.unwrap().as_millis(), 1500);
    let list = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.jobs[0].expire_time, Some(expires));
    let (cursor, gone) = loop {
        match step(&mut watch).await {
            (cursor, Many::Event(event)) if name(&event) == "deleted" => break (cursor, event),
            (_, Many::Event(event)) => {
                let received = event.job.as_ref().unwrap().expire_time;
                assert_eq!(received.is_some(), name(&event) == "succeeded");
            }
            _ => {}
        }
    };
    let of = gone.job.unwrap();
    assert_eq!((of.job_id, of.owner.as_str(), of.batch_id.as_str()), (id(&submitted), "alice", "b"));
    assert!(!cursor.is_empty() && gone.revision > job.revision && of.filename.is_empty());
    let missing = world.jobs("alice").get_job(GetJobRequest { job_id: id(&submitted) }).await.unwrap_err();
    assert_eq!(reason(&missing), "JOB_NOT_FOUND");
    let list = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert!(list.jobs.is_empty());
    let batch = GetBatchRequest { batch_id: "b".into(), ..Default::default() };
    assert_eq!(reason(&world.jobs("alice").get_batch(batch).await.unwrap_err()), "BATCH_NOT_FOUND");
    // The watch goes on.
    let next = world.submit("alice").await.job.unwrap().job_id;
    let (_, Many::Event(event)) = step(&mut watch).await else { panic!("no event") };
    assert_eq!((name(&event), event.job.unwrap().job_id), ("queued", next.clone()));
    until(|| files(&world).len() == 1).await;
    assert!(files(&world)[0].ends_with(next));
}

#[tokio::test]
async fn with_no_retention_nothing_expires() {
    let world = World::tuned(|config| config.retention = Retention(None)).await;
    let submitted = finished(&world, markdown_only()).await;
    assert_eq!(world.job("alice", &id(&submitted)).await.expire_time, None);
}

#[tokio::test]
async fn a_person_removes_a_finished_job_and_only_that() {
    let world = World::tuned(in_object_store).await;
    let waiting = id(&world.submit("alice").await);
    let early = delete(&world, "alice", &waiting).await.unwrap_err();
    assert_eq!((early.code(), reason(&early).as_str()), (Code::FailedPrecondition, "JOB_STATE"));
    world.cancel("alice", &waiting).await.unwrap();
    let mut bridge = world.jobs_as("bridge", &[Role::Bridge]);
    let refused = bridge.delete_job(DeleteJobRequest { job_id: waiting.clone() }).await.unwrap_err();
    assert_eq!(reason(&refused), "JOB_NOT_FOUND", "the bridge sees all and changes nothing");
    assert_eq!(reason(&delete(&world, "bob", &waiting).await.unwrap_err()), "JOB_NOT_FOUND");
    delete(&world, "alice", &waiting).await.unwrap();
    assert!(files(&world).is_empty());
    assert_eq!(reason(&delete(&world, "alice", &waiting).await.unwrap_err()), "JOB_NOT_FOUND");
    let retry = world.jobs("alice").retry_job(RetryJobRequest { job_id: waiting, password: None }).await.unwrap_err();
    assert_eq!(reason(&retry), "JOB_NOT_FOUND");
}

#[tokio::test]
async fn a_watcher_who_was_away_hears_of_the_removal_or_of_a_gap() {
    let world = World::tuned(in_object_store).await;
    let old = finished(&world, markdown_only()).await;
    let mut watch = all(&world, &old.cursor).await;
    let mut cursors = vec![old.cursor.clone()];
    let end = loop {
        if let (cursor, Many::Event(event)) = step(&mut watch).await {
            cursors.push(cursor);
            if name(&event) == "succeeded" {
                break cursors.pop().unwrap();
            }
        }
    };
    drop(watch);
    delete(&world, "alice", &id(&old)).await.unwrap();
    let world = world.restart().await;
    // Who had seen everything of it misses nothing.
    let (_, event) = deletion(&mut all(&world, &end).await).await;
    assert_eq!(event.job.unwrap().job_id, id(&old));
    // Who had not cannot be given the rest: it is told so.
    for cursor in cursors {
        let mut late = all(&world, &cursor).await;
        let (_, Many::Gap(gap)) = step(&mut late).await else { panic!("no gap after {cursor}") };
        assert_eq!(gap.reason(), GapReason::HistoryTrimmed);
        assert!(matches!(step(&mut late).await.1, Many::Live(_)), "there is nothing to show");
        let strict = WatchJobsRequest { after_cursor: cursor, fail_on_gap: true, ..Default::default() };
        let mut strict = world.jobs("alice").watch_jobs(strict).await.unwrap().into_inner();
        let refused = strict.message().await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "CURSOR_TOO_OLD"));
    }
    let request = WatchJobRequest { job_id: id(&old), ..Default::default() };
    assert_eq!(reason(&world.jobs("alice").watch_job(request).await.unwrap_err()), "JOB_NOT_FOUND");
}

#[tokio::test]
async fn a_removed_request_can_be_made_again_and_its_cursor_leads_to_the_new_job_only() {
    let world = World::tuned(in_object_store).await;
    let header = SubmitJobHeader { request_id: "r".into(), ..markdown_only() };
    let first = finished(&world, header.clone()).await;
    delete(&world, "alice", &id(&first)).await.unwrap();
    let again = world.submit_with("alice", header.clone(), b"another").await.unwrap();
    assert_eq!(id(&again), id(&first), "the same request gives the same id");
    world.cancel("alice", &id(&again)).await.unwrap();
    let events = world.watch("alice", &id(&again), &again.cursor).await.durable().await;
    assert_eq!(names(&events), ["queued", "cancelled"]);
    assert_eq!(files(&world).len(), 1, "the new job's document is there");
}

/// Submits and removals of the same request at the same time: whoever is there has its document.
#[tokio::test]
async fn a_job_that_is_there_has_its_document_however_submits_and_removals_meet() {
    let world = World::tuned(in_object_store).await;
    let header = SubmitJobHeader { request_id: "r".into(), ..SubmitJobHeader::default() };
    for _ in 0..20 {
        let submits = futures::future::join_all((0..4).map(|_| async {
            let submitted = world.submit_with("alice", header.clone(), b"x").await.unwrap();
            let _ = world.cancel("alice", &id(&submitted)).await;
            let _ = delete(&world, "alice", &id(&submitted)).await;
        }));
        submits.await;
        let last = world.submit_with("alice", header.clone(), b"x").await.unwrap();
        let folder = world.folder.path().join("objects/jobs").join(id(&last));
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn files_that_a_crash_left_are_swept_at_start_and_jobs_keep_theirs() {
    let world = World::tuned(in_object_store).await;
    let kept = id(&world.submit("alice").await);
    let orphan = world.folder.path().join("objects/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/a1");
    std::fs::create_dir_all(&orphan).unwrap();
    std::fs::write(orphan.join("result.md"), b"x").unwrap();
    let world = world.restart().await;
    until(|| files(&world).len() == 1).await;
    assert!(files(&world)[0].ends_with(kept));
}
