//! What is counted while a program works: numbers that any thread adds to without a lock, read when somebody looks.
//!
//! They know no format and no names: who owns one says what it counts, and `courant-monitoring` shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a value was in which range. Of times the unit inside is a nanosecond, and outside a second.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds of the ranges, inclusive and rising; what is above the last has a range of its own.
    bounds: &'static [f64],
    /// How many of the units inside are one outside.
    scale: f64,
    counts: Box<[AtomicU64]>,
    /// Of all values, in the units inside.
    sum: AtomicU64,
}

/// From half a millisecond to 10 s: answers, appends, claims.
pub const LATENCIES: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From 10 ms to 4 hours: waits in a queue, and how long jobs take.
pub const WAITS: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];
/// From 1 to 1,024: how many are done at once.
pub const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

const NANOS: f64 = 1e9;

/// What a histogram has counted by a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Each upper bound with how many values were in its range alone; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
    pub count: u64,
}

impl Histogram {
    /// Of times, with bounds in seconds.
    pub fn of_seconds(bounds: &'static [f64]) -> Self {
        Self::new(bounds, NANOS)
    }

    /// Of whole numbers.
    pub fn of_numbers(bounds: &'static [f64]) -> Self {
        Self::new(bounds, 1.0)
    }

    fn new(bounds: &'static [f64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, scale, counts, sum: AtomicU64::new(0) }
    }

    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        // Of centuries the highest bits are lost, and no more.
        let nanos = took.as_secs().wrapping_mul(NANOS as u64).wrapping_add(took.subsec_nanos().into());
        self.add(nanos, nanos as f64 / NANOS);
    }

    /// There were so many.
    pub fn observe_number(&self, number: u64) {
        self.add(number, number as f64);
    }

    fn add(&self, inside: u64, outside: f64) {
        let range = self.bounds.partition_point(|bound| *bound < outside);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(inside, Ordering::Relaxed);
    }

    /// What was counted until now. Values that come meanwhile may be in some of it and not in the rest.
    pub fn counted(&self) -> Counted {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Counted { buckets, sum: self.sum.load(Ordering::Relaxed) as f64 / self.scale, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_range_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::of_seconds(&[0.1, 1.0]);
        for millis in [1, 100, 101, 1000, 1001, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counted = histogram.counted();
        assert_eq!(counted.buckets, [(0.1, 2), (1.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(counted.count, 6);
        assert!((counted.sum - 7.203).abs() < 1e-9, "{}", counted.sum);
    }

    #[test]
    fn numbers_keep_their_unit() {
        let histogram = Histogram::of_numbers(SIZES);
        [1, 3, 2000].into_iter().for_each(|number| histogram.observe_number(number));
        let counted = histogram.counted();
        assert_eq!((counted.count, counted.sum), (3, 2004.0));
        assert_eq!(counted.buckets[2], (4.0, 1));
        assert_eq!(counted.buckets.last(), Some(&(f64::INFINITY, 1)));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [LATENCIES, WAITS, SIZES] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
        }
    }
}
