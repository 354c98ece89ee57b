//! The section `score` of the configuration.

use serde::{Deserialize, Serialize};

/// Scoring
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreConfig {}

impl ScoreConfig {
    /// What is wrong with the values, each with a remedy.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
