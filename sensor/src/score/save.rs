//! The models as plain numbers, and the checks that such numbers must pass.

use super::ScoreError;
use super::autoencoder::Weights;
use super::device::device;
use super::model::Model;
use super::network::Network;
use super::random::Random;
use super::scorer::{Phase, Scorer};
use serde::{Deserialize, Serialize};

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// Names of its features, in order.
    pub features: Vec<String>,
    /// The network and its optimiser.
    pub weights: Weights,
    /// The normaliser: usual deviation of each feature.
    pub deviation: Vec<f32>,
    /// Scores so far while calibrating.
    pub calibration: Vec<f32>,
    /// The threshold.
    pub threshold: f64,
}

/// Both models, and where they stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorerState {
    /// Flow rows.
    pub flow: ModelState,
    /// Host rows.
    pub host: ModelState,
    /// State.
    pub phase: Phase,
    /// Rows in this state.
    pub rows: u64,
    /// Nanoseconds in this state.
    pub passed: u64,
    /// Training steps.
    pub generation: u64,
    /// Where the random numbers stand.
    pub random: u64,
}

impl Scorer {
    /// Everything that was learned. Rows kept for training are not: after a restart they are collected anew.
    pub fn save(&self) -> Result<ScorerState, ScoreError> {
        Ok(ScorerState {
            flow: save(&self.flow)?,
            host: save(&self.host)?,
            phase: self.phase,
            rows: self.rows,
            passed: self
                .now
                .saturating_sub(self.since.unwrap_or(self.now))
                .saturating_add(self.passed_before),
            generation: self.generation,
            random: self.random.state(),
        })
    }

    /// Takes up a saved state; on an error nothing has changed.
    pub fn restore(&mut self, state: &ScorerState) -> Result<(), ScoreError> {
        let flow = network(&self.flow, &state.flow, "flow")?;
        let host = network(&self.host, &state.host, "host")?;
        restore(&mut self.flow, flow, &state.flow);
        restore(&mut self.host, host, &state.host);
        (self.phase, self.rows, self.generation) = (state.phase, state.rows, state.generation);
        self.random = Random::new(state.random);
        self.passed_before = state.passed;
        self.since = None;
        Ok(())
    }
}

fn save(model: &Model) -> Result<ModelState, ScoreError> {
    Ok(ModelState {
        features: model.features.iter().map(|feature| feature.name.to_owned()).collect(),
        weights: model.network.weights()?,
        deviation: model.deviation.clone(),
        calibration: model.calibration.clone(),
        threshold: model.threshold,
    })
}

fn restore(model: &mut Model, network: Network, state: &ModelState) {
    model.network = network;
    model.deviation.clone_from(&state.deviation);
    model.calibration.clone_from(&state.calibration);
    model.threshold = state.threshold;
}

/// The network of a state that fits the model, or what is wrong with it.
fn network(model: &Model, state: &ModelState, name: &str) -> Result<Network, ScoreError> {
    let shape = |what: String| Err(ScoreError::Shape { what: format!("{name} model: {what}") });
    let features = model.features.iter().map(|feature| feature.name);
    if !features.clone().eq(state.features.iter().map(String::as_str)) {
        return shape("it has other features".to_owned());
    }
    let expected = model.network.weights()?.sizes;
    if !expected.iter().eq(&state.weights.sizes) {
        return shape(format!("layers {:?}, expected {expected:?}", state.weights.sizes));
    }
    let lengths: Vec<usize> = expected
        .windows(2)
        .flat_map(|pair| [pair[0] as usize * pair[1] as usize, pair[1] as usize])
        .collect();
    let fits = state.weights.tensors.len() == lengths.len()
        && state.weights.tensors.iter().zip(&lengths).all(|(all, len)| all.iter().all(|v| v.len() == *len));
    if !fits || state.deviation.len() != model.features.len() {
        return shape("a tensor has another size".to_owned());
    }
    let numbers =
        state.weights.tensors.iter().flatten().flatten().chain(&state.deviation).chain(&state.calibration);
    let positive = state.deviation.iter().all(|d| *d > 0.0)
        && state.weights.tensors.iter().all(|[_, _, second]| second.iter().all(|v| *v >= 0.0));
    if !numbers.copied().all(f32::is_finite)
        || !positive
        || !state.threshold.is_finite()
        || state.threshold < 0.0
    {
        return Err(ScoreError::Damaged { what: format!("{name} model: a number in it is impossible") });
    }
    Network::from_weights(&state.weights, &device())
}
