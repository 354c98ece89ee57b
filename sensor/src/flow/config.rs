//! Section `flow`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The flow table: how many flows are remembered, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// Flows remembered at once. Flows beyond are counted as overflow and still
    /// show in the windows of their hosts. 1 to 16,000,000.
    pub max_flows: usize,
    /// A flow that was silent for so long has ended.
    #[serde(with = "crate::config::duration")]
    pub idle_timeout: Duration,
    /// A flow that lasts longer gets a record each time this passes, and goes on.
    #[serde(with = "crate::config::duration")]
    pub active_timeout: Duration,
    /// A flow that was never answered ends after so much silence, so that a flood cannot fill the table for long.
    #[serde(with = "crate::config::duration")]
    pub unanswered_timeout: Duration,
    /// A TCP connection that was closed or reset ends after so much silence: late segments still find it.
    #[serde(with = "crate::config::duration")]
    pub closed_timeout: Duration,
    /// Flows looked at per tick for their timeouts: bounds the work of a tick. 1 or more.
    pub expiry_per_tick: usize,
}

impl Default for FlowConfig {
    fn default() -> Self {
        FlowConfig {
            max_flows: 262_144,
            idle_timeout: Duration::from_secs(120),
            active_timeout: Duration::from_secs(300),
            unanswered_timeout: Duration::from_secs(10),
            closed_timeout: Duration::from_secs(3),
            expiry_per_tick: 32_768,
        }
    }
}

impl FlowConfig {
    /// What is wrong with the values, each with its remedy.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=16_000_000).contains(&self.max_flows) {
            problems.push(format!("flow.max_flows is {}, must be 1 to 16000000", self.max_flows));
        }
        if self.expiry_per_tick == 0 {
            problems.push("flow.expiry_per_tick is 0, must be at least 1".to_owned());
        }
        for (name, value) in [
            ("idle_timeout", self.idle_timeout),
            ("active_timeout", self.active_timeout),
            ("unanswered_timeout", self.unanswered_timeout),
            ("closed_timeout", self.closed_timeout),
        ] {
            if value < Duration::from_secs(1) {
                problems.push(format!("flow.{name} is {value:?}, must be at least 1s"));
            }
        }
        if self.active_timeout < self.idle_timeout {
            problems.push(format!(
                "flow.active_timeout ({:?}) is less than flow.idle_timeout ({:?}): raise the first or lower the second",
                self.active_timeout, self.idle_timeout
            ));
        }
        problems
    }
}
