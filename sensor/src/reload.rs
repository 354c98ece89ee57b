//! New settings for a running sensor: what may change while packets come is taken up, the rest is named. Where anything is
//! wrong, everything stays as it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use toml::Value;

use crate::alert::AlertConfig;
use crate::capture::Steering;
use crate::cli::ConfigArgs;
use crate::config::{self, Config, ConfigError};
use crate::intel::Replacing;
use crate::sinks::{self, Sinks};

/// Settings that wait for the analysis, which takes them up between two windows.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<Option<AlertConfig>>);

impl Waiting {
    fn leave(&self, alert: AlertConfig) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(alert);
    }

    /// What was left since the last time. Never waits.
    pub fn take(&self) -> Option<AlertConfig> {
        self.0.try_lock().ok()?.take()
    }
}

/// What a reload came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections and settings that run now.
    pub taken_up: Vec<String>,
    /// Settings that differ and need a restart.
    pub need_restart: Vec<String>,
    /// What is odd, but no reason to stop.
    pub warnings: Vec<String>,
}

/// Reads the settings again.
pub struct Reloader {
    arguments: ConfigArgs,
    running: Config,
    outlets: Outlets,
}

/// Where new settings go.
pub struct Outlets {
    /// What is sampled.
    pub steering: Steering,
    /// What the analysis takes up.
    pub waiting: Arc<Waiting>,
    /// Where alerts go.
    pub sinks: Sinks,
    /// Lists of others; `None` where none can be used.
    pub lists: Option<Replacing>,
}

/// For what sinks do when others take their place.
const SINK_PATIENCE: Duration = Duration::from_secs(2);

impl Reloader {
    /// `running` is what the sensor was started with.
    pub fn new(arguments: ConfigArgs, running: Config, outlets: Outlets) -> Reloader {
        Reloader { arguments, running, outlets }
    }

    /// What runs now.
    pub fn running(&self) -> &Config {
        &self.running
    }

    /// Reads the settings as at the start, and takes up what it may. Takes seconds where sinks change.
    pub fn reload(&mut self) -> Result<Reloaded, ConfigError> {
        let (file, overrides) = (self.arguments.config.as_deref(), self.arguments.overrides());
        let loaded = config::load(file, std::env::vars(), &overrides)?;
        let mut reloaded = Reloaded { warnings: loaded.warnings, ..Reloaded::default() };
        let new = loaded.config;
        if new.capture.sample != self.running.capture.sample {
            self.outlets.steering.set(new.capture.sample.clone());
            tracing::info!(sample = ?new.capture.sample, "sampling changed");
            self.running.capture.sample = new.capture.sample.clone();
            reloaded.taken_up.push("capture.sample".to_owned());
        }
        if new.alert != self.running.alert {
            self.outlets.waiting.leave(new.alert.clone());
            self.running.alert = new.alert.clone();
            reloaded.taken_up.push("alert".to_owned());
        }
        if new.sinks != self.running.sinks {
            let changed = sinks::configured(&new.sinks, &self.running.state_dir);
            match self.outlets.sinks.replace(changed, SINK_PATIENCE) {
                Ok(()) => {
                    self.running.sinks = new.sinks.clone();
                    reloaded.taken_up.push("sinks".to_owned());
                }
                Err(error) => reloaded.warnings.push(error.to_string()),
            }
        }
        if new.intel != self.running.intel
            && let Some(lists) = &self.outlets.lists
        {
            match lists.replace(new.intel.clone()) {
                Ok(()) => {
                    self.running.intel = new.intel.clone();
                    reloaded.taken_up.push("intel".to_owned());
                }
                Err(error) => reloaded.warnings.push(error.to_string()),
            }
        }
        reloaded.need_restart = differing(&self.running, &new);
        Ok(reloaded)
    }
}

/// Settings that differ, as `section.key`.
fn differing(running: &Config, new: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let (Ok(running), Ok(new)) = (Value::try_from(running), Value::try_from(new)) {
        compare("", Some(&running), Some(&new), &mut found);
    }
    found
}

fn compare(path: &str, one: Option<&Value>, other: Option<&Value>, found: &mut Vec<String>) {
    if one == other {
        return;
    }
    let (Some(Value::Table(left)), Some(Value::Table(right))) = (one, other) else {
        found.push(path.to_owned());
        return;
    };
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        compare(&path, left.get(key), right.get(key), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let running = Config::default();
        let mut new = running.clone();
        assert!(differing(&running, &new).is_empty());
        new.flow.max_flows += 1;
        new.capture.interface = Some("eth7".to_owned());
        new.sinks.webhook.push(crate::sinks::WebhookConfig::default());
        assert_eq!(differing(&running, &new), ["capture.interface", "flow.max_flows", "sinks.webhook"]);
    }
}
