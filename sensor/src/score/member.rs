//! A member of the ensemble: it judges one group of features, in its own way, and knows how its values are spread.

use super::config::ScoreConfig;
use super::dense::Dense;
use super::fused::Part;
use super::random::Random;
use super::tail::{Fit, Tail};
use super::vectors::widest;
use super::weights::Weights;
use crate::features::matrix::{Column, LANES, ln_1p};
use crate::features::spec::{Feature, Group};

/// Scales of calm tails, of the logarithm of squared deviations. Traffic of one hour is unlike that of the next.
const CALM: f64 = 0.25;
const CALM_HISTORY: f64 = 0.4;

/// How a member comes to a value.
pub enum Method {
    /// An autoencoder's squared deviation, feature by feature, in units of what is usual.
    Learned(Dense),
    /// The distance from zero, in units of what is the least that counts: nothing is learned.
    FromZero,
    /// The sum, nats.
    Nats,
}

/// See the module.
pub struct Member {
    /// What it judges.
    pub group: Group,
    /// Places of its features in a row.
    pub columns: Vec<usize>,
    /// How.
    pub method: Method,
    /// How its values are spread in ordinary traffic.
    pub tail: Tail,
    /// Highest ordinary value of the open window.
    pub highest: f32,
    features: Vec<Feature>,
    /// Weights of its features in training.
    weights: Vec<f32>,
    input: Vec<Column>,
    fit: FastFit,
}

/// [`Fit::decades`] in single precision.
#[derive(Clone, Copy)]
struct FastFit {
    cut: f32,
    per_scale: f32,
    shape: f32,
    rate: f32,
}

impl FastFit {
    fn new(fit: &Fit) -> FastFit {
        FastFit {
            cut: fit.cut as f32,
            per_scale: (1.0 / fit.scale) as f32,
            shape: fit.shape.max(1e-4) as f32,
            rate: fit.rate.ln() as f32,
        }
    }

    #[inline(always)]
    fn decades(&self, values: &Column) -> Column {
        std::array::from_fn(|lane| {
            let over = (values[lane] - self.cut) * self.per_scale;
            let nats = over.min(0.0) + ln_1p(over.max(0.0) * self.shape) / self.shape;
            // Of nothing a member has nothing to say.
            let decades = ((nats - self.rate) * std::f32::consts::LOG10_E).clamp(-12.0, 12.0);
            if values[lane] > 0.0 { decades } else { -12.0 }
        })
    }
}

fn fresh(group: Group) -> Tail {
    match group {
        Group::Rarity => Tail::of_nats(),
        Group::History => Tail::new(CALM_HISTORY),
        _ => Tail::new(CALM),
    }
}

impl Member {
    /// Knows nothing. `None` if no feature belongs to the group.
    pub fn new(
        group: Group,
        features: &'static [Feature],
        config: &ScoreConfig,
        random: &mut Random,
    ) -> Option<Member> {
        let columns: Vec<usize> =
            (0..features.len()).filter(|&place| features[place].group == group).collect();
        if columns.is_empty() {
            return None;
        }
        let method = match group {
            Group::Volume | Group::Connection | Group::Content => {
                let [outer, inner] = config.layers;
                // The middle is narrower than the row, or it would be copied.
                let layers = [outer.min(columns.len() * 2), inner.min((columns.len() / 2).max(1))];
                Method::Learned(Dense::new(&Weights::random(columns.len(), layers, random)))
            }
            Group::Evidence | Group::History => Method::FromZero,
            Group::Rarity => Method::Nats,
        };
        let tail = fresh(group);
        Some(Member {
            group,
            features: columns.iter().map(|&place| features[place]).collect(),
            // A feature that tells when it moves a little must be learned more exactly. The strongest counts six times.
            weights: columns.iter().map(|&place| (0.15 / features[place].least).clamp(0.5, 3.0)).collect(),
            input: vec![[0.0; LANES]; columns.len()],
            columns,
            method,
            fit: FastFit::new(&tail.fit),
            tail,
            highest: 0.0,
        })
    }

    /// Each feature's part of the value for the rows of a block, before the mean or sum; `expected` is what the
    /// network says, or 0.
    #[inline(always)]
    fn parts(&mut self, block: &[Column], deviation: &[f32], mut take: impl FnMut(usize, &Column, &Column)) {
        for (input, &place) in self.input.iter_mut().zip(&self.columns) {
            *input = block[place];
        }
        let zero = [0.0; LANES];
        let nats = matches!(self.method, Method::Nats);
        let learned = matches!(self.method, Method::Learned(_));
        let expected = match &mut self.method {
            Method::Learned(network) => network.expect(&self.input),
            Method::FromZero | Method::Nats => &[],
        };
        for (local, (feature, seen)) in self.features.iter().zip(&self.input).enumerate() {
            let expected = expected.get(local).unwrap_or(&zero);
            let parts: Column = match (learned, nats) {
                (true, _) => {
                    let (per_usual, most) = (1.0 / deviation[self.columns[local]], feature.most);
                    // Values lie between 0 and 1; where the network says otherwise, it is the network that is off.
                    let off = |lane: usize| (seen[lane] - expected[lane].clamp(0.0, 1.0)) * per_usual;
                    std::array::from_fn(|lane| off(lane).abs().min(most).powi(2))
                }
                (false, false) => {
                    let per_least = 1.0 / feature.least;
                    std::array::from_fn(|lane| (seen[lane] * per_least).min(feature.most).powi(2))
                }
                (false, true) => {
                    let high = feature.high as f32;
                    std::array::from_fn(|lane| seen[lane] * high)
                }
            };
            take(local, &parts, expected);
        }
    }

