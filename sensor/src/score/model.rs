//! A model of one kind of row: the members that judge it, what they learn from, and what deviation is usual.

use super::config::ScoreConfig;
use super::gpu::Gpu;
use super::member::{Member, Method};
use super::offload::Offload;
use super::random::Random;
use super::training_set::TrainingSet;
use super::vectors::widest;
use crate::features::matrix::{Column, LANES, Matrix};
use crate::features::spec::{Feature, GROUPS};
use std::sync::Arc;

/// An ordinary deviation of a normal distribution is exceeded by a tenth of its values at so many of itself: outliers
/// beyond that tenth, and attacks among them, do not make more usual.
const NINE_TENTHS: f64 = 1.645;

/// See the module.
pub struct Model {
    /// The features of a row.
    pub features: &'static [Feature],
    /// The members.
    pub members: Vec<Member>,
    /// Usual deviation of each feature from what is expected.
    pub deviation: Vec<f32>,
    /// Rows above it are unusual, decades of seconds; infinite before the model is active.
    pub threshold: f32,
    pub(super) set: TrainingSet,
    /// The members' values for the block at hand.
    values: Vec<Column>,
    /// The row at hand, or several.
    pub(super) scratch: Matrix,
    pub(super) offload: Offload,
}

impl Model {
    /// Knows nothing.
    pub fn new(
        features: &'static [Feature],
        config: &ScoreConfig,
        random: &mut Random,
        gpu: Option<Arc<Gpu>>,
    ) -> Model {
        let mut members = Vec::new();
        for group in GROUPS {
            if !config.without.iter().any(|name| name == group.name()) {
                members.extend(Member::new(group, features, config, random));
            }
        }
        Model {
            features,
            values: vec![[0.0; LANES]; members.len()],
            members,
            deviation: features.iter().map(|feature| feature.least).collect(),
            threshold: f32::INFINITY,
            set: TrainingSet::new(features.len(), config.training_rows),
            scratch: Matrix::new(features),
            offload: Offload::new(gpu),
        }
    }

    /// Appends the scores of all rows: of each row the most surprising member's decades of seconds.
    pub fn score(&mut self, rows: &Matrix, scores: &mut Vec<f32>) {
        let squares = self.squares_on_gpu(rows);
        widest(
            #[inline(always)]
            || self.score_blocks(rows, squares.as_deref(), scores),
        );
    }

    /// `squares` are the networks' where the GPU computed them.
    #[inline(always)]
    fn score_blocks(&mut self, rows: &Matrix, squares: Option<&[f32]>, scores: &mut Vec<f32>) {
        let networks =
            self.members.iter().filter(|member| matches!(member.method, Method::Learned(_))).count();
        let mut squares = squares.map(|squares| squares.chunks(LANES * networks));
        let mut left = rows.rows();
        for block in rows.blocks() {
            let mut best = [f32::MIN; LANES];
            let squares = squares.as_mut().and_then(Iterator::next);
            let mut place = 0;
            for (member, values) in self.members.iter_mut().zip(&mut self.values) {
                *values = match (squares, &member.method) {
                    (Some(squares), Method::Learned(_)) => {
                        place += 1;
                        member.values_of(squares, networks, place - 1)
                    }
                    _ => member.values(block, &self.deviation),
                };
                let decades = member.decades(values);
                best = std::array::from_fn(|lane| best[lane].max(decades[lane]));
            }
            let lanes = left.min(LANES);
            for (member, values) in self.members.iter_mut().zip(&self.values) {
                for lane in 0..lanes {
                    if best[lane] <= self.threshold {
                        member.highest = member.highest.max(values[lane]);
                    }
                }
            }
            scores.extend_from_slice(&best[..lanes]);
            left -= lanes;
        }
    }

    /// The same for one row, changing nothing.
    pub fn score_row(&mut self, row: impl Iterator<Item = f32>) -> f32 {
        self.scratch.clear();
        self.scratch.push_encoded(row);
        let mut best = f32::MIN;
        for block in self.scratch.blocks() {
            for member in &mut self.members {
                let values = member.values(block, &self.deviation);
                best = best.max(member.decades(&values)[0]);
            }
        }
        best
    }

