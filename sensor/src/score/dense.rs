//! The network on the CPU, by hand: 16 rows at a time, and nothing allocated. A thousand weights are too few for a
//! library of tensors: it spends more on each operation than the operation takes.

use super::trimming::worst;
use super::weights::{BETA1, BETA2, DECAY, EPSILON, Weights};
use crate::features::matrix::{Column, LANES};

/// A layer: the same order as in [`Weights`], a row of weights for each unit.
struct Layer {
    inputs: usize,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// Moments of the layers' parameters in turn, weights before biases.
struct Slope {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// See the module.
pub struct Dense {
    layers: Vec<Layer>,
    slopes: Vec<[Slope; 2]>,
    step: u64,
    /// What each layer put out for the blocks at hand, block by block, the input first.
    active: Vec<Vec<Column>>,
    /// The errors of the same.
    errors: Vec<Vec<Column>>,
    losses: Vec<f32>,
    sorted: Vec<f32>,
    /// The gradient of a layer's weights or biases.
    gradient: Vec<f32>,
}

impl Dense {
    /// From weights whose shapes fit together.
    pub fn new(weights: &Weights) -> Dense {
        let sizes: Vec<usize> = weights.sizes.iter().map(|&n| n as usize).collect();
        let layers = sizes.windows(2).zip(weights.tensors.chunks_exact(2)).map(|(pair, tensors)| Layer {
            inputs: pair[0],
            weights: tensors[0][0].clone(),
            biases: tensors[1][0].clone(),
        });
        let slope =
            |[_, first, second]: &[Vec<f32>; 3]| Slope { first: first.clone(), second: second.clone() };
        Dense {
            layers: layers.collect(),
            slopes: weights.tensors.chunks_exact(2).map(|pair| [slope(&pair[0]), slope(&pair[1])]).collect(),
            step: weights.step,
            active: sizes.iter().map(|&units| vec![[0.0; LANES]; units]).collect(),
            errors: sizes.iter().map(|&units| vec![[0.0; LANES]; units]).collect(),
            losses: Vec::new(),
            sorted: Vec::new(),
            gradient: Vec::new(),
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
        self.active[0][..block.len()].copy_from_slice(block);
        self.forward(0);
        self.active.last().map_or(&[], |output| &output[..block.len()])
    }

    #[inline(always)]
    fn forward(&mut self, block: usize) {
        let last = self.layers.len() - 1;
        for (place, layer) in self.layers.iter().enumerate() {
            let (before, after) = self.active.split_at_mut(place + 1);
            let (inputs, units) = (layer.inputs, layer.biases.len());
            let input = &before[place][block * inputs..][..inputs];
            layer.forward(input, &mut after[0][block * units..][..units], place < last);
        }
    }

    /// One step of AdamW on a batch of rows of `width` values, of which those at `columns` are the network's, weighted by
    /// `weights`. The rows that fit worst, a part `trim` of them, teach nothing (least trimmed squares, Rousseeuw 1984).
    #[inline(always)]
    pub fn train(
        &mut self,
        rows: &[f32],
        width: usize,
        columns: &[usize],
        weights: &[f32],
        trim: f64,
        rate: f32,
    ) {
        let count = rows.len() / width;
        let blocks = count.div_ceil(LANES);
        for (place, layer) in self.layers.iter().enumerate() {
            self.active[place].resize(blocks.max(1) * layer.inputs, [0.0; LANES]);
            let units = layer.biases.len();
            self.active[place + 1].resize(blocks.max(1) * units, [0.0; LANES]);
            self.errors[place + 1].resize(blocks * units, [0.0; LANES]);
        }
        transpose(rows, width, columns, &mut self.active[0]);
        self.losses.clear();
        for block in 0..blocks {
            self.forward(block);
            let mut loss = [0.0f32; LANES];
            for ((seen, expected), weight) in self.of_input(block).zip(weights) {
                for lane in 0..LANES {
                    loss[lane] += ((seen[lane] - expected[lane]) * weight).powi(2);
                }
            }
            self.losses.extend_from_slice(&loss[..LANES.min(count - block * LANES)]);
        }
        let worst = worst(&self.losses, &mut self.sorted, trim);
        let kept = self.losses.iter().filter(|loss| **loss <= worst).count();
        // The slope of the mean of the squared weighted error.
        let part = 2.0 / (kept * columns.len()) as f32;
        let last = self.layers.len();
        for block in 0..blocks {
            let mut by = [0.0; LANES];
            for (by, loss) in by.iter_mut().zip(&self.losses[block * LANES..]) {
                *by = if *loss <= worst { part } else { 0.0 };
            }
            let at = block * columns.len();
            let outputs = self.active[0][at..].iter().zip(&self.active[last][at..]).zip(weights);
            for (error, ((seen, expected), weight)) in self.errors[last][at..].iter_mut().zip(outputs) {
                let weight = weight * weight;
                *error = std::array::from_fn(|lane| {
                    let off = (expected[lane] - seen[lane]) * (by[lane] * weight);
                    if by[lane] > 0.0 { off } else { 0.0 }
                });
            }
        }
        self.descend(blocks, rate);
    }

    /// What was seen and what is expected, feature by feature.
    #[inline(always)]
    fn of_input(&self, block: usize) -> impl Iterator<Item = (&Column, &Column)> {
        let width = self.layers[0].inputs;
        let (input, output) = (&self.active[0], &self.active[self.layers.len()]);
        input[block * width..][..width].iter().zip(&output[block * width..][..width])
    }

    /// AdamW, layer by layer from the last one, whose errors are known.
    #[inline(always)]
    fn descend(&mut self, blocks: usize, rate: f32) {
        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let scale = [BETA1, BETA2].map(|beta| (1.0 / (1.0 - beta.powi(steps))) as f32);
        for (place, layer) in self.layers.iter_mut().enumerate().rev() {
            let (before, after) = self.errors.split_at_mut(place + 1);
            let (input, errors) = (&self.active[place], &after[0]);
            // With the weights as they were.
            if place > 0 {
                for block in 0..blocks {
                    layer.backward(block, input, errors, &mut before[place]);
                }
            }
            let [weights, biases] = &mut self.slopes[place];
            layer.gradient(blocks, input, errors, &mut self.gradient);
            weights.descend(&self.gradient, &mut layer.weights, scale, rate);
            let units = layer.biases.len();
            self.gradient.clear();
            self.gradient.extend((0..units).map(|unit| {
                let mut all = [0.0; LANES];
                (0..blocks).for_each(|block| add(&mut all, &errors[block * units + unit], 1.0));
                sum(&all)
            }));
            biases.descend(&self.gradient, &mut layer.biases, scale, rate);
        }
    }
}

impl Slope {
    /// AdamW: `scale` corrects the moments of the first steps.
    #[inline(always)]
    fn descend(&mut self, gradient: &[f32], values: &mut [f32], scale: [f32; 2], rate: f32) {
        let keep = 1.0 - rate * DECAY as f32;
        let [(one, new_one), (two, new_two)] = [BETA1, BETA2].map(|beta| (beta as f32, (1.0 - beta) as f32));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, slope), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = *first * one + slope * new_one;
            *second = *second * two + slope * slope * new_two;
            let by = *first * scale[0] / ((*second * scale[1]).sqrt() + EPSILON as f32);
            *value = *value * keep - by * rate;
        }
    }
}

/// Units that are computed at once: more additions that do not wait for each other than one has, and each input is loaded
/// less often.
const AT_ONCE: usize = 4;

impl Layer {
    #[inline(always)]
    fn forward(&self, input: &[Column], output: &mut [Column], relu: bool) {
        let finish = |sum: Column| if relu { sum.map(|value| value.max(0.0)) } else { sum };
        let (rows, biases) = (self.weights.chunks(AT_ONCE * self.inputs), self.biases.chunks(AT_ONCE));
        for (output, (rows, biases)) in output.chunks_mut(AT_ONCE).zip(rows.zip(biases)) {
            if let &[a, b, c, d] = biases {
                let mut sums = [[a; LANES], [b; LANES], [c; LANES], [d; LANES]];
                let row = |unit: usize| &rows[unit * self.inputs..(unit + 1) * self.inputs];
                for ((((input, a), b), c), d) in input.iter().zip(row(0)).zip(row(1)).zip(row(2)).zip(row(3))
                {
                    add(&mut sums[0], input, *a);
                    add(&mut sums[1], input, *b);
                    add(&mut sums[2], input, *c);
                    add(&mut sums[3], input, *d);
                }
                for (output, sum) in output.iter_mut().zip(sums) {
                    *output = finish(sum);
                }
            } else {
                for ((output, row), bias) in output.iter_mut().zip(rows.chunks_exact(self.inputs)).zip(biases)
                {
                    let mut sum = [*bias; LANES];
                    input.iter().zip(row).for_each(|(input, weight)| add(&mut sum, input, *weight));
                    *output = finish(sum);
                }
            }
        }
    }

