//! The model's state as the control plane shows it.

use super::exposition::Families;
use super::{ModelState, ScoreStatus, Status};
use crate::score::gpu::GpuStatus;
use crate::score::scorer::{KINDS, ScoreState};

impl From<ScoreState> for ScoreStatus {
    fn from(state: ScoreState) -> ScoreStatus {
        let part = |have: f64, needed: f64| {
            if needed > 0.0 { (have / needed).min(1.0) } else { 1.0 }
        };
        let slower = |rows: u64, needed_rows: u64, seconds: f64, needed_seconds: f64| {
            part(rows as f64, needed_rows as f64).min(part(seconds, needed_seconds))
        };
        match state {
            // Two halves of the way.
            ScoreState::Warming { rows, needed_rows, seconds, needed_seconds } => ScoreStatus {
                state: ModelState::Warming,
                progress: slower(rows, needed_rows, seconds, needed_seconds) / 2.0,
                ..ScoreStatus::default()
            },
            ScoreState::Calibrating { rows, needed_rows, seconds, needed_seconds } => ScoreStatus {
                state: ModelState::Calibrating,
                progress: 0.5 + slower(rows, needed_rows, seconds, needed_seconds) / 2.0,
                ..ScoreStatus::default()
            },
            ScoreState::Active { threshold } => {
                ScoreStatus { state: ModelState::Active, progress: 1.0, threshold }
            }
        }
    }
}

/// Every feature has its series: a hundred and some, by names in this source.
pub(super) fn drift(families: &mut Families, status: &Status) {
    let series = KINDS.into_iter().zip(&status.drift).flat_map(|(kind, drift)| {
        kind.features().iter().enumerate().map(move |(place, feature)| {
            let moved = drift.get(place).copied().unwrap_or_default();
            (vec![("feature", feature.name), ("kind", kind.name())], f64::from(moved))
        })
    });
    families.gauges(
        "score_drift",
        "How far a feature's mean of the last ten minutes is from where it was when the model's reference was taken, in \
         usual deviations.",
        series,
    );
}

/// Zero where there is no GPU.
pub(super) fn gpu(families: &mut Families, status: &Status) {
    let none = GpuStatus::default();
    let gpu = status.gpu.as_ref().unwrap_or(&none);
    families.gauge("score_gpu_ready", "Whether the model runs on a GPU.", f64::from(gpu.ready));
    families.counter(
        "score_gpu_failures_total",
        "Times the GPU failed while it was in use; the CPU did its work, no window was lost.",
        gpu.failures,
    );
    families.counter("score_gpu_rows_total", "Windows whose networks were computed on the GPU.", gpu.rows);
    families.counter("score_gpu_training_steps_total", "Training steps done on the GPU.", gpu.steps);
    families.gauge(
        "score_gpu_batch_rows",
        "Rows of a batch on the GPU, which follows the load.",
        gpu.batch_rows as f64,
    );
    families.gauge(
        "score_gpu_memory_bytes",
        "Memory of the GPU that was taken since the sensor opened it, at the latest batch.",
        gpu.memory as f64,
    );
    families.gauge(
        "score_gpu_memory_limit_bytes",
        "Memory of the GPU that batches may take.",
        gpu.memory_cap as f64,
    );
}
