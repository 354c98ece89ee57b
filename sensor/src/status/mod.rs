//! What the sensor is doing now: written by the pipeline once a second, read by metrics, API and closing summary.
//!
//! A snapshot is whole and never changes: readers take the latest one and keep nobody waiting.

mod api;
mod disk;
mod exposition;
mod incidents;
mod intel;
mod journal;
pub mod latency;
pub mod metrics;
mod model;
mod process;
mod reading;
mod score;
mod sinks;
mod store;
mod summary;
pub mod top;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

pub use latency::Latency;
pub use reading::Reading;
pub use summary::{Summary, rfc3339};
pub use top::{SharedTop, Top};

use crate::alert::ThreatType;
use crate::analysis::IntelCounts;
use crate::capture::flood::Flood;
use crate::capture::nic::counters::NicCounters;
use crate::capture::{Mode, Queue, XskStatistics};
use crate::features::app::AppCounts;
use crate::features::link::LinkTables;
use crate::incidents::IncidentsStatus;
use crate::incidents::language::LanguageStatus;
use crate::intel::IntelStatus;
use crate::journal::JournalStatus;
use crate::ledger::{Ledger, Residue};
use crate::model::ModelStatus;
use crate::score::gpu::GpuStatus;
use crate::score::scorer::KINDS;
use crate::score::shadow::Agreement;
use crate::sinks::SinkStatus;
use crate::store::IngestStatus;

/// This program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the latest snapshot lies.
#[derive(Debug, Default)]
pub struct Shared(RwLock<Arc<Status>>);

impl Shared {
    /// Replaces the snapshot.
    pub fn publish(&self, status: Status) {
        // An `Arc` is replaced in one step: after a panic elsewhere it is still whole.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(status);
    }

    /// The latest snapshot.
    pub fn latest(&self) -> Arc<Status> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A snapshot of everything.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// When it was taken, nanoseconds since the Unix epoch, wall clock; 0 before the first one.
    pub time: u64,
    /// When the sensor started, same clock.
    pub started: u64,
    /// Time of the first packet on the source's clock, nanoseconds since the Unix epoch; 0 before one.
    pub first_packet: u64,
    /// Time of the latest packet, same clock.
    pub last_packet: u64,
    /// The bins.
    pub ledger: Ledger,
    /// What is left over.
    pub residue: Residue,
    /// The interface; absent in a replay.
    pub capture: Option<CaptureStatus>,
    /// The flow table.
    pub flow: FlowStatus,
    /// What is remembered of the link layer.
    pub links: LinkTables,
    /// The model.
    pub score: ScoreStatus,
    /// Its name with its training steps, as alerts carry it.
    pub model_name: String,
    /// How far each feature of each kind of row moved since the model's reference was taken, usual deviations, in the order
    /// of [`KINDS`] and of their features; empty before the model is active.
    pub drift: [Vec<f32>; KINDS.len()],
    /// What is remembered of what flows say.
    pub app: AppCounts,
    /// How fast, over the last second.
    pub rates: Rates,
    /// New alerts by type.
    pub threats: BTreeMap<ThreatType, u64>,
    /// Alerts without a type that the settings allow in an hour.
    pub budget_per_hour: f64,
    /// Times the windows of a second could not be scored.
    pub score_failed: u64,
    /// From a packet's arrival to its score.
    pub latency_score: Latency,
    /// From a packet's arrival to its alert.
    pub latency_alert: Latency,
    /// What became of the alerts on their way to the disk; absent in a replay.
    pub store: Option<IngestStatus>,
    /// Every sink.
    pub sinks: Vec<SinkStatus>,
    /// The GPU; absent where there is none.
    pub gpu: Option<GpuStatus>,
    /// How the model in the shadow agrees with the live one, if there is one.
    pub shadow: Option<Agreement>,
    /// The learned state on disk.
    pub model: ModelStatus,
    /// The lists of others; absent where there are none, and in a replay.
    pub intel: Option<IntelStatus>,
    /// How often they knew something.
    pub intel_counts: IntelCounts,
    /// The window journal.
    pub journal: JournalStatus,
    /// Incidents, and what they were asked; absent in a replay.
    pub incidents: Option<IncidentsStatus>,
    /// The language model; absent where there is none.
    pub language: Option<LanguageStatus>,
    /// Folder of what survives a restart; empty in a replay.
    pub state_dir: PathBuf,
    /// Whether the end of a capture is missing.
    pub truncated: bool,
    /// What a person should know, in words; bounded by whoever writes it.
    pub warnings: Vec<String>,
}

