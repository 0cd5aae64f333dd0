//! Pauses between attempts.

use std::time::Duration;

/// The first pause before trying the server again; it doubles up to the configured longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Exponential, with full jitter: a thousand topics that lost the server do not come back in step.
pub fn pause(losses: u32, longest: Duration) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(losses.saturating_sub(1))).min(longest);
    most.mul_f64(chance())
}

/// A number from 0 to 1.
pub fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
