//! Shared moments for timers of which there are many and none needs its own: one wake of the processor serves them all.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// Short enough that what falls due within it is done in a few milliseconds, also with tens of thousands of timers.
const TICK: Duration = Duration::from_millis(250);

/// The first shared moment that is not before `due`: up to a quarter of a second later.
pub fn next_tick(due: Instant) -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let since_first = due.saturating_duration_since(*FIRST.get_or_init(|| due));
    let late = since_first.as_nanos() % TICK.as_nanos();
    if late == 0 { due } else { due + TICK - Duration::from_nanos(late as u64) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shared_moment_is_never_early_and_all_are_whole_ticks_apart(one in 0u64..1 << 40, other in 0u64..1 << 40) {
            let start = next_tick(Instant::now());
            let (one, other) = (start + Duration::from_nanos(one), start + Duration::from_nanos(other));
            for due in [one, other] {
                prop_assert!(next_tick(due) >= due && next_tick(due) < due + TICK);
            }
            let (one, other) = (next_tick(one), next_tick(other));
            prop_assert_eq!((one.max(other) - one.min(other)).as_nanos() % TICK.as_nanos(), 0);
        }
    }
}
