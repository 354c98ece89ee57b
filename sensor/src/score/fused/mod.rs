//! All networks of a model as one, for devices on which a few large operations cost less than many small ones: the
//! members' matrices lie on the diagonal of larger ones, and what lies beside it is zero and stays so.
//!
//! In: rows of the features that networks judge, member after member. Out: each member's mean of squares, and weights
//! after steps of AdamW, the same as [`super::dense`]'s but for their last digits. On any device: the tests run it on the
//! CPU. Gradients are written out: the library's own cost twice the operations.

use std::ops::Range;

use candle_core::{DType, Device, Error, Tensor};

use super::trimming::worst;
use super::weights::{BETA1, BETA2, DECAY, EPSILON, Weights};

/// A member's network, and how its features are judged.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it learned.
    pub weights: Weights,
    /// What each feature counts in training.
    pub teach: Vec<f32>,
    /// One over the usual deviation of each feature.
    pub per_usual: Vec<f32>,
    /// The most usual deviations that count, of each feature.
    pub most: Vec<f32>,
}

/// See the module.
pub struct Fused {
    device: Device,
    /// Units of each layer of each member, the input first.
    members: Vec<Vec<usize>>,
    /// Units of each layer, all members'.
    sizes: Vec<usize>,
    /// Weights (a row for each input) and biases of each layer in turn.
    values: Tensor,
    /// Moments, likewise.
    moments: [Tensor; 2],
    /// 1 on the diagonal, 0 beside it.
    within: Tensor,
    step: u64,
    teach: Tensor,
    per_usual: Tensor,
    most: Tensor,
    /// Which member a feature belongs to: 1 over its number of features; 1, transposed; and 0 for all.
    mean: Tensor,
    spread: Tensor,
    nothing: Tensor,
    sorted: Vec<f32>,
}

impl Fused {
    /// From the members of a model, whose networks have the same number of layers and of steps behind them.
    pub fn new(parts: &[Part], device: &Device) -> Result<Fused, Error> {
        let members: Vec<Vec<usize>> = parts.iter().map(|part| part.weights.units()).collect();
        let layers = members.first().map_or(0, Vec::len);
        let step = parts.first().map_or(0, |part| part.weights.step);
        if layers < 2 || parts.iter().any(|part| part.weights.sizes.len() != layers) {
            return Err(Error::Msg("networks of different depth".to_owned()));
        }
        let sizes: Vec<usize> =
            (0..layers).map(|layer| members.iter().map(|units| units[layer]).sum()).collect();
        let (width, count) = (sizes[0], parts.len());
        let length = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
        let mut flat = vec![vec![0.0f32; length]; 4];
        each_parameter(&members, &sizes, |member, tensor, index, place| {
            for (flat, values) in flat.iter_mut().zip(&parts[member].weights.tensors[tensor]) {
                flat[place] = values[index];
            }
            flat[3][place] = 1.0;
        });
        let (mut mean, mut spread) = (vec![0.0f32; width * count], vec![0.0f32; count * width]);
        for (member, features) in features(&members).enumerate() {
            for feature in features.clone() {
                mean[feature * count + member] = 1.0 / features.len() as f32;
                spread[member * width + feature] = 1.0;
            }
        }
        let row = |pick: fn(&Part) -> &Vec<f32>| {
            Tensor::from_vec(parts.iter().flat_map(pick).copied().collect::<Vec<f32>>(), (1, width), device)
        };
        let mut flat = flat.into_iter().map(|values| Tensor::from_vec(values, length, device));
        let mut next = || flat.next().unwrap_or_else(|| Err(Error::Msg("no parameters".to_owned())));
        Ok(Fused {
            values: next()?,
            moments: [next()?, next()?],
            within: next()?,
            step,
            teach: row(|part| &part.teach)?,
            per_usual: row(|part| &part.per_usual)?,
            most: row(|part| &part.most)?,
            mean: Tensor::from_vec(mean, (width, count), device)?,
            spread: Tensor::from_vec(spread, (count, width), device)?,
            nothing: Tensor::zeros((width, count), DType::F32, device)?,
            device: device.clone(),
            members,
            sizes,
            sorted: Vec::new(),
        })
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.sizes[0]
    }

