//! What has arrived, over all connections of this process.

use std::sync::Arc;

use parking_lot::Mutex;

use super::histogram::Histogram;
use super::stamp::Finder;

/// Bytes read at once: what a busy connection has waiting fits.
const READ: usize = 256 << 10;
/// How many reasons are kept of connections that the server closed.
const REASONS: usize = 3;

/// The counts, and the one buffer that all connections read into: they take turns, and none needs memory while it waits.
pub type Shared = Arc<Mutex<Recorder>>;

pub struct Recorder {
    pub buffer: Box<[u8]>,
    finder: Finder,
    /// From the stamp to the end of the read that had it, while `timing`.
    pub latency: Histogram,
    timing: bool,
    /// Messages that carried a stamp.
    pub delivered: u64,
    /// Bytes in frames of any kind.
    pub bytes: u64,
    /// Connections that the server closed, and why the first of them.
    pub closed: usize,
    pub reasons: Vec<String>,
}

impl Recorder {
    pub fn shared(several_in_a_frame: bool) -> Shared {
        Arc::new(Mutex::new(Self {
            buffer: vec![0; READ].into_boxed_slice(),
            finder: Finder::new(several_in_a_frame),
            latency: Histogram::default(),
            timing: false,
            delivered: 0,
            bytes: 0,
            closed: 0,
            reasons: Vec::new(),
        }))
    }

    /// Takes down a message that arrived now.
    pub fn message(&mut self, payload: &[u8], now: u64) {
        let Self { finder, latency, delivered, timing, .. } = self;
        finder.each(payload, |sent| {
            *delivered += 1;
            if *timing {
                latency.add(now.saturating_sub(sent));
            }
        });
        self.bytes += payload.len() as u64;
    }

    pub fn begin_timing(&mut self) {
        self.latency.clear();
        self.timing = true;
    }

    /// Stops; gives back what was counted.
    pub fn end_timing(&mut self) -> Histogram {
        self.timing = false;
        std::mem::take(&mut self.latency)
    }

    pub fn closed(&mut self, reason: String) {
        self.closed += 1;
        if self.reasons.len() < REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Forgets which connections were closed; gives back how many there were.
    pub fn take_closed(&mut self) -> usize {
        self.reasons.clear();
        std::mem::take(&mut self.closed)
    }
}