    /// What each member says of a row; changes nothing.
    pub fn member_scores(&mut self, row: &[f32]) -> Vec<f32> {
        self.scratch.clear();
        self.scratch.push_encoded(row.iter().copied());
        let Some(block) = self.scratch.blocks().next() else {
            return Vec::new();
        };
        let decades = |member: &mut Member| {
            let values = member.values(block, &self.deviation);
            member.decades(&values)[0]
        };
        self.members.iter_mut().map(decades).collect()
    }

    /// What the networks have not understood of a row: the mean of their values.
    pub fn loss(&mut self, row: &[f32]) -> f32 {
        self.scratch.clear();
        self.scratch.push_encoded(row.iter().copied());
        let Some(block) = self.scratch.blocks().next() else {
            return 0.0;
        };
        let (mut sum, mut networks) = (0.0, 0.0f32);
        for member in &mut self.members {
            if matches!(member.method, Method::Learned(_)) {
                sum += member.values(block, &self.deviation)[0].exp_m1();
                networks += 1.0;
            }
        }
        sum / networks.max(1.0)
    }

    /// Learns from the training set.
    pub fn train(&mut self, steps: usize, config: &ScoreConfig, rate: f64, random: &mut Random) {
        if self.train_on_gpu(steps, (config.batch_rows, config.trim, rate), random) {
            return;
        }
        self.offload.changed();
        let width = self.features.len();
        for _ in 0..steps {
            let rows = self.set.batch(config.batch_rows, random);
            if rows.is_empty() {
                break;
            }
            for member in &mut self.members {
                member.train(rows, width, config.trim, rate);
            }
        }
    }

    /// The warm-up is over: how far off are the networks usually, feature by feature? Nine tenths of the rows decide.
    pub fn measure_deviation(&mut self) {
        self.offload.changed();
        let rows = self.set.len();
        if rows == 0 {
            return;
        }
        self.scratch.clear();
        self.set.all().for_each(|row| self.scratch.push_encoded(row.iter().copied()));
        for member in &mut self.members {
            let Method::Learned(network) = &mut member.method else {
                continue;
            };
            let mut off: Vec<Vec<f32>> = vec![Vec::with_capacity(rows); member.columns.len()];
            let mut input: Vec<Column> = vec![[0.0; LANES]; member.columns.len()];
            for (number, block) in self.scratch.blocks().enumerate() {
                for (input, &place) in input.iter_mut().zip(&member.columns) {
                    *input = block[place];
                }
                let lanes = (rows - number * LANES).min(LANES);
                let expected = network.expect(&input);
                for (off, (seen, expected)) in off.iter_mut().zip(input.iter().zip(expected)) {
                    off.extend((0..lanes).map(|lane| (seen[lane] - expected[lane].clamp(0.0, 1.0)).abs()));
                }
            }
            for (mut off, &place) in off.into_iter().zip(&member.columns) {
                let at = (off.len() * 9 / 10).min(off.len() - 1);
                let (_, nine_tenths, _) = off.select_nth_unstable_by(at, f32::total_cmp);
                self.deviation[place] =
                    ((f64::from(*nine_tenths) / NINE_TENTHS) as f32).max(self.features[place].least);
            }
        }
        self.scratch = Matrix::new(self.features);
    }

    /// A window of so many seconds is over: the members note what was the most that was ordinary in it.
    pub fn end_window(&mut self, seconds: f64) {
        self.members.iter_mut().for_each(|member| member.end_window(seconds));
    }

    /// What was noted does not count: the members were still learning.
    pub fn forget_window(&mut self) {
        self.members.iter_mut().for_each(|member| member.highest = 0.0);
    }

    /// Fits all tails anew.
    pub fn refit(&mut self, confirmed: bool) {
        self.members.iter_mut().for_each(|member| member.refit(confirmed));
    }
}
