//! Quotas: what one owner may have waiting and may submit in a time.
//!
//! A retry by hand counts as a submit of no bytes. A submit reserves before its job is made, so that many at once cannot go
//! over together. The reservation turns into the job when the follower sees it, or is given back when nothing comes of the
//! submit. The ledger is rebuilt from the log's jobs at start; jobs that were removed within the day are then not counted any
//! more.

mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Owner, Timestamp};
use courant_joblog::job::{Job, State};
use courant_runtime::stats::Counter;

use crate::clock::Clock;
use crate::projection::{JobChange, Projection};
use window::Window;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// When to look again while too many jobs wait: nobody can know when one of them starts.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Owners that are looked at for having nothing left, whenever an owner comes.
const TIDY_FROM: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    /// Jobs that wait at once.
    Waiting,
    /// Bytes within 24 hours.
    Bytes,
    /// Jobs within 60 seconds.
    Submits,
    /// Unfinished uploads at once. Kept by the store of objects, not by the ledger.
    Uploads,
    /// Bytes that unfinished uploads come to. Kept by the store of objects, not by the ledger.
    UploadBytes,
}

impl QuotaKind {
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Bytes, Self::Submits, Self::Uploads, Self::UploadBytes];

    /// Its name for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "jobs-waiting",
            Self::Bytes => "bytes-per-day",
            Self::Submits => "submits-per-minute",
            Self::Uploads => "uploads",
            Self::UploadBytes => "upload-bytes",
        }
    }
}

/// How often each quota has refused something, since the start.
#[derive(Debug, Default)]
pub struct QuotaRefusals([Counter; QuotaKind::ALL.len()]);

impl QuotaRefusals {
    pub fn of(&self, which: QuotaKind) -> &Counter {
        &self.0[which as usize]
    }
}

/// Why a submit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    pub owner: Owner,
    pub which: QuotaKind,
    pub limit: u64,
    /// When it is worth trying again; `None` for never with this document.
    pub retry_after: Option<Duration>,
}

/// How much of a quota an owner has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub which: QuotaKind,
    /// The limit; above 0.
    pub limit: u64,
    pub used: u64,
    /// When there is room again, where there is none and time alone makes it.
    pub retry_after: Option<Duration>,
}

impl std::error::Error for QuotaExceeded {}

impl std::fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = self.limit;
        match (self.which, self.retry_after) {
            (QuotaKind::Waiting, _) => {
                write!(f, "{limit} jobs may wait at once; submit again when one of them has started")
            }
            (QuotaKind::Submits, _) => write!(f, "{limit} jobs may be submitted within 60 seconds; submit again later"),
            (QuotaKind::Uploads, _) => {
                write!(f, "{limit} uploads may be unfinished at once; finish or give up one of them")
            }
            (QuotaKind::UploadBytes, None) => {
                write!(f, "unfinished uploads may come to {limit} bytes; this one is larger")
            }
            (QuotaKind::UploadBytes, Some(_)) => {
                write!(f, "unfinished uploads may come to {limit} bytes; finish or give up one of them")
            }
            (QuotaKind::Bytes, None) => {
                write!(f, "{limit} bytes may be submitted within 24 hours; this document is larger")
            }
            (QuotaKind::Bytes, Some(_)) => {
                write!(f, "{limit} bytes may be submitted within 24 hours; submit again later")
            }
        }
    }
}

/// What one owner may have; 0 for any number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Jobs that wait at once.
    pub waiting: u64,
    /// Bytes of documents within any 24 hours.
    pub bytes_per_day: u64,
    /// Jobs within any 60 seconds.
    pub submits_per_minute: u64,
}

/// What every owner has waiting, has submitted, and is about to submit.
#[derive(Debug, Default)]
pub struct QuotaLedger {
    limits: Limits,
    /// Of whoever has the same quotas elsewhere too.
    refusals: Arc<QuotaRefusals>,
    owners: HashMap<Owner, Account>,
    tickets: HashMap<u64, Ticket>,
    by_job: HashMap<JobId, Vec<u64>>,
    next: u64,
    /// What windows slide by: a wall clock that was set neither empties them nor keeps anybody out.
    clock: Clock,
}

#[derive(Debug)]
struct Account {
    waiting: u64,
    bytes: Window,
    submits: Window,
    reserved_jobs: u64,
    reserved_bytes: u64,
}

#[derive(Debug)]
struct Ticket {
    owner: Owner,
    job: JobId,
    bytes: u64,
}

