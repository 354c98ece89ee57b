//! Which rows of a batch teach: those that fit worst teach nothing (least trimmed squares, Rousseeuw 1984).

use super::dense::Dense;
use crate::features::matrix::{Column, LANES};

/// What trimming needs, kept from batch to batch.
#[derive(Default)]
pub struct Trimming {
    block: Vec<Column>,
    losses: Vec<f32>,
    sorted: Vec<f32>,
    kept: Vec<f32>,
}

impl Trimming {
    /// The rows of a batch but for the part `trim` of them that fits `network` worst, features weighted by `weights`
    /// (one per feature).
    #[inline(always)]
    pub fn kept<'a>(
        &'a mut self,
        network: &mut Dense,
        rows: &'a [f32],
        weights: &[f32],
        trim: f64,
    ) -> &'a [f32] {
        let Trimming { block, losses, sorted, kept } = self;
        let width = weights.len();
        let count = rows.len() / width;
        if leave(count, trim) == 0 {
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
            for ((seen, expected), weight) in block.iter().zip(network.expect(block)).zip(weights) {
                for lane in 0..LANES {
                    loss[lane] += ((seen[lane] - expected[lane]) * weight).powi(2);
                }
            }
            losses.extend_from_slice(&loss[..chunk.len() / width]);
        }
        let worst = worst(losses, sorted, trim);
        kept.clear();
        let fitting = rows.chunks_exact(width).zip(losses.iter()).filter(|(_, loss)| **loss <= worst);
        kept.extend(fitting.flat_map(|(row, _)| row));
        kept
    }
}

/// Rows of so many that teach nothing.
fn leave(count: usize, trim: f64) -> usize {
    (count as f64 * trim) as usize
}

/// The highest loss of a row that still teaches.
pub(super) fn worst(losses: &[f32], sorted: &mut Vec<f32>, trim: f64) -> f32 {
    let leave = leave(losses.len(), trim);
    if leave == 0 {
        return f32::INFINITY;
    }
    sorted.clear();
    sorted.extend_from_slice(losses);
    let (_, &mut worst, _) = sorted.select_nth_unstable_by(losses.len() - leave - 1, f32::total_cmp);
    worst
}
