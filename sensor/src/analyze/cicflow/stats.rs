//! Mean, deviation and extremes of numbers that are seen once.

/// A running summary. Mean and squares by Welford, "Note on a method for calculating corrected sums of squares and
/// products", Technometrics 4(3), 1962: a sum of squares less the square of a sum would cancel on long flows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stats {
    count: u64,
    mean: f64,
    /// Sum of squared differences from the mean.
    squares: f64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Stats {
    pub(super) fn add(&mut self, value: f64) {
        (self.min, self.max) =
            if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.count += 1;
        self.sum += value;
        let from = value - self.mean;
        self.mean += from / self.count as f64;
        self.squares += from * (value - self.mean);
    }

    pub(super) fn count(&self) -> f64 {
        self.count as f64
    }

    /// 0 without values, as all others.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) fn min(&self) -> f64 {
        self.min
    }

    pub(super) fn max(&self) -> f64 {
        self.max
    }

    /// Of a sample: by count less one, as in Commons Math. 0 with fewer than two values.
    pub(super) fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).max(0.0) }
    }

    pub(super) fn std(&self) -> f64 {
        self.variance().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_two_passes() {
        let mut stats = Stats::default();
        assert_eq!((stats.mean(), stats.std(), stats.min(), stats.max()), (0.0, 0.0, 0.0, 0.0));
        // Far from zero, where squares of sums cancel.
        let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 7) * 0.5).collect();
        values.iter().for_each(|value| stats.add(*value));
        let mean = values.iter().sum::<f64>() / 1000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 999.0;
        assert!((stats.mean() - mean).abs() < 1e-6 && (stats.variance() - variance).abs() < 1e-6);
        assert_eq!((stats.min(), stats.max(), stats.count()), (1e9, 1e9 + 3.0, 1000.0));
    }
}