    /// The errors of a block's inputs, from those of its outputs.
    #[inline(always)]
    fn backward(&self, block: usize, input: &[Column], errors: &[Column], before: &mut [Column]) {
        let units = self.biases.len();
        let input = &input[block * self.inputs..][..self.inputs];
        let before = &mut before[block * self.inputs..][..self.inputs];
        let errors = &errors[block * units..][..units];
        // What ReLU cut off learns nothing.
        let finish = |sum: Column, input: &Column| -> Column {
            std::array::from_fn(|lane| if input[lane] > 0.0 { sum[lane] } else { 0.0 })
        };
        let mut unit = 0;
        while unit + AT_ONCE <= self.inputs {
            let mut sums = [[0.0; LANES]; AT_ONCE];
            for (error, row) in errors.iter().zip(self.weights.chunks_exact(self.inputs)) {
                for (sum, weight) in sums.iter_mut().zip(&row[unit..unit + AT_ONCE]) {
                    add(sum, error, *weight);
                }
            }
            for (at, sum) in sums.into_iter().enumerate() {
                before[unit + at] = finish(sum, &input[unit + at]);
            }
            unit += AT_ONCE;
        }
        for unit in unit..self.inputs {
            let mut sum = [0.0; LANES];
            for (error, row) in errors.iter().zip(self.weights.chunks_exact(self.inputs)) {
                add(&mut sum, error, row[unit]);
            }
            before[unit] = finish(sum, &input[unit]);
        }
    }

