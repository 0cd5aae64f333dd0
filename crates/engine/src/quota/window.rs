//! What happened within the last so many seconds, as a sum that slides with the time.

use std::collections::VecDeque;

use courant_joblog::ids::Timestamp;

/// Into how many steps a window is divided. What falls into one step is remembered as one, so that memory is bounded and
/// something leaves at most one step late.
const STEPS: i64 = 1440;

/// A sum over a span that ends now.
#[derive(Debug)]
pub struct Window {
    span_ms: i64,
    /// Begin of the step, and what fell into it; oldest first.
    steps: VecDeque<(i64, u64)>,
    sum: u64,
}

impl Window {
    pub fn new(span_ms: i64) -> Self {
        Self { span_ms, steps: VecDeque::new(), sum: 0 }
    }

    /// Adds what happened at a time. Times come roughly in order; one that is long over changes nothing.
    pub fn add(&mut self, at: Timestamp, amount: u64, now: Timestamp) {
        self.slide(now);
        let step = at.0 - at.0.rem_euclid(self.step());
        if amount == 0 || self.leaves(step) <= now.0 {
            return;
        }
        self.sum = self.sum.saturating_add(amount);
        let index = self.steps.partition_point(|(begin, _)| *begin < step);
        match self.steps.get_mut(index) {
            Some((begin, there)) if *begin == step => *there = there.saturating_add(amount),
            Some(_) | None => self.steps.insert(index, (step, amount)),
        }
    }

    /// The sum as of now.
    pub fn sum(&mut self, now: Timestamp) -> u64 {
        self.slide(now);
        self.sum
    }

    /// How many milliseconds from now the sum will have come down to this, if nothing is added.
    pub fn until(&mut self, sum: u64, now: Timestamp) -> i64 {
        self.slide(now);
        let mut left = self.sum;
        for (begin, amount) in &self.steps {
            if left <= sum {
                break;
            }
            left = left.saturating_sub(*amount);
            if left <= sum {
                return (self.leaves(*begin) - now.0).max(1);
            }
        }
        0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&mut self, now: Timestamp) -> bool {
        self.sum(now) == 0
    }

    fn slide(&mut self, now: Timestamp) {
        while let Some((_, amount)) = self.steps.front().copied().filter(|(begin, _)| self.leaves(*begin) <= now.0) {
            self.steps.pop_front();
            self.sum = self.sum.saturating_sub(amount);
        }
    }

    /// When all of a step is over.
    fn leaves(&self, begin: i64) -> i64 {
        begin.saturating_add(self.step()).saturating_add(self.span_ms)
    }

    fn step(&self) -> i64 {
        (self.span_ms / STEPS).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_over_leaves_and_the_wait_is_true() {
        let mut window = Window::new(1440);
        window.add(Timestamp(1000), 3, Timestamp(1000));
        window.add(Timestamp(1500), 4, Timestamp(1500));
        assert_eq!(window.sum(Timestamp(1500)), 7);
        let wait = window.until(4, Timestamp(1500));
        assert_eq!(window.sum(Timestamp(1500 + wait - 1)), 7);
        assert_eq!(window.sum(Timestamp(1500 + wait)), 4);
        assert_eq!(window.until(4, Timestamp(1500 + wait)), 0);
        window.add(Timestamp(0), 100, Timestamp(5000));
        assert!(window.is_empty(Timestamp(5000)), "what is long over is not counted");
    }

    proptest! {
        /// Never less than what truly happened within the span, and more by at most one step.
        #[test]
        fn the_sum_is_true_up_to_a_step(
            adds in proptest::collection::vec((0i64..200_000, 0u64..10), 0..200),
            after in 0i64..100_000,
        ) {
            let mut adds = adds;
            adds.sort_unstable();
            let mut window = Window::new(60_000);
            adds.iter().for_each(|(at, amount)| window.add(Timestamp(*at), *amount, Timestamp(*at)));
            let now = adds.last().map_or(0, |(at, _)| *at) + after;
            let within = |span: i64| adds.iter().filter(|(at, _)| at + span > now).map(|(_, amount)| amount).sum::<u64>();
            let sum = window.sum(Timestamp(now));
            prop_assert!(within(60_000) <= sum && sum <= within(60_000 + 60_000 / STEPS), "{sum}");
            prop_assert!(window.steps.len() as i64 <= STEPS + 2);
            let half = sum / 2;
            let wait = window.until(half, Timestamp(now));
            prop_assert!(window.sum(Timestamp(now + wait)) <= half);
        }
    }
}
