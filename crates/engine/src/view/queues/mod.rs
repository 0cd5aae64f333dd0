//! The queues of waiting jobs, and who is next.
//!
//! One queue for each kind of work and lane. In it owners take turns, see [`fair`]; the jobs of one owner are in the order
//! of [`Job::queued`], those of one millisecond in the order of the log. A job that is tried again keeps its position among
//! them (the log says when it loses it), but is delayed until it is due.

mod delayed;
mod fair;
mod lane_scheduler;
mod limits;
mod owner_weights;

use std::collections::HashMap;

use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::job::{Attempt, Job, Lane};

use tokio::time::Instant;

pub use self::delayed::ClockReading;
use self::delayed::Delayed;
use self::fair::{FairQueue, QueueKey, Turn};
use self::lane_scheduler::LaneScheduler;
pub use self::lane_scheduler::Weights;
pub use self::limits::RunningLimits;
pub use self::owner_weights::OwnerWeights;
use super::load::{Load, pages_left};

/// Jobs of a queue that are looked at for one that is wanted.
const LOOKED_AT: usize = 64;

/// All waiting jobs, and how many of each queue are held.
#[derive(Debug, Default)]
pub struct JobQueues {
    kinds: HashMap<Box<str>, Kind>,
    /// The entry that queued each job, also of those that are delayed or being claimed.
    revisions: HashMap<JobId, Revision>,
    /// Jobs that were taken out for a claim that is under way.
    claims: HashMap<JobId, (Box<str>, Owner)>,
    delayed: Delayed,
    turns: LaneScheduler,
    owner_weights: OwnerWeights,
    /// Lanes of which nothing is given out.
    paused: [bool; Lane::ALL.len()],
    /// Counts what happens to any queue.
    changes: u64,
}

/// All of one kind of work.
#[derive(Debug, Default)]
struct Kind {
    lanes: [LaneQueue; Lane::ALL.len()],
    /// Jobs of each owner that are held or being claimed. Nobody has 0.
    running: HashMap<Owner, u32>,
    /// Those of all owners.
    running_in_all: u32,
}

#[derive(Debug, Default)]
struct LaneQueue {
    waiting: FairQueue,
    delayed: u32,
    held: u32,
    /// [`JobQueues::changes`] when a position in it may have changed last.
    changed: u64,
}

/// The position of a waiting job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePosition {
    /// 1 for the next.
    pub position: u32,
    /// What will be taken before it, if nobody comes.
    pub ahead: Load,
}

/// The state of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueState<'a> {
    /// The kind of work.
    pub kind: &'a str,
    pub lane: Lane,
    /// Jobs that wait and are due.
    pub waiting: Load,
    /// Jobs that wait for their time.
    pub delayed: u32,
    /// Jobs that workers hold.
    pub held: u32,
    /// The job that waits longest.
    pub oldest: Option<&'a JobId>,
    /// What would be taken before a job that comes now from an owner who has nothing waiting.
    pub before_newcomer: Load,
}

impl<'a> QueueState<'a> {
    pub fn empty(kind: &'a str, lane: Lane) -> Self {
        let (waiting, before_newcomer) = (Load::default(), Load::default());
        Self { kind, lane, waiting, delayed: 0, held: 0, oldest: None, before_newcomer }
    }

    /// The position behind all that wait: that of a job that comes now, at worst.
    pub fn end(&self) -> QueuePosition {
        QueuePosition::behind(self.waiting)
    }

    /// The position of a job that comes now from an owner who has nothing waiting.
    pub fn newcomer(&self) -> QueuePosition {
        QueuePosition::behind(self.before_newcomer)
    }
}

impl QueuePosition {
    fn behind(ahead: Load) -> Self {
        Self { position: u32::try_from(ahead.jobs + 1).unwrap_or(u32::MAX), ahead }
    }
}

impl JobQueues {
    /// Empty, with these weights of the lanes.
    pub fn new(weights: Weights) -> Self {
        Self { turns: LaneScheduler::new(weights), ..Self::default() }
    }

    /// How many jobs a turn of each owner has. Before there are any.
    pub fn set_owner_weights(&mut self, weights: OwnerWeights) {
        self.owner_weights = weights;
    }

    /// The weights of the lanes.
    pub fn weights(&self) -> Weights {
        self.turns.weights()
    }

