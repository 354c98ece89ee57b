//! Training: rows with their types to weights. The same rows give the same bytes: nothing is drawn by chance, and weights
//! are rounded further than machines differ.

use super::super::fingerprint::TYPES;
use super::head::{Measured, Weights, softmax};

/// Steps of Adam over all rows.
const STEPS: usize = 400;
const RATE: f64 = 0.05;
/// Of the mean of squared weights: keeps those small that only tell one capture from another.
const DECAY: f64 = 3e-3;
/// An input that varies less tells nothing.
const LEAST_DEVIATION: f64 = 1e-3;
/// And none counts as if it varied less than this, or a rare yes would weigh as much as all the rest.
const STEADY: f64 = 0.1;
/// Decimals of a weight.
const DECIMALS: f64 = 1e3;
const TYPES_LEN: usize = TYPES.len();

/// A labelled row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// See [`super::context`].
    pub inputs: Vec<f32>,
    /// Place of its type among [`TYPES`].
    pub class: usize,
    /// How much it counts.
    pub weight: f64,
}

/// Weights learned from `rows`, with a temperature that fits `held_out`, and is `least` at least.
pub fn fit(names: &[&str], rows: &[Row], held_out: &[Row], least: f64) -> Weights {
    let width = names.len();
    let (mean, deviation) = spread(rows, width);
    let scaled: Vec<f64> = rows
        .iter()
        .flat_map(|row| {
            row.inputs.iter().enumerate().map(|(at, value)| (f64::from(*value) - mean[at]) / deviation[at])
        })
        .collect();
    let (weights, bias) = descend(rows, &scaled, width);
    let round = |value: f64| (value * DECIMALS).round() / DECIMALS;
    let mut learned = Weights {
        inputs: names.iter().map(|&name| name.to_owned()).collect(),
        weights: Vec::new(),
        bias: Vec::new(),
        temperature: 1.0,
        measured: Measured::default(),
    };
    for (row, bias) in weights.chunks_exact(width.max(1)).zip(bias) {
        // Means and deviations are folded in: what is read are the inputs as they are.
        let own: Vec<f64> = row.iter().zip(&deviation).map(|(weight, by)| round(weight / by)).collect();
        let shift: f64 = own.iter().zip(&mean).map(|(weight, mean)| weight * mean).sum();
        learned.weights.push(own);
        learned.bias.push(round(bias - shift));
    }
    let uncalibrated = measure(&learned, held_out).calibration_error;
    learned.temperature = temperature(&learned, held_out).max(least);
    learned.measured = Measured { uncalibrated, ..measure(&learned, held_out) };
    learned
}

/// Mean of each input, and its deviation; infinite where it tells nothing.
fn spread(rows: &[Row], width: usize) -> (Vec<f64>, Vec<f64>) {
    let total: f64 = rows.iter().map(|row| row.weight).sum::<f64>().max(f64::MIN_POSITIVE);
    let (mut mean, mut square) = (vec![0.0; width], vec![0.0; width]);
    for row in rows {
        for (at, value) in row.inputs.iter().enumerate() {
            mean[at] += row.weight / total * f64::from(*value);
            square[at] += row.weight / total * f64::from(*value).powi(2);
        }
    }
    let deviation = mean.iter().zip(square).map(|(mean, square)| {
        let deviation = (square - mean * mean).max(0.0).sqrt();
        if deviation < LEAST_DEVIATION { f64::INFINITY } else { deviation.max(STEADY) }
    });
    let deviation = deviation.collect();
    (mean, deviation)
}

