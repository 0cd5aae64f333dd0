use super::*;
use crate::event::AttemptCharge;
use crate::ids::{JobId, WorkerId};
use crate::job::{ExportState, KEPT_ATTEMPTS, MAX_ATTEMPTS_KEEPING_POSITION, PageRange};
use crate::samples::{error, page, submission};

/// Applies one change after another, a second apart.
struct Story {
    job: Job,
    clock: i64,
}

impl Story {
    fn submitted() -> Self {
        let change = Change::Submitted(Box::new(submission("J", "alice")));
        let job = apply(None, &Event::new(Timestamp(1_000), change)).unwrap();
        Self { job, clock: 1_000 }
    }

    fn running() -> Self {
        let mut story = Self::submitted();
        story.then(started(1));
        story
    }

    fn planned(pages: u32) -> Self {
        let mut story = Self::running();
        story.then(Change::Planned { attempt: 1, pages, lane: None, document: None });
        story
    }

    fn then(&mut self, change: Change) -> &Job {
        self.job = self.attempt(change.clone()).unwrap_or_else(|illegal| panic!("{change:?}: {illegal}"));
        &self.job
    }

    fn refuses(&mut self, change: Change) -> IllegalChange {
        self.attempt(change).unwrap_err()
    }

    fn attempt(&mut self, change: Change) -> Result<Job, IllegalChange> {
        self.clock += 1_000;
        apply(Some(&self.job), &Event::new(Timestamp(self.clock), change))
    }

    fn percent(&self) -> f64 {
        self.job.progress.percent
    }
}

fn started(attempt: u32) -> Change {
    Change::Started { attempt, worker: WorkerId::new(format!("worker-{attempt}")) }
}

fn finished(attempt: u32, number: u32) -> Change {
    Change::PageFinished { attempt, page: Box::new(page("J", number, 2)) }
}

fn completed(attempt: u32, format: Format) -> Change {
    Change::ExportCompleted { attempt, format, bytes: 10, sha256: "ab".into() }
}

fn retrying(attempt: u32, charge: AttemptCharge) -> Change {
    Change::Retrying { attempt, error: error("WORKER_LOST"), not_before: Timestamp(99_000), charge }
}

fn failed(attempt: u32, code: &str) -> Change {
    Change::Failed { attempt, error: error(code) }
}

fn cancelled(by: &str) -> Change {
    Change::Cancelled { by: by.into() }
}

#[test]
fn a_whole_life_that_ends_well() {
    let mut story = Story::submitted();
    let job = &story.job;
    assert_eq!((job.state, job.attempt, job.progress.percent), (State::Queued, 0, 0.0));
    assert_eq!((job.progress.stage, job.progress.operation.as_str()), (Stage::Queued, "Waiting in the normal lane"));
    assert_eq!((job.created, job.queued, job.started), (Timestamp(1_000), Timestamp(1_000), None));

    let job = story.then(started(1));
    assert_eq!((job.state, job.attempt, job.progress.percent), (State::Running, 1, 5.0));
    assert_eq!((job.started, job.attempt_started), (Some(Timestamp(2_000)), Some(Timestamp(2_000))));
    assert_eq!(job.worker.as_ref().map(WorkerId::as_str), Some("worker-1"));

    let job = story.then(Change::Planned { attempt: 1, pages: 3, lane: None, document: None });
    assert_eq!((job.progress.percent, job.pages.total, job.progress.units_total), (10.0, Some(3), 3));

    let job = story.then(finished(1, 1));
    assert_eq!((job.progress.percent, job.progress.stage), (35.0, Stage::Extract));
    assert_eq!(job.progress.operation, "Processed 1/3 pages");
    story.then(finished(1, 2));
    let job = story.then(finished(1, 3));
    assert_eq!((job.progress.percent, job.zones, job.progress.units_done), (75.0, 6, 3));
    assert_eq!(job.pages.done, [PageRange { first: 1, last: 3, attempt: 1 }]);

    story.then(Change::ExportStarted { attempt: 1, format: Format::Json });
    story.then(Change::ExportStarted { attempt: 1, format: Format::Text });
    let job = story.then(completed(1, Format::Json));
    assert_eq!((job.progress.percent, job.progress.stage), (87.5, Stage::Export));
    assert_eq!(job.exports[0].state, ExportState::Completed { bytes: 10, sha256: "ab".into() });
    let job = story.then(Change::ExportFailed { attempt: 1, format: Format::Text, error: error("DISK") });
    assert_eq!((job.progress.percent, &job.exports[1].state), (99.0, &ExportState::Failed(error("DISK"))));

    let job = story.then(Change::Succeeded { attempt: 1, warnings: vec!["no OCR".into()] });
    assert_eq!((job.state, job.progress.percent, job.progress.stage), (State::Succeeded, 100.0, Stage::Done));
    assert_eq!((job.worker.as_ref(), job.ended), (None, Some(Timestamp(11_000))));
    assert_eq!(job.warnings, ["no OCR"]);
    assert_eq!(
        story.refuses(Change::Requeued { by: "alice".into(), password: None }),
        IllegalChange::WrongState { state: State::Succeeded }
    );
}

