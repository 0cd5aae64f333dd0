//! Whose turn it is: weighted fair between the queues a worker can serve (start-time fair queueing, the kin of stride
//! scheduling).
//!
//! Each queue has a clock that moves with every job served, the faster the smaller its weight; the queue whose clock is
//! behind is next. A queue that was idle starts from now: it has no claim on the past.
//!
//! Workers that take the same kinds are a pool, and each pool has clocks of its own: what workers elsewhere do is no
//! reason to let a queue wait here. Between the jobs of one queue nothing is weighed; fairness between owners would have its
//! place here, as one more set of clocks inside a queue.

use std::collections::HashMap;

use courant_joblog::job::Lane;

/// Pools that are remembered. With more, all clocks start again, which nobody who waits notices.
const MAX_POOLS: usize = 1024;
/// How far the clock of a queue with weight 1 moves.
const STRIDE: u64 = 1 << 24;

/// How much each lane is served while all have jobs waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Of the premium lane.
    pub premium: u32,
    /// Of the normal lane.
    pub normal: u32,
    /// Of the large lane.
    pub large: u32,
}

impl Weights {
    /// The largest weight: with more, a lane of weight 1 would seem to stand still.
    pub const MAX: u32 = 1000;

    /// The weight of a lane.
    pub fn of(&self, lane: Lane) -> u32 {
        let weight = match lane {
            Lane::Premium => self.premium,
            Lane::Normal => self.normal,
            Lane::Large => self.large,
        };
        weight.clamp(1, Self::MAX)
    }

    /// A lane's share of the service while all lanes have jobs waiting, 0 to 1.
    pub fn share(&self, lane: Lane) -> f64 {
        let all: u32 = Lane::ALL.iter().map(|lane| self.of(*lane)).sum();
        f64::from(self.of(lane)) / f64::from(all)
    }

    fn stride(&self, lane: Lane) -> u64 {
        STRIDE / u64::from(self.of(lane))
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self { premium: 6, normal: 3, large: 1 }
    }
}

/// The clocks of all pools.
#[derive(Debug, Default)]
pub struct LaneScheduler {
    weights: Weights,
    pools: HashMap<Box<[Box<str>]>, Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    clocks: HashMap<Box<str>, [u64; Lane::ALL.len()]>,
    now: u64,
}

impl LaneScheduler {
    pub fn new(weights: Weights) -> Self {
        Self { weights, pools: HashMap::new() }
    }

    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// From the next job on. How far the clocks have come stays: nobody gets back what another had before.
    pub fn set_weights(&mut self, weights: Weights) {
        self.weights = weights;
    }

    /// The queue whose turn it is for a worker of these kinds, of those for which `head` says who is next. The head decides
    /// between queues that are equal. Their clock moves.
    pub fn next<'a, H: Ord>(
        &mut self,
        kinds: &'a [Box<str>],
        head: impl Fn(&str, Lane) -> Option<H>,
    ) -> Option<(&'a str, Lane)> {
        if self.pools.len() >= MAX_POOLS && !self.pools.contains_key(kinds) {
            self.pools.clear();
        }
        let pool = self.pools.entry(kinds.into()).or_default();
        let queues = kinds.iter().flat_map(|kind| Lane::ALL.into_iter().map(move |lane| (kind, lane)));
        let waiting = queues.filter_map(|(kind, lane)| Some((pool.clock(kind, lane), lane, head(kind, lane)?, kind)));
        let (clock, lane, _, kind) = waiting.min_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)))?;
        pool.now = clock;
        pool.clocks.entry(kind.clone()).or_default()[lane as usize] = clock + self.weights.stride(lane);
        Some((kind, lane))
    }
}

