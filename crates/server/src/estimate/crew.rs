//! Who works now: how fast waiting jobs of a kind are taken.

use courant_joblog::ids::{Timestamp, WorkerId};

/// A worker that is connected.
#[derive(Clone, Debug)]
pub struct Hand {
    /// Who.
    pub worker: WorkerId,
    /// The kinds it takes.
    pub kinds: Vec<Box<str>>,
    /// How many jobs it takes at once.
    pub slots: u32,
    /// How many it holds.
    pub held: u32,
}

/// All that work on one kind.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    /// Slots for this kind; those of a worker of several kinds that are in demand are divided among them.
    pub slots: f64,
    /// Milliseconds a page takes an average slot; `None` where nobody has finished one.
    pub pace: Option<f64>,
    /// When the first slot will be free, by the estimates at `at`.
    pub first_free_ms: f64,
    /// When this was found.
    pub at: Timestamp,
}

impl Crew {
    /// Milliseconds until the first slot is free.
    pub fn first_free(&self, now: Timestamp) -> f64 {
        (self.first_free_ms - now.ms_since(self.at) as f64).max(0.0)
    }

    /// Those of the hands that take a kind; `None` if there is nobody. `demanded` says whether jobs of a kind wait or run.
    pub fn of(
        kind: &str,
        hands: &[Hand],
        demanded: impl Fn(&str) -> bool,
        pace: impl Fn(&WorkerId) -> Option<f64>,
        first_free_ms: f64,
        at: Timestamp,
    ) -> Option<Self> {
        let mut slots = 0.0;
        let mut pages_per_ms = 0.0;
        let mut all_measured = true;
        let takers = hands.iter().filter(|hand| hand.slots > 0 && hand.kinds.iter().any(|known| **known == *kind));
        let mut free = false;
        for hand in takers {
            let others = hand.kinds.iter().filter(|other| ***other != *kind && demanded(other)).count();
            let own = f64::from(hand.slots) / (others + 1) as f64;
            slots += own;
            free |= hand.held < hand.slots;
            match pace(&hand.worker) {
                Some(pace) => pages_per_ms += own / pace.max(f64::MIN_POSITIVE),
                None => all_measured = false,
            }
        }
        let pace = (all_measured && pages_per_ms > 0.0).then(|| slots / pages_per_ms);
        let first_free_ms = if free { 0.0 } else { first_free_ms };
        (slots > 0.0).then_some(Self { slots, pace, first_free_ms, at })
    }
}
