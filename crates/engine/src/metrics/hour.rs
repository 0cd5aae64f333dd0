//! What happened within the last hour, minute by minute.

use crate::clock::Moment;

const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;

/// What happened in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Jobs that ended well.
    pub succeeded: u64,
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Pages that were finished.
    pub pages: u64,
}

impl JobCounts {
    /// Jobs that ended, however.
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// Failed jobs among those that were not cancelled, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        let judged = self.succeeded + self.failed;
        if judged == 0 { 0.0 } else { self.failed as f64 / judged as f64 }
    }

    fn add(&mut self, more: Self) {
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.cancelled += more.cancelled;
        self.pages += more.pages;
    }
}

/// The last hour: the current minute and the 59 before it. A fixed size, however much happens.
#[derive(Debug)]
pub struct LastHour {
    /// Each minute is at its number modulo 60, with that number.
    minutes: [(i64, JobCounts); MINUTES],
}

impl Default for LastHour {
    fn default() -> Self {
        Self { minutes: [(i64::MIN, JobCounts::default()); MINUTES] }
    }
}

impl LastHour {
    /// Adds what happened at a moment. What is more than an hour older than the newest of its slot is ignored.
    pub fn add(&mut self, at: Moment, happened: JobCounts) {
        let number = at.0.div_euclid(MINUTE_MS);
        let slot = &mut self.minutes[number.rem_euclid(MINUTES as i64) as usize];
        if slot.0 < number {
            *slot = (number, JobCounts::default());
        }
        if slot.0 == number {
            slot.1.add(happened);
        }
    }

    /// All of it, as of a moment.
    pub fn sum(&self, now: Moment) -> JobCounts {
        let last = now.0.div_euclid(MINUTE_MS);
        let fresh = self.minutes.iter().filter(|(number, _)| (last - (MINUTES as i64 - 1)..=last).contains(number));
        fresh.fold(JobCounts::default(), |mut sum, (_, minute)| {
            sum.add(*minute);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: JobCounts = JobCounts { succeeded: 1, failed: 0, cancelled: 0, pages: 3 };

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let mut hour = LastHour::default();
        hour.add(Moment(0), ONE);
        hour.add(Moment(59 * MINUTE_MS), ONE);
        assert_eq!(hour.sum(Moment(59 * MINUTE_MS)).succeeded, 2);
        assert_eq!(hour.sum(Moment(60 * MINUTE_MS)).succeeded, 1);
        assert_eq!(hour.sum(Moment(500 * MINUTE_MS)), JobCounts::default());
        hour.add(Moment(60 * MINUTE_MS), ONE);
        hour.add(Moment(0), ONE);
        assert_eq!(hour.sum(Moment(60 * MINUTE_MS)).succeeded, 2, "an old one does not come in by the back door");
    }

    #[test]
    fn the_rate_leaves_out_what_was_cancelled() {
        let minute = JobCounts { succeeded: 3, failed: 1, cancelled: 9, pages: 0 };
        assert_eq!((minute.error_rate(), minute.ended()), (0.25, 13));
        assert_eq!(JobCounts::default().error_rate(), 0.0);
    }

    proptest! {
        #[test]
        fn in_order_the_sum_is_what_came_within_the_hour(steps in proptest::collection::vec(0i64..200_000, 0..300)) {
            let (mut hour, mut now, mut came) = (LastHour::default(), 1_700_000_000_000, Vec::new());
            for step in steps {
                now += step;
                hour.add(Moment(now), ONE);
                came.push(now.div_euclid(MINUTE_MS));
            }
            let first = now.div_euclid(MINUTE_MS) - 59;
            let expected = came.iter().filter(|minute| **minute >= first).count() as u64;
            prop_assert_eq!(hour.sum(Moment(now)).succeeded, expected);
        }
    }
}
