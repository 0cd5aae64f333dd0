//! Who works now: how fast waiting jobs of a kind are taken.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::WorkerId;

use crate::clock::Moment;

/// A worker that is connected.
#[derive(Clone, Debug)]
pub struct WorkerCapacity {
    pub worker: WorkerId,
    /// The kinds it takes.
    pub kinds: Arc<[Box<str>]>,
    /// How many jobs it takes at once.
    pub slots: u32,
    /// How many it holds.
    pub held: u32,
}

/// All that work on one kind.
#[derive(Clone, Copy, Debug)]
pub struct WorkerPool {
    /// Slots for this kind; those of a worker of several kinds that are in demand are divided among them.
    pub slots: f64,
    /// Milliseconds a page takes an average slot; `None` where nobody has finished one.
    pub ms_per_page: Option<f64>,
    /// When the first slot will be free, by the estimates at `at`. `None` while that is not known.
    first_free: Option<FirstFree>,
    /// When this was found.
    at: Moment,
}

/// When the first slot will be free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FirstFree {
    /// Milliseconds from now.
    pub ms: f64,
    /// Which share of the running jobs may end sooner than that, for all that is known.
    pub unknown: f64,
}

impl WorkerPool {
    /// Whether all that is estimated from this pool is estimated from the other one too, also at another moment.
    pub fn is_like(&self, other: &Self) -> bool {
        let passes = |pool: &Self| pool.first_free.is_some_and(|first| first.ms > 0.0);
        (self.slots, self.ms_per_page, self.first_free) == (other.slots, other.ms_per_page, other.first_free)
            && !passes(self)
    }

    /// When the first slot will be free. `None` while nothing is known of the jobs in all of them.
    pub fn first_free(&self, now: Moment) -> Option<FirstFree> {
        let first = self.first_free?;
        Some(FirstFree { ms: (first.ms - now.ms_since(self.at) as f64).max(0.0), ..first })
    }
}

/// All pools, gathered in one pass over the workers: what that costs grows with the kinds that workers name, not with
/// their product.
#[derive(Debug, Default)]
pub struct WorkerPoolsBuilder<'a>(HashMap<&'a str, PoolTotals>);

#[derive(Debug, Default)]
struct PoolTotals {
    slots: f64,
    pages_per_ms: f64,
    unmeasured: bool,
    free: bool,
}

impl<'a> WorkerPoolsBuilder<'a> {
    /// Adds a worker. `demanded` says whether jobs of a kind wait or run; `ms_per_page` how many milliseconds a page of a kind
    /// takes this worker, and `None` for a kind of which nothing is known, which has no pool.
    pub fn add(
        &mut self,
        worker: &'a WorkerCapacity,
        demanded: &mut impl FnMut(&'a str) -> bool,
        ms_per_page: impl Fn(&str) -> Option<Option<f64>>,
    ) {
        if worker.slots == 0 {
            return;
        }
        let in_demand = worker.kinds.iter().filter(|kind| demanded(kind)).count();
        for kind in worker.kinds.iter() {
            let Some(ms_per_page) = ms_per_page(kind) else { continue };
            let others = in_demand - usize::from(demanded(kind));
            let own = f64::from(worker.slots) / (others + 1) as f64;
            let all = self.0.entry(kind).or_default();
            all.slots += own;
            all.free |= worker.held < worker.slots;
            match ms_per_page {
                Some(ms_per_page) => all.pages_per_ms += own / ms_per_page.max(f64::MIN_POSITIVE),
                None => all.unmeasured = true,
            }
        }
    }

    /// The pools, given when the first slot of each kind will be free as far as none is now.
    pub fn build(self, first_free: impl Fn(&str) -> Option<FirstFree>, at: Moment) -> HashMap<Box<str>, WorkerPool> {
        let pool = |(kind, all): (&str, PoolTotals)| {
            let ms_per_page = (!all.unmeasured && all.pages_per_ms > 0.0).then(|| all.slots / all.pages_per_ms);
            let first_free = if all.free { Some(FirstFree::default()) } else { first_free(kind) };
            (kind.into(), WorkerPool { slots: all.slots, ms_per_page, first_free, at })
        };
        self.0.into_iter().map(pool).collect()
    }
}
