//! A model of one kind of row: network, what it learns from, what deviation is usual, and its threshold.

use super::ScoreError;
use super::config::ScoreConfig;
use super::network::Network;
use super::random::Random;
use super::tail;
use super::training_set::TrainingSet;
use crate::alert::Share;
use crate::features::matrix::{Column, LANES, Matrix};
use crate::features::spec::Feature;
use candle_core::Device;

/// Calibration scores kept; beyond, every kept score stands for its like.
const CALIBRATION_KEPT: usize = 200_000;

/// See the module.
pub struct Model {
    /// The features of a row.
    pub features: &'static [Feature],
    /// The network.
    pub network: Network,
    /// Usual deviation of each feature from what the network expects.
    pub deviation: Vec<f32>,
    /// Scores while calibrating.
    pub calibration: Vec<f32>,
    /// Rows above it are unusual; 0 before the model is active.
    pub threshold: f64,
    pub(super) set: TrainingSet,
    weights: Vec<f32>,
    /// The row at hand, or several.
    scratch: Matrix,
}

impl Model {
    /// Knows nothing.
    pub fn new(
        features: &'static [Feature],
        config: &ScoreConfig,
        random: &mut Random,
        device: &Device,
    ) -> Result<Model, ScoreError> {
        let network = Network::new(features.len(), config.layers, random, device)?;
        let deviation: Vec<f32> = features.iter().map(|feature| feature.least).collect();
        // A feature that tells when it moves a little must be learned more exactly. The strongest counts ten times.
        let weights = deviation.iter().map(|least| (0.15 / least).clamp(0.5, 3.0)).collect();
        let set = TrainingSet::new(features.len(), config.training_rows);
        Ok(Model {
            features,
            network,
            deviation,
            calibration: Vec::new(),
            threshold: 0.0,
            set,
            weights,
            scratch: Matrix::new(features),
        })
    }

    /// Appends the scores of all rows: the mean over the features of the squared deviation, in units of what is usual.
    pub fn score(&mut self, rows: &Matrix, scores: &mut Vec<f32>) -> Result<(), ScoreError> {
        let end = scores.len() + rows.rows();
        let (features, deviation) = (self.features, &self.deviation);
        self.network.expect(rows, |seen, expected| {
            let mut sums = [0.0; LANES];
            for place in 0..features.len() {
                let parts = parts(&features[place], deviation[place], &seen[place], &expected[place]);
                sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            scores.extend(sums.map(|sum| sum / features.len() as f32));
        })?;
        scores.truncate(end);
        Ok(())
    }

    /// What made a row's score, the largest part first; the shares add up to 1 before the list is cut to `most`.
    pub fn explain(&mut self, row: &[f32], most: usize) -> Result<Vec<Share>, ScoreError> {
        self.scratch.clear();
        self.scratch.push_encoded(row.iter().copied());
        let mut found = Vec::new();
        let (features, deviation) = (self.features, &self.deviation);
        self.network.expect(&self.scratch, |seen, expected| {
            found = (0..features.len())
                .map(|place| {
                    let parts = parts(&features[place], deviation[place], &seen[place], &expected[place]);
                    (parts[0], expected[place][0])
                })
                .collect();
        })?;
        let total = found.iter().map(|(part, _)| part).sum::<f32>().max(f32::MIN_POSITIVE);
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|&one, &other| found[other].0.total_cmp(&found[one].0));
        let share = |&place: &usize| {
            let feature = &features[place];
            Share {
                feature: format!("{} ({})", feature.name, feature.unit),
                value: feature.decode(row[place]),
                expected: feature.decode(found[place].1),
                share: f64::from(found[place].0 / total),
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
            self.network.train(rows, &self.weights, rate)?;
        }
        Ok(())
    }

    /// The warm-up is over: how far off is the network usually, feature by feature?
    pub fn measure_deviation(&mut self) -> Result<(), ScoreError> {
        let mut squares = vec![0f64; self.features.len()];
        self.scratch.clear();
        self.set.all().for_each(|row| self.scratch.push_encoded(row.iter().copied()));
        let mut left = self.scratch.rows();
        self.network.expect(&self.scratch, |seen, expected| {
            for (sum, (seen, expected)) in squares.iter_mut().zip(seen.iter().zip(expected)) {
                let off = seen.iter().zip(expected).take(left);
                *sum += off.map(|(seen, expected)| f64::from(seen - expected).powi(2)).sum::<f64>();
            }
            left = left.saturating_sub(LANES);
        })?;
        let rows = self.set.len().max(1) as f64;
        for ((usual, sum), feature) in self.deviation.iter_mut().zip(squares).zip(self.features) {
            *usual = ((sum / rows).sqrt() as f32).max(feature.least);
        }
        self.scratch = Matrix::new(self.features);
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

/// A feature's addition to the scores of a block, before the mean.
#[inline]
fn parts(feature: &Feature, usual: f32, seen: &Column, expected: &Column) -> Column {
    let (per_usual, most) = (1.0 / usual, feature.most);
    // Values lie between 0 and 1; where the network says otherwise, it is the network that is off.
    let off = |lane: usize| (seen[lane] - expected[lane].clamp(0.0, 1.0)) * per_usual;
    if feature.evidence {
        std::array::from_fn(|lane| off(lane).max(0.0).min(most).powi(2))
    } else {
        std::array::from_fn(|lane| off(lane).abs().min(most).powi(2))
    }
}