impl Account {
    fn new() -> Self {
        let (bytes, submits) = (Window::new(DAY_MS), Window::new(MINUTE_MS));
        Self { waiting: 0, bytes, submits, reserved_jobs: 0, reserved_bytes: 0 }
    }

    fn is_idle(&mut self, now: Timestamp) -> bool {
        self.waiting == 0 && self.reserved_jobs == 0 && self.bytes.is_empty(now) && self.submits.is_empty(now)
    }

    fn check(&mut self, limits: Limits, jobs: u64, bytes: u64, now: Timestamp) -> Result<(), Over> {
        if over(limits.waiting, self.waiting + self.reserved_jobs, jobs) {
            return Err((QuotaKind::Waiting, limits.waiting, Some(LOOK_AGAIN)));
        }
        let submitted = self.submits.sum(now) + self.reserved_jobs;
        if over(limits.submits_per_minute, submitted, jobs) {
            let room = limits.submits_per_minute.saturating_sub(self.reserved_jobs + jobs);
            return Err((QuotaKind::Submits, limits.submits_per_minute, wait(&mut self.submits, room, now)));
        }
        let sent = self.bytes.sum(now).saturating_add(self.reserved_bytes);
        if over(limits.bytes_per_day, sent, bytes) {
            let limit = limits.bytes_per_day;
            let room = limit.saturating_sub(self.reserved_bytes.saturating_add(bytes));
            let after = if bytes > limit { None } else { wait(&mut self.bytes, room, now) };
            return Err((QuotaKind::Bytes, limit, after));
        }
        Ok(())
    }
}

/// Which quota, its limit, and when to try again.
type Over = (QuotaKind, u64, Option<Duration>);

/// Whether so much more is too much. A limit of 0 is none; nothing more is never too much.
fn over(limit: u64, used: u64, more: u64) -> bool {
    limit > 0 && more > 0 && used.saturating_add(more) > limit
}

/// When there is room. At least a second: what is only reserved may be given back at any moment.
fn wait(window: &mut Window, room: u64, now: Timestamp) -> Option<Duration> {
    Some(Duration::from_millis(window.until(room, now).unsigned_abs()).max(Duration::from_secs(1)))
}

impl Projection for QuotaLedger {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (old, new) = change.jobs();
        self.apply(old, new);
    }
}

impl QuotaLedger {
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How often they refused.
    pub fn refusals(&self) -> Arc<QuotaRefusals> {
        self.refusals.clone()
    }

    fn apply(&mut self, old: Option<&Job>, new: Option<&Job>) {
        self.apply_at(old, new, Timestamp::now());
    }

