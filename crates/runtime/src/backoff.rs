//! Pauses between attempts: exponential with full jitter, so that many who lost the same server do not come back in step.

use std::time::Duration;

/// Counts the failures since the last success.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// The bound of the pauses: `min` after the first failure, twice as much after each more, `max` at most.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The pause after one more failure: anything from nothing to the current bound.
    pub fn pause(&mut self) -> Duration {
        let bound = doubled(self.min, self.failures.min(16), self.max);
        self.failures = self.failures.saturating_add(1);
        jitter(bound)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Something worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `first`, doubled so many times, `longest` at most. For pauses that must not be shorter; a [`Backoff`] has jitter.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

/// Anything from nothing to the longest, so that what many do at the same time is spread.
pub fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_below_a_bound_that_doubles_and_starts_over(min in 0u64..10_000, more in 0u64..100_000) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let mut backoff = Backoff::new(min, max);
            for n in 0..40 {
                prop_assert!(backoff.pause() <= min.saturating_mul(1 << n.min(16)).min(max));
            }
            backoff.reset();
            prop_assert!(backoff.pause() <= min);
        }
    }

    #[test]
    fn waits_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let waits: std::collections::HashSet<u128> = (0..200).map(|_| backoff.pause().as_millis() / 100).collect();
        assert!(waits.len() >= 8, "{waits:?}");
    }
}
