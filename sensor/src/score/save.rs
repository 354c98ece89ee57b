//! The models as plain numbers, and the checks that such numbers must pass.

use super::ScoreError;
use super::dense::Dense;
use super::drift::Drift;
use super::member::{Member, Method};
use super::model::Model;
use super::random::Random;
use super::scorer::{KINDS, Phase, Scorer};
use super::tail::Tail;
use super::weights::Weights;
use serde::{Deserialize, Serialize};

/// What a member of the ensemble learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberState {
    /// Its group.
    pub name: String,
    /// The network and its optimiser, if it has one.
    pub weights: Option<Weights>,
    /// How its values are spread.
    pub tail: Tail,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// Names of its features, in order.
    pub features: Vec<String>,
    /// Its members.
    pub members: Vec<MemberState>,
    /// Usual deviation of each feature.
    pub deviation: Vec<f32>,
}

/// All models, and where they stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorerState {
    /// In the order of the kinds.
    pub models: Vec<ModelState>,
    /// What learning must agree with; empty before the model is active.
    pub reference: Vec<ModelState>,
    /// How far the traffic moved since.
    pub drift: Vec<Drift>,
    /// State.
    pub phase: Phase,
    /// Rows in this state.
    pub rows: u64,
    /// Nanoseconds in this state.
    pub passed: u64,
    /// When the reference was taken.
    pub confirmed: u64,
    /// Training steps.
    pub generation: u64,
    /// Where the random numbers stand.
    pub random: u64,
}

impl Scorer {
    /// Everything that was learned. Rows kept for training are not: after a restart they are collected anew.
    pub fn save(&self) -> Result<ScorerState, ScoreError> {
        Ok(ScorerState {
            models: self.models.iter().map(Model::save).collect(),
            reference: self.reference.iter().flatten().map(Model::save).collect(),
            drift: self.drift.to_vec(),
            phase: self.phase,
            rows: self.rows,
            passed: self
                .now
                .saturating_sub(self.since.unwrap_or(self.now))
                .saturating_add(self.passed_before),
            confirmed: self.confirmed,
            generation: self.generation,
            random: self.random.state(),
        })
    }

    /// Takes up a saved state; on an error nothing has changed.
    pub fn restore(&mut self, state: &ScorerState) -> Result<(), ScoreError> {
        let mut models = self.fresh(&state.models)?;
        let reference = if state.reference.is_empty() { None } else { Some(self.fresh(&state.reference)?) };
        if state.phase == Phase::Active {
            if reference.is_none() {
                return Err(ScoreError::Damaged { what: "active without a reference".to_owned() });
            }
            let threshold = self.threshold() as f32;
            models.iter_mut().for_each(|model| model.threshold = threshold);
        }
        let drift = state.drift.clone().try_into();
        let drift =
            drift.map_err(|_other_kinds| ScoreError::Damaged { what: "drift of other kinds".to_owned() })?;
        (self.models, self.reference, self.drift) = (models, reference, drift);
        (self.phase, self.rows, self.generation) = (state.phase, state.rows, state.generation);
        self.random = Random::new(state.random);
        (self.passed_before, self.confirmed) = (state.passed, state.confirmed);
        self.since = None;
        Ok(())
    }

    fn fresh(&self, states: &[ModelState]) -> Result<[Model; KINDS.len()], ScoreError> {
        if states.len() != KINDS.len() {
            return Err(ScoreError::Shape {
                what: format!("{} models, expected {}", states.len(), KINDS.len()),
            });
        }
        let mut models = super::scorer::models(&self.config, &mut Random::new(0), self.gpu.as_ref());
        for ((model, state), kind) in models.iter_mut().zip(states).zip(KINDS) {
            model.restore(state, kind.name())?;
        }
        Ok(models)
    }
}

impl Model {
    /// Everything that was learned.
    pub fn save(&self) -> ModelState {
        let member = |member: &Member| MemberState {
            name: member.group.name().to_owned(),
            weights: member.weights(),
            tail: member.tail.clone(),
        };
        ModelState {
            features: self.features.iter().map(|feature| feature.name.to_owned()).collect(),
            members: self.members.iter().map(member).collect(),
            deviation: self.deviation.clone(),
        }
    }

    /// Takes up what another one learned, which has the same members.
    pub fn copy(&mut self, other: &Model) -> Result<(), ScoreError> {
        self.restore(&other.save(), "reference")
    }

    /// Takes up a saved state, if it fits.
    pub fn restore(&mut self, state: &ModelState, name: &str) -> Result<(), ScoreError> {
        let shape = |what: String| Err(ScoreError::Shape { what: format!("{name} model: {what}") });
        let features = self.features.iter().map(|feature| feature.name);
        if !features.eq(state.features.iter().map(String::as_str)) {
            return shape("it has other features".to_owned());
        }
        let members = self.members.iter().map(|member| member.group.name());
        if !members.eq(state.members.iter().map(|member| member.name.as_str())) {
            return shape("it has other members".to_owned());
        }
        if state.deviation.len() != self.features.len() {
            return shape("a tensor has another size".to_owned());
        }
        if !state.deviation.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(impossible(name));
        }
        self.offload.changed();
        for (member, state) in self.members.iter_mut().zip(&state.members) {
            member.take_up(state, name)?;
        }
        self.deviation.clone_from(&state.deviation);
        Ok(())
    }
}

fn impossible(name: &str) -> ScoreError {
    ScoreError::Damaged { what: format!("{name} model: a number in it is impossible") }
}

impl Member {
    fn take_up(&mut self, state: &MemberState, name: &str) -> Result<(), ScoreError> {
        if !state.tail.is_sound() {
            return Err(impossible(name));
        }
        match (&mut self.method, &state.weights) {
            (Method::Learned(network), Some(weights)) => *network = fitting(network, weights, name)?,
            (Method::FromZero | Method::Nats, None) => {}
            _ => {
                return Err(ScoreError::Shape {
                    what: format!("{name} model: a network too many or too few"),
                });
            }
        }
        self.restore(state.tail.clone());
        Ok(())
    }
}

/// A network with the saved weights, if they fit in place of the present ones.
fn fitting(network: &Dense, weights: &Weights, name: &str) -> Result<Dense, ScoreError> {
    let shape = |what: String| Err(ScoreError::Shape { what: format!("{name} model: {what}") });
    let expected = network.weights().sizes;
    if expected != weights.sizes {
        return shape(format!("layers {:?}, expected {expected:?}", weights.sizes));
    }
    let lengths: Vec<usize> = expected
        .windows(2)
        .flat_map(|pair| [pair[0] as usize * pair[1] as usize, pair[1] as usize])
        .collect();
    let fits = weights.tensors.len() == lengths.len()
        && weights.tensors.iter().zip(&lengths).all(|(all, len)| all.iter().all(|v| v.len() == *len));
    if !fits {
        return shape("a tensor has another size".to_owned());
    }
    let finite = weights.tensors.iter().flatten().flatten().all(|value| value.is_finite());
    let positive = weights.tensors.iter().all(|[_, _, second]| second.iter().all(|v| *v >= 0.0));
    if !finite || !positive {
        return Err(impossible(name));
    }
    Ok(Dense::new(weights))
}