    /// The gradient of the weights.
    #[inline(always)]
    fn gradient(&self, blocks: usize, input: &[Column], errors: &[Column], gradient: &mut Vec<f32>) {
        let (inputs, units) = (self.inputs, self.biases.len());
        gradient.clear();
        for unit in 0..units {
            let mut at = 0;
            while at + AT_ONCE <= inputs {
                let mut sums = [[0.0; LANES]; AT_ONCE];
                for (errors, input) in errors.chunks_exact(units).zip(input.chunks_exact(inputs)).take(blocks)
                {
                    for (sum, input) in sums.iter_mut().zip(&input[at..at + AT_ONCE]) {
                        add_products(sum, &errors[unit], input);
                    }
                }
                gradient.extend(sums.iter().map(sum));
                at += AT_ONCE;
            }
            for at in at..inputs {
                let mut all = [0.0; LANES];
                for (errors, input) in errors.chunks_exact(units).zip(input.chunks_exact(inputs)).take(blocks)
                {
                    add_products(&mut all, &errors[unit], &input[at]);
                }
                gradient.push(sum(&all));
            }
        }
    }
}

/// Rows to columns, those of the network alone. Never inlined: where wider vectors may be used, a compiler makes slow
/// gathers of it.
#[inline(never)]
fn transpose(rows: &[f32], width: usize, columns: &[usize], blocks: &mut [Column]) {
    let rows = rows.chunks(LANES * width);
    for (block, rows) in blocks.chunks_exact_mut(columns.len()).zip(rows) {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (column, &place) in block.iter_mut().zip(columns) {
                column[lane] = row[place];
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
