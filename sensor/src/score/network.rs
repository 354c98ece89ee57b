//! The network, by hand on the CPU and by tensors on any other device: the same numbers, but for their last digits.

use super::ScoreError;
use super::autoencoder::{Autoencoder, Weights};
use super::dense::Dense;
use super::random::Random;
use crate::features::matrix::{Column, LANES, Matrix};
use candle_core::Device;

/// See the module.
pub enum Network {
    /// On the CPU.
    Dense(Dense),
    /// On another device.
    Tensors(Autoencoder),
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
            Network::Tensors(Autoencoder::from_weights(weights, device)?)
        })
    }

    /// Everything that was learned.
    pub fn weights(&self) -> Result<Weights, ScoreError> {
        match self {
            Network::Dense(dense) => Ok(dense.weights()),
            Network::Tensors(tensors) => tensors.weights(),
        }
    }

    /// Gives every block of a matrix with what the network expects instead.
    pub fn expect(
        &mut self,
        rows: &Matrix,
        mut take: impl FnMut(&[Column], &[Column]),
    ) -> Result<(), ScoreError> {
        match self {
            Network::Dense(dense) => {
                for block in rows.blocks() {
                    take(block, dense.expect(block));
                }
            }
            Network::Tensors(tensors) => {
                let width = rows.width();
                let plain: Vec<f32> = (0..rows.rows()).flat_map(|row| rows.row(row)).collect();
                let expected = tensors.expect(&plain)?;
                for (block, expected) in rows.blocks().zip(expected.chunks(width * LANES)) {
                    let at = |lane: usize, feature| expected.get(lane * width + feature).copied();
                    let columns: Vec<Column> = (0..width)
                        .map(|feature| std::array::from_fn(|lane| at(lane, feature).unwrap_or_default()))
                        .collect();
                    take(block, &columns);
                }
            }
        }
        Ok(())
    }

    /// One step of AdamW on a batch of rows, features weighted by `weights` (one per feature).
    pub fn train(&mut self, rows: &[f32], weights: &[f32], rate: f64) -> Result<(), ScoreError> {
        match self {
            Network::Dense(dense) => dense.train(rows, weights, rate as f32),
            Network::Tensors(tensors) => tensors.train(rows, weights, rate)?,
        }
        Ok(())
    }
}
