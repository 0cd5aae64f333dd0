//! Reads a socket no faster than a client may send. What comes faster waits at the client: no frame is so cheap to
//! handle that any number of them could be taken, and empty fragments never become a message that could be counted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Bytes read per second, on average. A frame has 6 bytes or more.
const BYTES_PER_SECOND: u64 = 256 << 10;
/// Read at once; more where messages may be larger.
const BURST: u64 = 1 << 20;
/// The shortest pause: then there is something to read again.
const PAUSE: Duration = Duration::from_millis(20);

/// How much of a socket may be read now.
#[derive(Debug)]
pub struct Pace {
    budget: Budget,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Bytes that may be read.
#[derive(Debug)]
struct Budget {
    bytes: u64,
    most: u64,
    filled: Instant,
}

impl Budget {
    fn new(max_message: usize, now: Instant) -> Self {
        let most = BURST.max((max_message as u64).saturating_mul(4));
        Self { bytes: most, most, filled: now }
    }

    /// Takes note of the time that went by, and says whether something may be read.
    fn fill(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_micros().min(1 << 40) as u64;
        let bytes = passed.saturating_mul(BYTES_PER_SECOND) / 1_000_000;
        if bytes > 0 {
            self.bytes = self.bytes.saturating_add(bytes).min(self.most);
            self.filled = now;
        }
        self.bytes > 0
    }
}

impl Pace {
    /// Nothing was read yet.
    pub fn new(max_message: usize) -> Self {
        Self { budget: Budget::new(max_message, Instant::now()), pause: None }
    }

    /// Waits until something may be read.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            // Looking at the clock for each read would cost more than it brings.
            if self.budget.bytes > 0 || self.budget.fill(Instant::now()) {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }

    /// Takes note of what was read.
    pub fn spend(&mut self, bytes: usize) {
        self.budget.bytes = self.budget.bytes.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_comes_back_with_time_and_no_more_than_at_once() {
        let begun = Instant::now();
        let mut budget = Budget::new(64 << 10, begun);
        assert_eq!(budget.bytes, BURST);
        budget.bytes = 0;
        assert!(!budget.fill(begun));
        assert!(budget.fill(begun + Duration::from_secs(1)));
        assert_eq!(budget.bytes, BYTES_PER_SECOND);
        budget.fill(begun + Duration::from_secs(100));
        assert_eq!(budget.bytes, BURST);
        assert_eq!(Budget::new(1 << 20, begun).bytes, 4 << 20);
    }
}
