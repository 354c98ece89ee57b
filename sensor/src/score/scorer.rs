//! The models of all kinds of rows through their states: warming, calibrating, active.

use super::ScoreError;
use super::config::{DeviceChoice, ScoreConfig};
use super::drift::Drift;
use super::explain::Explanation;
use super::gpu::{Gpu, GpuStatus, MOST_ROWS};
pub use super::kind::{KINDS, Kind};
use super::lessons::{Hold, Lessons};
use super::model::Model;
use super::random::Random;
pub use super::save::ScorerState;
use crate::features::matrix::Matrix;
use crate::features::rows::Rows;
use crate::ledger::ScoringBins;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// While warming every row counts four times: it has to be learned in half a minute.
const WARMUP_STEPS_PER_ROW: f64 = 4.0;
/// Once active, learning only follows slow change.
const ACTIVE_STEPS_PER_ROW: f64 = 1.0 / 16.0;

/// Decades below the threshold from which on a row teaches nothing.
const LEARN_MARGIN: f64 = 1.0;

/// Where the model stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ScoreState {
    /// Learns; nothing is alerted.
    Warming {
        /// Rows so far.
        rows: u64,
        /// Rows needed.
        needed_rows: u64,
        /// Seconds so far.
        seconds: f64,
        /// Seconds needed.
        needed_seconds: f64,
    },
    /// Stands still and collects scores for the threshold; nothing is alerted.
    Calibrating {
        /// Rows so far.
        rows: u64,
        /// Rows needed.
        needed_rows: u64,
        /// Seconds so far.
        seconds: f64,
        /// Seconds needed.
        needed_seconds: f64,
    },
    /// Scores above the threshold may alert.
    Active {
        /// Decades of seconds.
        threshold: f64,
    },
}

impl ScoreState {
    /// As it stands in `--scores` and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            ScoreState::Warming { .. } => "warming",
            ScoreState::Calibrating { .. } => "calibrating",
            ScoreState::Active { .. } => "active",
        }
    }
}

/// The state without its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// See [`ScoreState::Warming`].
    Warming,
    /// See [`ScoreState::Calibrating`].
    Calibrating,
    /// See [`ScoreState::Active`].
    Active,
}

/// See the module.
pub struct Scorer {
    pub(super) config: ScoreConfig,
    pub(super) random: Random,
    pub(super) gpu: Option<Arc<Gpu>>,
    /// One for each kind of rows, in the order of [`KINDS`].
    pub models: [Model; KINDS.len()],
    /// The models as they were, which must agree with what is learned; none before the model is active.
    pub(super) reference: Option<[Model; KINDS.len()]>,
    /// Where all stand.
    pub phase: Phase,
    pub(super) since: Option<u64>,
    pub(super) now: u64,
    /// Time in this state before it was saved.
    pub(super) passed_before: u64,
    pub(super) rows: u64,
    pub(super) generation: u64,
    pub(super) drift: [Drift; KINDS.len()],
    /// Rows above it are unusual once active.
    pub(super) threshold: f64,
    /// When the tails were fitted, and the reference was taken.
    pub(super) refitted: u64,
    pub(super) confirmed: u64,
    /// Hosts of which an alert counted in a tail lately, and when.
    pub(super) told: HashMap<[u8; 16], u64>,
    /// The time in which the budget allows one alert, nanoseconds, where it does not follow from the threshold: in a
    /// simulation whose days are short.
    pub(crate) telling: Option<u64>,
    /// End of the window before.
    pub(super) window_end: u64,
    /// Training steps earned by rows and not taken yet.
    pub(super) step_credit: f64,
    pub(super) bins: ScoringBins,
    pub(super) lessons: [Lessons; KINDS.len()],
    pub(super) reference_scores: Vec<f32>,
    /// Lessons taken from a window.
    pub(super) taken: Vec<usize>,
}

pub(super) fn models(
    config: &ScoreConfig,
    random: &mut Random,
    gpu: Option<&Arc<Gpu>>,
) -> [Model; KINDS.len()] {
    KINDS.map(|kind| Model::new(kind.features(), config, random, gpu.cloned()))
}

/// Each member has an equal part of the budget (Bonferroni).
fn threshold(models: &[Model], budget_per_hour: f64) -> f64 {
    let members: usize = models.iter().map(|model| model.members.len()).sum();
    (3600.0 / budget_per_hour).log10() + (members.max(1) as f64).log10()
}

impl Scorer {
    /// Knows nothing; `budget_per_hour` false alarms are allowed once active.
    pub fn new(config: &ScoreConfig, budget_per_hour: f64) -> Result<Scorer, ScoreError> {
        Scorer::on(super::device::gpu(config), config, budget_per_hour)
    }