    /// Other weights of the lanes, from the next job on.
    pub fn set_weights(&mut self, weights: Weights) {
        self.turns.set_weights(weights);
    }

    /// Gives out nothing of a lane, or gives out again. Its jobs keep their positions.
    pub fn set_paused(&mut self, lane: Lane, paused: bool) {
        self.paused[lane as usize] = paused;
    }

    /// Whether nothing of a lane is given out.
    pub fn is_paused(&self, lane: Lane) -> bool {
        self.paused[lane as usize]
    }

    /// Puts a job into its queue, or delays it until it is due. `revision` is of its newest entry, which queued it: so the
    /// order is the same when the queues are made from the newest entries alone.
    pub fn add(&mut self, job: &Job, revision: Revision, now: ClockReading) {
        self.take_out(job);
        self.revisions.insert(job.id.clone(), revision);
        self.place(job, now);
    }

    /// Puts a job that was added into its queue again, or delays it until it is due.
    pub fn insert(&mut self, job: &Job, now: ClockReading) {
        self.take_out(job);
        self.place(job, now);
    }

    /// Puts a job that is nowhere into its queue, or delays it.
    fn place(&mut self, job: &Job, now: ClockReading) {
        if self.delayed.put(job, now) {
            self.queue(job).delayed += 1;
        } else {
            self.stand_in(job, turn(job));
        }
    }

    /// Puts a job back that was taken out for a claim of which nothing came.
    pub fn put_back(&mut self, job: &Job, now: ClockReading) {
        self.insert(job, now);
        if self.position(job).is_some() {
            self.stand_in(job, Turn::Returned);
        }
    }

    /// Puts a delayed job that is due into its queue.
    pub fn release(&mut self, job: &Job) {
        self.take_out(job);
        self.stand_in(job, turn(job));
    }

    /// Takes a job out, wherever it is.
    pub fn remove(&mut self, job: &Job) {
        self.take_out(job);
        self.revisions.remove(&job.id);
        // Also of one that is delayed or being claimed: who tracks it learns that it waits no longer.
        self.mark_changed(job);
        self.forget_unused(&job.kind);
    }

    /// A worker took it.
    pub fn add_running(&mut self, job: &Job) {
        self.end_claim(&job.id);
        self.queue(job).held += 1;
        self.kind(&job.kind).runs(&job.owner);
    }

    /// No worker has it any more.
    pub fn remove_running(&mut self, job: &Job) {
        let queue = self.queue(job);
        queue.held = queue.held.saturating_sub(1);
        self.kind(&job.kind).ended(&job.owner);
        self.forget_unused(&job.kind);
    }

    /// The claim of a job that was taken out is over. `false` if it was over already: a worker took the job.
    pub fn end_claim(&mut self, job: &JobId) -> bool {
        if self.claims.is_empty() {
            return false;
        }
        let Some((kind, owner)) = self.claims.remove(job) else { return false };
        self.kind(&kind).ended(&owner);
        self.forget_unused(&kind);
        true
    }