/// The interface and the XDP program on it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureStatus {
    /// Its name.
    pub interface: String,
    /// What it is.
    pub mode: Mode,
    /// Whether the program runs in the driver; else in the network stack.
    pub native: bool,
    /// For each receive queue in order, whether samples arrive without a copy. Empty in `host` mode.
    pub zero_copy: Vec<bool>,
    /// The receive queues in order. Empty in `host` mode.
    pub queues: Vec<Queue>,
    /// What was changed on the interface for as long as the sensor runs, and what its driver refused: a line each.
    pub prepared: Vec<String>,
    /// What the interface itself counted.
    pub nic: NicCounters,
    /// For each receive queue in order, the kernel's counters of its AF_XDP socket. Empty in `host` mode.
    pub xsk: Vec<XskStatistics>,
    /// Flows in the kernel's flow table at the latest drain.
    pub flow_map_entries: u64,
    /// Drains that waited because the analysis was behind.
    pub drains_delayed: u64,
    /// How often sampling is halved because the analysis is behind.
    pub sampling_halved: u64,
    /// Packets of flows that found no entry, the latest second's.
    pub flood: Flood,
    /// Drains that failed.
    pub drain_errors: u64,
    /// Whether the link is up.
    pub link_up: bool,
    /// Whether the program is attached.
    pub attached: bool,
    /// Time since the latest packet, nanoseconds; absent before one.
    pub last_packet_age: Option<u64>,
}

/// The flow table.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FlowStatus {
    /// Flows in it.
    pub entries: u64,
    /// Flows it can hold.
    pub limit: u64,
    /// Flows seen so far.
    pub total: u64,
    /// Packets of flows that could not enter the full table.
    pub refused: u64,
}

/// What the model is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// It learns what is normal; it raises no alerts.
    #[default]
    Warming,
    /// It finds the thresholds; it raises no alerts.
    Calibrating,
    /// It raises alerts.
    Active,
}

impl ModelState {
    /// Every state with its metric label.
    pub const ALL: [(ModelState, &'static str); 3] = [
        (ModelState::Warming, "warming"),
        (ModelState::Calibrating, "calibrating"),
        (ModelState::Active, "active"),
    ];
}

/// The model.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ScoreStatus {
    /// What it does.
    pub state: ModelState,
    /// How far it is on the way to `active`, 0 to 1.
    pub progress: f64,
    /// Score above which a window is unusual, decades of seconds; 0 before the model is active.
    pub threshold: f64,
}

/// How fast, per second.
#[derive(Clone, Copy, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Rates {
    /// Packets.
    pub packets: f64,
    /// Bytes.
    pub bytes: f64,
    /// New flows.
    pub flows: f64,
}

impl Status {
    /// Every equation of the ledger with its residue; all sinks' are one.
    pub fn residues(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let sinks = self.sinks.iter().map(SinkStatus::residue).find(|residue| *residue != 0).unwrap_or(0);
        let stored = self.store.as_ref().map_or(0, |store| store.residue(self.ledger.alerts.stored));
        self.residue.equations().into_iter().chain([
            ("store", stored),
            ("sinks", sinks),
            ("journal", self.journal.residue()),
        ])
    }
}