#[test]
fn a_second_attempt_goes_on_from_the_last_finished_page() {
    let mut story = Story::planned(4);
    story.then(finished(1, 1));
    story.then(finished(1, 2));
    story.then(Change::ExportStarted { attempt: 1, format: Format::Json });
    let job = story.then(retrying(1, AttemptCharge::Charged));
    assert_eq!((job.state, job.attempts_without_progress, job.worker.as_ref()), (State::Queued, 0, None));
    assert_eq!((job.progress.percent, job.progress.operation.as_str()), (45.0, "Waiting to try again"));
    assert_eq!((job.not_before, job.progress.units_done), (Some(Timestamp(99_000)), 2));
    let attempt = &job.attempts[0];
    assert_eq!((attempt.number, attempt.pages_done, attempt.worker.as_str()), (1, 2, "worker-1"));
    assert_eq!(job.error, Some(error("WORKER_LOST")));

    let job = story.then(started(2));
    assert_eq!((job.not_before, job.exports.len(), job.progress.percent), (None, 0, 45.0));
    assert_eq!((job.started, job.attempt_started), (Some(Timestamp(2_000)), Some(Timestamp(8_000))));
    assert_eq!(story.refuses(finished(1, 3)), IllegalChange::WrongAttempt { current: 2 });
    assert_eq!(
        story.refuses(Change::Planned { attempt: 2, pages: 5, lane: None, document: None }),
        IllegalChange::BadPlan { known: Some(4), reported: 5 }
    );
    story.then(Change::Planned { attempt: 2, pages: 4, lane: None, document: None });
    assert_eq!(story.refuses(finished(2, 2)), IllegalChange::Duplicate);
    let job = story.then(finished(2, 3));
    let ranges = [PageRange { first: 1, last: 2, attempt: 1 }, PageRange { first: 3, last: 3, attempt: 2 }];
    assert_eq!((job.pages.done.as_slice(), job.progress.percent), (ranges.as_slice(), 60.0));
    story.then(finished(2, 4));
    let job = story.then(Change::Succeeded { attempt: 2, warnings: vec![] });
    assert_eq!((job.error.as_ref(), job.attempts.len()), (None, 1));
}

#[test]
fn attempts_without_progress_are_counted_until_none_is_left() {
    let mut story = Story::running();
    assert_eq!(story.job.max_attempts, 3);
    assert_eq!(story.then(retrying(1, AttemptCharge::Charged)).attempts_without_progress, 1);
    story.then(started(2));
    assert_eq!(story.then(retrying(2, AttemptCharge::Free)).attempts_without_progress, 1);
    story.then(started(3));
    assert!(may_retry(&story.job));
    assert_eq!(story.then(retrying(3, AttemptCharge::Charged)).attempts_without_progress, 2);
    story.then(started(4));
    assert!(!may_retry(&story.job));
    story.then(Change::Planned { attempt: 4, pages: 2, lane: None, document: None });
    story.then(finished(4, 1));
    assert!(may_retry(&story.job), "a finished page earns the job another attempt");
    assert_eq!(story.then(retrying(4, AttemptCharge::Charged)).attempts_without_progress, 0);
}

