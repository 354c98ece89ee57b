//! The fused network against the networks by hand, and both against plain arithmetic in double precision.

use super::*;
use crate::features::matrix::{Column, LANES};
use crate::score::dense::Dense;
use crate::score::random::Random;

const WIDTHS: [usize; 3] = [7, 5, 11];

fn parts(random: &mut Random) -> Vec<Part> {
    let part = |width: usize| {
        let mut weights = Weights::random(width, [8, 3], random);
        // Not zero: with a layer that is silent the next one would be at the corner of ReLU, whose slope is a matter
        // of taste.
        weights.tensors.chunks_mut(2).for_each(|pair| pair[1][0].fill(0.1));
        Part {
            weights,
            teach: (0..width).map(|_| 0.5 + 2.0 * random.symmetric().abs()).collect(),
            per_usual: (0..width).map(|_| 1.0 / (0.02 + random.symmetric().abs())).collect(),
            most: vec![6.0; width],
        }
    };
    WIDTHS.map(part).to_vec()
}

fn rows(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count * WIDTHS.iter().sum::<usize>()).map(|_| random.symmetric().abs()).collect()
}

/// The rows of one member.
fn own(rows: &[f32], member: usize) -> Vec<f32> {
    let before: usize = WIDTHS[..member].iter().sum();
    rows.chunks_exact(WIDTHS.iter().sum())
        .flat_map(|row| row[before..before + WIDTHS[member]].to_vec())
        .collect()
}

fn train(dense: &mut Dense, part: &Part, rows: &[f32], trim: f64) {
    let columns: Vec<usize> = (0..part.teach.len()).collect();
    dense.train(rows, columns.len(), &columns, &part.teach, trim, 0.01);
}

/// What the network expects, layer by layer, in double precision.
fn plain(weights: &Weights, row: &[f32]) -> Vec<Vec<f64>> {
    let mut active = vec![row.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>()];
    let last = weights.tensors.len() / 2 - 1;
    for (layer, pair) in weights.tensors.chunks(2).enumerate() {
        let input = &active[layer];
        let output = pair[0][0].chunks(input.len()).zip(&pair[1][0]).map(|(row, bias)| {
            let sum = f64::from(*bias) + row.iter().zip(input).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            if layer < last { sum.max(0.0) } else { sum }
        });
        let output = output.collect();
        active.push(output);
    }
    active
}

/// The mean of squares of a row, in double precision.
fn plain_score(part: &Part, row: &[f32]) -> f64 {
    let expected = plain(&part.weights, row).pop().unwrap();
    let squares = row.iter().zip(&expected).enumerate().map(|(feature, (seen, expected))| {
        let off = (f64::from(*seen) - expected.clamp(0.0, 1.0)) * f64::from(part.per_usual[feature]);
        off.abs().min(f64::from(part.most[feature])).powi(2)
    });
    squares.sum::<f64>() / row.len() as f64
}

#[test]
fn scores_are_those_of_plain_arithmetic() {
    let mut random = Random::new(3);
    let parts = parts(&mut random);
    let rows = rows(&mut random, 500);
    let fused = Fused::new(&parts, &Device::Cpu).unwrap();
    let found = fused.score(&rows).unwrap();
    for (member, part) in parts.iter().enumerate() {
        let width = WIDTHS[member];
        let mut dense = Dense::new(&part.weights);
        for (number, rows) in own(&rows, member).chunks(LANES * width).enumerate() {
            let lanes = rows.len() / width;
            let block: Vec<Column> = (0..width)
                .map(|feature| {
                    std::array::from_fn(|lane| if lane < lanes { rows[lane * width + feature] } else { 0.0 })
                })
                .collect();
            let expected = dense.expect(&block).to_vec();
            for (lane, row) in rows.chunks_exact(width).enumerate() {
                for (feature, expects) in plain(&part.weights, row).pop().unwrap().into_iter().enumerate() {
                    let by_hand = f64::from(expected[feature][lane]);
                    assert!(
                        (by_hand - expects).abs() <= 1e-5 * expects.abs().max(0.1),
                        "{by_hand} {expects}"
                    );
                }
                let (score, plain) =
                    (f64::from(found[(number * LANES + lane) * 3 + member]), plain_score(part, row));
                assert!((score - plain).abs() <= 1e-5 * plain.max(0.1), "{score} {plain}");
            }
        }
    }
}