    /// Units of each layer, the input first.
    pub fn units(&self) -> &[usize] {
        &self.sizes
    }

    /// Bytes that scoring or training takes for each row of a batch, at most.
    pub fn bytes_per_row(&self) -> usize {
        let units: usize = self.sizes.iter().sum();
        // Every layer's output, before and after ReLU, and errors of its size; a few temporaries of the input's size.
        size_of::<f32>() * (3 * units + 8 * self.width())
    }

    /// Of each row each member's mean of squared usual deviations.
    pub fn score(&self, rows: &[f32]) -> Result<Vec<f32>, Error> {
        self.squares(&self.batch(rows)?)?.flatten_all()?.to_vec1()
    }

    /// The same of rows that are on the device, and stays there.
    pub fn squares(&self, input: &Tensor) -> Result<Tensor, Error> {
        let expected = self.forward(input)?.pop().ok_or_else(no_layers)?;
        // Nothing, or no number where something was none: the lesser of two is the one that is a number.
        let check = expected.matmul(&self.nothing)?;
        // Values lie between 0 and 1; where the network says otherwise, it is the network that is off.
        let off = (input - expected.clamp(0f32, 1f32)?)?.broadcast_mul(&self.per_usual)?;
        off.abs()?.broadcast_minimum(&self.most)?.sqr()?.matmul(&self.mean)? + check
    }

    /// One step of AdamW on a batch of rows; of each member the part `trim` of the rows that fit worst teaches nothing.
    pub fn train(&mut self, rows: &[f32], trim: f64, rate: f64) -> Result<(), Error> {
        let input = self.batch(rows)?;
        let active = self.forward(&input)?;
        let expected = active.last().ok_or_else(no_layers)?;
        let error = (expected - &input)?.broadcast_mul(&self.teach)?;
        let counts = self.counts(&error, trim)?;
        // The slope of the mean of the squared weighted error.
        let mut error = error.broadcast_mul(&self.teach)?.mul(&counts.matmul(&self.spread)?)?;
        let mut slopes = Vec::new();
        for layer in (0..self.sizes.len() - 1).rev() {
            // Biases before weights, for all of it is turned round below.
            slopes.push(error.sum(0)?);
            slopes.push(active[layer].t()?.matmul(&error)?.flatten_all()?);
            if layer > 0 {
                let (weights, _) = self.layer(layer)?;
                // What ReLU cut off learns nothing.
                error = (error.matmul(&weights.t()?)? * active[layer].sign()?)?;
            }
        }
        slopes.reverse();
        let slope = (Tensor::cat(&slopes, 0)? * &self.within)?;
        self.descend(&slope, rate)
    }

    /// What the error of each row counts for each member: nothing where it is trimmed, else two over the number of values.
    fn counts(&mut self, error: &Tensor, trim: f64) -> Result<Tensor, Error> {
        let (rows, members) = (error.dims2()?.0, self.members.len());
        let widths: Vec<usize> = features(&self.members).map(|features| features.len()).collect();
        let mut counts = vec![0.0f32; rows * members];
        let losses: Vec<f32> = match trim > 0.0 {
            true => error.sqr()?.matmul(&self.mean)?.flatten_all()?.to_vec1()?,
            false => vec![0.0; rows * members],
        };
        for (member, width) in widths.into_iter().enumerate() {
            let own: Vec<f32> = losses.iter().skip(member).step_by(members).copied().collect();
            let worst = worst(&own, &mut self.sorted, trim);
            let kept = own.iter().filter(|loss| **loss <= worst).count();
            for (row, loss) in own.into_iter().enumerate() {
                if loss <= worst {
                    counts[row * members + member] = 2.0 / (kept * width) as f32;
                }
            }
        }
        Tensor::from_vec(counts, (rows, members), &self.device)
    }

