//! What is known of an endpoint after a round: pure, so that it can be tested.

use std::collections::HashSet;
use std::time::Duration;

use courant_joblog::ids::{JobId, Revision, Timestamp};

use super::plan::JobEvents;
use crate::config::WebhookConfig;
use crate::delivery::Backoff;
use crate::webhook_store::{Endpoint, Progress, SwitchedOff, WaitingJob};

/// What became of one job's events in a round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobResult {
    pub(super) events: JobEvents,
    /// How many were received.
    pub(super) received: usize,
    pub(super) end: JobEnd,
}

/// Why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// All were received.
    All,
    /// The next was left alone: its receiver failed with others.
    NotTried,
    /// The next failed; what the receiver asked for.
    Failed { asked: Option<Duration>, why: String },
    /// The receiver wants nothing any more.
    Gone { why: String },
}

/// How long things are tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) backoff: Backoff,
    retry_for: i64,
    disable_after: i64,
}

impl Patience {
    pub(super) fn new(config: &WebhookConfig) -> Self {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            backoff: Backoff { first: config.webhook_retry_base, longest: config.webhook_retry_max },
            retry_for: ms(config.webhook_retry_for),
            disable_after: ms(config.webhook_disable_after),
        }
    }
}

/// What came of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Events that are not tried again.
    pub(super) given_up: u64,
}

/// Takes in a round.
pub(super) fn settle(
    progress: &mut Progress,
    endpoint: &Endpoint,
    (position, behind): (Revision, &HashSet<JobId>),
    results: Vec<JobResult>,
    (now, patience): (Timestamp, &Patience),
) -> Settled {
    let received: usize = results.iter().map(|result| result.received).sum();
    let failure = results.iter().find_map(|result| match &result.end {
        JobEnd::Failed { why, .. } | JobEnd::Gone { why } => Some(why.clone()),
        JobEnd::All | JobEnd::NotTried => None,
    });
    progress.position.revision = position;
    progress.delivered += received as u64;
    note_failing(progress, received > 0, failure.is_some(), now);
    if !endpoint.is_callback() {
        switch_off(progress, &results, failure, now, patience);
    }
    let mut settled = Settled::default();
    for result in results {
        settle_job(progress, endpoint, behind, result, (now, patience), &mut settled);
    }
    progress.given_up += settled.given_up;
    settled
}

/// One success means that the receiver works: those that wait are tried at once.
fn note_failing(progress: &mut Progress, received: bool, failed: bool, now: Timestamp) {
    if received {
        if progress.failing_since.take().is_some() {
            progress.waiting.iter_mut().for_each(|job| job.due = job.due.min(now.0));
        }
    } else if failed {
        progress.failing_since.get_or_insert(now.0);
    }
}

fn switch_off(
    progress: &mut Progress,
    results: &[JobResult],
    failure: Option<String>,
    now: Timestamp,
    patience: &Patience,
) {
    let gone = results.iter().any(|result| matches!(result.end, JobEnd::Gone { .. }));
    let too_long = progress.failing_since.is_some_and(|since| now.0 - since >= patience.disable_after);
    if let Some(why) = failure.filter(|_| gone || too_long) {
        progress.switched_off = Some(SwitchedOff { at: now.0, why });
    }
}

