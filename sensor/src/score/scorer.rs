//! Both models through their states: warming, calibrating, active.

use super::ScoreError;
use super::config::ScoreConfig;
use super::device::device;
use super::model::Model;
use super::random::Random;
pub use super::save::ScorerState;
use crate::alert::Share;
use crate::features::rows::{Rows, Window};
use crate::features::sketch::mix_address;
use crate::features::spec;
use crate::ledger::ScoringBins;
use serde::{Deserialize, Serialize};

/// While warming every row counts four times: it has to be learned in half a minute.
const WARMUP_STEPS_PER_ROW: f64 = 4.0;
/// Once active, learning only follows slow change.
const ACTIVE_STEPS_PER_ROW: f64 = 1.0 / 16.0;

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
        /// Of flow rows.
        threshold: f64,
        /// Of host rows.
        host_threshold: f64,
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

/// The scores of a window's rows, in the order of the rows.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// Of flows.
    pub flows: Vec<f32>,
    /// Of hosts.
    pub hosts: Vec<f32>,
}

/// See the module.
pub struct Scorer {
    pub(super) config: ScoreConfig,
    pub(super) random: Random,
    /// Flow rows.
    pub flow: Model,
    /// Host rows.
    pub host: Model,
    /// Where both stand.
    pub phase: Phase,
    pub(super) since: Option<u64>,
    pub(super) now: u64,
    /// Time in this state before it was saved.
    pub(super) passed_before: u64,
    pub(super) rows: u64,
    pub(super) generation: u64,
    /// Training steps earned by rows and not taken yet.
    step_credit: f64,
    budget_per_hour: f64,
    bins: ScoringBins,
}

impl Scorer {
    /// Knows nothing; `budget_per_hour` false alarms are allowed once active.
    pub fn new(config: &ScoreConfig, budget_per_hour: f64) -> Result<Scorer, ScoreError> {
        let device = device();
        let mut random = Random::new(config.seed);
        Ok(Scorer {
            flow: Model::new(&spec::FLOW, config, &mut random, &device)?,
            host: Model::new(&spec::HOST, config, &mut random, &device)?,
            config: config.clone(),
            random,
            phase: Phase::Warming,
            since: None,
            now: 0,
            step_credit: 0.0,
            passed_before: 0,
            rows: 0,
            generation: 0,
            budget_per_hour,
            bins: ScoringBins::default(),
        })
    }

    /// Where every row went.
    pub fn bins(&self) -> ScoringBins {
        self.bins
    }

    /// Name and generation: training steps of both networks so far.
    pub fn name(&self) -> String {
        format!("autoencoder-{}", self.generation)
    }

    /// Scores the rows of a window with what was learned before it.
    pub fn score(&mut self, window: Window, rows: &Rows) -> Result<Scores, ScoreError> {
        self.since.get_or_insert(window.start);
        self.now = window.end;
        let chunk = self.config.chunk_rows;
        let scores = Scores {
            flows: self.flow.score(&rows.flow_matrix, chunk)?,
            hosts: self.host.score(&rows.host_matrix, chunk)?,
        };
        let scored = (scores.flows.len() + scores.hosts.len()) as u64;
        self.rows += scored;
        self.bins.made += rows.made;
        self.bins.scored += scored;
        self.bins.shed_limit += rows.shed;
        Ok(scores)
    }

    /// Learns from a window after it was judged; `suspect` names addresses that take part in an attack. Says so
    /// when the state changes.
    pub fn learn(
        &mut self,
        rows: &Rows,
        scores: &Scores,
        suspect: impl Fn(&[u8; 16]) -> bool,
    ) -> Result<Option<String>, ScoreError> {
        match self.phase {
            Phase::Warming => {
                self.admit(rows, scores, |_| false);
                let steps = self.steps(rows, WARMUP_STEPS_PER_ROW, self.config.warmup_steps);
                self.train(steps, self.config.learning_rate)?;
            }
            Phase::Calibrating => {
                self.bins.withheld_calibrating += (scores.flows.len() + scores.hosts.len()) as u64;
                self.flow.calibrate(&scores.flows);
                self.host.calibrate(&scores.hosts);
            }
            Phase::Active => {
                self.admit(rows, scores, suspect);
                let steps = self.steps(rows, ACTIVE_STEPS_PER_ROW, self.config.active_steps);
                self.train(steps, self.config.learning_rate * self.config.active_rate)?;
            }
        }
        self.advance()
    }