#[test]
fn a_retry_keeps_its_place_until_too_many_in_a_row_finish_nothing() {
    let mut story = Story::submitted();
    let place = story.job.queued;
    for attempt in 1..MAX_ATTEMPTS_KEEPING_POSITION as u32 {
        story.then(started(attempt));
        assert_eq!(story.then(retrying(attempt, AttemptCharge::Free)).queued, place, "attempt {attempt}");
    }
    story.then(started(5));
    let job = story.then(retrying(5, AttemptCharge::Free));
    assert!(job.queued > place, "to the end of the line");
    let place = job.queued;
    story.then(started(6));
    assert_eq!(story.then(retrying(6, AttemptCharge::Free)).queued, place, "and there it is patient again");
}

#[test]
fn a_finished_page_keeps_the_place_for_as_long_as_it_takes() {
    let mut story = Story::planned(40);
    let place = story.job.queued;
    for attempt in 1..=20 {
        story.then(finished(attempt, attempt));
        assert_eq!(story.then(retrying(attempt, AttemptCharge::Charged)).queued, place);
        story.then(started(attempt + 1));
    }
}

#[test]
fn a_failed_job_may_be_tried_again_by_hand() {
    let mut story = Story::running();
    let job = story.then(failed(1, "PASSWORD_REQUIRED"));
    assert_eq!((job.state, job.ended, job.worker.as_ref()), (State::Failed, Some(Timestamp(3_000)), None));
    assert_eq!((job.error.as_ref(), job.attempts.len()), (Some(&error("PASSWORD_REQUIRED")), 1));
    assert_eq!(story.refuses(started(2)), IllegalChange::WrongState { state: State::Failed });
    let job = story.then(Change::Requeued { by: "alice".into(), password: None });
    assert_eq!(
        (job.state, job.ended, job.error.as_ref(), job.attempts_without_progress),
        (State::Queued, None, None, 0)
    );
    assert_eq!((job.queued, job.attempts.len()), (Timestamp(5_000), 1));
    assert_eq!(story.then(started(2)).attempt, 2);
}

#[test]
fn a_promised_cancel_is_kept() {
    let mut story = Story::planned(2);
    let job = story.then(Change::Cancelling { by: "alice".into() });
    assert_eq!(
        (job.state, job.worker.is_some(), job.cancelled_by.as_deref()),
        (State::Cancelling, true, Some("alice"))
    );
    let cancelling = IllegalChange::WrongState { state: State::Cancelling };
    assert_eq!(story.refuses(Change::Cancelling { by: "bob".into() }), cancelling);
    assert_eq!(story.refuses(Change::Succeeded { attempt: 1, warnings: vec![] }), cancelling);
    assert_eq!(story.refuses(failed(1, "X")), cancelling);
    assert_eq!(story.refuses(retrying(1, AttemptCharge::Charged)), cancelling);
    assert_eq!(story.refuses(finished(1, 1)), cancelling);
    let job = story.then(cancelled("server"));
    assert_eq!((job.state, job.worker.as_ref(), job.cancelled_by.as_deref()), (State::Cancelled, None, Some("alice")));
    assert!(job.ended.is_some());
    assert_eq!(story.refuses(cancelled("alice")), IllegalChange::WrongState { state: State::Cancelled });
    let job = story.then(Change::Requeued { by: "alice".into(), password: None });
    assert_eq!((job.state, job.cancelled_by.as_ref(), job.ended), (State::Queued, None, None));
}

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let mut story = Story::running();
    story.then(retrying(1, AttemptCharge::Charged));
    assert_eq!(
        story.refuses(Change::Cancelling { by: "a".into() }),
        IllegalChange::WrongState { state: State::Queued }
    );
    let job = story.then(cancelled("alice"));
    assert_eq!((job.state, job.not_before, job.cancelled_by.as_deref()), (State::Cancelled, None, Some("alice")));
}

