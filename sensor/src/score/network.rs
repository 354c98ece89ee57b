//! The network, by hand on the CPU and by tensors on any other device: the same numbers, but for their last digits.

use super::ScoreError;
use super::autoencoder::{Autoencoder, Weights};
use super::dense::Dense;
use super::random::Random;
use crate::features::matrix::{Column, LANES};
use candle_core::Device;

/// See the module.
pub enum Network {
    /// On the CPU.
    Dense(Dense),
    /// On another device.
    Tensors(Autoencoder, Vec<Column>),
}

impl Network {
    /// Random weights for `width` features and two hidden layers, mirrored.
    pub fn new(
        width: usize,
        layers: [usize; 2],
        random: &mut Random,
        device: &Device,
    ) -> Result<Network, ScoreError> {
        Network::from_weights(&Weights::random(width, layers, random), device)
    }

    /// From saved weights, whose shapes must fit together.
    pub fn from_weights(weights: &Weights, device: &Device) -> Result<Network, ScoreError> {
        Ok(if device.is_cpu() {
            Network::Dense(Dense::new(weights))
        } else {
            Network::Tensors(Autoencoder::from_weights(weights, device)?, Vec::new())
        })
    }

    /// Everything that was learned.
    pub fn weights(&self) -> Result<Weights, ScoreError> {
        match self {
            Network::Dense(dense) => Ok(dense.weights()),
            Network::Tensors(tensors, _) => tensors.weights(),
        }
    }

    /// What the network expects instead of the rows of a block.
    pub fn expect_block(&mut self, block: &[Column]) -> &[Column] {
        match self {
            Network::Dense(dense) => dense.expect(block),
            Network::Tensors(tensors, expected) => {
                let width = block.len();
                let plain: Vec<f32> =
                    (0..LANES).flat_map(|lane| block.iter().map(move |column| column[lane])).collect();
                // A device that fails says nothing: what it would have expected is what was seen.
                let values = tensors.expect(&plain).unwrap_or(plain);
                expected.clear();
                expected.extend((0..width).map(|feature| -> Column {
                    std::array::from_fn(|lane| {
                        values.get(lane * width + feature).copied().unwrap_or_default()
                    })
                }));
                expected
            }
        }
    }

    /// One step of AdamW on a batch of rows, features weighted by `weights` (one per feature); the part `trim` of the
    /// rows that fit worst teaches nothing.
    pub fn train(
        &mut self,
        rows: &[f32],
        weights: &[f32],
        (trim, trimming): (f64, &mut Trimming),
        rate: f64,
    ) -> Result<(), ScoreError> {
        let rows = self.trimmed(rows, weights, trim, trimming);
        match self {
            Network::Dense(dense) => dense.train(rows, weights, rate as f32),
            Network::Tensors(tensors, _) => tensors.train(rows, weights, rate)?,
        }
        Ok(())
    }

    fn trimmed<'a>(
        &mut self,
        rows: &'a [f32],
        weights: &[f32],
        trim: f64,
        Trimming { block, losses, sorted, kept }: &'a mut Trimming,
    ) -> &'a [f32] {
        let width = weights.len();
        let count = rows.len() / width;
        let leave = (count as f64 * trim) as usize;
        if leave == 0 {
            return rows;
        }
        block.resize(width, [0.0; LANES]);
        losses.clear();
        for chunk in rows.chunks(LANES * width) {
            for (feature, column) in block.iter_mut().enumerate() {
                for (lane, row) in chunk.chunks_exact(width).enumerate() {
                    column[lane] = row[feature];
                }
            }
            let mut loss = [0.0f32; LANES];
            for ((seen, expected), weight) in block.iter().zip(self.expect_block(block)).zip(weights) {
                for lane in 0..LANES {
                    loss[lane] += ((seen[lane] - expected[lane]) * weight).powi(2);
                }
            }
            losses.extend_from_slice(&loss[..chunk.len() / width]);
        }
        sorted.clone_from(losses);
        let (_, &mut worst, _) = sorted.select_nth_unstable_by(count - leave - 1, f32::total_cmp);
        kept.clear();
        let fitting = rows.chunks_exact(width).zip(losses.iter()).filter(|(_, loss)| **loss <= worst);
        kept.extend(fitting.flat_map(|(row, _)| row));
        kept
    }
}

/// What trimming needs, kept from batch to batch.
#[derive(Default)]
pub struct Trimming {
    block: Vec<Column>,
    losses: Vec<f32>,
    sorted: Vec<f32>,
    kept: Vec<f32>,
}