    /// Takes rows into the training sets, and counts those that are withheld.
    fn admit(&mut self, rows: &Rows, scores: &Scores, suspect: impl Fn(&[u8; 16]) -> bool) {
        let limit = self.config.source_rows;
        let active = self.phase == Phase::Active;
        let seed = self.config.seed;
        self.flow.set.next_window();
        self.host.set.next_window();
        let flows = rows.flows.iter().map(|facts| (facts.src, facts.dst));
        for (row, (src, dst)) in flows.enumerate() {
            let unusual = active && f64::from(scores.flows[row]) > self.flow.threshold;
            if unusual || suspect(&src) || suspect(&dst) {
                self.bins.withheld_anomalous += 1;
            } else {
                let row = rows.flow_matrix.row(row);
                let taken = self.flow.set.offer(row, mix_address(seed, &src), limit, &mut self.random);
                *(if taken { &mut self.bins.trained } else { &mut self.bins.withheld_budget }) += 1;
            }
        }
        for (row, facts) in rows.hosts.iter().enumerate() {
            let unusual = active && f64::from(scores.hosts[row]) > self.host.threshold;
            if unusual || suspect(&facts.address) {
                self.bins.withheld_anomalous += 1;
            } else {
                let source = mix_address(seed, &facts.address);
                let taken = self.host.set.offer(rows.host_matrix.row(row), source, limit, &mut self.random);
                *(if taken { &mut self.bins.trained } else { &mut self.bins.withheld_budget }) += 1;
            }
        }
    }

    /// Training steps that a window's rows are worth: a quiet network has little to teach, and a quiet day in a
    /// capture should take no longer than a busy one.
    fn steps(&mut self, rows: &Rows, per_row: f64, most: usize) -> usize {
        let new = (rows.flows.len() + rows.hosts.len()) as f64;
        self.step_credit = (self.step_credit + new * per_row).min(most as f64);
        let steps = self.step_credit as usize;
        self.step_credit -= steps as f64;
        steps
    }

    fn train(&mut self, steps: usize, rate: f64) -> Result<(), ScoreError> {
        // After a restart the sets fill anew; a handful of rows would be learned by heart.
        let few = self.flow.set.len().min(self.host.set.len()) < self.config.batch_rows;
        if few && self.phase == Phase::Active {
            return Ok(());
        }
        self.generation += steps as u64;
        self.flow.train(steps, self.config.batch_rows, rate, &mut self.random)?;
        self.host.train(steps, self.config.batch_rows, rate, &mut self.random)
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
                self.flow.measure_deviation(self.config.chunk_rows)?;
                self.host.measure_deviation(self.config.chunk_rows)?;
                self.phase = Phase::Calibrating;
                format!("warm-up done after {} rows in {seconds:.0} s; calibrating", self.rows)
            }
            Phase::Calibrating if reached(self.config.calibration_rows, self.config.calibration_time) => {
                let hours = seconds / 3600.0;
                for model in [&mut self.flow, &mut self.host] {
                    let per_hour = model.calibration.len() as f64 / hours;
                    // Half the budget for each kind of row.
                    model.set_threshold(self.budget_per_hour / 2.0 / per_hour.max(1.0), &self.config);
                    model.calibration = Vec::new();
                }
                self.phase = Phase::Active;
                format!(
                    "calibrated on {} rows in {seconds:.0} s; active, thresholds {:.2} (flows) and {:.2} (hosts)",
                    self.rows, self.flow.threshold, self.host.threshold
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
            Phase::Active => {
                ScoreState::Active { threshold: self.flow.threshold, host_threshold: self.host.threshold }
            }
        }
    }

    /// What made the score of a flow's or a host's row.
    pub fn explain(&self, row: &[f32], is_host: bool, most: usize) -> Result<Vec<Share>, ScoreError> {
        if is_host { self.host.explain(row, most) } else { self.flow.explain(row, most) }
    }
}
