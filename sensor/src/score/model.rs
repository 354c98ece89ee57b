//! A model of one kind of row: network, what it learns from, what deviation is usual, and its threshold.

use super::ScoreError;
use super::autoencoder::Autoencoder;
use super::config::ScoreConfig;
use super::random::Random;
use super::tail;
use super::training_set::TrainingSet;
use crate::alert::Share;
use crate::features::rows::Matrix;
use crate::features::spec::Feature;
use candle_core::Device;

/// Calibration scores kept; beyond, every kept score stands for its like.
const CALIBRATION_KEPT: usize = 200_000;

/// See the module.
pub struct Model {
    /// The features of a row.
    pub features: &'static [Feature],
    /// The network.
    pub network: Autoencoder,
    /// Usual deviation of each feature from what the network expects.
    pub deviation: Vec<f32>,
    /// Scores while calibrating.
    pub calibration: Vec<f32>,
    /// Rows above it are unusual; 0 before the model is active.
    pub threshold: f64,
    pub(super) set: TrainingSet,
    weights: Vec<f32>,
}

impl Model {
    /// Knows nothing.
    pub fn new(
        features: &'static [Feature],
        config: &ScoreConfig,
        random: &mut Random,
        device: &Device,
    ) -> Result<Model, ScoreError> {
        let network = Autoencoder::new(features.len(), config.layers, random, device)?;
        let deviation: Vec<f32> = features.iter().map(|feature| feature.least).collect();
        // A feature that tells when it moves a little must be learned more exactly. The strongest counts ten times.
        let weights = deviation.iter().map(|least| (0.15 / least).clamp(0.5, 3.0)).collect();
        let set = TrainingSet::new(features.len(), config.training_rows);
        Ok(Model { features, network, deviation, calibration: Vec::new(), threshold: 0.0, set, weights })
    }

    /// Scores of all rows: the mean over the features of the squared deviation, in units of what is usual.
    pub fn score(&self, rows: &Matrix, chunk: usize) -> Result<Vec<f32>, ScoreError> {
        let width = self.features.len();
        let mut scores = Vec::with_capacity(rows.rows());
        for chunk in rows.data.chunks(chunk * width) {
            let expected = self.network.expect(chunk)?;
            for (row, expected) in chunk.chunks_exact(width).zip(expected.chunks_exact(width)) {
                scores.push(self.parts(row, expected).sum::<f32>());
            }
        }
        Ok(scores)
    }

    /// Each feature's addition to the score.
    fn parts(&self, row: &[f32], expected: &[f32]) -> impl Iterator<Item = f32> {
        let width = self.features.len() as f32;
        let usual = self.deviation.iter().zip(self.features);
        row.iter().zip(expected).zip(usual).map(move |((seen, expected), (usual, feature))| {
            // Values lie between 0 and 1; where the network says otherwise, it is the network that is off.
            let off = (seen - expected.clamp(0.0, 1.0)) / usual;
            let off = if feature.evidence { off.max(0.0) } else { off.abs() };
            off.min(feature.most).powi(2) / width
        })
    }

    /// What made a row's score, the largest part first; the shares add up to 1 before the list is cut to `most`.
    pub fn explain(&self, row: &[f32], most: usize) -> Result<Vec<Share>, ScoreError> {
        let expected = self.network.expect(row)?;
        let parts: Vec<f32> = self.parts(row, &expected).collect();
        let total = parts.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by(|&one, &other| parts[other].total_cmp(&parts[one]));
        let share = |&place: &usize| {
            let feature = &self.features[place];
            Share {
                feature: format!("{} ({})", feature.name, feature.unit),
                value: feature.decode(row[place]),
                expected: feature.decode(expected[place]),
                share: f64::from(parts[place] / total),
            }
        };
        Ok(order.iter().take(most).map(share).collect())
    }

    /// Learns from the training set.
    pub fn train(
        &mut self,
        steps: usize,
        batch: usize,
        rate: f64,
        random: &mut Random,
    ) -> Result<(), ScoreError> {
        for _ in 0..steps {
            let rows = self.set.batch(batch, random);
            if rows.is_empty() {
                break;
            }
            self.network.train(&rows, &self.weights, rate)?;
        }
        Ok(())
    }

    /// The warm-up is over: how far off is the network usually, feature by feature?
    pub fn measure_deviation(&mut self, chunk: usize) -> Result<(), ScoreError> {
        let width = self.features.len();
        let mut squares = vec![0f64; width];
        for chunk in self.set.all().chunks(chunk * width) {
            let expected = self.network.expect(chunk)?;
            for (place, (seen, expected)) in chunk.iter().zip(&expected).enumerate() {
                squares[place % width] += f64::from(seen - expected).powi(2);
            }
        }
        let rows = self.set.len().max(1) as f64;
        for ((usual, sum), feature) in self.deviation.iter_mut().zip(squares).zip(self.features) {
            *usual = ((sum / rows).sqrt() as f32).max(feature.least);
        }
        Ok(())
    }

    /// Notes the scores of a window while calibrating.
    pub fn calibrate(&mut self, scores: &[f32]) {
        let room = CALIBRATION_KEPT.saturating_sub(self.calibration.len());
        self.calibration.extend(scores.iter().take(room));
    }

    /// Calibration is over: sets the threshold so that a part `probability` of ordinary rows exceeds it.
    pub fn set_threshold(&mut self, probability: f64, config: &ScoreConfig) {
        let limits = tail::Limits {
            floor: config.threshold_floor,
            margin: config.threshold_margin,
            limit: config.threshold_limit,
        };
        self.threshold = tail::threshold(&self.calibration, probability, limits);
    }
}
