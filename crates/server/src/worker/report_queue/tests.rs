use std::sync::Arc;

use courant_engine::testing::submission;
use courant_joblog::event::Change;
use courant_joblog::ids::Revision;
use courant_joblog::job::State;
use courant_joblog::log::{Append, AppendError, Log};
use courant_joblog::memory::MemoryLog;
use courant_joblog::wrapper::{LogWrapper, async_trait};
use courant_proto::v1::ReportSucceeded;
use parking_lot::Mutex;

use super::*;
use crate::config::Config;
use crate::objects::Objects;

fn ended(arrivals: &mut Arrivals, number: u64) -> (usize, i64) {
    let marks = arrivals.end(number);
    (marks.unnumbered, marks.number)
}

#[test]
fn a_heartbeat_waits_for_all_before_it_and_for_nothing_behind_it() {
    let mut arrivals = Arrivals::default();
    assert!(!arrivals.mark(1), "nothing to wait for");
    let (first, second) = (arrivals.begin(), arrivals.begin());
    assert!(arrivals.mark(2) && arrivals.mark(0));
    let third = arrivals.begin();
    assert!(arrivals.mark(3));
    assert_eq!(arrivals.len(), 4);
    assert_eq!(ended(&mut arrivals, second), (0, 0));
    assert_eq!(ended(&mut arrivals, first), (1, 2));
    assert_eq!(ended(&mut arrivals, third), (0, 3));
    assert_eq!(arrivals.len(), 0);
}

#[test]
fn however_many_heartbeats_wait_they_need_no_more_than_the_reports() {
    let mut arrivals = Arrivals::default();
    let first = arrivals.begin();
    for number in 1..10_000 {
        let report = arrivals.begin();
        assert!(arrivals.mark(number));
        assert_eq!(ended(&mut arrivals, report), (0, 0));
        assert_eq!(arrivals.len(), 1);
    }
    assert_eq!(ended(&mut arrivals, first), (0, 9_999), "one answer for all of them");
}

/// A log that knows how many appends each call for several had.
#[derive(Default)]
struct Counted {
    log: MemoryLog,
    calls: Mutex<Vec<usize>>,
}

#[async_trait]
impl LogWrapper for Counted {
    fn inner(&self) -> &dyn Log {
        &self.log
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        self.calls.lock().push(appends.len());
        self.log.append_all(appends).await
    }
}

fn success(job: &str, warnings: Vec<String>) -> In {
    let attempt = AttemptRef { job_id: job.into(), attempt: 1, ..AttemptRef::default() };
    In::Succeeded(ReportSucceeded { attempt: Some(attempt), warnings })
}

#[tokio::test]
async fn successes_that_are_there_together_are_one_append_and_what_is_wrong_with_one_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (log, objects) = (Arc::new(Counted::default()), Objects::local(folder.path()).unwrap());
    let services = Services::open(Config::new(folder.path()), log.clone(), objects).await.unwrap();
    let following = services.clone();
    tokio::spawn(async move { following.engine.follow().await });
    let (registry, worker) = (Registry::default(), WorkerId::new("w"));
    let jobs: Vec<JobId> = (0..7).map(|_| JobId::random()).collect();
    for (number, id) in jobs.iter().enumerate() {
        let submitted = Change::Submitted(Box::new(submission(id.as_str(), "alice")));
        // The last is another worker's.
        let holder = if number == 6 { WorkerId::new("other") } else { worker.clone() };
        services.engine.create(submitted, id.clone(), Vec::new(), Some(holder)).await.unwrap();
    }
    let state = |job: usize| services.engine.get(&jobs[job]).unwrap().current.job.state;
    let mut reports = ReportQueue::new(&services, &registry, &worker, true);
    for number in [0, 6, 1, 5, 2, 3, 4] {
        let warnings = if number == 5 { vec!["x".repeat(2000)] } else { Vec::new() };
        reports.push(success(jobs[number].as_str(), warnings));
    }
    // Behind the first of its job, and so not among those that are taken together.
    reports.push(success(jobs[0].as_str(), Vec::new()));
    assert!(!reports.is_idle() && reports.under_way.is_empty());
    reports.begin();
    assert_eq!(reports.under_way.len(), 1);
    while !reports.is_idle() {
        reports.finish_one().await;
    }
    assert_eq!(*log.calls.lock(), [5], "one append for those that can be taken");
    assert!((0..5).all(|job| state(job) == State::Succeeded));
    assert_eq!((state(5), state(6)), (State::Failed, State::Running));
    assert_eq!((reports.arrivals.len(), reports.bytes, reports.jobs.len()), (0, 0, 0));
    let lost = std::iter::from_fn(|| reports.next_answer()).map(|answer| match answer {
        Out::LeaseLost(lost) => lost.attempt.unwrap().job_id,
        other => panic!("{other:?}"),
    });
    let mut lost: Vec<String> = lost.collect();
    lost.sort_unstable();
    // The job that failed, the one of another worker, and the one that was done before it was done again.
    let mut expected = [5, 6, 0].map(|job: usize| jobs[job].to_string());
    expected.sort_unstable();
    assert_eq!(lost, expected);
    assert!(reports.end().is_ok());
}
