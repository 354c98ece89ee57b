//! Configuration: defaults, then the file, then the environment, then the command line; the last one wins.
//!
//! In comes text, out goes a [`Config`] in which every value was checked, or every problem at once. Nothing is
//! read again while the sensor runs, and nothing is guessed: an unknown key in the file is refused.
//!
//! Each setting has an environment variable: `VESPER_` and its path in capitals, `capture.drain_interval` is
//! `VESPER_CAPTURE_DRAIN_INTERVAL`. Values are written as in the file, text without quotes.

pub mod duration;
mod file;
mod load;
mod network;
mod schema;
pub mod show;
pub mod size;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::{ConfigError, DEFAULT_PATH, Loaded, Overrides, Problem, load};
pub use network::Network;
pub use schema::nearest;

use crate::alert::AlertConfig;
use crate::api::ApiConfig;
use crate::capture::CaptureConfig;
use crate::features::FeaturesConfig;
use crate::flow::FlowConfig;
use crate::incidents::IncidentsConfig;
use crate::intel::IntelConfig;
use crate::journal::JournalConfig;
use crate::score::ScoreConfig;
use crate::sinks::SinksConfig;
use crate::store::StoreConfig;
use crate::telemetry::TelemetryConfig;

/// All settings. The sections are the stages of the path of a packet, then the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for what must survive a restart; relative paths in other settings start here.
    pub state_dir: PathBuf,
    /// How packets are counted and sampled.
    pub capture: CaptureConfig,
    /// Flows.
    pub flow: FlowConfig,
    /// Windows.
    pub features: FeaturesConfig,
    /// The model.
    pub score: ScoreConfig,
    /// When an alert is raised.
    pub alert: AlertConfig,
    /// What others know: lists of addresses, names and clients.
    pub intel: IntelConfig,
    /// Where alerts go.
    pub sinks: SinksConfig,
    /// The database.
    pub store: StoreConfig,
    /// What happened before, and what worked.
    pub incidents: IncidentsConfig,
    /// Scored windows on disk.
    pub journal: JournalConfig,
    /// API and metrics.
    pub api: ApiConfig,
    /// The sensor's own log.
    pub telemetry: TelemetryConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            state_dir: PathBuf::from("/var/lib/vesper"),
            capture: CaptureConfig::default(),
            flow: FlowConfig::default(),
            features: FeaturesConfig::default(),
            score: ScoreConfig::default(),
            alert: AlertConfig::default(),
            intel: IntelConfig::default(),
            sinks: SinksConfig::default(),
            store: StoreConfig::default(),
            incidents: IncidentsConfig::default(),
            journal: JournalConfig::default(),
            api: ApiConfig::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

impl Config {
    /// What is wrong with the values, each with a remedy; each starts with `section.key`.
    fn problems(&self) -> Vec<String> {
        let sections = [
            ("capture", self.capture.problems()),
            ("flow", self.flow.problems()),
            ("features", self.features.problems()),
            ("score", self.score.problems()),
            ("alert", self.alert.problems()),
            ("intel", self.intel.problems()),
            ("sinks", self.sinks.problems()),
            ("store", self.store.problems()),
            ("incidents", self.incidents.problems()),
            ("journal", self.journal.problems()),
            ("api", self.api.problems()),
            ("telemetry", self.telemetry.problems()),
        ];
        let mut problems = Vec::new();
        if self.state_dir.as_os_str().is_empty() {
            problems.push("state_dir is empty: name a folder, such as /var/lib/vesper".to_owned());
        }
        for (section, found) in sections {
            for problem in found {
                let named = problem.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
                problems.push(if named { problem } else { format!("{section}.{problem}") });
            }
        }
        problems
    }
}
