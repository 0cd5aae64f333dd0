//! The end of the bridge, as each of its connections sees it: they are asked to leave one after another, while they are still
//! served. So nobody has to wait for another bridge, and their new connections do not all come there at once.

use std::sync::OnceLock;
use std::time::Duration;

use courant_runtime::jitter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections that leave in a second, unless that would take too long.
const PER_SECOND: f64 = 1_000.0;

#[derive(Debug, Default)]
pub struct Drain {
    begun: CancellationToken,
    /// How long it takes until all have been asked.
    spread: OnceLock<Duration>,
}

impl Drain {
    /// Begins: so many connections are asked to leave, within this time at the longest.
    pub fn begin(&self, connections: usize, longest: Duration) {
        let spread = Duration::from_secs_f64(connections as f64 / PER_SECOND).min(longest);
        // Whoever began it first is right.
        let _ = self.spread.set(spread);
        self.begun.cancel();
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// When one connection is asked, drawn for it.
    pub fn draw(&self) -> Instant {
        let spread = self.spread.get().copied().unwrap_or_default();
        Instant::now() + jitter(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn few_leave_at_once_and_many_over_the_longest_time() {
        let now = Instant::now();
        for (connections, longest) in [(0, 0), (10, 10), (2_000, 2_000), (18_000, 5_000)] {
            let drain = Drain::default();
            drain.begin(connections, Duration::from_secs(5));
            drain.begun().await;
            let drawn: Vec<u128> = (0..1_000).map(|_| drain.draw().duration_since(now).as_millis()).collect();
            assert!(drawn.iter().all(|at| *at <= longest), "{connections}");
            assert!(drawn.iter().any(|at| *at >= longest / 2), "{connections}");
        }
    }
}
