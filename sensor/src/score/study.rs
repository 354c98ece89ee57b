//! Learns anew from windows of the past, as the journal keeps them: what is ordinary of them trains the networks, then
//! the most unusual of it, window by window, shows how the members' values are spread.
//!
//! Two passes, so that nothing is held: `study` all windows, `studied`, `measure` all windows, `measured`.

use super::ScoreError;
use super::member::Member;
use super::scorer::{KINDS, Kind, Phase, Scorer};
use crate::features::matrix::Matrix;

/// A day of the journal is a million rows: each counts a quarter.
const STEPS_PER_ROW: f64 = 0.25;

/// An ordinary row of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRow {
    /// Its kind.
    pub kind: Kind,
    /// Its features, from 0 to 1.
    pub features: Vec<f32>,
    /// Its source, by hash.
    pub source: u64,
}

impl Scorer {
    /// The networks learn from a window's rows. Rows with another number of features are passed over. `seen` counts the
    /// rows so far, from zero: the training set is to be a fair sample of all of them, not of the latest.
    pub fn study(&mut self, rows: &[PastRow], seen: &mut [u64; KINDS.len()]) -> Result<(), ScoreError> {
        let mut taken = 0u64;
        for kind in KINDS {
            let model = &mut self.models[kind as usize];
            model.set.next_window();
            for row in
                rows.iter().filter(|row| row.kind == kind && row.features.len() == model.features.len())
            {
                let seen = &mut seen[kind as usize];
                *seen += 1;
                taken += 1;
                // Reservoir sampling (Vitter 1985, algorithm R).
                let all = usize::try_from(*seen).unwrap_or(usize::MAX);
                if all > self.config.training_rows && self.random.below(all) >= self.config.training_rows {
                    continue;
                }
                let values = row.features.iter().copied();
                let limit = self.config.source_rows;
                model.set.offer(values, row.source, limit, &mut self.random);
            }
        }
        let steps = ((taken as f64 * STEPS_PER_ROW) as usize).min(self.config.warmup_steps);
        self.generation += steps as u64;
        for model in &mut self.models {
            model.train(steps, &self.config, self.config.learning_rate, &mut self.random);
        }
        Ok(())
    }

    /// All windows were studied: what deviation is usual now? The spread is measured anew.
    pub fn studied(&mut self) {
        for model in &mut self.models {
            model.measure_deviation();
            model.threshold = f32::INFINITY;
            model.members.iter_mut().for_each(Member::forget_spread);
        }
    }

    /// Notes what was the most in a window of so many seconds.
    pub fn measure(&mut self, rows: &[PastRow], seconds: f64) {
        let mut ignored = Vec::new();
        for kind in KINDS {
            let model = &mut self.models[kind as usize];
            let mut matrix = Matrix::new(model.features);
            for row in
                rows.iter().filter(|row| row.kind == kind && row.features.len() == model.features.len())
            {
                matrix.push_encoded(row.features.iter().copied());
            }
            model.score(&matrix, &mut ignored);
            model.end_window(seconds);
            ignored.clear();
        }
    }

    /// All windows were measured: the model is active, and its own reference.
    pub fn measured(&mut self) -> Result<(), ScoreError> {
        self.phase = Phase::Active;
        self.confirm()?;
        let threshold = self.threshold() as f32;
        self.models.iter_mut().for_each(|model| model.threshold = threshold);
        Ok(())
    }

    /// What the networks have not understood of a row: the mean of their values, in squares of what is usual.
    pub fn loss(&mut self, row: &[f32], kind: Kind) -> f32 {
        self.models[kind as usize].loss(row)
    }
}
