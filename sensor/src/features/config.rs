//! The section `features` of the configuration.

use serde::{Deserialize, Serialize};

/// Windows
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesConfig {}

impl FeaturesConfig {
    /// What is wrong with the values, each with a remedy.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
