//! The section `flow` of the configuration.

use serde::{Deserialize, Serialize};

/// Flows
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {}

impl FlowConfig {
    /// What is wrong with the values, each with a remedy.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
