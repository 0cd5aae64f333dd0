//! What one document may cost: processor time of all its children together, and time on the clock.
//!
//! Limits on one page and on one child do not bound a document: five thousand pages that each take a minute are within
//! them. A document that goes over its budget has failed for good, since it would cost no less the second time; what it has
//! cost is remembered over attempts (see [`Ledger`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the children's processor time is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// Documents whose cost is remembered after an attempt that did not succeed.
const REMEMBERED: usize = 1024;

/// How much a document may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Processor time of any document. Default 300 s.
    pub cpu: Duration,
    /// More of it for each page. Default 200 ms.
    pub cpu_per_page: Duration,
    /// More of it for each page that is read by OCR. Default 20 s.
    pub cpu_per_ocr_page: Duration,
    /// Time of one attempt at any document. Default 30 min.
    pub time: Duration,
    /// More of it for each page. Default 10 s: documents that are read by OCR share the processors.
    pub time_per_page: Duration,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(300),
            cpu_per_page: Duration::from_millis(200),
            cpu_per_ocr_page: Duration::from_secs(20),
            time: Duration::from_secs(30 * 60),
            time_per_page: Duration::from_secs(10),
        }
    }
}

/// What went over its limit, and the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Cpu(Duration),
    /// Time on the clock.
    Time(Duration),
}

/// The budget of one document in one attempt. All clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    allowance: Allowance,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pages that are to be done, of so many. None before the document is open.
    pages: Option<(u32, u32)>,
    ocr_pages: u32,
    done: u32,
    /// In earlier attempts. Counts once the limit is known, which is when the pages are.
    earlier: Duration,
    /// By children that have ended.
    spent: Duration,
    /// What each running child had used when it was last looked at, by its process.
    running: BTreeMap<u32, Duration>,
}

impl Budget {
    /// For a document that has cost so much already.
    pub(crate) fn new(allowance: Allowance, earlier: Duration) -> Self {
        let state = Mutex::new(State { earlier, ..State::default() });
        Self(Arc::new(Shared { allowance, start: Instant::now(), state }))
    }

    /// So many pages of the document's are to be done here; so many of them were done by earlier attempts, and have cost
    /// their share at least.
    pub(crate) fn plan(&self, pages: u32, of: u32, finished: u32) {
        let mut state = self.state();
        state.pages = Some((pages, of.max(1)));
        state.earlier = state.earlier.max(self.0.allowance.cpu_per_page.saturating_mul(finished));
    }

    /// One page more is read by OCR.
    pub(crate) fn add_ocr_page(&self) {
        self.state().ocr_pages += 1;
    }

    /// One page more is done.
    pub(crate) fn page_done(&self) {
        self.state().done += 1;
    }

    /// Pages done in this attempt.
    pub(crate) fn done(&self) -> u32 {
        self.state().done
    }

    /// Counts what this process uses until the meter is dropped, which must be before the process is waited for.
    pub(crate) fn meter(&self, process: u32) -> Meter {
        self.state().running.insert(process, Duration::ZERO);
        Meter { budget: self.clone(), process }
    }

    /// Processor time spent so far, in earlier attempts as well.
    pub(crate) fn spent(&self) -> Duration {
        let mut state = self.state();
        state.look();
        state.earlier + state.spent + state.running.values().sum::<Duration>()
    }

    /// What of it counts against the limit.
    fn counted(&self) -> Duration {
        let spent = self.spent();
        let state = self.state();
        if state.pages.is_some() { spent } else { spent.saturating_sub(state.earlier) }
    }

