//! What becomes of a job whose attempt ended without success.

use std::time::Duration;

use courant_joblog::event::{AttemptCharge, Change};
use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, JobError, State};

use crate::attempt::AttemptId;
use crate::engine::Engine;
use crate::error::Error;

/// How long a job waits before it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct RetryWaits {
    /// The longest first wait; doubles with each attempt in a row that finished no page.
    pub base: Duration,
    /// The longest of all; not shorter than `base`.
    pub longest: Duration,
}

impl Engine {
    /// Ends an attempt: the job is tried again, fails, or is cancelled if that was asked for. An attempt that is over
    /// already changes nothing.
    pub async fn end_attempt(
        &self,
        waits: RetryWaits,
        attempt: &AttemptId,
        why: JobError,
        charge: AttemptCharge,
    ) -> Result<(), Error> {
        let decide = |job: &Job| {
            let current = job.state.is_held() && job.attempt == attempt.number;
            Ok(current.then(|| retry_decision(waits, job, why.clone(), charge)))
        };
        let state = self.change(&attempt.job, decide).await?.current.job.state;
        tracing::info!(job = %attempt.job, attempt = attempt.number, code = %why.code, ?state, "attempt ended");
        Ok(())
    }
}

fn retry_decision(waits: RetryWaits, job: &Job, error: JobError, charge: AttemptCharge) -> Change {
    let attempt = job.attempt;
    if job.state == State::Cancelling {
        return cancelled(job);
    }
    let no_progress = charge == AttemptCharge::Charged && job.pages.done_by(attempt) == 0;
    let exhausted = no_progress && job.attempts_without_progress.saturating_add(1) >= job.max_attempts;
    if !error.retryable || exhausted {
        return Change::Failed { attempt, error };
    }
    let not_before = Timestamp::now().plus_ms(fastrand::i64(0..=longest_wait(waits, job, charge)));
    Change::Retrying { attempt, error, not_before, charge }
}

/// The end of a job whose cancel was asked for.
pub fn cancelled(job: &Job) -> Change {
    Change::Cancelled { by: job.cancelled_by.clone().unwrap_or_else(|| "unknown".into()) }
}

/// The longest wait before the next attempt, in milliseconds; the wait is anything up to it ("full jitter"). It doubles
/// with every attempt in a row that finished no page. One that was handed back in good order is tried again at once, but
/// not so the next after it: who takes a job only to hand it back must not keep the log busy.
fn longest_wait(waits: RetryWaits, job: &Job, charge: AttemptCharge) -> i64 {
    if job.pages.done_by(job.attempt) > 0 {
        return if charge == AttemptCharge::Charged { backoff(waits, 0) } else { 0 };
    }
    let before = match charge {
        AttemptCharge::Charged => job.attempts_without_progress,
        AttemptCharge::Free => job.attempts.iter().rev().take_while(|attempt| attempt.pages_done == 0).count() as u32,
    };
    match (charge, before) {
        (AttemptCharge::Free, 0) => 0,
        (AttemptCharge::Free, before) => backoff(waits, before - 1),
        (AttemptCharge::Charged, before) => backoff(waits, before),
    }
}