    /// The same, with the help of this GPU.
    pub fn on(
        gpu: Option<Arc<Gpu>>,
        config: &ScoreConfig,
        budget_per_hour: f64,
    ) -> Result<Scorer, ScoreError> {
        let mut random = Random::new(config.seed);
        let models = models(config, &mut random, gpu.as_ref());
        let threshold = threshold(&models, budget_per_hour);
        Ok(Scorer {
            gpu,
            models,
            reference: None,
            config: config.clone(),
            random,
            phase: Phase::Warming,
            since: None,
            now: 0,
            step_credit: 0.0,
            passed_before: 0,
            rows: 0,
            generation: 0,
            drift: Default::default(),
            threshold,
            refitted: 0,
            confirmed: 0,
            told: HashMap::new(),
            telling: None,
            window_end: 0,
            bins: ScoringBins::default(),
            lessons: KINDS.map(|kind| Lessons::new(kind.features())),
            reference_scores: Vec::new(),
            taken: Vec::new(),
        })
    }

    /// So many false alarms per hour are allowed from now on.
    pub fn allow(&mut self, budget_per_hour: f64) {
        self.threshold = threshold(&self.models, budget_per_hour);
        if self.phase == Phase::Active {
            let threshold = self.threshold as f32;
            self.models.iter_mut().for_each(|model| model.threshold = threshold);
        }
    }

    /// Training steps so far.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What each member says of a row, decades of seconds; changes nothing.
    pub fn member_scores(&mut self, row: &[f32], kind: Kind) -> Vec<f32> {
        self.models[kind as usize].member_scores(row)
    }

    /// Where every row went.
    pub fn bins(&self) -> ScoringBins {
        self.bins
    }

    /// The score above which a row is unusual once the model is active: decades of seconds.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The score up to which a row may teach: what nearly was an alert is not ordinary either.
    pub fn learn_below(&self) -> f64 {
        self.threshold - LEARN_MARGIN
    }

    /// What became of the GPU, where there is one or there should be.
    pub fn gpu(&self) -> Option<GpuStatus> {
        match (&self.gpu, self.config.device) {
            (Some(gpu), _) => Some(gpu.status()),
            (None, DeviceChoice::Cuda) => {
                let reason = "score.device is \"cuda\", and there is no GPU that could be used: see the log"
                    .to_owned();
                Some(GpuStatus { reason, ..GpuStatus::default() })
            }
            (None, DeviceChoice::Auto | DeviceChoice::Cpu) => None,
        }
    }

    /// Rows that are best scored at once, where `on_cpu` are on the CPU.
    pub fn portion(&self, on_cpu: usize) -> usize {
        let gpu = self.gpu.as_ref().filter(|gpu| gpu.ready());
        gpu.map_or(on_cpu, |gpu| (gpu.batch_rows() * 2).clamp(on_cpu, MOST_ROWS.max(on_cpu)))
    }

    /// The model of a kind.
    pub fn model(&mut self, kind: Kind) -> &mut Model {
        &mut self.models[kind as usize]
    }

    /// How far the means of the features of a kind moved since the reference was taken, in usual deviations.
    pub fn drift(&self, kind: Kind) -> Vec<f32> {
        self.drift[kind as usize].by_feature(&self.models[kind as usize].deviation)
    }

    /// Name and generation: training steps so far.
    pub fn name(&self) -> String {
        format!("ensemble-{}", self.generation)
    }

    /// A window begins to be scored, with what was learned before it. Of its rows (by their place among the rows of
    /// their kind) it is decided now which may be learned from, evenly by chance.
    pub fn begin(&mut self, rows: &Rows) {
        self.since.get_or_insert(rows.window.start);
        self.now = rows.window.end;
        let counts = [rows.flows.len(), rows.hosts.len(), rows.links.len()];
        let scored = counts.iter().sum::<usize>() as u64;
        self.rows += scored;
        self.bins.made += rows.made;
        self.bins.scored += scored;
        self.bins.shed_limit += rows.shed;
        let wanted = if self.phase == Phase::Calibrating { 0 } else { self.config.window_rows };
        for (lessons, all) in self.lessons.iter_mut().zip(counts) {
            lessons.begin(all, wanted);
        }
    }

    /// Appends the scores of rows of a kind: all rows of the window, in their order, in any portions.
    pub fn score(&mut self, rows: &Matrix, kind: Kind, scores: &mut Vec<f32>) {
        let first = scores.len();
        self.models[kind as usize].score(rows, scores);
        self.lessons[kind as usize].choose(rows, first, &mut self.random);
    }