/// The gradient of the loss by its definition, in double precision.
fn slope(part: &Part, rows: &[f32], tensor: usize, index: usize) -> f64 {
    let loss = |by: f32| {
        let mut weights = part.weights.clone();
        let value = &mut weights.tensors[tensor][0][index];
        *value += by;
        let width = part.teach.len();
        let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
        let sum: f64 = rows
            .iter()
            .map(|row| {
                let expected = plain(&weights, row).pop().unwrap();
                let errors = row.iter().zip(expected).zip(&part.teach);
                errors
                    .map(|((seen, expected), teach)| {
                        ((expected - f64::from(*seen)) * f64::from(*teach)).powi(2)
                    })
                    .sum::<f64>()
            })
            .sum();
        sum / (rows.len() * width) as f64
    };
    // A power of two, so that the sum with a weight has little rounding.
    let by = 1.0 / 4096.0;
    (loss(by) - loss(-by)) / (2.0 * f64::from(by))
}

#[test]
fn gradients_are_those_of_plain_arithmetic() {
    let mut random = Random::new(11);
    let parts = parts(&mut random);
    let rows = rows(&mut random, 64);
    let mut fused = Fused::new(&parts, &Device::Cpu).unwrap();
    fused.train(&rows, 0.0, 0.01).unwrap();
    for (member, (part, found)) in parts.iter().zip(fused.weights().unwrap()).enumerate() {
        let rows = own(&rows, member);
        let mut dense = Dense::new(&part.weights);
        train(&mut dense, part, &rows, 0.0);
        let by_hand = dense.weights();
        for tensor in 0..by_hand.tensors.len() {
            for index in (0..by_hand.tensors[tensor][0].len()).step_by(7) {
                let expected = slope(part, &rows, tensor, index);
                for weights in [&found, &by_hand] {
                    // The first moment of the first step is a tenth of the gradient. Where a row passes the corner of
                    // ReLU within the step of the difference, that difference is off.
                    let slope = f64::from(weights.tensors[tensor][1][index]) * 10.0;
                    assert!((slope - expected).abs() < 2e-3 + 2e-2 * expected.abs(), "{slope} {expected}");
                }
            }
        }
    }
}

/// Weights after so many steps, by hand and fused.
fn trained(steps: usize, trim: f64) -> [Vec<Weights>; 2] {
    let mut random = Random::new(5);
    let parts = parts(&mut random);
    let mut fused = Fused::new(&parts, &Device::Cpu).unwrap();
    let mut dense: Vec<Dense> = parts.iter().map(|part| Dense::new(&part.weights)).collect();
    for step in 0..steps {
        let rows = rows(&mut random, 20 + step % 20);
        fused.train(&rows, trim, 0.01).unwrap();
        for (member, (dense, part)) in dense.iter_mut().zip(&parts).enumerate() {
            let rows = own(&rows, member);
            train(dense, part, &rows, trim);
        }
    }
    [fused.weights().unwrap(), dense.iter().map(Dense::weights).collect()]
}

#[test]
fn learns_the_same_as_by_hand() {
    for (trim, steps, within) in [(0.0, 1, 1e-4), (0.2, 1, 1e-4), (0.0, 60, 2e-2), (0.2, 60, 2e-2)] {
        let [fused, dense] = trained(steps, trim);
        for (fused, dense) in fused.iter().zip(&dense) {
            assert_eq!((fused.step, &fused.sizes), (dense.step, &dense.sizes));
            for (fused, dense) in fused.tensors.iter().zip(&dense.tensors) {
                // The first moments are the gradient; later on AdamW makes much of the last digits.
                let which = if steps == 1 { 1 } else { 0 };
                for (fused, dense) in fused[which].iter().zip(&dense[which]) {
                    assert!((fused - dense).abs() < 1e-6 + within * dense.abs().max(0.5), "{fused} {dense}");
                }
            }
        }
    }
}

#[test]
fn repeats_exactly() {
    assert_eq!(trained(40, 0.1), trained(40, 0.1));
}
