//! Jobs that are cancelled when nobody follows them.

use courant_auth::Role;
use courant_proto::v1::*;

use crate::support::*;

fn cancelled_when_unwatched() -> SubmitJobHeader {
    let cancel_when_unwatched = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    SubmitJobHeader { cancel_when_unwatched, batch_id: "b".into(), ..SubmitJobHeader::default() }
}

#[tokio::test]
async fn a_job_that_nobody_follows_is_cancelled_and_its_worker_stopped() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", cancelled_when_unwatched(), b"x").await.unwrap();
    let job = submitted.job.unwrap();
    assert_eq!(job.cancel_when_unwatched.unwrap().seconds, 1);
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    // An operator who watches everything does not keep anybody's job alive.
    let all = WatchJobsRequest { owner: "-".into(), after_cursor: submitted.cursor.clone(), ..Default::default() };
    let mut steps = world.jobs_as("root", &[Role::Admin]).watch_jobs(all).await.unwrap().into_inner();
    while !matches!(worker.order().await, work_response::Message::Cancel(cancel) if cancel.attempt.as_ref() == Some(&at))
    {
    }
    loop {
        let step = tokio::time::timeout(PATIENCE, steps.message()).await.unwrap().unwrap().unwrap();
        if let Some(watch_jobs_response::Step::Event(JobEvent { change: Some(change), .. })) = step.step
            && let job_event::Change::Cancelling(cancelling) = change
        {
            assert_eq!(cancelling.requested_by, "unwatched");
            break;
        }
    }
}

#[tokio::test]
async fn a_job_without_that_wish_is_left_alone_and_absurd_wishes_are_refused() {
    let world = World::new().await;
    for seconds in [0, -1, 24 * 3600 + 1, i64::MAX] {
        let cancel_when_unwatched = Some(prost_types::Duration { seconds, nanos: 0 });
        let header = SubmitJobHeader { cancel_when_unwatched, ..SubmitJobHeader::default() };
        let refused = world.submit_with("alice", header, b"x").await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD", "{seconds}");
    }
    let left_alone = world.submit("alice").await.job.unwrap().job_id;
    let submitted = world.submit_with("alice", cancelled_when_unwatched(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    // The other one goes: by then this one would have gone, too.
    let all = WatchJobsRequest { owner: "-".into(), after_cursor: submitted.cursor, ..Default::default() };
    let mut steps = world.jobs_as("root", &[Role::Admin]).watch_jobs(all).await.unwrap().into_inner();
    loop {
        let step = tokio::time::timeout(PATIENCE, steps.message()).await.unwrap().unwrap().unwrap();
        if let Some(watch_jobs_response::Step::Event(event)) = step.step
            && name(&event) == "cancelled"
        {
            assert_eq!(event.job.unwrap().job_id, id);
            break;
        }
    }
    assert_eq!(world.job("alice", &left_alone).await.state(), JobState::Queued);
}
