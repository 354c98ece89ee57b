//! Section `score`.

use crate::features::spec::{GROUPS, Group};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// On a GPU, if there is one.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On a GPU; where that cannot be, on the CPU, and the health says so.
    Cuda,
}

/// How long the model warms up, and how it learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreConfig {
    /// Warming ends when so many rows were seen, and `warmup_time` passed too. The default is for a demonstration;
    /// for a network of people use a day's worth. 1 or more.
    pub warmup_rows: u64,
    /// Warming lasts so long at least. The default is for a demonstration; hours are better, a day is best.
    #[serde(with = "crate::config::duration")]
    pub warmup_time: Duration,
    /// Calibrating ends when so many rows were scored, and `calibration_time` passed too. 20 or more.
    pub calibration_rows: u64,
    /// Calibrating lasts so long at least. The default is for a demonstration; an hour is better.
    #[serde(with = "crate::config::duration")]
    pub calibration_time: Duration,
    /// Members of the ensemble that are left out, by name: `volume`, `connection`, `content`, `evidence`, `rarity`,
    /// `history`.
    pub without: Vec<String>,
    /// Part of a training batch that teaches nothing: the rows that fit worst, among which attacks are that were there
    /// from the start. 0 to 0.5.
    pub trim: f64,
    /// The tails that alerts follow from are fitted anew this often. 1s to 1h.
    #[serde(with = "crate::config::duration")]
    pub refit_every: Duration,
    /// What is learned must agree with a reference, a copy of the model, which is renewed this often. 1h or more.
    #[serde(with = "crate::config::duration")]
    pub reference_every: Duration,
    /// Rows scored in one step. 16 to 65536; 128 to 1024 is fastest on a CPU, whose cache holds them.
    pub chunk_rows: usize,
    /// Rows of a training batch. 8 to 4096.
    pub batch_rows: usize,
    /// Training steps per window while warming, at most; fewer where there are few rows.
    pub warmup_steps: usize,
    /// Training steps per window once active, at most. 0 freezes the model.
    pub active_steps: usize,
    /// Learning rate while warming. Above 0, at most 0.1.
    pub learning_rate: f64,
    /// Part of it used once active. 0 to 1.
    pub active_rate: f64,
    /// Rows kept for training, flows and hosts each; about 100 bytes a row. 64 or more.
    pub training_rows: usize,
    /// Rows of a window that may be learned from, flows and hosts each, evenly by chance; more would teach nothing more
    /// and cost as much as scoring them. 16 to 1,000,000.
    pub window_rows: usize,
    /// Rows that one source may add to the training set in one window. 1 or more.
    pub source_rows: usize,
    /// Units of the outer and of the inner hidden layer. 1 to 256.
    pub layers: [usize; 2],
    /// What was learned is saved so often, and as soon as the model is active; then it is a snapshot too, which
    /// `vesper model rollback` goes back to. 1m or more.
    #[serde(with = "crate::config::duration")]
    pub snapshot_every: Duration,
    /// Snapshots kept: half of them the latest, the others the last of their day. 0 to 1000.
    pub snapshots: usize,
    /// A model file that runs beside the live one, decides nothing and is compared with it in the metrics, as
    /// `candidate.safetensors`; empty is none. Relative paths start at `state_dir`. It costs as much as scoring does.
    pub shadow: PathBuf,
    /// Where the model runs: `auto` is on an NVIDIA GPU where there is one and the program was built for it, else on the CPU;
    /// `cuda` is the same, and the health says when it is not; `cpu` looks for none.
    pub device: DeviceChoice,
    /// Which GPU, counted from 0.
    pub gpu: usize,
    /// Memory of the GPU that batches may take; 0B is the smaller of 4 GiB and 60 % of what it has. 0B, or 64MiB or
    /// more.
    #[serde(with = "crate::config::size")]
    pub gpu_memory: u64,
    /// Batches become smaller when one takes longer than this on the GPU, and larger when there is time. 1ms to 1s.
    #[serde(with = "crate::config::duration")]
    pub gpu_latency: Duration,
    /// A GPU that failed is tried again after so long; the CPU does its work meanwhile. 1s or more.
    #[serde(with = "crate::config::duration")]
    pub gpu_retry: Duration,
    /// Seeds the first weights and the choice of training rows.
    pub seed: u64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        ScoreConfig {
            warmup_rows: 500,
            warmup_time: Duration::from_secs(20),
            calibration_rows: 250,
            calibration_time: Duration::from_secs(10),
            without: Vec::new(),
            trim: 0.1,
            refit_every: Duration::from_secs(60),
            reference_every: Duration::from_secs(24 * 3600),
            chunk_rows: 512,
            batch_rows: 128,
            warmup_steps: 40,
            active_steps: 2,
            learning_rate: 0.005,
            active_rate: 0.1,
            training_rows: 8192,
            window_rows: 2048,
            source_rows: 16,
            layers: [16, 8],
            snapshot_every: Duration::from_secs(3600),
            snapshots: 24,
            shadow: PathBuf::new(),
            device: DeviceChoice::Auto,
            gpu: 0,
            gpu_memory: 0,
            gpu_latency: Duration::from_millis(100),
            gpu_retry: Duration::from_secs(60),
            seed: 0x7e59_e201,
        }
    }
}