impl Pool {
    fn clock(&self, kind: &str, lane: Lane) -> u64 {
        self.clocks.get(kind).map_or(0, |clocks| clocks[lane as usize]).max(self.now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const KINDS: [&str; 2] = ["pdf", "scan"];

    fn kinds() -> Vec<Box<str>> {
        KINDS.map(Box::from).to_vec()
    }

    fn queues() -> impl Iterator<Item = (usize, Lane)> {
        (0..KINDS.len()).flat_map(|kind| Lane::ALL.into_iter().map(move |lane| (kind, lane)))
    }

    fn index(kind: usize, lane: Lane) -> usize {
        kind * Lane::ALL.len() + lane as usize
    }

    /// Serves once; gives the queue.
    fn serve(turns: &mut LaneScheduler, waiting: &mut [u32; 6]) -> Option<usize> {
        let kinds = kinds();
        let (kind, lane) = turns.next(&kinds, |kind, lane| {
            let kind = KINDS.iter().position(|known| *known == kind)?;
            (waiting[index(kind, lane)] > 0).then_some(kind)
        })?;
        let queue = index(KINDS.iter().position(|known| *known == kind).unwrap(), lane);
        waiting[queue] -= 1;
        Some(queue)
    }

    fn weights() -> impl Strategy<Value = Weights> {
        (1..=20u32, 1..=20u32, 1..=20u32).prop_map(|(premium, normal, large)| Weights { premium, normal, large })
    }

    proptest! {
        /// Whatever comes and goes elsewhere: a queue that has jobs waiting is served before any other queue has had more
        /// turns than its weight allows.
        #[test]
        fn nobody_waits_longer_than_the_weights_say(
            weights in weights(),
            arrivals in vec((0usize..6, 0u32..4), 1..400),
        ) {
            let mut turns = LaneScheduler::new(weights);
            let mut waiting = [0u32; 6];
            let mut since_served = [[0u32; 6]; 6];
            let lane_of: Vec<Lane> = queues().map(|(_, lane)| lane).collect();
            for (queue, count) in arrivals {
                if waiting[queue] == 0 {
                    since_served[queue] = [0; 6];
                }
                waiting[queue] += count;
                let Some(served) = serve(&mut turns, &mut waiting) else { continue };
                since_served[served] = [0; 6];
                for other in (0..6).filter(|other| *other != served && waiting[*other] > 0) {
                    since_served[other][served] += 1;
                    let fair = weights.of(lane_of[served]).div_ceil(weights.of(lane_of[other])) + 1;
                    prop_assert!(since_served[other][served] <= fair, "{served} before {other}: {since_served:?}");
                }
            }
        }

        #[test]
        fn shares_of_lines_that_always_have_jobs_are_their_weights(weights in weights(), idle in 0usize..6) {
            let mut turns = LaneScheduler::new(weights);
            let mut waiting = [u32::MAX; 6];
            waiting[idle] = 0;
            let mut served = [0u32; 6];
            const ROUNDS: u32 = 3000;
            for _ in 0..ROUNDS {
                served[serve(&mut turns, &mut waiting).unwrap()] += 1;
            }
            let all: u32 = queues().filter(|(kind, lane)| index(*kind, *lane) != idle)
                .map(|(_, lane)| weights.of(lane)).sum();
            for (kind, lane) in queues().filter(|(kind, lane)| index(*kind, *lane) != idle) {
                let due = f64::from(ROUNDS * weights.of(lane)) / f64::from(all);
                let got = f64::from(served[index(kind, lane)]);
                prop_assert!((got - due).abs() <= 7.0, "{kind} {lane:?}: {got}, not {due}");
            }
        }
    }

    #[test]
    fn an_idle_line_does_not_catch_up() {
        let mut turns = LaneScheduler::default();
        let mut waiting = [0; 6];
        let (normal, large) = (Lane::Normal as usize, Lane::Large as usize);
        waiting[normal] = 1000;
        (0..500).for_each(|_| assert_eq!(serve(&mut turns, &mut waiting), Some(normal)));
        waiting[large] = 100;
        let large = (0..12).filter(|_| serve(&mut turns, &mut waiting) == Some(large)).count();
        assert!((2..=4).contains(&large), "{large} of 12");
    }

    #[test]
    fn other_weights_hold_from_the_next_job_on() {
        let mut turns = LaneScheduler::default();
        let mut waiting = [0; 6];
        let (normal, large) = (Lane::Normal as usize, Lane::Large as usize);
        (waiting[normal], waiting[large]) = (10_000, 10_000);
        let mut large_of = |turns: &mut LaneScheduler, jobs: usize| {
            (0..jobs).filter(|_| serve(turns, &mut waiting) == Some(large)).count()
        };
        assert!((24..=26).contains(&large_of(&mut turns, 100)));
        turns.set_weights(Weights { large: 9, ..Weights::default() });
        let now = large_of(&mut turns, 100);
        assert!((73..=77).contains(&now), "{now} of 100, at 9 to 3");
    }

    #[test]
    fn what_other_workers_do_makes_nobody_wait_here() {
        let mut turns = LaneScheduler::default();
        let elsewhere: [Box<str>; 1] = ["scan".into()];
        let here = kinds();
        for _ in 0..1000 {
            turns.next(&elsewhere, |_, lane| (lane == Lane::Premium).then_some(())).unwrap();
        }
        let served: Vec<&str> = (0..4).map(|_| turns.next(&here, |_, _| Some(())).unwrap().0).collect();
        assert!(served.contains(&"scan"), "{served:?}");
    }

    #[test]
    fn pools_are_bounded() {
        let mut turns = LaneScheduler::default();
        for n in 0..3 * MAX_POOLS {
            turns.next(&[format!("kind-{n}").into()], |_, _| Some(())).unwrap();
        }
        assert!(turns.pools.len() <= MAX_POOLS);
    }
}
