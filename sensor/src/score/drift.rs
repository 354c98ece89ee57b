//! Drift: how far the traffic of today is from the traffic the reference learned, feature by feature.

use crate::features::matrix::Matrix;

/// Windows over which the mean of today is taken.
const WINDOWS: f32 = 600.0;

/// Means of the encoded features.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Drift {
    /// Of late.
    live: Vec<f32>,
    /// When the reference was taken.
    reference: Vec<f32>,
    windows: f32,
    #[serde(skip)]
    sums: Vec<f32>,
}

impl Drift {
    /// Adds the rows of a window that were learned from.
    pub fn add(&mut self, rows: &Matrix, taken: impl Iterator<Item = usize>) {
        let sums = &mut self.sums;
        sums.clear();
        sums.resize(rows.width(), 0.0);
        let mut count = 0f32;
        for row in taken {
            sums.iter_mut().zip(rows.row(row)).for_each(|(sum, value)| *sum += value);
            count += 1.0;
        }
        if count == 0.0 {
            return;
        }
        self.live.resize(rows.width(), 0.0);
        self.windows = (self.windows + 1.0).min(WINDOWS);
        for (live, sum) in self.live.iter_mut().zip(sums) {
            *live += (*sum / count - *live) / self.windows;
        }
    }

    /// The reference is taken now.
    pub fn confirm(&mut self) {
        self.reference.clone_from(&self.live);
    }

    /// For each feature how far its mean moved, in usual deviations; empty while there is no reference.
    pub fn by_feature(&self, deviation: &[f32]) -> Vec<f32> {
        let moved = self.live.iter().zip(&self.reference).zip(deviation);
        moved.map(|((live, reference), usual)| (live - reference).abs() / usual).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::spec;

    #[test]
    fn a_mean_that_moves_is_seen_and_noise_is_not() {
        let window = |value: f32| {
            let mut rows = Matrix::new(&spec::HOST);
            (0..10).for_each(|n| {
                rows.push_encoded((0..spec::HOST.len()).map(|_| value + 0.001 * (n % 2) as f32))
            });
            rows
        };
        let deviation = [0.1; spec::HOST.len()];
        let mut drift = Drift::default();
        (0..100).for_each(|_| drift.add(&window(0.2), 0..10));
        assert!(drift.by_feature(&deviation).is_empty());
        drift.confirm();
        drift.add(&window(0.2), 0..10);
        assert!(drift.by_feature(&deviation).iter().all(|moved| *moved < 0.01));
        (0..3000).for_each(|_| drift.add(&window(0.5), 0..10));
        assert!(drift.by_feature(&deviation).iter().all(|moved| (*moved - 3.0).abs() < 0.2));
    }
}
