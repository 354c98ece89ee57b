//! The section `incidents` of the configuration.

use serde::{Deserialize, Serialize};

use super::language::LanguageConfig;

/// What happened before, and what worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentsConfig {
    /// Incidents less alike than this are not recommended. 0 to 1.
    pub min_similarity: f64,
    /// Whether an empty collection begins with the incidents that come with the sensor.
    pub starter: bool,
    /// Incidents kept: the starter ones go first, then those whose action was tried least often, oldest first.
    pub max: u64,
    /// Words alerts anew; nothing depends on it.
    pub language_model: LanguageConfig,
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        IncidentsConfig {
            min_similarity: 0.5,
            starter: true,
            max: 100_000,
            language_model: LanguageConfig::default(),
        }
    }
}

impl IncidentsConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.language_model.problems();
        if !(0.0..=1.0).contains(&self.min_similarity) {
            problems.push(format!(
                "min_similarity = {} is out of range: choose 0 to 1, such as 0.5",
                self.min_similarity
            ));
        }
        if !(100..=1_000_000).contains(&self.max) {
            problems.push(format!("max = {} is out of range: choose 100 to 1000000", self.max));
        }
        problems
    }
}
