//! The network on the CPU, by hand: 16 rows at a time, and nothing allocated. A thousand weights are too few for a
//! library of tensors: it spends more on each operation than the operation takes.

use super::weights::{BETA1, BETA2, DECAY, EPSILON, Weights};
use crate::features::matrix::{Column, LANES};

/// A layer: the same order as in [`Weights`], a row of weights for each unit.
struct Layer {
    inputs: usize,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// Gradient and moments of the layers' parameters in turn, weights before biases.
struct Slope {
    /// Summed up over blocks, not over the rows of a block.
    gradient: Vec<Column>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// See the module.
pub struct Dense {
    layers: Vec<Layer>,
    slopes: Vec<[Slope; 2]>,
    step: u64,
    /// What each layer put out for the block at hand, the input first.
    active: Vec<Vec<Column>>,
    /// The error of a layer's output, and of its input.
    errors: [Vec<Column>; 2],
    /// The gradient of a layer, summed up.
    flat: Vec<f32>,
}

impl Dense {
    /// From weights whose shapes fit together.
    pub fn new(weights: &Weights) -> Dense {
        let sizes: Vec<usize> = weights.sizes.iter().map(|&n| n as usize).collect();
        let widest = sizes.iter().copied().max().unwrap_or_default();
        let layers = sizes.windows(2).zip(weights.tensors.chunks_exact(2)).map(|(pair, tensors)| Layer {
            inputs: pair[0],
            weights: tensors[0][0].clone(),
            biases: tensors[1][0].clone(),
        });
        let slope = |[values, first, second]: &[Vec<f32>; 3]| Slope {
            gradient: vec![[0.0; LANES]; values.len()],
            first: first.clone(),
            second: second.clone(),
        };
        Dense {
            layers: layers.collect(),
            slopes: weights.tensors.chunks_exact(2).map(|pair| [slope(&pair[0]), slope(&pair[1])]).collect(),
            step: weights.step,
            active: sizes.iter().map(|&units| vec![[0.0; LANES]; units]).collect(),
            errors: [vec![[0.0; LANES]; widest], vec![[0.0; LANES]; widest]],
            flat: vec![0.0; widest * widest],
        }
    }

    /// Goes on from weights of the same shapes.
    pub fn take_up(&mut self, weights: &Weights) {
        *self = Dense::new(weights);
    }

    /// Training steps so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Everything that was learned.
    pub fn weights(&self) -> Weights {
        let units = self.layers.iter().map(|layer| layer.biases.len());
        let sizes = self.layers.first().map(|layer| layer.inputs).into_iter().chain(units);
        let mut tensors = Vec::new();
        for (layer, slopes) in self.layers.iter().zip(&self.slopes) {
            for (values, slope) in [&layer.weights, &layer.biases].into_iter().zip(slopes) {
                tensors.push([values.clone(), slope.first.clone(), slope.second.clone()]);
            }
        }
        Weights { sizes: sizes.map(|n| n as u32).collect(), step: self.step, tensors }
    }

    /// What the network expects instead of the rows of a block.
    #[inline(always)]
    pub fn expect(&mut self, block: &[Column]) -> &[Column] {
        self.active[0].copy_from_slice(block);
        self.forward();
        self.active.last().map_or(&[], Vec::as_slice)
    }

    #[inline(always)]
    fn forward(&mut self) {
        let last = self.layers.len() - 1;
        for (place, layer) in self.layers.iter().enumerate() {
            let (before, after) = self.active.split_at_mut(place + 1);
            layer.forward(&before[place], &mut after[0], place < last);
        }
    }

    /// One step of AdamW on a batch of rows, one after the other; features weighted by `weights` (one per feature).
    #[inline(always)]
    pub fn train(&mut self, rows: &[f32], weights: &[f32], rate: f32) {
        let width = weights.len();
        let count = rows.len() / width;
        for rows in rows.chunks(LANES * width) {
            let lanes = rows.len() / width;
            for (feature, column) in self.active[0].iter_mut().enumerate() {
                for lane in 0..lanes {
                    column[lane] = rows[lane * width + feature];
                }
            }
            self.forward();
            // The slope of the mean of the squared weighted error.
            let part = 2.0 / (count * width) as f32;
            let (input, output) = (&self.active[0], &self.active[self.layers.len()]);
            for (feature, error) in self.errors[0].iter_mut().take(width).enumerate() {
                let by = part * weights[feature] * weights[feature];
                *error = std::array::from_fn(|lane| {
                    if lane < lanes { (output[feature][lane] - input[feature][lane]) * by } else { 0.0 }
                });
            }
            self.backward();
        }
        self.descend(rate);
    }