    /// Processor time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.cpu_limit().saturating_sub(self.counted())
    }

    /// Waits until the budget is used up.
    pub(crate) async fn exceeded(&self) -> Exceeded {
        loop {
            if let Some(exceeded) = self.over(Instant::now()) {
                return exceeded;
            }
            sleep_until((self.0.start + self.time_limit()).min(Instant::now() + SAMPLE_INTERVAL)).await;
        }
    }

    fn over(&self, now: Instant) -> Option<Exceeded> {
        let (cpu, time) = (self.cpu_limit(), self.time_limit());
        if self.counted() > cpu {
            return Some(Exceeded::Cpu(cpu));
        }
        (now >= self.0.start + time).then_some(Exceeded::Time(time))
    }

    /// A part of a document has its share of what any document may use.
    fn cpu_limit(&self) -> Duration {
        let (allowance, state) = (&self.0.allowance, self.state());
        let (pages, of) = state.pages.unwrap_or((0, 0));
        let base = if of > 0 { allowance.cpu.mul_f64(f64::from(pages) / f64::from(of)) } else { allowance.cpu };
        base.saturating_add(allowance.cpu_per_page.saturating_mul(pages))
            .saturating_add(allowance.cpu_per_ocr_page.saturating_mul(state.ocr_pages))
    }

    fn time_limit(&self) -> Duration {
        let pages = self.state().pages.map_or(0, |(pages, _)| pages);
        self.0.allowance.time.saturating_add(self.0.allowance.time_per_page.saturating_mul(pages))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers; every change is whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self) {
        for (process, used) in &mut self.running {
            *used = crate::process::cpu_of(*process).map_or(*used, |now| now.max(*used));
        }
    }
}

/// See [`Budget::meter`].
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    process: u32,
}

impl Drop for Meter {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.look();
        let used = state.running.remove(&self.process).unwrap_or_default();
        state.spent += used;
    }
}

/// What documents have cost in attempts that did not succeed, so that the next attempt here does not begin from nothing. The
/// oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<VecDeque<(String, Duration)>>);

impl Ledger {
    /// What this job has cost so far; forgets it.
    pub(crate) fn take(&self, job: &str) -> Duration {
        let mut entries = self.entries();
        let at = entries.iter().position(|(known, _)| known == job);
        at.and_then(|at| entries.remove(at)).map(|(_, spent)| spent).unwrap_or_default()
    }

    /// Remembers what a job has cost.
    pub(crate) fn keep(&self, job: &str, spent: Duration) {
        let mut entries = self.entries();
        if entries.len() >= REMEMBERED {
            entries.pop_front();
        }
        entries.push_back((job.to_owned(), spent));
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<(String, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn allowance() -> Allowance {
        Allowance {
            cpu: 10 * SECOND,
            cpu_per_page: SECOND,
            cpu_per_ocr_page: 5 * SECOND,
            time: 60 * SECOND,
            time_per_page: SECOND,
        }
    }

    #[test]
    fn limits_grow_with_pages_and_parts_have_their_share() {
        let whole = Budget::new(allowance(), Duration::ZERO);
        assert_eq!(whole.left(), 10 * SECOND);
        whole.plan(100, 100, 0);
        whole.add_ocr_page();
        assert_eq!(whole.left(), 115 * SECOND);
        let part = Budget::new(allowance(), Duration::ZERO);
        part.plan(10, 100, 0);
        assert_eq!(part.left(), 11 * SECOND);
        let (start, limit) = (part.0.start, 70 * SECOND);
        assert_eq!(part.over(start + limit - Duration::from_millis(1)), None);
        assert_eq!(part.over(start + limit), Some(Exceeded::Time(limit)));
    }

    #[test]
    fn earlier_attempts_count_and_finished_pages_have_cost_their_share() {
        let again = Budget::new(allowance(), 108 * SECOND);
        again.plan(100, 100, 40);
        assert_eq!(again.left(), 2 * SECOND);
        let elsewhere = Budget::new(allowance(), Duration::ZERO);
        elsewhere.plan(100, 100, 40);
        assert_eq!(elsewhere.left(), 70 * SECOND);
        let over = Budget::new(allowance(), 111 * SECOND);
        over.plan(100, 100, 0);
        assert_eq!(over.over(Instant::now()), Some(Exceeded::Cpu(110 * SECOND)));
    }

    #[test]
    fn a_process_counts_while_it_runs_and_after() {
        let budget = Budget::new(allowance(), Duration::ZERO);
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let meter = budget.meter(child.id());
        while budget.spent().is_zero() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        drop(meter);
        child.wait().unwrap();
        assert!(!budget.spent().is_zero());
    }

    #[test]
    fn the_ledger_is_bounded() {
        let ledger = Ledger::default();
        (0..2 * REMEMBERED).for_each(|job| ledger.keep(&job.to_string(), SECOND));
        assert_eq!(
            (ledger.take("0"), ledger.take("2047"), ledger.take("2047")),
            (Duration::ZERO, SECOND, Duration::ZERO)
        );
    }
}
