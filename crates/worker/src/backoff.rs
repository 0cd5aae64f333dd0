//! Waiting between tries: exponential with full jitter, so that many workers do not come back at once.

use std::time::Duration;

/// Counts the failures since the last success.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The next wait: anything from nothing to the current bound.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.min.saturating_mul(1 << self.failures.min(16)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(fastrand::f64())
    }

    /// Something worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
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
                prop_assert!(backoff.next() <= min.saturating_mul(1 << n.min(16)).min(max));
            }
            backoff.reset();
            prop_assert!(backoff.next() <= min);
        }
    }

    #[test]
    fn waits_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let waits: std::collections::HashSet<u128> = (0..200).map(|_| backoff.next().as_millis() / 100).collect();
        assert!(waits.len() >= 8, "{waits:?}");
    }
}