    /// When the next delayed job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.next_due()
    }

    /// The next delayed job that is due; it belongs into its queue.
    pub fn first_due(&self, now: Instant) -> Option<&JobId> {
        self.delayed.first_due(now)
    }

    /// Takes out the next job for a worker of these kinds, for a claim: [`JobQueues::end_claim`] must follow. An owner who
    /// has its share of the slots is passed over while another one waits for this worker.
    pub fn take_next(&mut self, kinds: &[Box<str>], limits: &RunningLimits<'_>) -> Option<JobId> {
        let within_share = self.take(kinds, limits, |kind| limits.while_others_wait(kind), None);
        within_share.or_else(|| self.take(kinds, limits, |_| limits.at_any_time(), None))
    }

    /// The same of those jobs that are wanted, among the next [`LOOKED_AT`] of each queue.
    pub fn take_wanted(
        &mut self,
        kinds: &[Box<str>],
        limits: &RunningLimits<'_>,
        wanted: &dyn Fn(&JobId) -> bool,
    ) -> Option<JobId> {
        let within_share = self.take(kinds, limits, |kind| limits.while_others_wait(kind), Some(wanted));
        within_share.or_else(|| self.take(kinds, limits, |_| limits.at_any_time(), Some(wanted)))
    }

    /// Whether a job of a queue would be given out if this owner had one fewer running.
    pub fn would_serve(&self, kind: &str, lane: Lane, leaving: &Owner, limits: &RunningLimits<'_>) -> bool {
        let Some(known) = self.kinds.get(kind).filter(|_| !self.is_paused(lane)) else { return false };
        if known.running_in_all.saturating_sub(1) >= limits.of_kind(kind) {
            return false;
        }
        let left = |owner: &Owner| known.running(owner).saturating_sub(u32::from(owner == leaving));
        known.lanes[lane as usize].waiting.first(|owner| left(owner) < limits.at_any_time()).is_some()
    }

    /// Takes out the next job of an owner who has fewer running of its kind than may be.
    fn take(
        &mut self,
        kinds: &[Box<str>],
        limits: &RunningLimits<'_>,
        most: impl Fn(&str) -> u32,
        wanted: Option<&dyn Fn(&JobId) -> bool>,
    ) -> Option<JobId> {
        let Self { kinds: queues, turns, paused, .. } = self;
        let head = |kind: &str, lane: Lane| {
            if paused[lane as usize] {
                return None;
            }
            let (known, most) = (queues.get(kind)?, most(kind));
            if known.running_in_all >= limits.of_kind(kind) {
                return None;
            }
            let (queue, may) = (&known.lanes[lane as usize].waiting, |owner: &Owner| known.running(owner) < most);
            let Some(wanted) = wanted else { return queue.first(may) };
            queue.upcoming_of(LOOKED_AT).find(|(key, owner)| may(owner) && wanted(&key.job))
        };
        let (kind, lane) = turns.next(kinds, head)?;
        let (key, owner) = head(kind, lane).map(|(key, owner)| (key.clone(), owner.clone()))?;
        let known = queues.get_mut(kind)?;
        let queue = &mut known.lanes[lane as usize];
        let job = queue.waiting.serve_job(&owner, &key)?;
        self.changes += 1;
        queue.changed = self.changes;
        known.runs(&owner);
        self.claims.insert(job.clone(), (kind.into(), owner));
        Some(job)
    }

    /// A number that grows whenever the position of any job may have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The number at which a position in a queue may have changed last; 0 for one in which nothing is.
    pub fn changed(&self, kind: &str, lane: Lane) -> u64 {
        self.kinds.get(kind).map_or(0, |kind| kind.lanes[lane as usize].changed)
    }

    /// The position of a waiting job; `None` when it is not in a queue.
    pub fn position(&self, job: &Job) -> Option<QueuePosition> {
        let queue = &self.kinds.get(&job.kind)?.lanes[job.lane as usize];
        queue.waiting.before(&job.owner, &self.key(job)?).map(QueuePosition::behind)
    }

    /// The state of a queue.
    pub fn state<'a>(&'a self, kind: &'a str, lane: Lane) -> QueueState<'a> {
        let Some(LaneQueue { waiting, delayed, held, .. }) =
            self.kinds.get(kind).map(|kind| &kind.lanes[lane as usize])
        else {
            return QueueState::empty(kind, lane);
        };
        let (oldest, before_newcomer) = (waiting.oldest(), waiting.before_newcomer());
        let waiting = waiting.load();
        QueueState { kind, lane, waiting, delayed: *delayed, held: *held, oldest, before_newcomer }
    }

    /// Kinds that jobs wait for or are held of.
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = &str> {
        self.kinds.keys().map(|kind| &**kind)
    }

    /// The state of the queues of a kind; none when nothing of it waits or is held.
    pub fn states<'a>(&'a self, kind: &'a str) -> Vec<QueueState<'a>> {
        if !self.kinds.contains_key(kind) {
            return Vec::new();
        }
        Lane::ALL.into_iter().map(|lane| self.state(kind, lane)).collect()
    }

    /// Jobs of a kind that are running, those being claimed among them.
    pub fn running_in_all(&self, kind: &str) -> u32 {
        self.kinds.get(kind).map_or(0, |kind| kind.running_in_all)
    }

    /// Jobs of a kind that an owner has running, those being claimed among them.
    pub fn running_of(&self, kind: &str, owner: &Owner) -> u32 {
        self.kinds.get(kind).map_or(0, |kind| kind.running(owner))
    }

    /// The next jobs of a queue in the order they will be taken, at most so many.
    pub fn upcoming(&self, kind: &str, lane: Lane, limit: usize) -> impl Iterator<Item = &JobId> {
        let queue = self.kinds.get(kind).map(|kind| &kind.lanes[lane as usize]);
        queue.into_iter().flat_map(move |queue| queue.waiting.upcoming(limit))
    }

    fn take_out(&mut self, job: &Job) {
        if self.delayed.take(&job.id) {
            self.queue(job).delayed -= 1;
            return;
        }
        let Some(key) = self.key(job) else { return };
        if self.queue(job).waiting.remove(&job.owner, &key) {
            self.mark_changed(job);
        }
    }

    fn mark_changed(&mut self, job: &Job) {
        self.changes += 1;
        let changes = self.changes;
        self.queue(job).changed = changes;
    }

    fn stand_in(&mut self, job: &Job, turn: Turn) {
        let Some(key) = self.key(job) else { return };
        let weight = self.owner_weights.of(&job.owner);
        self.queue(job).waiting.insert(&job.owner, weight, key, pages_left(job), turn);
        self.mark_changed(job);
    }

    /// `None` if it is not queued.
    fn key(&self, job: &Job) -> Option<QueueKey> {
        let revision = *self.revisions.get(&job.id)?;
        Some(QueueKey { queued: job.queued, revision, job: job.id.clone() })
    }

    fn queue(&mut self, job: &Job) -> &mut LaneQueue {
        &mut self.kind(&job.kind).lanes[job.lane as usize]
    }

    fn kind(&mut self, kind: &str) -> &mut Kind {
        self.kinds.entry(kind.into()).or_default()
    }

    /// Kinds are named by callers: those of which nothing is left must not stay.
    fn forget_unused(&mut self, kind: &str) {
        if self.kinds.get(kind).is_some_and(Kind::is_unused) {
            self.kinds.remove(kind);
        }
    }
}

