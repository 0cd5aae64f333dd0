//! What is true of every job, whatever events it gets.

use proptest::prelude::*;

use super::*;
use crate::arbitrary::life;
use crate::job::{ExportState, KEPT_ATTEMPTS, MAX_OUTPUTS, Pages};

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_the_rules((submission, drafts) in life(80)) {
        let first = Event::new(Timestamp(0), Change::Submitted(Box::new(submission)));
        let mut job = apply(None, &first).unwrap();
        holds(&job)?;
        for draft in drafts {
            let event = draft.event(Some(&job));
            let outcome = apply(Some(&job), &event);
            prop_assert_eq!(&outcome, &apply(Some(&job), &event), "the same again is not the same");
            if let Ok(next) = outcome {
                holds(&next)?;
                follows(&job, &next, &event.change)?;
                job = next;
            }
        }
    }

    #[test]
    fn nothing_but_a_submit_begins((_, drafts) in life(40)) {
        for draft in drafts {
            let event = draft.event(None);
            let outcome = apply(None, &event);
            prop_assert_eq!(outcome.is_ok(), matches!(event.change, Change::Submitted(_)));
        }
    }
}

/// What is true of a job at any time.
fn holds(job: &Job) -> Result<(), TestCaseError> {
    let percent = job.progress.percent;
    prop_assert!((0.0..=100.0).contains(&percent), "{percent} %");
    prop_assert_eq!(percent == 100.0, job.state == State::Succeeded);
    prop_assert_eq!(job.progress.stage == Stage::Done, job.state == State::Succeeded);
    prop_assert_eq!(job.worker.is_some(), job.state.is_held());
    prop_assert_eq!(job.ended.is_some(), job.state.is_terminal());
    prop_assert_eq!(job.cancelled_by.is_some(), matches!(job.state, State::Cancelling | State::Cancelled));
    prop_assert!(job.not_before.is_none() || job.state == State::Queued);
    prop_assert_eq!(job.attempt == 0, job.started.is_none());
    prop_assert_eq!(job.started.is_some(), job.attempt_started.is_some());
    prop_assert!(job.max_attempts >= 1);
    prop_assert!(job.warnings.len() <= KEPT_WARNINGS && job.attempts.len() <= KEPT_ATTEMPTS);
    prop_assert!(job.attempts.is_sorted_by(|a, b| a.number < b.number));
    prop_assert!(job.state != State::Succeeded || job.error.is_none());
    prop_assert!(job.state != State::Failed || job.error.is_some());
    prop_assert_eq!(job.progress.units_done, job.pages.done_count());
    exports_hold(job)?;
    outputs_hold(job)?;
    pages_hold(&job.pages, job.attempt)
}

fn exports_hold(job: &Job) -> Result<(), TestCaseError> {
    for (place, export) in job.exports.iter().enumerate() {
        prop_assert!(job.formats.contains(&export.format));
        prop_assert!(job.exports[..place].iter().all(|other| other.format != export.format), "twice");
        prop_assert_eq!(export.attempt, job.attempt);
        prop_assert!(job.state != State::Succeeded || export.state != ExportState::Started);
    }
    Ok(())
}

fn outputs_hold(job: &Job) -> Result<(), TestCaseError> {
    let outputs = &job.later.outputs;
    prop_assert!(outputs.len() <= MAX_OUTPUTS);
    for (place, output) in outputs.iter().enumerate() {
        prop_assert!(outputs[..place].iter().all(|other| other.name != output.name), "twice");
        prop_assert!((1..=job.attempt).contains(&output.attempt));
    }
    Ok(())
}

fn pages_hold(pages: &Pages, attempt: u32) -> Result<(), TestCaseError> {
    let total = pages.total.unwrap_or(0);
    prop_assert!(pages.done_count() <= total);
    prop_assert!(pages.total != Some(0));
    prop_assert!(pages.in_document().unwrap_or(0) >= total);
    for range in &pages.done {
        prop_assert!(1 <= range.first && range.first <= range.last && range.last <= pages.in_document().unwrap_or(0));
        prop_assert!((1..=attempt).contains(&range.attempt));
    }
    for pair in pages.done.windows(2) {
        prop_assert!(pair[0].last < pair[1].first, "in order and apart");
        let joinable = pair[0].last + 1 == pair[1].first && pair[0].attempt == pair[1].attempt;
        prop_assert!(!joinable, "not joined");
    }
    Ok(())
}

/// What is true of a job and the one it became.
fn follows(before: &Job, after: &Job, change: &Change) -> Result<(), TestCaseError> {
    let moved = super::diagram::Move::made(Some(before.state), change, after.state);
    prop_assert!(super::diagram::drawn().contains(&moved), "{moved:?} is not in the diagram");
    if before.state.is_terminal() {
        prop_assert!(matches!(change, Change::Requeued { .. }), "left its end through {change:?}");
    }
    let started = matches!(change, Change::Started { .. });
    prop_assert_eq!(after.attempt, before.attempt + u32::from(started));
    let queued = after.state == State::Queued;
    prop_assert!(started || queued || after.progress.percent >= before.progress.percent, "percent fell");
    prop_assert!(started || queued || after.progress.stage >= before.progress.stage, "the stage went back");
    for page in before.pages.done.iter().flat_map(|range| range.first..=range.last) {
        prop_assert!(after.pages.is_done(page), "page {page} was taken back");
    }
    prop_assert!(before.pages.total.is_none() || before.pages.total == after.pages.total);
    prop_assert!(before.pages.total.is_none() || before.pages.document == after.pages.document);
    prop_assert!(before.zones <= after.zones);
    let names = |job: &Job| job.later.outputs.iter().map(|output| output.name.clone()).collect::<Vec<_>>();
    prop_assert!(names(after).starts_with(&names(before)), "an output is gone");
    prop_assert_eq!(&before.later.parameters, &after.later.parameters);
    prop_assert!(after.warnings.starts_with(&before.warnings));
    let fixed = |job: &Job| {
        let job = job.clone();
        (
            job.id,
            job.owner,
            job.document,
            job.batch,
            job.request,
            job.kind,
            job.labels,
            job.formats,
            job.created,
            (job.batch_size, job.cancel_unwatched_ms, job.pages.expected),
        )
    };
    prop_assert_eq!(fixed(before), fixed(after));
    let moved_by = match change {
        Change::Planned { lane, .. } => *lane,
        _ => None,
    };
    prop_assert_eq!(after.lane, moved_by.unwrap_or(before.lane));
    Ok(())
}

/// The lives are worth testing only if they get somewhere: each end must be reached by a fair number of them.
#[test]
fn arbitrary_lives_reach_every_state() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = std::collections::HashMap::<State, u32>::new();
    for _ in 0..200 {
        let (submission, drafts) = life(80).new_tree(&mut runner).unwrap().current();
        let mut states: Vec<State> =
            crate::arbitrary::history(submission, drafts).into_iter().map(|(_, job)| job.state).collect();
        states.sort_by_key(|state| *state as u8);
        states.dedup();
        states.into_iter().for_each(|state| *reached.entry(state).or_default() += 1);
    }
    for state in [State::Running, State::Cancelling, State::Succeeded, State::Failed, State::Cancelled] {
        assert!(reached.get(&state).is_some_and(|lives| *lives >= 20), "{reached:?}");
    }
}
