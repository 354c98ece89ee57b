//! A second model beside the live one: it scores the same rows, decides nothing, and is compared.

use super::scorer::{Kind, Scorer};
use crate::features::matrix::Matrix;
use serde::Serialize;

/// How two models agree about the rows they both scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Rows that both scored.
    pub rows: u64,
    /// Rows that are on the same side of both thresholds.
    pub same_side: u64,
    /// Rows above the threshold: of the live model, and of the other.
    pub unusual: [u64; 2],
    means: [f64; 2],
    squares: [f64; 2],
    product: f64,
}

impl Agreement {
    /// Adds a row: how far each model's score lies above its threshold, decades.
    pub fn add(&mut self, live: f64, other: f64) {
        self.rows += 1;
        self.same_side += u64::from((live > 0.0) == (other > 0.0));
        self.unusual[0] += u64::from(live > 0.0);
        self.unusual[1] += u64::from(other > 0.0);
        // Means and products of deviations, updated row by row (Welford 1962).
        let n = self.rows as f64;
        let before = [live - self.means[0], other - self.means[1]];
        self.means[0] += before[0] / n;
        self.means[1] += before[1] / n;
        let after = [live - self.means[0], other - self.means[1]];
        self.squares[0] += before[0] * after[0];
        self.squares[1] += before[1] * after[1];
        self.product += before[0] * after[1];
    }

    /// Part of the rows that are on the same side of both thresholds; 1 while there are none.
    pub fn part(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.same_side as f64 / self.rows as f64 }
    }

    /// Correlation of the scores (Pearson), -1 to 1; 0 while one of them stands still.
    pub fn correlation(&self) -> f64 {
        let spread = (self.squares[0] * self.squares[1]).sqrt();
        if spread > 0.0 { (self.product / spread).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// How much higher the other's scores lie above its threshold, on the mean, decades.
    pub fn difference(&self) -> f64 {
        self.means[1] - self.means[0]
    }
}

/// See the module.
pub struct Shadow {
    scorer: Scorer,
    scores: Vec<f32>,
    /// So far.
    pub agreement: Agreement,
}

impl Shadow {
    /// A model that is active already; others have no threshold to compare.
    pub fn new(scorer: Scorer) -> Shadow {
        Shadow { scorer, scores: Vec::new(), agreement: Agreement::default() }
    }

    /// Scores what the live model, whose threshold is `threshold`, has just scored.
    pub fn score(&mut self, rows: &Matrix, kind: Kind, live: &[f32], threshold: f64) {
        self.scores.clear();
        let own = self.scorer.threshold();
        self.scorer.model(kind).score(rows, &mut self.scores);
        for (live, other) in live.iter().zip(&self.scores) {
            self.agreement.add(f64::from(*live) - threshold, f64::from(*other) - own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_what_it_says() {
        let mut same = Agreement::default();
        let mut opposite = Agreement::default();
        for n in 0..1000 {
            let score = f64::from(n % 100) / 10.0 - 5.0;
            same.add(score, score * 2.0 + 0.001);
            opposite.add(score, -score);
        }
        assert!((same.correlation() - 1.0).abs() < 1e-9 && same.part() > 0.98);
        assert!((opposite.correlation() + 1.0).abs() < 1e-9 && opposite.part() < 0.02);
        assert_eq!(opposite.unusual, [490, 500]);
        assert!((same.difference() - (-0.05 + 0.001)).abs() < 1e-9, "{}", same.difference());
        assert_eq!((Agreement::default().part(), Agreement::default().correlation()), (1.0, 0.0));
    }
}