impl ScoreConfig {
    /// What is wrong with the values, each with its remedy.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |good: bool, name: &str, value: String, must: &str| {
            if !good {
                problems.push(format!("score.{name} is {value}, must be {must}"));
            }
        };
        check(self.warmup_rows >= 1, "warmup_rows", self.warmup_rows.to_string(), "at least 1");
        check(
            self.calibration_rows >= 20,
            "calibration_rows",
            self.calibration_rows.to_string(),
            "at least 20",
        );
        check((0.0..=0.5).contains(&self.trim), "trim", self.trim.to_string(), "0 to 0.5");
        let refit = (1.0..=3600.0).contains(&self.refit_every.as_secs_f64());
        check(refit, "refit_every", format!("{:?}", self.refit_every), "1s to 1h");
        let renewed = self.reference_every.as_secs_f64() >= 3600.0;
        check(renewed, "reference_every", format!("{:?}", self.reference_every), "at least 1h");
        for name in &self.without {
            let known = GROUPS.iter().any(|group| group.name() == name);
            let names = GROUPS.map(Group::name).join(", ");
            check(known, "without", format!("{name:?}"), &format!("some of {names}"));
        }
        let within = |value: usize, low: usize, high: usize| (low..=high).contains(&value);
        check(within(self.chunk_rows, 16, 65_536), "chunk_rows", self.chunk_rows.to_string(), "16 to 65536");
        check(within(self.batch_rows, 8, 4096), "batch_rows", self.batch_rows.to_string(), "8 to 4096");
        check(
            within(self.warmup_steps, 1, 10_000),
            "warmup_steps",
            self.warmup_steps.to_string(),
            "1 to 10000",
        );
        check(
            within(self.active_steps, 0, 1000),
            "active_steps",
            self.active_steps.to_string(),
            "at most 1000",
        );
        check(
            self.learning_rate > 0.0 && self.learning_rate <= 0.1,
            "learning_rate",
            self.learning_rate.to_string(),
            "above 0 and at most 0.1",
        );
        check((0.0..=1.0).contains(&self.active_rate), "active_rate", self.active_rate.to_string(), "0 to 1");
        check(
            within(self.training_rows, 64, 10_000_000),
            "training_rows",
            self.training_rows.to_string(),
            "64 to 10000000",
        );
        check(
            within(self.window_rows, 16, 1_000_000),
            "window_rows",
            self.window_rows.to_string(),
            "16 to 1000000",
        );
        check(self.source_rows >= 1, "source_rows", self.source_rows.to_string(), "at least 1");
        let every = crate::config::duration::format(self.snapshot_every);
        check(self.snapshot_every >= Duration::from_secs(60), "snapshot_every", every, "1m or more");
        check(self.snapshots <= 1000, "snapshots", self.snapshots.to_string(), "at most 1000");
        let memory = self.gpu_memory == 0 || self.gpu_memory >= 64 << 20;
        check(memory, "gpu_memory", crate::config::size::format(self.gpu_memory), "0B, or 64MiB or more");
        let latency = (0.001..=1.0).contains(&self.gpu_latency.as_secs_f64());
        check(latency, "gpu_latency", format!("{:?}", self.gpu_latency), "1ms to 1s");
        check(self.gpu_retry.as_secs() >= 1, "gpu_retry", format!("{:?}", self.gpu_retry), "1s or more");
        for units in self.layers {
            check(within(units, 1, 256), "layers", format!("{:?}", self.layers), "1 to 256 each");
        }
        problems
    }
}