    /// Takes in a job's change when the wall clock says this.
    fn apply_at(&mut self, old: Option<&Job>, new: Option<&Job>, wall: Timestamp) {
        let waits = |job: Option<&Job>| job.is_some_and(|job| job.state == State::Queued);
        let Some(job) = new.or(old) else { return };
        let first = old.is_none();
        if first {
            self.redeem(&job.id);
        }
        if !first && waits(old) == waits(new) {
            return;
        }
        if first && !waits(new) && wall.ms_since(job.created) > DAY_MS {
            return;
        }
        let now = self.now();
        let happened = |at: Timestamp| Timestamp(self.clock.moment_of(at, wall).0);
        let (created, queued) = (happened(job.created), happened(job.queued));
        let account = self.account(&job.owner, now);
        match (waits(old), waits(new)) {
            (false, true) => account.waiting += 1,
            (true, false) => account.waiting = account.waiting.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        if first {
            account.submits.add(created, 1, now);
            account.bytes.add(created, job.document.bytes, now);
        } else if old.is_some_and(|old| old.state.is_terminal()) {
            // Tried again by hand: else a loop of retries and cancels would be free, and the log grow by it.
            account.submits.add(queued, 1, now);
        }
    }

    /// Sets aside a job and so many bytes of it.
    pub fn reserve(&mut self, owner: &Owner, job: &JobId, bytes: u64) -> Result<u64, QuotaExceeded> {
        let reserved = self.try_reserve(owner, job, bytes);
        self.count(&reserved);
        reserved
    }

    /// Sets aside more bytes, up to so many in all.
    pub fn grow(&mut self, ticket: u64, to: u64) -> Result<(), QuotaExceeded> {
        let grown = self.try_grow(ticket, to);
        self.count(&grown);
        grown
    }

    fn count<T>(&self, outcome: &Result<T, QuotaExceeded>) {
        if let Err(refused) = outcome {
            self.refusals.of(refused.which).inc();
        }
    }

    fn try_reserve(&mut self, owner: &Owner, job: &JobId, bytes: u64) -> Result<u64, QuotaExceeded> {
        let (limits, now) = (self.limits, self.now());
        let account = self.account(owner, now);
        account.check(limits, 1, bytes, now).map_err(|over| refusal(owner, over))?;
        account.reserved_jobs += 1;
        account.reserved_bytes += bytes;
        self.next += 1;
        self.tickets.insert(self.next, Ticket { owner: owner.clone(), job: job.clone(), bytes });
        self.by_job.entry(job.clone()).or_default().push(self.next);
        Ok(self.next)
    }

    fn try_grow(&mut self, ticket: u64, to: u64) -> Result<(), QuotaExceeded> {
        let (limits, now) = (self.limits, self.now());
        let Some(ticket) = self.tickets.get_mut(&ticket) else { return Ok(()) };
        let Some(account) = self.owners.get_mut(&ticket.owner) else { return Ok(()) };
        let more = to.saturating_sub(ticket.bytes);
        let checked = account.check(limits, 0, more, now);
        checked
            .map_err(|(which, limit, after)| refusal(&ticket.owner, (which, limit, after.filter(|_| to <= limit))))?;
        ticket.bytes += more;
        account.reserved_bytes += more;
        Ok(())
    }

    /// Ends a reservation that did not become a job; one that did changes nothing.
    pub fn give_back(&mut self, ticket: u64) {
        let Some(of) = self.tickets.remove(&ticket) else { return };
        if let Some(account) = self.owners.get_mut(&of.owner) {
            account.reserved_jobs = account.reserved_jobs.saturating_sub(1);
            account.reserved_bytes = account.reserved_bytes.saturating_sub(of.bytes);
        }
        if let Some(tickets) = self.by_job.get_mut(&of.job) {
            tickets.retain(|known| *known != ticket);
            if tickets.is_empty() {
                self.by_job.remove(&of.job);
            }
        }
    }

    /// The job is there: from now on it counts itself.
    fn redeem(&mut self, job: &JobId) {
        if let Some(ticket) = self.by_job.get(job).and_then(|tickets| tickets.first().copied()) {
            self.give_back(ticket);
        }
    }

    /// This moment, as windows count.
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0)
    }

    fn account(&mut self, owner: &Owner, now: Timestamp) -> &mut Account {
        if !self.owners.contains_key(owner) && self.owners.len() >= TIDY_FROM && self.owners.len().is_power_of_two() {
            self.owners.retain(|_, account| !account.is_idle(now));
        }
        self.owners.entry(owner.clone()).or_insert_with(Account::new)
    }

    /// How much an owner has used of each quota that has a limit.
    pub fn used(&mut self, owner: &Owner) -> Vec<Usage> {
        let (limits, now) = (self.limits, self.now());
        let mut none = Account::new();
        let account = self.owners.get_mut(owner).unwrap_or(&mut none);
        let used = [
            (QuotaKind::Waiting, limits.waiting, account.waiting + account.reserved_jobs),
            (QuotaKind::Bytes, limits.bytes_per_day, account.bytes.sum(now) + account.reserved_bytes),
            (QuotaKind::Submits, limits.submits_per_minute, account.submits.sum(now) + account.reserved_jobs),
        ];
        used.into_iter()
            .filter(|(_, limit, _)| *limit > 0)
            .map(|(which, limit, used)| {
                let room = limit.saturating_sub(1);
                let after = match which {
                    QuotaKind::Waiting | QuotaKind::Uploads | QuotaKind::UploadBytes => None,
                    QuotaKind::Bytes => wait(&mut account.bytes, room, now),
                    QuotaKind::Submits => wait(&mut account.submits, room, now),
                };
                let retry_after = after.filter(|_| used >= limit);
                Usage { which, limit, used, retry_after }
            })
            .collect()
    }
}

