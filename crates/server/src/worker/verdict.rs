//! What becomes of a job whose attempt ended without success.

use courant_joblog::event::{Change, Counts};
use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, JobError, State};

use super::AttemptId;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;

/// Ends an attempt: the job is tried again, fails, or is cancelled if that was asked for. An attempt that is over
/// already changes nothing.
pub async fn end_attempt(engine: &Engine, attempt: &AttemptId, why: JobError, counts: Counts) -> Result<(), Error> {
    let after = engine
        .change(&attempt.job, |job| {
            let current = job.state.is_held() && job.attempt == attempt.number;
            Ok(current.then(|| verdict(&engine.config, job, why.clone(), counts)))
        })
        .await?;
    let state = after.known.job.state;
    tracing::info!(job = %attempt.job, attempt = attempt.number, code = %why.code, ?state, "attempt ended");
    Ok(())
}

fn verdict(config: &Config, job: &Job, error: JobError, counts: Counts) -> Change {
    let attempt = job.attempt;
    if job.state == State::Cancelling {
        return cancelled(job);
    }
    let fruitless = counts == Counts::Yes && job.pages.done_by(attempt) == 0;
    let exhausted = fruitless && job.fruitless + 1 >= job.max_attempts;
    if !error.retryable || exhausted {
        return Change::Failed { attempt, error };
    }
    let wait = if counts == Counts::Yes { backoff(config, job.fruitless) } else { 0 };
    Change::Retrying { attempt, error, not_before: Timestamp::now().plus_ms(wait), counts }
}

/// The end of a job whose cancel was asked for.
pub fn cancelled(job: &Job) -> Change {
    Change::Cancelled { by: job.cancelled_by.clone().unwrap_or_else(|| "unknown".into()) }
}

/// A random wait up to base · 2ⁿ, in milliseconds ("full jitter").
fn backoff(config: &Config, fruitless: u32) -> i64 {
    let longest = config.retry_base.saturating_mul(1 << fruitless.min(20)).min(config.retry_max);
    fastrand::i64(0..=longest.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use courant_joblog::apply::apply;
    use courant_joblog::event::Event;
    use courant_joblog::ids::WorkerId;

    use super::*;
    use crate::view::tests::queued;

    fn running() -> Job {
        let change = Change::Started { attempt: 1, worker: WorkerId::new("w") };
        apply(Some(&queued("J", "alice")), &Event { at: Timestamp(5), change }).unwrap()
    }

    fn why(retryable: bool) -> JobError {
        JobError { code: "X".into(), message: "x".into(), retryable }
    }

    #[test]
    fn only_retryable_errors_are_retried_and_not_for_ever() {
        let config = Config::new("d");
        let mut job = running();
        assert!(matches!(verdict(&config, &job, why(false), Counts::Yes), Change::Failed { .. }));
        assert!(matches!(verdict(&config, &job, why(true), Counts::Yes), Change::Retrying { .. }));
        job.fruitless = job.max_attempts - 1;
        assert!(matches!(verdict(&config, &job, why(true), Counts::Yes), Change::Failed { .. }));
        assert!(matches!(verdict(&config, &job, why(true), Counts::No), Change::Retrying { .. }));
    }

    #[test]
    fn a_job_being_cancelled_ends_cancelled_whatever_happened() {
        let change = Change::Cancelling { by: "alice".into() };
        let job = apply(Some(&running()), &Event { at: Timestamp(6), change }).unwrap();
        assert_eq!(verdict(&Config::new("d"), &job, why(true), Counts::Yes), Change::Cancelled { by: "alice".into() });
    }

    #[test]
    fn waits_grow_and_stay_below_the_limit() {
        let config = Config::new("d");
        assert!((0..100).all(|_| (0..=1_000).contains(&backoff(&config, 0))));
        assert!((0..100).any(|_| backoff(&config, 5) > 1_000));
        assert!((0..100).all(|_| backoff(&config, 99) <= 60_000));
    }
}
