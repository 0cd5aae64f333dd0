//! How long to wait before the next try.

use std::time::Duration;

/// The least wait, whatever a receiver says.
const LEAST: Duration = Duration::from_millis(100);

/// Waits between tries: the longest wait doubles with each failure, and half of it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// About the first wait.
    pub first: Duration,
    /// The longest, also if the receiver asks for more.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row, at least 1. `asked`: what the receiver said (`Retry-After`).
    pub fn wait(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest);
        let drawn = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
        asked.unwrap_or(drawn).min(self.longest).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_what_a_receiver_asks_for_is_bounded() {
        let backoff = Backoff { first: Duration::from_secs(4), longest: Duration::from_secs(3600) };
        for (failures, around) in [(1, 4), (2, 8), (3, 16), (11, 3600), (u32::MAX, 3600)] {
            let wait = backoff.wait(failures, None);
            assert!(wait <= Duration::from_secs(around) && wait >= Duration::from_secs(around) / 2, "{wait:?}");
        }
        let asked = |secs| backoff.wait(1, Some(Duration::from_secs(secs)));
        assert_eq!([asked(0), asked(7), asked(1 << 40)], [LEAST, Duration::from_secs(7), Duration::from_secs(3600)]);
    }
}
