//! The models in a checkpoint: each layer's weights, biases and their moments as tensors under their names, the rest as
//! one record.

use super::ScoreError;
use super::checkpoint::{About, Checkpoint, Tensor};
use super::save::{ModelState, ScorerState};
use super::scorer::{KINDS, Phase};
use super::weights::Weights;

/// The record beside the tensors.
const STATE: &str = "state";
/// What is kept of a parameter: its value, and the optimiser's moments.
const PARTS: [&str; 3] = ["", ".first_moment", ".second_moment"];
/// More is no network of this program.
const MOST_LAYERS: usize = 16;
const MOST_UNITS: u32 = 4096;

impl ScorerState {
    /// What is known of it.
    pub fn about(&self, threshold: f64) -> About {
        let state = match self.phase {
            Phase::Warming => "warming",
            Phase::Calibrating => "calibrating",
            Phase::Active => "active",
        };
        let models = || KINDS.into_iter().zip(&self.models);
        let features = models().map(|(kind, model)| (kind.name().to_owned(), model.features.clone()));
        let members = models().map(|(kind, model)| {
            (kind.name().to_owned(), model.members.iter().map(|member| member.name.clone()).collect())
        });
        About {
            generation: self.generation,
            state: state.to_owned(),
            features: features.collect(),
            members: members.collect(),
            threshold,
            ..About::default()
        }
    }

    /// Into a file.
    pub fn write(&self, checkpoint: &mut Checkpoint) -> Result<(), ScoreError> {
        let mut rest = self.clone();
        for (network, weights) in networks(&mut rest) {
            let shapes = shapes(weights)?;
            for ((place, shape), parts) in shapes.into_iter().zip(std::mem::take(&mut weights.tensors)) {
                for (part, values) in PARTS.iter().zip(parts) {
                    let tensor = Tensor::Numbers { shape: shape.clone(), values };
                    checkpoint.tensors.insert(format!("{network}.{place}{part}"), tensor);
                }
            }
        }
        checkpoint.put_record(STATE, &rest)
    }

    /// And back. The shapes are those that the record says; whether they fit this program is for `restore` to say.
    pub fn read(checkpoint: &mut Checkpoint) -> Result<ScorerState, ScoreError> {
        let mut state: ScorerState = checkpoint.record(STATE)?;
        for (network, weights) in networks(&mut state) {
            weights.tensors.clear();
            for (place, shape) in shapes(weights)? {
                let mut part = |part: &str| checkpoint.numbers(&format!("{network}.{place}{part}"), &shape);
                let [value, first, second] = PARTS;
                weights.tensors.push([part(value)?, part(first)?, part(second)?]);
            }
        }
        Ok(state)
    }
}

/// Every network with its name: `flow.volume`, `reference.host.connection`.
fn networks(state: &mut ScorerState) -> Vec<(String, &mut Weights)> {
    let mut found = Vec::new();
    for (prefix, models) in [("", &mut state.models), ("reference.", &mut state.reference)] {
        for (place, model) in models.iter_mut().enumerate() {
            let kind = KINDS.get(place).map_or("other", |kind| kind.name());
            found.extend(
                of_model(model).map(|(member, weights)| (format!("{prefix}{kind}.{member}"), weights)),
            );
        }
    }
    found
}

fn of_model(model: &mut ModelState) -> impl Iterator<Item = (&str, &mut Weights)> {
    model.members.iter_mut().filter_map(|member| Some((member.name.as_str(), member.weights.as_mut()?)))
}

/// Name and shape of each tensor, in order.
fn shapes(weights: &Weights) -> Result<Vec<(String, Vec<usize>)>, ScoreError> {
    let sizes = &weights.sizes;
    if sizes.len() > MOST_LAYERS || sizes.iter().any(|units| *units == 0 || *units > MOST_UNITS) {
        return Err(ScoreError::Shape { what: "a network of impossible layers".to_owned() });
    }
    let pairs = sizes.windows(2).map(|pair| [pair[0] as usize, pair[1] as usize]);
    let shapes = pairs.enumerate().flat_map(|(layer, [inputs, units])| {
        [(format!("layer{layer}.weight"), vec![units, inputs]), (format!("layer{layer}.bias"), vec![units])]
    });
    Ok(shapes.collect())
}
