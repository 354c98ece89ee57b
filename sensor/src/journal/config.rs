//! The section `journal` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{duration, size};

/// Scored windows on disk: what they were, for later questions and for training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Whether windows are kept.
    pub enabled: bool,
    /// The folder; relative paths start at `state_dir`.
    pub path: PathBuf,
    /// The folder never holds more; the oldest segment goes first. 16MiB or more.
    #[serde(with = "crate::config::size")]
    pub max_bytes: u64,
    /// What is older goes too. 1h or more.
    #[serde(with = "crate::config::duration")]
    pub max_age: Duration,
    /// Ordinary rows kept of a window, by chance, each kind of row a third; each says how many it stands for.
    /// 0 to 4096; a day of 15 rows a second is about 200 MB.
    pub ordinary_rows: usize,
    /// Unusual rows kept of a window: all, unless there are more than this of a kind. 1 to 1024.
    pub unusual_rows: usize,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig {
            enabled: true,
            path: PathBuf::from("journal"),
            max_bytes: 1 << 30,
            max_age: Duration::from_secs(30 * 86_400),
            ordinary_rows: 15,
            unusual_rows: 256,
        }
    }
}

impl JournalConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push("path is empty: name a folder, such as \"journal\"".to_owned());
        }
        if self.max_bytes < 16 << 20 {
            problems.push(format!(
                "max_bytes = {} is too small: choose 16MiB or more",
                size::format(self.max_bytes)
            ));
        }
        if self.max_age < Duration::from_secs(3600) {
            let value = duration::format(self.max_age);
            problems.push(format!("max_age = {value} is too short: choose 1h or more"));
        }
        if self.ordinary_rows > 4096 {
            problems.push(format!("ordinary_rows = {} is too many: choose 0 to 4096", self.ordinary_rows));
        }
        if !(1..=1024).contains(&self.unusual_rows) {
            problems.push(format!("unusual_rows = {} is out of range: choose 1 to 1024", self.unusual_rows));
        }
        problems
    }
}