impl Kind {
    fn running(&self, owner: &Owner) -> u32 {
        self.running.get(owner).copied().unwrap_or(0)
    }

    fn runs(&mut self, owner: &Owner) {
        *self.running.entry(owner.clone()).or_default() += 1;
        self.running_in_all += 1;
    }

    fn ended(&mut self, owner: &Owner) {
        if let Some(jobs) = self.running.get_mut(owner) {
            *jobs -= 1;
            self.running_in_all -= 1;
            if *jobs == 0 {
                self.running.remove(owner);
            }
        }
    }

    fn is_unused(&self) -> bool {
        let unused = |queue: &LaneQueue| queue.waiting.is_empty() && queue.delayed == 0 && queue.held == 0;
        self.running.is_empty() && self.lanes.iter().all(unused)
    }
}

/// A job that kept its position after an attempt that finished no page had a turn of which nothing came. What finished pages
/// was served, and an owner must not get turn after turn for it.
fn turn(job: &Job) -> Turn {
    let for_nothing = |last: &Attempt| last.pages_done == 0 && job.queued <= last.started;
    if job.attempts.last().is_some_and(for_nothing) { Turn::Returned } else { Turn::Needed }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use courant_joblog::event::{Change, Event};
    use courant_joblog::ids::{RequestId, Timestamp};
    use courant_joblog::log::{Append, Filter, Log as _};
    use courant_joblog::memory::MemoryLog;

    use super::*;
    use crate::testing::{queued, submission};
    use crate::view::View;
    use crate::view::tests::tried;

    fn filled(lanes: &[(Lane, usize)]) -> JobQueues {
        let mut queues = JobQueues::default();
        for (lane, count) in lanes {
            for n in 0..*count {
                let mut job = queued(&format!("{lane:?}{n:03}"), "alice");
                job.lane = *lane;
                job.queued = Timestamp(n as i64);
                job.pages.expected = Some(n as u32);
                queues.add(&job, Revision(n as u64), ClockReading::read());
            }
        }
        queues
    }

    fn take(queues: &mut JobQueues) -> String {
        queues.take_next(&["pdf".into()], &RunningLimits::NONE).unwrap().to_string()
    }

    #[test]
    fn each_lane_gets_its_share_and_none_starves() {
        let mut queues = filled(&[(Lane::Premium, 100), (Lane::Normal, 100), (Lane::Large, 100)]);
        let served: Vec<String> = (0..50).map(|_| take(&mut queues)).collect();
        let count = |lane: &str| served.iter().filter(|job| job.starts_with(lane)).count();
        assert_eq!((count("Premium"), count("Normal"), count("Large")), (30, 15, 5));
    }

    #[test]
    fn of_a_paused_lane_nothing_is_given_out_until_it_is_resumed() {
        let mut queues = filled(&[(Lane::Premium, 2), (Lane::Normal, 2)]);
        queues.set_paused(Lane::Premium, true);
        assert_eq!([take(&mut queues), take(&mut queues)], ["Normal000", "Normal001"]);
        assert_eq!(queues.take_next(&["pdf".into()], &RunningLimits::NONE), None);
        assert!(!queues.would_serve("pdf", Lane::Premium, &Owner::new("bob"), &RunningLimits::NONE));
        assert_eq!(queues.state("pdf", Lane::Premium).waiting.jobs, 2);
        queues.set_paused(Lane::Premium, false);
        assert_eq!([take(&mut queues), take(&mut queues)], ["Premium000", "Premium001"]);
    }

    #[test]
    fn places_are_counted_from_one_in_jobs_and_pages_and_close_up() {
        let mut queues = filled(&[(Lane::Normal, 4)]);
        let mut last = queued("Normal003", "alice");
        last.queued = Timestamp(3);
        last.pages.expected = Some(3);
        let position = queues.position(&last).unwrap();
        assert_eq!((position.position, position.ahead.pages), (4, 3));
        take(&mut queues);
        take(&mut queues);
        let position = queues.position(&last).unwrap();
        assert_eq!((position.position, position.ahead.pages), (2, 2));
        queues.remove(&last);
        assert_eq!(queues.position(&last), None);
    }

    #[test]
    fn a_delayed_job_waits_aside_until_it_is_due() {
        let mut queues = JobQueues::default();
        let job = tried("J", 1_000, 1_100);
        let now = ClockReading { wall: Timestamp(1_000), steady: Instant::now() };
        let due = now.steady + Duration::from_millis(100);
        queues.add(&job, Revision(1), now);
        assert_eq!(queues.take_next(&["pdf".into()], &RunningLimits::NONE), None);
        assert_eq!((queues.next_due(), queues.state("pdf", job.lane).delayed), (Some(due), 1));
        assert_eq!(queues.first_due(due - Duration::from_millis(1)), None);
        assert_eq!(queues.first_due(due), Some(&job.id));
        queues.release(&job);
        assert_eq!((queues.next_due(), queues.state("pdf", job.lane).delayed), (None, 0));
        assert_eq!(queues.take_next(&["pdf".into()], &RunningLimits::NONE), Some(job.id));
    }

    /// Jobs of owners in one lane; workers with so many slots.
    fn of_owners(owners: &[(&str, Lane, usize)]) -> (JobQueues, HashMap<JobId, Job>) {
        let (mut queues, mut jobs) = (JobQueues::default(), HashMap::new());
        for (owner, lane, count) in owners {
            for n in 0..*count {
                let mut job = queued(&format!("{owner}-{lane:?}-{n:03}"), owner);
                (job.lane, job.queued) = (*lane, Timestamp(jobs.len() as i64));
                queues.add(&job, Revision(jobs.len() as u64), ClockReading::read());
                jobs.insert(job.id.clone(), job);
            }
        }
        (queues, jobs)
    }

    fn limits(slots: &BTreeMap<Box<str>, u32>, running: u32) -> RunningLimits<'_> {
        RunningLimits { share: 0.75, running, slots, ..RunningLimits::NONE }
    }

    #[test]
    fn an_owner_leaves_a_slot_to_others_who_wait_and_takes_all_while_nobody_does() {
        let slots = BTreeMap::from([("pdf".into(), 4)]);
        let (mut queues, jobs) =
            of_owners(&[("alice", Lane::Normal, 20), ("alice", Lane::Premium, 20), ("bob", Lane::Large, 3)]);
        let take = |queues: &mut JobQueues| {
            let job = jobs[&queues.take_next(&["pdf".into()], &limits(&slots, u32::MAX)).unwrap()].clone();
            queues.add_running(&job);
            job
        };
        let running: Vec<Job> = (0..4).map(|_| take(&mut queues)).collect();
        let of = |running: &[Job], owner: &str| running.iter().filter(|job| job.owner.as_str() == owner).count();
        assert_eq!((of(&running, "alice"), of(&running, "bob")), (3, 1), "whatever the lanes weigh");
        // Bob's jobs are short: each slot he gives up is his again while he waits.
        let mut running = running;
        for left in (0..3).rev() {
            let at = running.iter().position(|job| job.owner.as_str() == "bob").unwrap();
            queues.remove_running(&running.swap_remove(at));
            running.push(take(&mut queues));
            assert_eq!(of(&running, "alice"), if left == 0 { 4 } else { 3 }, "{left} of bob's wait");
        }
    }

    #[test]
    fn a_claim_counts_until_it_is_over_and_the_job_runs_or_not() {
        let slots = BTreeMap::from([("pdf".into(), 2)]);
        let (mut queues, jobs) = of_owners(&[("alice", Lane::Normal, 5), ("bob", Lane::Normal, 1)]);
        let take = |queues: &mut JobQueues, most| queues.take_next(&["pdf".into()], &limits(&slots, most));
        let first = take(&mut queues, 1).unwrap();
        assert_eq!(jobs[&first].owner.as_str(), "alice");
        assert_eq!(jobs[&take(&mut queues, 1).unwrap()].owner.as_str(), "bob");
        assert_eq!(take(&mut queues, 1), None, "nobody may have two");
        assert!(queues.end_claim(&first) && !queues.end_claim(&first));
        let again = take(&mut queues, 1).unwrap();
        queues.add_running(&jobs[&again]);
        assert!(!queues.end_claim(&again), "it runs");
        assert_eq!(take(&mut queues, 1), None);
        queues.remove_running(&jobs[&again]);
        assert!(take(&mut queues, 1).is_some());
    }

    #[test]
    fn a_kind_that_is_not_used_any_more_leaves_nothing_behind() {
        let mut queues = JobQueues::default();
        let job = queued("J", "alice");
        queues.add(&job, Revision(1), ClockReading::read());
        queues.remove(&job);
        queues.add_running(&job);
        queues.remove_running(&job);
        assert_eq!((queues.kinds().count(), queues.revisions.len()), (0, 0));
    }

    #[tokio::test]
    async fn jobs_of_one_millisecond_keep_the_order_of_their_submits_also_after_a_restart() {
        let (alice, log) = (Owner::new("alice"), MemoryLog::new());
        let mut submitted = Vec::new();
        for request in 0..20 {
            // An id that is computed from a request says nothing of its time.
            let job = queued(JobId::derived(&alice, &RequestId::new(format!("request-{request}"))).as_str(), "alice");
            submitted.push(job.id.clone());
            let event = Event::new(job.queued, Change::Submitted(Box::new(submission(job.id.as_str(), "alice"))));
            log.append(Append::one(None, event, Arc::new(job))).await.unwrap();
        }
        assert!(!submitted.is_sorted());
        let history = log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
        for entries in [history, log.latest().await.unwrap().all().await.unwrap()] {
            let mut view = View::default();
            entries.iter().for_each(|entry| drop(view.apply(entry)));
            let upcoming: Vec<JobId> =
                view.upcoming("pdf", Lane::Normal, usize::MAX).map(|current| current.job.id.clone()).collect();
            assert_eq!(upcoming, submitted);
        }
    }

    #[test]
    fn no_more_of_a_kind_run_than_may_and_others_are_not_held_up() {
        let mut queues = JobQueues::default();
        let job = |id: &str, kind: &str| {
            let mut job = queued(id, "alice");
            job.kind = kind.into();
            job
        };
        let jobs = [job("A", "ocr"), job("B", "ocr"), job("C", "pdf")];
        for (at, job) in jobs.iter().enumerate() {
            queues.add(job, Revision(at as u64 + 1), ClockReading::read());
        }
        let (slots, most) = (BTreeMap::new(), BTreeMap::from([("ocr".into(), 1)]));
        let limits = RunningLimits { kinds: &most, slots: &slots, ..RunningLimits::NONE };
        let kinds: [Box<str>; 2] = ["ocr".into(), "pdf".into()];
        let take = |queues: &mut JobQueues| queues.take_next(&kinds, &limits).map(|id| id.to_string());
        let mut first = [take(&mut queues), take(&mut queues)];
        first.sort_unstable();
        assert_eq!(first, [Some("A".to_owned()), Some("C".to_owned())]);
        assert_eq!((take(&mut queues), queues.running_in_all("ocr")), (None, 1));
        assert!(queues.end_claim(&JobId::new("A")));
        assert_eq!(take(&mut queues), Some("B".to_owned()));
    }
}
