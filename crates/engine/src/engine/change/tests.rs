use std::sync::atomic::{AtomicUsize, Ordering};

use courant_joblog::job::State;
use courant_joblog::log::{Filter, Log};
use courant_joblog::memory::MemoryLog;
use courant_joblog::wrapper::{LogWrapper, async_trait};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::projection::Projections;
use crate::testing;

const JOBS: usize = 5;

/// A log that counts calls, and has somebody else cancel a job just before the first call for several.
#[derive(Default)]
struct Contended {
    log: MemoryLog,
    cancel: Option<JobId>,
    singles: AtomicUsize,
    calls: AtomicUsize,
}

#[async_trait]
impl LogWrapper for Contended {
    fn inner(&self) -> &dyn Log {
        &self.log
    }

    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        self.singles.fetch_add(1, Ordering::Relaxed);
        self.log.append(append).await
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(append) = appends.iter().find(|append| Some(&append.key.job) == self.cancel.as_ref())
        {
            let newest = self.log.read(Revision::ZERO, &Filter::Job(append.key.job.clone()), 100).await.unwrap();
            let Some(courant_joblog::log::Record::Changed { job, .. }) = newest.last().map(|entry| &entry.record)
            else {
                panic!("the job has entries");
            };
            let changed = in_turn(job, Some(Change::Cancelled { by: "other".into() }), None).unwrap();
            let theirs = Append { changes: changed, blobs: Vec::new(), ..append.clone() };
            self.log.append(theirs).await.unwrap();
        }
        self.log.append_all(appends).await
    }
}

fn id(job: usize) -> JobId {
    JobId::new(format!("J{job}"))
}

async fn engine(log: Arc<Contended>) -> Arc<Engine> {
    let engine = testing::follow(testing::config(), log, Projections::default()).await.unwrap();
    for job in 0..JOBS {
        let submitted = Change::Submitted(Box::new(testing::submission(id(job).as_str(), "alice")));
        engine.create(submitted, id(job), Vec::new(), None).await.unwrap();
    }
    engine
}

/// What somebody wants of a job.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Start,
    Succeed,
    Cancel,
    Nothing,
    /// Two changes at once.
    StartAndSucceed,
    /// Which is never allowed.
    Refuse,
}

impl Wish {
    fn decide(self, job: &Job) -> Result<Changes, Error> {
        let started = |attempt| Change::Started { attempt, worker: WorkerId::new("w") };
        let succeeded = |attempt| Change::Succeeded { attempt, warnings: Vec::new() };
        Ok(match self {
            Self::Start => vec![started(job.attempt + 1)].into(),
            Self::Succeed => vec![succeeded(job.attempt)].into(),
            Self::Cancel => vec![Change::Cancelled { by: "alice".into() }].into(),
            Self::Nothing => Changes::default(),
            Self::StartAndSucceed => vec![started(job.attempt + 1), succeeded(job.attempt + 1)].into(),
            Self::Refuse => return Err(Error::Busy(job.id.clone())),
        })
    }
}

/// Without revisions, which differ where others are refused.
fn said(written: &Written) -> String {
    match written {
        Ok(Some((_, job))) => format!("{:?} {}", job.state, job.attempt),
        Ok(None) => "nothing".into(),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Also where a job is named twice, or is none.
    #[test]
    fn jobs_written_together_come_to_what_they_come_to_one_by_one(
        calls in vec(vec((0..JOBS + 1, 0..6usize), 0..8), 1..6),
    ) {
        let wishes =
            [Wish::Start, Wish::Succeed, Wish::Cancel, Wish::Nothing, Wish::StartAndSucceed, Wish::Refuse];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (together, alone) = (engine(Arc::default()).await, engine(Arc::default()).await);
            for call in calls {
                let wanted: Vec<_> = call.iter().map(|(job, wish)| {
                    let wish = wishes[*wish];
                    (id(*job), move |job: &Job| wish.decide(job))
                }).collect();
                let written = together.write_each(&wanted).await;
                prop_assert_eq!(written.len(), wanted.len());
                let mut expected = Vec::new();
                for (job, decide) in &wanted {
                    expected.push(alone.write(job, decide).await);
                }
                // A job that is named twice is decided about a second time only where the first changed it.
                let first = |at: usize| wanted[..at].iter().all(|(job, _)| *job != wanted[at].0);
                for at in (0..wanted.len()).filter(|at| first(*at)) {
                    prop_assert_eq!(said(&written[at]), said(&expected[at]));
                }
                for ((job, _), written) in wanted.iter().zip(&written) {
                    if let Ok(Some((revision, _))) = written {
                        let seen = together.get(job).unwrap().current.revision;
                        prop_assert!(seen >= *revision, "the caller reads its own write");
                    }
                }
                // From here on both are the same again.
                for job in 0..JOBS {
                    let of = |engine: &Engine| engine.get(&id(job)).map(|found| found.current.job.state);
                    if wanted.iter().filter(|(named, _)| *named == id(job)).count() < 2 {
                        prop_assert_eq!(of(&together), of(&alone));
                    } else if of(&together) != of(&alone) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn who_loses_a_race_among_many_is_decided_again_and_the_others_are_written_once() {
    let log = Arc::new(Contended { cancel: Some(id(1)), ..Contended::default() });
    let engine = engine(log.clone()).await;
    let before = log.singles.load(Ordering::Relaxed);
    let decided = AtomicUsize::new(0);
    let decide = |job: &Job| {
        decided.fetch_add(1, Ordering::Relaxed);
        Ok(match job.state {
            State::Queued => Changes::from(Some(Change::Started { attempt: 1, worker: WorkerId::new("w") })),
            _ => Changes::default(),
        })
    };
    let wanted: Vec<_> = (0..JOBS).map(|job| (id(job), decide)).collect();
    let written = engine.write_each(&wanted).await;
    let started: Vec<bool> = written.iter().map(|written| matches!(written, Ok(Some(_)))).collect();
    assert_eq!(started, [true, false, true, true, true]);
    assert_eq!(engine.get(&id(1)).unwrap().current.job.state, State::Cancelled);
    assert_eq!((decided.into_inner(), log.calls.load(Ordering::Relaxed)), (JOBS + 1, 1));
    assert_eq!(log.singles.load(Ordering::Relaxed), before, "nothing was appended alone");
}
