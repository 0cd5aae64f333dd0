//! How many events of one actor are written one by one. A flood of one pushes out nobody else's lines: of the surplus only
//! the number is kept.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Refusals per second of one address or user, and of all together.
const REFUSALS: u32 = 5;
const ALL_REFUSALS: u32 = 50;
/// So many seconds' worth may come at once.
const BURST: u32 = 10;
/// Actors that are counted apart; those beyond share one limit.
const MAX_ACTORS: usize = 10_000;
/// The limit that actors beyond [`MAX_ACTORS`] share.
const OTHERS: &str = "(others)";

/// Who is limited, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// What a user did.
    Action,
    /// What was refused: it costs who provokes it nothing.
    Refusal,
}

/// The limits of all actors.
#[derive(Debug)]
pub struct ActorLimits {
    rate: u32,
    limits: Mutex<Limits>,
}

#[derive(Debug)]
struct Limits {
    actors: HashMap<(bool, Box<str>), Bucket>,
    refusals: Bucket,
}

/// Tokens that come back with time.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    /// Events since the last look that were not written.
    suppressed: u64,
}

impl Bucket {
    fn full(rate: u32) -> Self {
        Self { tokens: f64::from(rate * BURST), at: Instant::now(), suppressed: 0 }
    }

    fn refill(&mut self, rate: u32, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * f64::from(rate)).min(f64::from(rate * BURST));
        self.at = now;
    }

    fn take(&mut self, rate: u32, now: Instant) -> bool {
        self.refill(rate, now);
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

impl ActorLimits {
    /// So many events per second of one actor.
    pub fn new(rate: u32) -> Self {
        let limits = Limits { actors: HashMap::new(), refusals: Bucket::full(ALL_REFUSALS) };
        Self { rate, limits: Mutex::new(limits) }
    }

    /// Whether an event of an actor is to be written; if not, it is counted.
    pub fn take(&self, category: Category, actor: &str) -> bool {
        let (rate, now) = (self.rate_of(category), Instant::now());
        let Limits { actors, refusals } = &mut *self.limits.lock();
        let mut key = (category == Category::Refusal, Box::from(actor));
        if actors.len() >= MAX_ACTORS && !actors.contains_key(&key) {
            key.1 = OTHERS.into();
        }
        let bucket = actors.entry(key).or_insert_with(|| Bucket::full(rate));
        let taken = bucket.take(rate, now) && (category == Category::Action || refusals.take(ALL_REFUSALS, now));
        bucket.suppressed += u64::from(!taken);
        taken
    }

    /// How many events of whom were not written since the last call. Forgets who has done nothing for long.
    pub fn take_suppressed(&self) -> Vec<(Category, Box<str>, u64)> {
        let (now, mut suppressed) = (Instant::now(), Vec::new());
        let rate_of = |refused| self.rate_of(if refused { Category::Refusal } else { Category::Action });
        self.limits.lock().actors.retain(|(refused, actor), bucket| {
            let category = if *refused { Category::Refusal } else { Category::Action };
            let count = std::mem::take(&mut bucket.suppressed);
            if count > 0 {
                suppressed.push((category, actor.clone(), count));
            }
            bucket.refill(rate_of(*refused), now);
            bucket.tokens < f64::from(rate_of(*refused) * BURST)
        });
        suppressed
    }

    fn rate_of(&self, category: Category) -> u32 {
        match category {
            Category::Action => self.rate,
            Category::Refusal => REFUSALS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_leaves_others_their_lines() {
        let limits = ActorLimits::new(10);
        let taken = (0..1000).filter(|_| limits.take(Category::Action, "mallory")).count();
        assert_eq!(taken, 100);
        assert!(limits.take(Category::Action, "alice"));
        assert_eq!(limits.take_suppressed(), [(Category::Action, "mallory".into(), 900)]);
        assert_eq!(limits.take_suppressed(), []);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| limits.take(Category::Action, "mallory")).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_from_many_addresses_are_limited_together_and_remembered_within_bounds() {
        let limits = ActorLimits::new(10);
        let taken = (0..30_000).filter(|address| limits.take(Category::Refusal, &format!("{address}"))).count();
        assert_eq!(taken, usize::try_from(ALL_REFUSALS * BURST).unwrap());
        assert!(limits.limits.lock().actors.len() <= MAX_ACTORS + 1);
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        let suppressed: u64 = limits.take_suppressed().iter().map(|(_, _, count)| count).sum();
        assert_eq!(suppressed, 30_000 - u64::from(ALL_REFUSALS * BURST));
        assert!(limits.limits.lock().actors.is_empty(), "they are forgotten");
        assert!(limits.take(Category::Action, "alice"));
    }
}