#[test]
fn only_a_submit_begins_and_only_once() {
    let event = Event::new(Timestamp(1), started(1));
    assert_eq!(apply(None, &event), Err(IllegalChange::NotYet));
    let again = Change::Submitted(Box::new(submission("J", "alice")));
    assert_eq!(Story::submitted().refuses(again), IllegalChange::AlreadyExists);
}

#[test]
fn attempts_are_counted_without_a_gap() {
    let mut story = Story::submitted();
    assert_eq!(story.refuses(started(2)), IllegalChange::WrongAttempt { current: 0 });
    assert_eq!(story.refuses(started(0)), IllegalChange::WrongAttempt { current: 0 });
    story.then(started(1));
    assert_eq!(story.refuses(started(2)), IllegalChange::WrongState { state: State::Running });
    story.job.attempt = u32::MAX;
    story.job.state = State::Queued;
    assert_eq!(story.refuses(started(0)), IllegalChange::WrongAttempt { current: u32::MAX });
}

#[test]
fn pages_need_a_plan_and_a_place_in_it() {
    let mut story = Story::running();
    assert_eq!(story.refuses(finished(1, 1)), IllegalChange::NotPlanned);
    assert_eq!(
        story.refuses(Change::Planned { attempt: 1, pages: 0, lane: None, document: None }),
        IllegalChange::BadPlan { known: None, reported: 0 }
    );
    story.then(Change::Planned { attempt: 1, pages: 2, lane: None, document: None });
    assert_eq!(story.refuses(finished(1, 0)), IllegalChange::BadPage { page: 0, total: 2 });
    assert_eq!(story.refuses(finished(1, 3)), IllegalChange::BadPage { page: 3, total: 2 });
}

#[test]
fn of_some_pages_of_a_document_each_may_be_any_of_its_and_no_more_are_done_than_planned() {
    let mut story = Story::running();
    let planned = |pages, document| Change::Planned { attempt: 1, pages, lane: None, document };
    assert_eq!(story.refuses(planned(3, Some(2))), IllegalChange::BadPlan { known: None, reported: 3 });
    story.then(planned(2, Some(9)));
    assert_eq!(story.refuses(planned(2, None)), IllegalChange::BadPlan { known: Some(2), reported: 2 });
    assert_eq!(story.refuses(planned(2, Some(8))), IllegalChange::BadPlan { known: Some(2), reported: 2 });
    assert_eq!(story.refuses(finished(1, 10)), IllegalChange::BadPage { page: 10, total: 9 });
    story.then(finished(1, 9));
    assert_eq!(story.refuses(finished(1, 9)), IllegalChange::Duplicate);
    assert_eq!(story.then(finished(1, 4)).progress.operation, "Processed 2/2 pages");
    assert_eq!(story.refuses(finished(1, 5)), IllegalChange::BadPage { page: 5, total: 2 });
}

#[test]
fn pages_in_any_order_become_one_range() {
    let mut story = Story::planned(6);
    for (number, ranges) in [(5, 1), (2, 2), (1, 2), (4, 2), (6, 2), (3, 1)] {
        assert_eq!(story.then(finished(1, number)).pages.done.len(), ranges, "after page {number}");
    }
    assert_eq!(story.job.pages.done, [PageRange { first: 1, last: 6, attempt: 1 }]);
}

#[test]
fn exports_are_asked_for_started_and_ended_once() {
    let mut story = Story::planned(1);
    let start = |format| Change::ExportStarted { attempt: 1, format };
    assert_eq!(story.refuses(start(Format::Html)), IllegalChange::NotAsked { format: Format::Html });
    assert_eq!(story.refuses(completed(1, Format::Json)), IllegalChange::NotStarted { format: Format::Json });
    story.then(start(Format::Json));
    assert_eq!(story.percent(), 75.0);
    assert_eq!(story.refuses(start(Format::Json)), IllegalChange::Duplicate);
    let early = Change::Succeeded { attempt: 1, warnings: vec![] };
    assert_eq!(story.refuses(early), IllegalChange::NotEnded { format: Format::Json });
    story.then(completed(1, Format::Json));
    assert_eq!(story.refuses(completed(1, Format::Json)), IllegalChange::Duplicate);
}

