//! The section `alert` of the configuration.

use serde::{Deserialize, Serialize};

/// Alerts
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {}

impl AlertConfig {
    /// What is wrong with the values, each with a remedy.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
