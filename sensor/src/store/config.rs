//! The section `store` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The file; a relative path starts at `state_dir`. `-wal` and `-shm` files lie beside it.
    pub path: PathBuf,
    /// Days that alerts are kept after their last change; those that nobody resolved stay longer while there is room.
    pub keep_days: u32,
    /// Of the database; the oldest alerts go first, never one that a sink has yet to be told. 16MiB or more.
    #[serde(with = "crate::config::size")]
    pub max_bytes: u64,
    /// Of sampled packets in it, the oldest go first; 0 keeps none.
    #[serde(with = "crate::config::size")]
    pub evidence_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            path: PathBuf::from("vesper.db"),
            keep_days: 90,
            max_bytes: 4 << 30,
            evidence_bytes: 512 << 20,
        }
    }
}

impl StoreConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push("path is empty: name a file, such as vesper.db".to_owned());
        }
        if !(1..=3650).contains(&self.keep_days) {
            problems.push(format!("keep_days = {} is out of range: choose 1 to 3650", self.keep_days));
        }
        if self.max_bytes < 16 << 20 {
            let size = crate::config::size::format(self.max_bytes);
            problems.push(format!("max_bytes = {size} is too small: use at least 16MiB"));
        }
        if self.evidence_bytes > self.max_bytes / 2 {
            let size = crate::config::size::format(self.evidence_bytes);
            problems.push(format!(
                "evidence_bytes = {size} is more than half of max_bytes: lower it, or raise max_bytes"
            ));
        }
        problems
    }
}
