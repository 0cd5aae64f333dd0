use std::time::Duration;

use courant_joblog::apply::apply;
use courant_joblog::event::{AttemptCharge, Change, Event};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{JobError, Progress, Stage};
use courant_joblog::log::Key;

use super::*;
use crate::testing::queued;

fn started(job: &Job) -> Job {
    let change = Change::Started { attempt: job.attempt + 1, worker: WorkerId::new("w") };
    apply(Some(job), &Event::new(Timestamp(2), change)).unwrap()
}

/// A job whose first attempt ended and that waits until it is due.
pub(crate) fn tried(id: &str, ended: i64, due: i64) -> Job {
    let error = JobError { code: "X".into(), message: "x".into(), retryable: true };
    let change = Change::Retrying { attempt: 1, error, not_before: Timestamp(due), charge: AttemptCharge::Charged };
    apply(Some(&started(&queued(id, "alice"))), &Event::new(Timestamp(ended), change)).unwrap()
}

fn entry(revision: u64, job: &Job) -> Entry {
    let event = Event::new(Timestamp(1), Change::Requeued { by: "x".into(), password: None });
    let record = Record::Changed { event, job: Arc::new(job.clone()) };
    Entry { revision: Revision(revision), key: Key::of(job), record }
}

#[test]
fn lists_are_by_owner_and_forget() {
    let (a, b) = (queued("A", "alice"), queued("B", "bob"));
    let mut view = View::default();
    view.apply(&entry(1, &a));
    view.apply(&entry(2, &b));
    assert_eq!(view.list(Some(&a.owner), None).count(), 1);
    assert_eq!(view.list(None, None).count(), 2);
    view.apply(&Entry { revision: Revision(3), key: Key::of(&a), record: Record::Forgotten });
    assert_eq!(view.list(Some(&a.owner), None).count(), 0);
    assert!(view.get(&a.id).is_none());
}

#[test]
fn an_old_entry_changes_nothing() {
    let job = queued("A", "alice");
    let mut view = View::default();
    view.apply(&entry(2, &started(&job)));
    view.apply(&entry(1, &job));
    assert_eq!(view.get(&job.id).unwrap().job.state, State::Running);
    assert!(view.position(&job).is_none());
}

#[test]
fn percent_told_live_is_never_taken_back() {
    let job = started(&queued("A", "alice"));
    let mut view = View::default();
    view.apply(&entry(1, &job));
    let progress = Progress { percent: 40.0, stage: Stage::Extract, ..job.progress.clone() };
    let live = LiveProgress { attempt: 1, progress, zone: None };
    view.set_live_progress(&job.id, live.clone()).unwrap();
    let lower = Progress { percent: 30.0, ..live.progress.clone() };
    let current = view.set_live_progress(&job.id, LiveProgress { progress: lower, ..live.clone() }).unwrap();
    assert_eq!(current.progress().percent, 40.0);
    view.apply(&entry(2, &job));
    assert_eq!(view.get(&job.id).unwrap().progress().percent, 40.0);
    assert!(view.set_live_progress(&job.id, LiveProgress { attempt: 2, ..live }).is_none());
}

#[tokio::test(start_paused = true)]
async fn how_long_an_attempt_runs_is_no_matter_of_the_wall_clock() {
    const DAY: i64 = 24 * 3600 * 1000;
    for jump in [-DAY, DAY] {
        let mut view = View::default();
        view.advance(Revision(1));
        let job = queued("A", "alice");
        view.apply(&entry(2, &job));
        tokio::time::advance(Duration::from_secs(3)).await;
        let waited = view.now().ms_since(view.get(&job.id).unwrap().since);
        let job = started(&job);
        view.apply(&entry(3, &job));
        tokio::time::advance(Duration::from_secs(4)).await;
        let planned = Change::Planned { attempt: 1, pages: 2, lane: None, document: None };
        let job = apply(Some(&job), &Event::new(Timestamp(2 + jump), planned)).unwrap();
        view.apply(&entry(4, &job));
        let current = view.get(&job.id).unwrap();
        assert_eq!((waited, current.elapsed_ms(view.now())), (3_000, Some(4_000)));
        let ended = Change::Succeeded { attempt: 1, warnings: vec![] };
        let event = Event { at: Timestamp(2 + jump), change: ended, ran_ms: current.held_for_ms(view.now()) };
        view.apply(&entry(5, &apply(Some(&job), &event).unwrap()));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(view.get(&job.id).unwrap().elapsed_ms(view.now()), Some(4_000));
    }
}

#[test]
fn a_start_takes_times_from_the_log_and_none_that_is_to_come() {
    let mut job = started(&queued("A", "alice"));
    let since = |job: &Job| {
        let mut view = View::default();
        view.apply(&entry(1, job));
        view.advance(Revision(1));
        view.get(&job.id).unwrap().elapsed_ms(view.now()).unwrap()
    };
    job.attempt_started = Some(Timestamp::now().plus_ms(-60_000));
    assert!((60_000..70_000).contains(&since(&job)));
    job.attempt_started = Some(Timestamp::now().plus_ms(24 * 3600 * 1000));
    assert!(since(&job) < 10_000);
}
