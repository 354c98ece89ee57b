//! Whether a device computes what the CPU does: forward and backward, on a small ensemble.

use super::dense::Dense;
use super::fused::{Fused, Part};
use super::gpu::{Failure, broken};
use super::random::Random;
use super::weights::Weights;
use crate::features::matrix::{Column, LANES};
use candle_core::Device;

const WIDTHS: [usize; 2] = [7, 5];
const ROWS: usize = 64;
/// Of a value, or of a small one what a small one may be off by.
const WITHIN: f32 = 1e-4;

/// Says what differs.
pub(super) fn passes(device: &Device) -> Result<(), Failure> {
    let mut random = Random::new(7);
    let parts: Vec<Part> = WIDTHS
        .iter()
        .map(|&width| {
            let mut weights = Weights::random(width, [8, 3], &mut random);
            // Away from the corner of ReLU, where a last digit decides whether there is a slope.
            weights.tensors.chunks_mut(2).for_each(|pair| pair[1][0].fill(0.1));
            Part { weights, teach: vec![1.5; width], per_usual: vec![8.0; width], most: vec![6.0; width] }
        })
        .collect();
    let width: usize = WIDTHS.iter().sum();
    let rows: Vec<f32> = (0..ROWS * width).map(|_| random.symmetric().abs()).collect();
    let tensor = |error| Failure::Broken(format!("self-test: {}", broken(error)));
    let mut fused = Fused::new(&parts, device).map_err(tensor)?;
    let scores = fused.score(&rows).map_err(tensor)?;
    fused.train(&rows, 0.0, 0.01).map_err(tensor)?;
    let learned = fused.weights().map_err(tensor)?;

    let mut before = 0;
    for (member, (part, learned)) in parts.iter().zip(&learned).enumerate() {
        let width = WIDTHS[member];
        let own: Vec<f32> = rows
            .chunks_exact(WIDTHS.iter().sum())
            .flat_map(|row| row[before..before + width].iter().copied())
            .collect();
        before += width;
        let mut dense = Dense::new(&part.weights);
        for (place, rows) in own.chunks_exact(LANES * width).enumerate() {
            let block: Vec<Column> =
                (0..width).map(|feature| std::array::from_fn(|lane| rows[lane * width + feature])).collect();
            let expected = dense.expect(&block);
            for lane in 0..LANES {
                let off = |feature: usize| block[feature][lane] - expected[feature][lane].clamp(0.0, 1.0);
                let sum: f32 = (0..width).map(|feature| (off(feature) * 8.0).abs().min(6.0).powi(2)).sum();
                let found = scores[(place * LANES + lane) * WIDTHS.len() + member];
                same("a score", found, sum / width as f32)?;
            }
        }
        let columns: Vec<usize> = (0..width).collect();
        dense.train(&own, width, &columns, &part.teach, 0.0, 0.01);
        for (found, expected) in learned.tensors.iter().zip(&dense.weights().tensors) {
            // The first moment is the gradient.
            for (found, expected) in found[1].iter().zip(&expected[1]) {
                same("a gradient", *found, *expected)?;
            }
        }
    }
    Ok(())
}

fn same(what: &str, found: f32, expected: f32) -> Result<(), Failure> {
    // What is no number is not near anything.
    if (found - expected).abs() <= WITHIN * expected.abs().max(0.01) {
        return Ok(());
    }
    Err(Failure::Broken(format!("self-test: {what} is {found}, on the CPU {expected}")))
}
