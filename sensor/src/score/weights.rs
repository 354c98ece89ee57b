//! What a network learned, as plain numbers: features in, the same features out, through a narrow middle; ReLU between
//! layers.

use super::random::Random;
use serde::{Deserialize, Serialize};

/// AdamW (Loshchilov and Hutter 2019), its usual constants.
pub(super) const BETA1: f64 = 0.9;
pub(super) const BETA2: f64 = 0.999;
pub(super) const EPSILON: f64 = 1e-8;
pub(super) const DECAY: f64 = 1e-4;

/// Parameters and optimiser state.
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

    /// Units of each layer, the input first.
    pub(super) fn units(&self) -> Vec<usize> {
        self.sizes.iter().map(|&units| units as usize).collect()
    }
}