fn settle_job(
    progress: &mut Progress,
    endpoint: &Endpoint,
    behind: &HashSet<JobId>,
    result: JobResult,
    (now, patience): (Timestamp, &Patience),
    settled: &mut Settled,
) {
    let JobResult { events, received, end } = result;
    progress.waiting.retain(|waiting| waiting.job != events.job);
    // What was received before the one that was not: its failures are its own.
    let before = events.waited.as_ref().filter(|_| received == 0);
    let (tried_since, failures) = before.map_or((None, 0), |waited| (waited.tried_since, waited.failures));
    let after =
        received.checked_sub(1).and_then(|last| events.entries.get(last)).map_or(events.after, |last| last.revision);
    let has_more = events.has_more || behind.contains(&events.job);
    let waiting =
        |after, tried_since, failures, due| WaitingJob { job: events.job.clone(), after, tried_since, failures, due };
    let next = events.entries.get(received).map_or(events.up_to, |next| next.revision);
    let is_last = received + 1 >= events.entries.len() && !has_more;
    let later = |wait: Duration| now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)).0;
    let waits = match end {
        JobEnd::All => has_more.then(|| waiting(events.up_to, None, 0, now.0)),
        JobEnd::NotTried => Some(waiting(after, tried_since, failures, later(patience.backoff.wait(1, None)))),
        JobEnd::Gone { .. } if endpoint.is_callback() => {
            settled.given_up += (events.entries.len() - received) as u64;
            None
        }
        JobEnd::Gone { .. } => Some(waiting(after, tried_since, failures, now.0)),
        JobEnd::Failed { asked, .. } => {
            let since = tried_since.unwrap_or(now.0);
            let failures = failures.saturating_add(1);
            let over = now.0 - since >= patience.retry_for && progress.switched_off.is_none();
            if over {
                settled.given_up += 1;
                (!is_last).then(|| waiting(next, None, 0, now.0))
            } else {
                Some(waiting(after, Some(since), failures, later(patience.backoff.wait(failures, asked))))
            }
        }
    };
    progress.waiting.extend(waits);
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{endpoint, entry};
    use super::super::plan::is_down;
    use super::*;
    use crate::webhook_store::Position;

    const DAY: i64 = 86_400_000;

    fn events(job: &str, revisions: &[u64], waited: Option<WaitingJob>) -> JobEvents {
        JobEvents {
            job: JobId::new(job),
            after: Revision(revisions[0] - 1),
            entries: revisions.iter().map(|revision| entry(job, *revision)).collect(),
            up_to: Revision(100),
            has_more: false,
            waited,
        }
    }

    fn failed() -> JobEnd {
        JobEnd::Failed { asked: None, why: "it answers 500".into() }
    }

    struct Story {
        progress: Progress,
        endpoint: Endpoint,
    }

    impl Story {
        fn new(url: &str) -> Self {
            let position = Position { epoch: 1, revision: Revision(0) };
            Self { progress: Progress::starting_at("wh_1".into(), 1, position), endpoint: endpoint(url) }
        }

        fn round(&mut self, now: i64, behind: &[&str], results: Vec<JobResult>) -> Settled {
            let behind: HashSet<JobId> = behind.iter().map(|job| JobId::new(*job)).collect();
            let patience = Patience::new(&WebhookConfig::default());
            settle(&mut self.progress, &self.endpoint, (Revision(100), &behind), results, (Timestamp(now), &patience))
        }

        fn waiting(&self, job: &str) -> Option<WaitingJob> {
            self.progress.waiting.iter().find(|waiting| waiting.job == JobId::new(job)).cloned()
        }
    }

    #[test]
    fn a_job_goes_on_after_what_was_received_and_behind_what_came_meanwhile() {
        let mut story = Story::new("https://example.org/");
        let one = JobResult { events: events("J", &[5, 6, 7], None), received: 1, end: failed() };
        let other = JobResult { events: events("K", &[8], None), received: 1, end: JobEnd::All };
        story.round(1000, &[], vec![one, other]);
        let waiting = story.waiting("J").unwrap();
        assert_eq!((waiting.after, waiting.tried_since, waiting.failures), (Revision(5), Some(1000), 1));
        assert!(waiting.due > 1000 && story.waiting("K").is_none());
        assert_eq!((story.progress.delivered, story.progress.failing_since), (2, None));
        // Meanwhile more of it came, which was left behind.
        let again = JobResult { events: events("J", &[6, 7], Some(waiting)), received: 2, end: JobEnd::All };
        story.round(9000, &["J"], vec![again]);
        let waiting = story.waiting("J").unwrap();
        assert_eq!((waiting.after, waiting.failures, waiting.due), (Revision(100), 0, 9000));
    }

    #[test]
    fn an_event_is_given_up_after_a_day_and_the_next_is_sent() {
        let mut story = Story::new("https://example.org/");
        let waited =
            WaitingJob { job: JobId::new("J"), after: Revision(4), tried_since: Some(0), failures: 30, due: 0 };
        let poison = JobResult { events: events("J", &[5, 6], Some(waited)), received: 0, end: failed() };
        let good = JobResult { events: events("K", &[8], None), received: 1, end: JobEnd::All };
        assert_eq!(story.round(DAY, &[], vec![poison, good]).given_up, 1);
        let waiting = story.waiting("J").unwrap();
        assert_eq!((waiting.after, waiting.tried_since, waiting.failures), (Revision(5), None, 0));
    }

    #[test]
    fn an_endpoint_without_a_success_for_a_day_is_switched_off_and_loses_nothing() {
        let mut story = Story::new("https://example.org/");
        let all = |story: &Story| -> Vec<JobResult> {
            let one =
                |job: &str| JobResult { events: events(job, &[5], story.waiting(job)), received: 0, end: failed() };
            ["A", "B", "C", "D"].map(one).into()
        };
        story.round(0, &[], all(&story));
        assert!(is_down(&story.endpoint, &story.progress));
        assert_eq!(story.round(DAY - 1, &[], all(&story)).given_up, 0);
        assert_eq!(story.progress.switched_off, None);
        assert_eq!(story.round(DAY, &[], all(&story)).given_up, 0);
        assert_eq!(story.progress.switched_off.as_ref().unwrap().why, "it answers 500");
        assert_eq!(story.progress.waiting.len(), 4, "all are sent when it is enabled");
        // One success, and all that wait are due.
        let mut story = Story::new("https://example.org/");
        story.round(0, &[], all(&story));
        let good = JobResult { events: events("A", &[5], story.waiting("A")), received: 1, end: JobEnd::All };
        story.round(1, &[], vec![good]);
        assert!(!is_down(&story.endpoint, &story.progress) && story.progress.waiting.iter().all(|job| job.due <= 1));
    }

    #[test]
    fn who_answers_gone_is_switched_off_at_once_and_of_callbacks_only_the_job_is_given_up() {
        let gone = || JobEnd::Gone { why: "gone".into() };
        let mut story = Story::new("https://example.org/");
        story.round(0, &[], vec![JobResult { events: events("J", &[5], None), received: 0, end: gone() }]);
        assert!(story.progress.switched_off.is_some() && story.waiting("J").is_some());
        let mut callbacks = Story::new("");
        let end = JobResult { events: events("J", &[5], None), received: 0, end: gone() };
        assert_eq!(callbacks.round(0, &[], vec![end]).given_up, 1);
        assert!(callbacks.progress.switched_off.is_none() && callbacks.waiting("J").is_none());
    }
}
