//! The network: features in, the same features out, through a narrow middle. ReLU between layers, AdamW to learn.

use super::ScoreError;
use super::random::Random;
use candle_core::{D, Device, Module, Tensor, Var};
use candle_nn::Linear;
use serde::{Deserialize, Serialize};

/// AdamW (Loshchilov and Hutter 2019), its usual constants.
pub(super) const BETA1: f64 = 0.9;
pub(super) const BETA2: f64 = 0.999;
pub(super) const EPSILON: f64 = 1e-8;
pub(super) const DECAY: f64 = 1e-4;

/// Parameters and optimiser state as plain numbers: candle's own optimiser keeps its state to itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Units of each layer, the input first.
    pub sizes: Vec<u32>,
    /// Training steps so far.
    pub step: u64,
    /// Weight matrices and biases in turn: values, first moments, second moments.
    pub tensors: Vec<[Vec<f32>; 3]>,
}

impl Weights {
    /// Random weights (He 2015, uniform) for `width` features and two hidden layers, mirrored.
    pub fn random(width: usize, layers: [usize; 2], random: &mut Random) -> Weights {
        let [outer, inner] = layers;
        let sizes = vec![width, outer, inner, outer, width];
        let mut tensors = Vec::new();
        for pair in sizes.windows(2) {
            let bound = (6.0 / pair[0] as f32).sqrt() / if pair[1] == width { 2.0 } else { 1.0 };
            let weights: Vec<f32> = (0..pair[0] * pair[1]).map(|_| random.symmetric() * bound).collect();
            for values in [weights, vec![0.0; pair[1]]] {
                let zeros = vec![0.0; values.len()];
                tensors.push([values, zeros.clone(), zeros]);
            }
        }
        let sizes = sizes.into_iter().map(|n| n as u32).collect();
        Weights { sizes, step: 0, tensors }
    }
}

struct Parameter {
    value: Var,
    first: Tensor,
    second: Tensor,
}

/// See the module.
pub struct Autoencoder {
    sizes: Vec<usize>,
    parameters: Vec<Parameter>,
    frozen: Vec<Linear>,
    step: u64,
    device: Device,
}

impl Autoencoder {
    /// Random weights for `width` features and two hidden layers, mirrored.
    pub fn new(
        width: usize,
        layers: [usize; 2],
        random: &mut Random,
        device: &Device,
    ) -> Result<Self, ScoreError> {
        Self::from_weights(&Weights::random(width, layers, random), device)
    }

    /// From saved weights, whose shapes must fit together.
    pub fn from_weights(weights: &Weights, device: &Device) -> Result<Self, ScoreError> {
        let sizes: Vec<usize> = weights.sizes.iter().map(|&n| n as usize).collect();
        let shapes = sizes.windows(2).flat_map(|pair| [vec![pair[1], pair[0]], vec![pair[1]]]);
        let mut parameters = Vec::new();
        for (shape, [value, first, second]) in shapes.zip(&weights.tensors) {
            let tensor = |values: &Vec<f32>| Tensor::from_vec(values.clone(), shape.clone(), device);
            parameters.push(Parameter {
                value: Var::from_tensor(&tensor(value)?)?,
                first: tensor(first)?,
                second: tensor(second)?,
            });
        }
        let mut network =
            Autoencoder { sizes, parameters, frozen: Vec::new(), step: weights.step, device: device.clone() };
        network.freeze();
        Ok(network)
    }

    /// Units of each layer, the input first.
    fn sizes(&self) -> Vec<u32> {
        self.sizes.iter().map(|&n| n as u32).collect()
    }

    /// Everything that was learned.
    pub fn weights(&self) -> Result<Weights, ScoreError> {
        let plain = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let mut tensors = Vec::new();
        for parameter in &self.parameters {
            tensors.push([plain(&parameter.value)?, plain(&parameter.first)?, plain(&parameter.second)?]);
        }
        Ok(Weights { sizes: self.sizes(), step: self.step, tensors })
    }

    /// What the network expects instead of each of these rows.
    pub fn expect(&self, rows: &[f32]) -> Result<Vec<f32>, ScoreError> {
        let width = self.sizes[0];
        let input = Tensor::from_slice(rows, (rows.len() / width, width), &self.device)?;
        Ok(forward(&self.frozen, &input)?.flatten_all()?.to_vec1()?)
    }

    /// One step of AdamW on a batch, features weighted by `weights` (one per feature).
    pub fn train(&mut self, rows: &[f32], weights: &[f32], rate: f64) -> Result<(), ScoreError> {
        let width = self.sizes[0];
        let input = Tensor::from_slice(rows, (rows.len() / width, width), &self.device)?;
        let weights = Tensor::from_slice(weights, (1, width), &self.device)?;
        let layers: Vec<Linear> = self
            .parameters
            .chunks(2)
            .map(|pair| {
                Linear::new(pair[0].value.as_tensor().clone(), Some(pair[1].value.as_tensor().clone()))
            })
            .collect();
        let error = (forward(&layers, &input)? - &input)?.broadcast_mul(&weights)?;
        let gradients = error.sqr()?.mean(D::Minus1)?.mean_all()?.backward()?;

        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let (scale1, scale2) = (1.0 / (1.0 - BETA1.powi(steps)), 1.0 / (1.0 - BETA2.powi(steps)));
        for parameter in &mut self.parameters {
            let Some(gradient) = gradients.get(&parameter.value) else {
                continue;
            };
            let gradient = gradient.detach();
            parameter.first = ((&parameter.first * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
            parameter.second = ((&parameter.second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
            let move_by =
                ((&parameter.first * scale1)? / ((&parameter.second * scale2)?.sqrt()? + EPSILON)?)?;
            let decayed = (parameter.value.as_tensor().detach() * (1.0 - rate * DECAY))?;
            parameter.value.set(&(decayed - (move_by * rate)?)?)?;
        }
        self.freeze();
        Ok(())
    }

    /// Scoring uses copies that record no gradients.
    fn freeze(&mut self) {
        self.frozen = self
            .parameters
            .chunks(2)
            .map(|pair| {
                Linear::new(pair[0].value.as_detached_tensor(), Some(pair[1].value.as_detached_tensor()))
            })
            .collect();
    }
}

fn forward(layers: &[Linear], input: &Tensor) -> Result<Tensor, candle_core::Error> {
    let mut value = input.clone();
    for (place, layer) in layers.iter().enumerate() {
        value = layer.forward(&value)?;
        if place + 1 < layers.len() {
            value = value.relu()?;
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_and_repeats_exactly() {
        let run = || {
            let mut random = Random::new(5);
            let mut network = Autoencoder::new(4, [8, 2], &mut random, &Device::Cpu).unwrap();
            let rows: Vec<f32> =
                (0..64).flat_map(|n| [n as f32 / 64.0, 1.0 - n as f32 / 64.0, 0.5, 0.0]).collect();
            let error = |network: &Autoencoder| -> f32 {
                let back = network.expect(&rows).unwrap();
                rows.iter().zip(back).map(|(x, y)| (x - y).powi(2)).sum::<f32>() / 64.0
            };
            let before = error(&network);
            for _ in 0..300 {
                network.train(&rows, &[1.0; 4], 0.01).unwrap();
            }
            (before, error(&network), network.weights().unwrap())
        };
        let (before, after, weights) = run();
        assert!(after < before / 20.0, "{before} -> {after}");
        assert_eq!(run().2, weights);
    }
}
