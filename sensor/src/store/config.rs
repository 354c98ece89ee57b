//! The section `store` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The file; a relative path starts at `state_dir`. `-wal` and `-shm` files lie beside it.
    pub path: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig { path: PathBuf::from("vesper.db") }
    }
}

impl StoreConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        if self.path.as_os_str().is_empty() {
            return vec!["path is empty: name a file, such as vesper.db".to_owned()];
        }
        Vec::new()
    }
}
