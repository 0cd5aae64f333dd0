//! How long things took, counted in buckets that are at most 1.6 % wide.

use std::time::Duration;

/// Buckets in each power of two.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
/// Times from here on (about 18 minutes, in nanoseconds) count as this.
const MOST: u64 = 1 << 40;
/// Times below `STEPS` have a bucket each; then come `STEPS` buckets for each power of two up to `MOST`.
const BUCKETS: usize = (40 - STEP_BITS as usize + 1) * STEPS as usize + 1;

/// Counts of times.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0 }
    }
}

impl Histogram {
    /// Counts a time in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds.min(MOST))] += 1;
        self.count += 1;
    }

    pub fn add_duration(&mut self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(MOST));
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
    }

    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The time in milliseconds that so many thousandths took at most: 500 is the median. Not a number without times.
    pub fn milliseconds(&self, thousandths: u64) -> f64 {
        if self.count == 0 {
            return f64::NAN;
        }
        let wanted = (self.count * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(bucket) as f64 / 1e6;
            }
        }
        f64::NAN
    }
}

/// The bucket of a time: below `STEPS` the time itself, above its highest `STEP_BITS` + 1 bits.
fn bucket(time: u64) -> usize {
    if time < STEPS {
        return usize::try_from(time).unwrap_or_default();
    }
    let power = time.ilog2() - STEP_BITS;
    usize::try_from(u64::from(power + 1) * STEPS + (time >> power) - STEPS).unwrap_or(BUCKETS - 1)
}

/// The largest time of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let (power, step) = (bucket / STEPS - 1, bucket % STEPS);
    ((STEPS + step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_that_ends_at_or_just_above_it() {
        let times = (0..5_000).chain((1..40).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for time in times.chain([MOST]) {
            let (bucket, upper) = (bucket(time), upper(bucket(time)));
            assert!(bucket < BUCKETS, "{time} has no bucket");
            assert!(upper >= time && upper - time <= time / STEPS, "{time} is counted as {upper}");
            assert!(bucket == 0 || super::upper(bucket - 1) < time, "{time} belongs in an earlier bucket");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_times() {
        let mut histogram = Histogram::default();
        assert!(histogram.milliseconds(500).is_nan());
        (1..=1000).for_each(|millisecond| histogram.add_duration(Duration::from_millis(millisecond)));
        for (thousandths, expected) in [(1, 1.0), (500, 500.0), (990, 990.0), (1000, 1000.0)] {
            let found = histogram.milliseconds(thousandths);
            assert!((found - expected).abs() <= expected * 0.016, "{thousandths}: {found}");
        }
        assert_eq!(histogram.count(), 1000);
        histogram.clear();
        histogram.add(u64::MAX);
        assert!(histogram.milliseconds(990) > 1e6);
    }
}
