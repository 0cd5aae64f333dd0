//! Averages that forget: what was measured lately counts most.

/// The mean of a series, the newest counting most.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    /// How much of the past is kept with each new value, below 1.
    keep: f64,
    weight: f64,
    sum: f64,
    squares: f64,
}

impl Average {
    /// One that remembers about so many values.
    pub fn over(values: f64) -> Self {
        Self { keep: 1.0 - 1.0 / values.max(1.0), weight: 0.0, sum: 0.0, squares: 0.0 }
    }

    /// Takes in a value.
    pub fn add(&mut self, value: f64) {
        self.weight = self.weight * self.keep + 1.0;
        self.sum = self.sum * self.keep + value;
        self.squares = self.squares * self.keep + value * value;
    }

    /// How many values it remembers.
    pub fn count(&self) -> f64 {
        self.weight
    }

    /// The mean; `None` before the first value.
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The mean of the squares.
    pub fn mean_square(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.squares / self.weight)
    }

    /// The mean if `prior` had been seen so many times before everything else.
    pub fn mean_with(&self, prior: f64, times: f64) -> f64 {
        (self.sum + prior * times) / (self.weight + times)
    }

    /// The mean of the squares if `prior` had been seen so many times before everything else.
    pub fn mean_square_with(&self, prior: f64, times: f64) -> f64 {
        (self.squares + prior * times) / (self.weight + times)
    }
}

/// A straight line through measurements: so much in any case, and so much for each page. Neither is ever below 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearFit {
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

/// How much of the past is kept with each new measurement.
const KEEP: f64 = 0.95;
/// Measurements of much the same size say little about a slope: it is drawn towards 0 by this much.
const FLAT: f64 = 10.0;

impl LinearFit {
    /// Takes in what so many pages took.
    pub fn add(&mut self, pages: f64, took: f64) {
        self.weight = self.weight * KEEP + 1.0;
        self.x = self.x * KEEP + pages;
        self.y = self.y * KEEP + took;
        self.xx = self.xx * KEEP + pages * pages;
        self.xy = self.xy * KEEP + pages * took;
    }

    /// What is taken in any case, and what each page adds. Nothing before the first measurement.
    pub fn line(&self) -> Option<(f64, f64)> {
        if self.weight <= 0.0 {
            return None;
        }
        let (x, y) = (self.x / self.weight, self.y / self.weight);
        let (spread, together) = (self.xx - self.weight * x * x, self.xy - self.weight * x * y);
        // A slope so steep that nothing would begin below 0 is the steepest there can be.
        let steepest = if x > 0.0 { y / x } else { 0.0 };
        let slope = (together / (spread.max(0.0) + FLAT)).clamp(0.0, steepest.max(0.0));
        Some((y - slope * x, slope))
    }

    /// What so many pages take.
    pub fn at(&self, pages: f64) -> Option<f64> {
        self.line().map(|(base, slope)| base + slope * pages)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_average_follows_and_forgets() {
        let mut average = Average::over(10.0);
        assert_eq!(average.mean(), None);
        average.add(4.0);
        average.add(6.0);
        assert!((average.mean().unwrap() - 5.0).abs() < 0.1);
        (0..100).for_each(|_| average.add(50.0));
        assert!((average.mean().unwrap() - 50.0).abs() < 0.1);
    }

    #[test]
    fn a_trend_finds_the_line_and_stays_flat_without_reason() {
        let mut trend = LinearFit::default();
        for pages in [1.0, 200.0, 40.0, 90.0, 3.0, 120.0] {
            trend.add(pages, 500.0 + 2.0 * pages);
        }
        assert!((trend.at(1000.0).unwrap() - 2500.0).abs() < 25.0, "{:?}", trend.line());
        let mut same = LinearFit::default();
        for took in [100.0, 130.0, 90.0, 110.0] {
            same.add(1.0, took);
        }
        assert!(same.at(1.0).unwrap() > 90.0 && same.at(1.0).unwrap() < 130.0);
    }

    proptest! {
        #[test]
        fn a_trend_never_falls_and_never_begins_below_zero(all in vec((0.0..1e5f64, 0.0..1e7f64), 1..60)) {
            let mut trend = LinearFit::default();
            all.iter().for_each(|(pages, took)| trend.add(*pages, *took));
            let (base, slope) = trend.line().unwrap();
            prop_assert!(base >= -1e-3 && slope >= 0.0 && base.is_finite() && slope.is_finite(), "{base} {slope}");
        }
    }
}