/// Adam on the cross entropy: weights by type, and biases.
fn descend(rows: &[Row], scaled: &[f64], width: usize) -> (Vec<f64>, [f64; TYPES_LEN]) {
    let total: f64 = rows.iter().map(|row| row.weight).sum::<f64>().max(f64::MIN_POSITIVE);
    let count = TYPES_LEN * (width + 1);
    let (mut values, mut first, mut second) = (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
    let mut slope = vec![0.0; count];
    for step in 1..=STEPS {
        slope.iter_mut().zip(&values).for_each(|(slope, value)| *slope = DECAY * value);
        for (row, inputs) in rows.iter().zip(scaled.chunks_exact(width.max(1))) {
            let mut chances = [0.0; TYPES_LEN];
            for (chance, own) in chances.iter_mut().zip(values.chunks_exact(width + 1)) {
                let dot: f64 = own.iter().zip(inputs).map(|(weight, value)| weight * value).sum();
                *chance = dot + own[width];
            }
            softmax(&mut chances);
            for (class, (chance, own)) in chances.iter().zip(slope.chunks_exact_mut(width + 1)).enumerate() {
                let error = (chance - f64::from(u8::from(class == row.class))) * row.weight / total;
                own.iter_mut().zip(inputs).for_each(|(slope, value)| *slope += error * value);
                own[width] += error;
            }
        }
        let (fade, fade_square) = (1.0 - 0.9f64.powi(step as i32), 1.0 - 0.999f64.powi(step as i32));
        for at in 0..count {
            first[at] = 0.9 * first[at] + 0.1 * slope[at];
            second[at] = 0.999 * second[at] + 0.001 * slope[at] * slope[at];
            values[at] -= RATE * (first[at] / fade) / ((second[at] / fade_square).sqrt() + 1e-8);
        }
    }
    let mut bias = [0.0; TYPES_LEN];
    let mut weights = Vec::with_capacity(TYPES_LEN * width);
    for (bias, own) in bias.iter_mut().zip(values.chunks_exact(width + 1)) {
        weights.extend_from_slice(&own[..width]);
        *bias = own[width];
    }
    (weights, bias)
}

/// The temperature, of a hundred between 0.25 and 10, with the least cross entropy on what was held out (Guo et al. 2017).
fn temperature(learned: &Weights, held_out: &[Row]) -> f64 {
    if held_out.is_empty() {
        return 1.0;
    }
    let tried = (0..=100).map(|step| (0.25 * 40f64.powf(f64::from(step) / 100.0) * 1e3).round() / 1e3);
    let loss = |temperature: f64| -> f64 {
        let hotter = Weights { temperature, ..learned.clone() };
        let of =
            |row: &Row| row.weight * -f64::from(hotter.probabilities(&row.inputs)[row.class]).max(1e-9).ln();
        held_out.iter().map(of).sum()
    };
    let losses: Vec<(f64, f64)> = tried.map(|temperature| (loss(temperature), temperature)).collect();
    losses
        .into_iter()
        .min_by(|one, other| one.0.total_cmp(&other.0))
        .map_or(1.0, |(_, temperature)| temperature)
}

/// How right the likeliest types are, and how far from it they say they are; rows count by their weight.
pub fn measure(learned: &Weights, rows: &[Row]) -> Measured {
    // Weight, confidence and right ones of each bin.
    let mut bins = [[0.0f64; 3]; 10];
    for row in rows {
        let chances = learned.probabilities(&row.inputs);
        let best =
            (0..chances.len()).max_by(|&one, &other| chances[one].total_cmp(&chances[other])).unwrap_or(0);
        let confidence = f64::from(chances[best]);
        let bin = &mut bins[((confidence * 10.0) as usize).min(9)];
        bin[0] += row.weight;
        bin[1] += row.weight * confidence;
        bin[2] += if best == row.class { row.weight } else { 0.0 };
    }
    let total: f64 = bins.iter().map(|bin| bin[0]).sum::<f64>().max(f64::MIN_POSITIVE);
    let round = |value: f64| (value * 1e3).round() / 1e3;
    Measured {
        rows: rows.len() as u64,
        right: round(bins.iter().map(|bin| bin[2]).sum::<f64>() / total),
        calibration_error: round(bins.iter().map(|bin| (bin[1] - bin[2]).abs()).sum::<f64>() / total),
        uncalibrated: 0.0,
    }
}