    /// The member's values for the rows of a block: `ln(1 + mean square)`, of evidence `ln(1 + sum of squares)`, or nats.
    #[inline(always)]
    pub fn values(&mut self, block: &[Column], deviation: &[f32]) -> Column {
        let mut sums = [0.0; LANES];
        self.parts(block, deviation, |_, parts, _| {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        });
        if matches!(self.method, Method::Nats) {
            return sums;
        }
        // One piece of evidence is enough; of learned deviations and of history many a little make an oddity.
        let per = if self.group == Group::Evidence { 1.0 } else { 1.0 / self.columns.len() as f32 };
        std::array::from_fn(|lane| ln_1p(sums[lane] * per))
    }

    /// The same from the means of squares of all networks, row by row, of which this member's is number `place`.
    #[inline(always)]
    pub(super) fn values_of(&self, squares: &[f32], networks: usize, place: usize) -> Column {
        std::array::from_fn(|lane| ln_1p(squares.get(lane * networks + place).copied().unwrap_or_default()))
    }

    /// How rare such values are: decades of seconds until ordinary traffic shows them again.
    #[inline(always)]
    pub fn decades(&self, values: &Column) -> Column {
        self.fit.decades(values)
    }

    /// Each feature's place in a row, its part of the value, and what was expected, for the first row of a block.
    pub fn explain(&mut self, block: &[Column], deviation: &[f32]) -> Vec<(usize, f32, f32)> {
        let mut found = Vec::with_capacity(self.columns.len());
        self.parts(block, deviation, |local, parts, expected| found.push((local, parts[0], expected[0])));
        found.iter().map(|&(local, part, expected)| (self.columns[local], part, expected)).collect()
    }

    /// Learns from a batch of whole rows. The rows that fit worst, a part `trim` of them, teach nothing (least trimmed
    /// squares, Rousseeuw 1984).
    pub fn train(&mut self, rows: &[f32], width: usize, trim: f64, rate: f64) {
        let Method::Learned(network) = &mut self.method else {
            return;
        };
        let (columns, weights) = (&self.columns, &self.weights);
        widest(
            #[inline(always)]
            || network.train(rows, width, columns, weights, trim, rate as f32),
        );
    }

    /// An alert without a type was told because of this member: such a value, at the threshold, is one that ordinary
    /// traffic shows. What it was beyond the threshold does not count, or an attack would make itself ordinary.
    pub fn told(&mut self, threshold: f64) {
        self.highest = self.highest.max(self.tail.fit.value(threshold) as f32);
    }

    /// The window is over: its highest ordinary value, or silence, is one more to know the spread from.
    pub fn end_window(&mut self, seconds: f64) {
        self.tail.add(self.highest, seconds);
        self.highest = 0.0;
    }

    /// Fits the tail anew. If `confirmed`, later fits must stay near this one.
    pub fn refit(&mut self, confirmed: bool) {
        if confirmed {
            self.tail.confirm();
        } else {
            self.tail.refit();
        }
        self.fit = FastFit::new(&self.tail.fit);
    }

    /// How its values are spread is to be measured anew.
    pub fn forget_spread(&mut self) {
        self.highest = 0.0;
        self.restore(fresh(self.group));
    }

    /// Takes up a saved tail.
    pub fn restore(&mut self, tail: Tail) {
        self.tail = tail;
        self.fit = FastFit::new(&self.tail.fit);
    }

    /// Its network and how its features are judged, for another device.
    pub(super) fn part(&self, deviation: &[f32]) -> Option<Part> {
        Some(Part {
            weights: self.weights()?,
            teach: self.weights.clone(),
            per_usual: self.columns.iter().map(|&place| 1.0 / deviation[place]).collect(),
            most: self.features.iter().map(|feature| feature.most).collect(),
        })
    }

    /// Training steps that its network has behind it, if it has one.
    pub(super) fn step(&self) -> Option<u64> {
        match &self.method {
            Method::Learned(network) => Some(network.step()),
            Method::FromZero | Method::Nats => None,
        }
    }

    /// What its network learned, if it has one.
    pub fn weights(&self) -> Option<Weights> {
        match &self.method {
            Method::Learned(network) => Some(network.weights()),
            Method::FromZero | Method::Nats => None,
        }
    }
}