    fn descend(&mut self, slope: &Tensor, rate: f64) -> Result<(), Error> {
        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let [scale1, scale2] = [BETA1, BETA2].map(|beta| 1.0 / (1.0 - beta.powi(steps)));
        let [first, second] = &self.moments;
        let first = ((first * BETA1)? + (slope * (1.0 - BETA1))?)?;
        let second = ((second * BETA2)? + (slope.sqr()? * (1.0 - BETA2))?)?;
        let by = ((&first * scale1)? / ((&second * scale2)?.sqrt()? + EPSILON)?)?;
        self.values = ((&self.values * (1.0 - rate * DECAY))? - (by * rate)?)?;
        self.moments = [first, second];
        Ok(())
    }

    /// What each member learned.
    pub fn weights(&self) -> Result<Vec<Weights>, Error> {
        let [first, second] = &self.moments;
        let flat = [self.values.to_vec1::<f32>()?, first.to_vec1()?, second.to_vec1()?];
        let mut found: Vec<Weights> = self.members.iter().map(|units| blank(units, self.step)).collect();
        each_parameter(&self.members, &self.sizes, |member, tensor, index, place| {
            for (values, flat) in found[member].tensors[tensor].iter_mut().zip(&flat) {
                values[index] = flat[place];
            }
        });
        Ok(found)
    }

    /// Brings rows to the device.
    pub fn batch(&self, rows: &[f32]) -> Result<Tensor, Error> {
        Tensor::from_slice(rows, (rows.len() / self.width(), self.width()), &self.device)
    }

    /// What each layer puts out, the input first.
    fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>, Error> {
        let last = self.sizes.len() - 2;
        let mut active = vec![input.clone()];
        for layer in 0..=last {
            let (weights, biases) = self.layer(layer)?;
            let output = active[layer].matmul(&weights)?.broadcast_add(&biases)?;
            active.push(if layer < last { output.relu()? } else { output });
        }
        Ok(active)
    }

    /// Weights and biases of a layer: views, nothing is copied.
    fn layer(&self, layer: usize) -> Result<(Tensor, Tensor), Error> {
        let start = start(&self.sizes, layer);
        let (inputs, units) = (self.sizes[layer], self.sizes[layer + 1]);
        let weights = self.values.narrow(0, start, inputs * units)?.reshape((inputs, units))?;
        let biases = self.values.narrow(0, start + inputs * units, units)?.reshape((1, units))?;
        Ok((weights, biases))
    }
}

fn no_layers() -> Error {
    Error::Msg("a network without layers".to_owned())
}

/// Where a layer's parameters begin.
fn start(sizes: &[usize], layer: usize) -> usize {
    sizes.windows(2).take(layer).map(|pair| (pair[0] + 1) * pair[1]).sum()
}

/// Places of each member's features in a row.
fn features(members: &[Vec<usize>]) -> impl Iterator<Item = Range<usize>> {
    members.iter().scan(0, |end, units| {
        let start = *end;
        *end += units[0];
        Some(start..*end)
    })
}

/// Weights of these sizes, all zero.
fn blank(units: &[usize], step: u64) -> Weights {
    let tensors = units.windows(2).flat_map(|pair| [pair[0] * pair[1], pair[1]]);
    Weights {
        sizes: units.iter().map(|&units| units as u32).collect(),
        step,
        tensors: tensors.map(|length| [vec![0.0; length], vec![0.0; length], vec![0.0; length]]).collect(),
    }
}

/// Calls `take` with member, tensor and index in it, and the place among all, for each parameter of each member.
fn each_parameter(members: &[Vec<usize>], sizes: &[usize], mut take: impl FnMut(usize, usize, usize, usize)) {
    let mut before = vec![0; sizes.len()];
    for (member, units) in members.iter().enumerate() {
        for layer in 0..units.len() - 1 {
            let (begin, (inputs, outputs)) = (start(sizes, layer), (units[layer], units[layer + 1]));
            for unit in 0..outputs {
                let column = before[layer + 1] + unit;
                for input in 0..inputs {
                    let place = begin + (before[layer] + input) * sizes[layer + 1] + column;
                    take(member, layer * 2, unit * inputs + input, place);
                }
                let place = begin + sizes[layer] * sizes[layer + 1] + column;
                take(member, layer * 2 + 1, unit, place);
            }
        }
        before.iter_mut().zip(units).for_each(|(before, units)| *before += units);
    }
}

#[cfg(test)]
mod tests;
