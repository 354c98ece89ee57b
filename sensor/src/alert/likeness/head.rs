//! The weights: for each kind of row and each type a weight for every number of the row, and a bias (multinomial logistic
//! regression). As a file: JSON that a person can read, with the names of what it weighs and a checksum.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::ThreatType;
use super::super::fingerprint::TYPES;
use super::Likeness;
use super::context::names;
use crate::score::scorer::Kind;

/// The format; another one is refused.
const FORMAT: u32 = 1;
/// A larger file is none.
pub const LARGEST: usize = 1 << 20;
/// What this program comes with; `cargo xtask types` makes it.
const SHIPPED: &str = include_str!("shipped.json");
/// Kinds that are judged.
pub const JUDGED: [Kind; 2] = [Kind::Flow, Kind::Host];

/// A head cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It is no such file.
    #[error("is no file of types: {0}; train it anew with `vesper model train --labels`")]
    Format(#[from] serde_json::Error),
    /// It was damaged.
    #[error("is damaged: its checksum is {found}, and should be {wanted}; train it anew, or remove it")]
    Checksum {
        /// What the bytes say.
        found: String,
        /// What the file says.
        wanted: String,
    },
    /// It is of other features or types.
    #[error("does not fit this version: {what}; train it anew with `vesper model train --labels`")]
    Unfit {
        /// What does not.
        what: String,
    },
}

/// What was measured on traffic that was held out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Rows.
    pub rows: u64,
    /// Part of them whose likeliest type is right.
    pub right: f64,
    /// Expected calibration error: mean distance of confidence and frequency, over ten bins of confidence.
    pub calibration_error: f64,
    /// Same, before the temperature was fitted.
    pub uncalibrated: f64,
}

/// Weights of a kind of row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// What it weighs.
    pub inputs: Vec<String>,
    /// By type: a weight for each input.
    pub weights: Vec<Vec<f64>>,
    /// By type.
    pub bias: Vec<f64>,
    /// What the sums are divided by before they become probabilities.
    pub temperature: f64,
    /// On what was held out.
    pub measured: Measured,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    format: u32,
    /// Where it is from: `shipped`, or what it was trained on.
    pub name: String,
    types: Vec<ThreatType>,
    /// Of flows.
    pub flow: Weights,
    /// Of hosts.
    pub host: Weights,
    /// SHA-256 of the file with this field empty.
    #[serde(default)]
    sha256: String,
}

impl Head {
    /// Of weights for flows and hosts.
    pub fn new(name: &str, [flow, host]: [Weights; 2]) -> Head {
        let name = name.to_owned();
        Head { format: FORMAT, name, types: TYPES.to_vec(), flow, host, sha256: String::new() }
    }

    /// What this program comes with; a test reads it.
    pub fn shipped() -> Option<Head> {
        Head::decode(SHIPPED.as_bytes()).ok()
    }

    /// Reads and checks a file.
    pub fn decode(bytes: &[u8]) -> Result<Head, HeadError> {
        let head: Head = serde_json::from_slice(bytes)?;
        let found = head.checksum()?;
        if found != head.sha256 {
            return Err(HeadError::Checksum { found, wanted: head.sha256.chars().take(64).collect() });
        }
        head.check()?;
        Ok(head)
    }

    /// As a file: a line for each type.
    pub fn encode(&self) -> Result<Vec<u8>, HeadError> {
        let whole = Head { sha256: self.checksum()?, ..self.clone() };
        let text = serde_json::to_string(&whole)?;
        let text = text.replace("],[", "],\n[").replace(",\"", ",\n\"").replace("\",\n\"", "\",\"");
        Ok((text + "\n").into_bytes())
    }

    fn checksum(&self) -> Result<String, HeadError> {
        let bare = Head { sha256: String::new(), ..self.clone() };
        let digest = Sha256::digest(serde_json::to_vec(&bare)?);
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn check(&self) -> Result<(), HeadError> {
        let unfit = |what: &str| Err(HeadError::Unfit { what: what.to_owned() });
        if self.format != FORMAT {
            return unfit("its format is another one");
        }
        if self.types != TYPES {
            return unfit("its types are others");
        }
        for kind in JUDGED {
            let weights = self.weights(kind);
            let names = names(kind);
            if weights.inputs != names {
                return unfit("its features are others");
            }
            let shape = weights.weights.len() == TYPES.len() && weights.bias.len() == TYPES.len();
            if !shape || weights.weights.iter().any(|row| row.len() != names.len()) {
                return unfit("its shape is another one");
            }
            let numbers = weights.weights.iter().flatten().chain(&weights.bias);
            let possible = numbers.clone().all(|weight| weight.is_finite() && weight.abs() < 1e6);
            if !possible || !(0.01..=100.0).contains(&weights.temperature) {
                return unfit("a number in it is impossible");
            }
        }
        Ok(())
    }

    fn weights(&self, kind: Kind) -> &Weights {
        if kind == Kind::Host { &self.host } else { &self.flow }
    }

    /// What a row of a kind looks like; nothing where no head judges the kind.
    pub fn judge(&self, kind: Kind, row: &[f32]) -> Likeness {
        if !JUDGED.contains(&kind) {
            return Likeness::default();
        }
        Likeness::of(self.weights(kind).probabilities(row))
    }
}

impl Weights {
    /// The probability of each type.
    pub fn probabilities(&self, row: &[f32]) -> [f32; TYPES.len()] {
        let mut sums = [0.0f64; TYPES.len()];
        for ((sum, weights), bias) in sums.iter_mut().zip(&self.weights).zip(&self.bias) {
            let dot: f64 = weights.iter().zip(row).map(|(weight, value)| weight * f64::from(*value)).sum();
            *sum = (dot + bias) / self.temperature;
        }
        softmax(&mut sums);
        sums.map(|chance| chance as f32)
    }
}

/// Sums to probabilities.
pub(super) fn softmax(sums: &mut [f64]) {
    let highest = sums.iter().copied().fold(f64::MIN, f64::max);
    sums.iter_mut().for_each(|sum| *sum = (*sum - highest).exp());
    let total: f64 = sums.iter().sum();
    sums.iter_mut().for_each(|sum| *sum /= total);
}