fn refusal(owner: &Owner, (which, limit, retry_after): Over) -> QuotaExceeded {
    QuotaExceeded { owner: owner.clone(), which, limit, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::queued;

    fn ledger(waiting: u64, bytes_per_day: u64, submits_per_minute: u64) -> QuotaLedger {
        QuotaLedger::new(Limits { waiting, bytes_per_day, submits_per_minute })
    }

    fn made(id: &str, bytes: u64) -> Job {
        let mut job = queued(id, "alice");
        (job.created, job.document.bytes) = (Timestamp::now(), bytes);
        job
    }

    fn refused(ledger: &mut QuotaLedger, id: &str, bytes: u64) -> (QuotaKind, Option<Duration>) {
        let refusal = ledger.reserve(&Owner::new("alice"), &JobId::new(id), bytes).unwrap_err();
        (refusal.which, refusal.retry_after)
    }

    #[test]
    fn a_reservation_counts_until_its_job_does_and_never_both() {
        let (mut ledger, alice) = (ledger(2, 100, 0), Owner::new("alice"));
        let ticket = ledger.reserve(&alice, &JobId::new("A"), 10).unwrap();
        ledger.grow(ticket, 60).unwrap();
        assert_eq!(refused(&mut ledger, "B", 41).0, QuotaKind::Bytes);
        ledger.apply(None, Some(&made("A", 60)));
        ledger.give_back(ticket);
        let used: Vec<u64> = ledger.used(&alice).iter().map(|quota| quota.used).collect();
        assert_eq!(used, [1, 60]);
        ledger.reserve(&alice, &JobId::new("B"), 40).unwrap();
        assert_eq!(refused(&mut ledger, "C", 0), (QuotaKind::Waiting, Some(LOOK_AGAIN)));
        assert_eq!(ledger.tickets.len(), 1);
    }

    #[test]
    fn what_came_of_nothing_is_given_back() {
        let (mut ledger, alice) = (ledger(1, 10, 1), Owner::new("alice"));
        let ticket = ledger.reserve(&alice, &JobId::new("A"), 10).unwrap();
        assert_eq!(refused(&mut ledger, "B", 1).0, QuotaKind::Waiting);
        ledger.give_back(ticket);
        ledger.reserve(&alice, &JobId::new("B"), 10).unwrap();
        assert!(ledger.reserve(&Owner::new("bob"), &JobId::new("C"), 10).is_ok(), "each owner has its own");
    }

    #[test]
    fn a_job_that_starts_or_goes_makes_room_but_its_bytes_stay_counted() {
        let mut ledger = ledger(1, 10, 0);
        let job = made("A", 6);
        ledger.apply(None, Some(&job));
        let mut running = job.clone();
        running.state = State::Running;
        assert_eq!(refused(&mut ledger, "B", 1).0, QuotaKind::Waiting);
        ledger.apply(Some(&job), Some(&running));
        ledger.apply(Some(&running), None);
        let (which, after) = refused(&mut ledger, "B", 5);
        assert_eq!(which, QuotaKind::Bytes);
        let hours = after.unwrap().as_secs() / 3600;
        assert!((23..=24).contains(&hours), "a truthful time: {after:?}");
        assert_eq!(refused(&mut ledger, "B", 11), (QuotaKind::Bytes, None), "it never fits");
        ledger.reserve(&Owner::new("alice"), &JobId::new("B"), 4).unwrap();
    }

    #[test]
    fn submits_are_counted_by_the_minute_and_old_ones_are_not() {
        let mut ledger = ledger(0, 0, 2);
        let mut old = made("old", 1);
        old.created = old.created.plus_ms(-61_000);
        ledger.apply(None, Some(&old));
        ledger.apply(None, Some(&made("A", 1)));
        ledger.reserve(&Owner::new("alice"), &JobId::new("B"), 1).unwrap();
        let (which, after) = refused(&mut ledger, "C", 1);
        assert_eq!(which, QuotaKind::Submits);
        assert!((55..=61).contains(&after.unwrap().as_secs()), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_keeps_nobody_out_and_lets_nobody_in() {
        for days in [-1, 1, 400] {
            let mut ledger = ledger(0, 10, 1);
            let wall = Timestamp(1_800_000_000_000);
            let mut job = made("A", 6);
            job.created = wall;
            ledger.apply_at(None, Some(&job), wall);
            // The next job says another day.
            let mut later = made("B", 4);
            later.created = wall.plus_ms(days * DAY_MS);
            tokio::time::advance(Duration::from_secs(1)).await;
            ledger.apply_at(None, Some(&later), later.created);
            assert_eq!(refused(&mut ledger, "C", 0).0, QuotaKind::Submits, "{days} days");
            tokio::time::advance(Duration::from_secs(61)).await;
            assert_eq!(ledger.used(&Owner::new("alice")).last().unwrap().used, 0, "{days} days: a minute is over");
            tokio::time::advance(Duration::from_secs(24 * 3600 + 120)).await;
            ledger.reserve(&Owner::new("alice"), &JobId::new("C"), 10).unwrap();
        }
    }
}