    /// Adds a block to the gradients.
    #[inline(always)]
    fn backward(&mut self) {
        for (place, layer) in self.layers.iter().enumerate().rev() {
            let [weights, biases] = &mut self.slopes[place];
            let input = &self.active[place];
            let [error, before] = &mut self.errors;
            let error = &error[..layer.biases.len()];
            for (error, slopes) in error.iter().zip(weights.gradient.chunks_exact_mut(layer.inputs)) {
                for (slope, input) in slopes.iter_mut().zip(input) {
                    add_products(slope, error, input);
                }
            }
            for (slope, error) in biases.gradient.iter_mut().zip(error) {
                add(slope, error, 1.0);
            }
            if place == 0 {
                break;
            }
            for (unit, (before, input)) in before.iter_mut().zip(input).enumerate() {
                let mut sum = [0.0; LANES];
                for (error, row) in error.iter().zip(layer.weights.chunks_exact(layer.inputs)) {
                    add(&mut sum, error, row[unit]);
                }
                // What ReLU cut off learns nothing.
                *before = std::array::from_fn(|lane| if input[lane] > 0.0 { sum[lane] } else { 0.0 });
            }
            self.errors.swap(0, 1);
        }
    }

    /// AdamW, from the gradients, which begin anew.
    #[inline(always)]
    fn descend(&mut self, rate: f32) {
        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let scale = [BETA1, BETA2].map(|beta| (1.0 / (1.0 - beta.powi(steps))) as f32);
        let keep = 1.0 - rate * DECAY as f32;
        let [(one, new_one), (two, new_two)] = [BETA1, BETA2].map(|beta| (beta as f32, (1.0 - beta) as f32));
        for (layer, slopes) in self.layers.iter_mut().zip(&mut self.slopes) {
            for (values, slope) in [&mut layer.weights, &mut layer.biases].into_iter().zip(slopes) {
                let slopes = &mut self.flat[..values.len()];
                for (flat, gradient) in slopes.iter_mut().zip(&mut slope.gradient) {
                    *flat = sum(gradient);
                    *gradient = [0.0; LANES];
                }
                let moments = slope.first.iter_mut().zip(&mut slope.second);
                for ((value, slope), (first, second)) in values.iter_mut().zip(slopes).zip(moments) {
                    let slope = *slope;
                    *first = *first * one + slope * new_one;
                    *second = *second * two + slope * slope * new_two;
                    let by = *first * scale[0] / ((*second * scale[1]).sqrt() + EPSILON as f32);
                    *value = *value * keep - by * rate;
                }
            }
        }
    }
}

impl Layer {
    /// Two units at a time: more additions at once than one has, and each input is loaded half as often.
    #[inline(always)]
    fn forward(&self, input: &[Column], output: &mut [Column], relu: bool) {
        let rows = self.weights.chunks(2 * self.inputs).zip(self.biases.chunks(2));
        for (output, (rows, biases)) in output.chunks_mut(2).zip(rows) {
            let (one, two) = rows.split_at(self.inputs);
            let mut sums = [[biases[0]; LANES], [biases.get(1).copied().unwrap_or_default(); LANES]];
            if two.is_empty() {
                for (input, weight) in input.iter().zip(one) {
                    add(&mut sums[0], input, *weight);
                }
            } else {
                for ((input, one), two) in input.iter().zip(one).zip(two) {
                    add(&mut sums[0], input, *one);
                    add(&mut sums[1], input, *two);
                }
            }
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = if relu { sum.map(|value| value.max(0.0)) } else { sum };
            }
        }
    }
}

/// All lanes, in the order that vectors of four add them.
#[inline(always)]
fn sum(column: &Column) -> f32 {
    let part = |lane: usize| (column[lane] + column[lane + 4]) + (column[lane + 8] + column[lane + 12]);
    (part(0) + part(1)) + (part(2) + part(3))
}

/// By value, so that the compiler sees that nothing overlaps, and uses vectors.
#[inline(always)]
fn add_products(sum: &mut Column, one: &Column, two: &Column) {
    let (mut all, one, two) = (*sum, *one, *two);
    for lane in 0..LANES {
        all[lane] += one[lane] * two[lane];
    }
    *sum = all;
}

#[inline(always)]
fn add(sum: &mut Column, input: &Column, weight: f32) {
    for (sum, input) in sum.iter_mut().zip(input) {
        *sum += input * weight;
    }
}