/// base · 2ⁿ, at most the longest wait configured, in milliseconds.
fn backoff(waits: RetryWaits, n: u32) -> i64 {
    let longest = waits.base.saturating_mul(1 << n.min(20)).min(waits.longest);
    i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use courant_joblog::apply::apply;
    use courant_joblog::event::Event;
    use courant_joblog::ids::WorkerId;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::queued;

    const WAITS: RetryWaits = RetryWaits { base: Duration::from_secs(1), longest: Duration::from_secs(60) };

    fn running() -> Job {
        let change = Change::Started { attempt: 1, worker: WorkerId::new("w") };
        apply(Some(&queued("J", "alice")), &Event::new(Timestamp(5), change)).unwrap()
    }

    fn why(retryable: bool) -> JobError {
        JobError { code: "X".into(), message: "x".into(), retryable }
    }

    #[test]
    fn only_retryable_errors_are_retried_and_not_for_ever() {
        let waits = WAITS;
        let mut job = running();
        assert!(matches!(retry_decision(waits, &job, why(false), AttemptCharge::Charged), Change::Failed { .. }));
        assert!(matches!(retry_decision(waits, &job, why(true), AttemptCharge::Charged), Change::Retrying { .. }));
        job.attempts_without_progress = job.max_attempts - 1;
        assert!(matches!(retry_decision(waits, &job, why(true), AttemptCharge::Charged), Change::Failed { .. }));
        assert!(matches!(retry_decision(waits, &job, why(true), AttemptCharge::Free), Change::Retrying { .. }));
    }

    #[test]
    fn a_job_being_cancelled_ends_cancelled_whatever_happened() {
        let change = Change::Cancelling { by: "alice".into() };
        let job = apply(Some(&running()), &Event::new(Timestamp(6), change)).unwrap();
        assert_eq!(
            retry_decision(WAITS, &job, why(true), AttemptCharge::Charged),
            Change::Cancelled { by: "alice".into() }
        );
    }

    fn ended(job: &Job, charge: AttemptCharge) -> Job {
        let change = Change::Retrying { attempt: job.attempt, error: why(true), not_before: Timestamp(0), charge };
        let job = apply(Some(job), &Event::new(Timestamp(7), change)).unwrap();
        let change = Change::Started { attempt: job.attempt + 1, worker: WorkerId::new("w") };
        apply(Some(&job), &Event::new(Timestamp(8), change)).unwrap()
    }

    #[test]
    fn a_job_handed_back_is_tried_at_once_but_not_for_ever() {
        let waits = WAITS;
        let mut job = running();
        let mut all = Vec::new();
        for _ in 0..9 {
            all.push(longest_wait(waits, &job, AttemptCharge::Free));
            job = ended(&job, AttemptCharge::Free);
        }
        assert_eq!(all, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(job.attempts_without_progress, 0, "and it costs no attempt");
    }

    #[test]
    fn an_attempt_that_finished_a_page_starts_the_waits_anew() {
        let waits = WAITS;
        let mut job = ended(&ended(&running(), AttemptCharge::Charged), AttemptCharge::Charged);
        assert_eq!(longest_wait(waits, &job, AttemptCharge::Charged), 4_000);
        job.pages.done.push(courant_joblog::job::PageRange { first: 1, last: 1, attempt: job.attempt });
        assert_eq!(longest_wait(waits, &job, AttemptCharge::Charged), 1_000);
        assert_eq!(longest_wait(waits, &job, AttemptCharge::Free), 0);
    }

    proptest! {
        #[test]
        fn waits_are_jittered_doubled_and_bounded(
            base in 0u64..100_000,
            more in 0u64..10_000_000,
            no_progress in prop_oneof![0u32..40, any::<u32>()],
        ) {
            let (base_wait, longest) = (Duration::from_millis(base), Duration::from_millis(base + more));
            let waits = RetryWaits { base: base_wait, longest };
            let mut job = running();
            (job.attempts_without_progress, job.max_attempts) = (no_progress, u32::MAX);
            let bound = longest_wait(waits, &job, AttemptCharge::Charged);
            prop_assert!((base as i64..=(base + more) as i64).contains(&bound));
            let doubled = base.saturating_mul(1 << no_progress.min(20)).min(base + more);
            prop_assert_eq!(bound, doubled as i64);
            let begun = Timestamp::now();
            let Change::Retrying { not_before, .. } = retry_decision(waits, &job, why(true), AttemptCharge::Charged) else {
                // The very last attempt there could ever be.
                prop_assert_eq!(no_progress, u32::MAX);
                return Ok(());
            };
            let waited = not_before.0 - begun.0;
            prop_assert!((0..=bound + 60_000).contains(&waited), "{} of {}", waited, bound);
        }
    }

    #[test]
    fn waits_differ() {
        let (waits, mut job) = (WAITS, running());
        job.attempts_without_progress = 1;
        let wait = || match retry_decision(waits, &job, why(true), AttemptCharge::Charged) {
            Change::Retrying { not_before, .. } => not_before.ms_since(Timestamp::now()) / 100,
            other => panic!("{other:?}"),
        };
        let waits: std::collections::HashSet<i64> = (0..200).map(|_| wait()).collect();
        assert!(waits.len() >= 10, "of 200 jobs that failed at once too many come back at once: {waits:?}");
    }
}