#[test]
fn warnings_and_attempts_are_kept_within_their_limits() {
    let mut story = Story::planned(1);
    let mut with_warnings = page("J", 1, 0);
    with_warnings.warnings = vec!["a scan".into(); KEPT_WARNINGS + 1];
    let job = story.then(Change::PageFinished { attempt: 1, page: Box::new(with_warnings) });
    assert_eq!((job.warnings.len(), job.warnings[0].as_str()), (KEPT_WARNINGS, "page 1: a scan"));

    for attempt in 1..=KEPT_ATTEMPTS as u32 + 5 {
        story.then(retrying(attempt, AttemptCharge::Free));
        story.then(started(attempt + 1));
    }
    let numbers: Vec<u32> = story.job.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (6..=25).collect::<Vec<_>>());
}

#[test]
fn a_submission_is_put_in_order() {
    let mut sloppy = submission("J", "alice");
    sloppy.formats = vec![Format::Text, Format::Json, Format::Text];
    sloppy.max_attempts = 0;
    let change = Change::Submitted(Box::new(sloppy));
    let job = apply(None, &Event::new(Timestamp(0), change)).unwrap();
    assert_eq!((job.formats.as_slice(), job.max_attempts), ([Format::Text, Format::Json].as_slice(), 1));
    assert_eq!(job.id, JobId::new("J"));
}

#[test]
fn numbers_at_the_edge_do_not_overflow() {
    let mut story = Story::planned(u32::MAX);
    story.job.zones = u32::MAX;
    story.job.attempts_without_progress = u32::MAX;
    story.then(finished(1, u32::MAX));
    story.then(finished(1, u32::MAX - 1));
    assert_eq!(story.job.zones, u32::MAX);
    story.job.pages.done =
        vec![PageRange { first: 9, last: 1, attempt: 1 }, PageRange { first: 0, last: u32::MAX, attempt: 1 }];
    assert_eq!(story.job.pages.done_count(), u32::MAX);
    assert!(matches!(story.then(failed(1, "X")), Job { state: State::Failed, .. }));
}

#[test]
fn how_long_an_attempt_ran_is_kept_with_its_end_and_is_no_matter_of_times() {
    let first = Event::new(Timestamp(1_000), Change::Submitted(Box::new(submission("J", "alice"))));
    let job = apply(None, &first).unwrap();
    let error = error("X");
    let retrying = Change::Retrying { attempt: 1, error, not_before: Timestamp(0), charge: AttemptCharge::Charged };
    let worker = WorkerId::new("w");
    let story = [
        (Change::Started { attempt: 1, worker: worker.clone() }, None),
        (retrying, Some(1_500)),
        (Change::Started { attempt: 2, worker }, None),
        (Change::Succeeded { attempt: 2, warnings: vec![] }, Some(2_500)),
    ];
    // Each is a day before the one before it.
    let mut jobs = vec![job];
    for (day, (change, ran_ms)) in story.into_iter().enumerate() {
        let event = Event { at: Timestamp(-(day as i64) * 86_400_000), change, ran_ms };
        jobs.push(apply(jobs.last(), &event).unwrap());
    }
    assert_eq!(jobs.iter().map(|job| job.ran_ms).collect::<Vec<_>>(), [None, None, Some(1_500), None, Some(2_500)]);
    assert_eq!(jobs[2].ran_for_ms(), None, "it waits");
    assert_eq!((jobs[4].attempts[0].ran_ms, jobs[4].ran_for_ms()), (Some(1_500), Some(2_500)));
    let old =
        Job { ran_ms: None, ended: Some(Timestamp(9_000)), attempt_started: Some(Timestamp(2_000)), ..jobs[4].clone() };
    assert_eq!(old.ran_for_ms(), Some(7_000), "a log of an old version");
}