    /// Learns from a window after it was judged. `who` says for a row (by its place) who its source is, by hash, and
    /// `None` where the row takes part in an attack. Says so when the state changes.
    pub fn learn(
        &mut self,
        rows: &Rows,
        scores: [&[f32]; KINDS.len()],
        hold: Option<Hold>,
        who: impl Fn(usize, Kind) -> Option<u64>,
    ) -> Result<Option<String>, ScoreError> {
        let seconds = rows.window.end.saturating_sub(self.window_end.max(rows.window.start)) as f64 / 1e9;
        let silence = rows.window.start.saturating_sub(self.window_end) as f64 / 1e9;
        let silence = if self.window_end == 0 { 0.0 } else { silence };
        self.window_end = rows.window.end;
        let all = scores.iter().map(|scores| scores.len()).sum::<usize>() as u64;
        match self.phase {
            Phase::Warming => {
                self.models.iter_mut().for_each(Model::forget_window);
                self.admit(scores, who)?;
                let steps = self.steps(rows, WARMUP_STEPS_PER_ROW, self.config.warmup_steps);
                self.train(steps, self.config.learning_rate);
            }
            Phase::Calibrating => {
                self.bins.withheld_calibrating += all;
                self.models.iter_mut().for_each(|model| model.end_window(seconds + silence));
            }
            Phase::Active => {
                match hold {
                    // What goes with an attack is not ordinary, however near the threshold it stays.
                    Some(Hold::Attack) => self.models.iter_mut().for_each(Model::forget_window),
                    _ => self.models.iter_mut().for_each(|model| model.end_window(seconds + silence)),
                }
                match hold {
                    Some(Hold::Ledger) => self.bins.withheld_ledger += all,
                    Some(Hold::Attack) => self.bins.withheld_attack += all,
                    None => {
                        self.admit(scores, who)?;
                        let steps = self.steps(rows, ACTIVE_STEPS_PER_ROW, self.config.active_steps);
                        self.train(steps, self.config.learning_rate * self.config.active_rate);
                    }
                }
                self.renew(hold)?;
            }
        }
        self.advance()
    }

    fn seconds(&self) -> f64 {
        let here = self.now.saturating_sub(self.since.unwrap_or(self.now));
        here.saturating_add(self.passed_before) as f64 / 1e9
    }

    /// Goes on to the next state when both count and time are reached.
    fn advance(&mut self) -> Result<Option<String>, ScoreError> {
        let seconds = self.seconds();
        let reached =
            |rows: u64, time: std::time::Duration| self.rows >= rows && seconds >= time.as_secs_f64();
        let text = match self.phase {
            Phase::Warming if reached(self.config.warmup_rows, self.config.warmup_time) => {
                self.models.iter_mut().for_each(Model::measure_deviation);
                self.phase = Phase::Calibrating;
                format!("warm-up done after {} rows in {seconds:.0} s; calibrating", self.rows)
            }
            Phase::Calibrating if reached(self.config.calibration_rows, self.config.calibration_time) => {
                self.phase = Phase::Active;
                self.confirm()?;
                for model in &mut self.models {
                    model.threshold = self.threshold as f32;
                }
                format!(
                    "calibrated on {} rows in {seconds:.0} s; active, threshold {:.2}: ordinary traffic exceeds it {} \
                     times an hour",
                    self.rows,
                    self.threshold,
                    self.budget()
                )
            }
            _ => return Ok(None),
        };
        self.since = Some(self.now);
        self.passed_before = 0;
        self.rows = 0;
        Ok(Some(text))
    }

    /// Where the model stands.
    pub fn state(&self) -> ScoreState {
        let (rows, seconds) = (self.rows, self.seconds());
        match self.phase {
            Phase::Warming => ScoreState::Warming {
                rows,
                needed_rows: self.config.warmup_rows,
                seconds,
                needed_seconds: self.config.warmup_time.as_secs_f64(),
            },
            Phase::Calibrating => ScoreState::Calibrating {
                rows,
                needed_rows: self.config.calibration_rows,
                seconds,
                needed_seconds: self.config.calibration_time.as_secs_f64(),
            },
            Phase::Active => ScoreState::Active { threshold: self.threshold },
        }
    }

    /// The alarm budget that the threshold stands for, an hour.
    pub(super) fn budget(&self) -> f64 {
        let members: usize = self.models.iter().map(|model| model.members.len()).sum();
        let budget = 3600.0 * members.max(1) as f64 / 10f64.powf(self.threshold);
        (budget * 1e4).round() / 1e4
    }

    /// What made the score of a row.
    pub fn explain(&mut self, row: &[f32], kind: Kind, most: usize) -> Explanation {
        let threshold = self.threshold as f32;
        self.model(kind).explain(row, threshold, most)
    }
}
