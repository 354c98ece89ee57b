//! Both models through their states: warming, calibrating, active.

use super::ScoreError;
use super::config::ScoreConfig;
use super::device::device;
use super::model::Model;
use super::random::Random;
pub use super::save::ScorerState;
use crate::alert::Share;
use crate::features::matrix::Matrix;
use crate::features::rows::Rows;
use crate::features::spec::{self, Feature};
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

/// Rows of a window that may be learned from: as many as are wanted, evenly by chance.
struct Lessons {
    rows: Matrix,
    places: Vec<usize>,
    wanted: usize,
    left: usize,
}

impl Lessons {
    fn new(features: &'static [Feature]) -> Lessons {
        Lessons { rows: Matrix::new(features), places: Vec::new(), wanted: 0, left: 0 }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.places.clear();
    }

    /// Chooses among the next rows, of which the first has place `first` (selection sampling: Knuth, 3.4.2, S).
    fn choose(&mut self, rows: &Matrix, first: usize, random: &mut Random) {
        for row in 0..rows.rows() {
            if self.wanted == 0 {
                return;
            }
            if self.wanted >= self.left || random.below(self.left) < self.wanted {
                self.wanted -= 1;
                self.rows.push_encoded(rows.row(row));
                self.places.push(first + row);
            }
            self.left = self.left.saturating_sub(1);
        }
    }
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
    /// Of flow rows and of host rows.
    lessons: [Lessons; 2],
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
            lessons: [Lessons::new(&spec::FLOW), Lessons::new(&spec::HOST)],
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

    /// A window begins to be scored, with what was learned before it. Of its flow rows (by their place among the
    /// rows) it is decided now which may be learned from, evenly by chance.
    pub fn begin(&mut self, rows: &Rows) {
        self.since.get_or_insert(rows.window.start);
        self.now = rows.window.end;
        let scored = (rows.flows.len() + rows.hosts.len()) as u64;
        self.rows += scored;
        self.bins.made += rows.made;
        self.bins.scored += scored;
        self.bins.shed_limit += rows.shed;
        let counts = [rows.flows.len(), rows.hosts.len()];
        for (lessons, all) in self.lessons.iter_mut().zip(counts) {
            lessons.clear();
            lessons.left = all;
            let learns = self.phase != Phase::Calibrating;
            lessons.wanted = if learns { all.min(self.config.window_rows) } else { 0 };
        }
    }

    /// Appends the scores of flow rows, or of host rows: all rows of the window, in their order, in any portions.
    pub fn score(&mut self, rows: &Matrix, hosts: bool, scores: &mut Vec<f32>) -> Result<(), ScoreError> {
        let first = scores.len();
        if hosts {
            self.host.score(rows, scores)?
        } else {
            self.flow.score(rows, scores)?
        }
        self.lessons[usize::from(hosts)].choose(rows, first, &mut self.random);
        Ok(())
    }

    /// Learns from a window after it was judged. `who` says for a flow's and for a host's row (by its place) who its
    /// source is, by hash, and `None` where the row takes part in an attack. Says so when the state changes.
    pub fn learn(
        &mut self,
        rows: &Rows,
        scores: [&[f32]; 2],
        who: impl Fn(usize, bool) -> Option<u64>,
    ) -> Result<Option<String>, ScoreError> {
        match self.phase {
            Phase::Warming => {
                self.admit(scores, who);
                let steps = self.steps(rows, WARMUP_STEPS_PER_ROW, self.config.warmup_steps);
                self.train(steps, self.config.learning_rate)?;
            }
            Phase::Calibrating => {
                self.bins.withheld_calibrating += (scores[0].len() + scores[1].len()) as u64;
                self.flow.calibrate(scores[0]);
                self.host.calibrate(scores[1]);
            }
            Phase::Active => {
                self.admit(scores, who);
                let steps = self.steps(rows, ACTIVE_STEPS_PER_ROW, self.config.active_steps);
                self.train(steps, self.config.learning_rate * self.config.active_rate)?;
            }
        }
        self.advance()
    }

    /// Takes the chosen rows into the training sets, and counts those that are withheld.
    fn admit(&mut self, scores: [&[f32]; 2], who: impl Fn(usize, bool) -> Option<u64>) {
        let limit = self.config.source_rows;
        let active = self.phase == Phase::Active;
        let models = [&mut self.flow, &mut self.host];
        for (hosts, ((model, lessons), scores)) in
            models.into_iter().zip(&self.lessons).zip(scores).enumerate()
        {
            model.set.next_window();
            let unusual = |score: f32| active && f64::from(score) > model.threshold;
            let (mut trained, mut anomalous) = (0, 0);
            anomalous += scores.iter().filter(|&&score| unusual(score)).count() as u64;
            for (lesson, &row) in lessons.places.iter().enumerate() {
                if unusual(scores[row]) {
                    continue;
                }
                match who(row, hosts == 1) {
                    Some(source) => {
                        let row = lessons.rows.row(lesson);
                        trained += u64::from(model.set.offer(row, source, limit, &mut self.random));
                    }
                    None => anomalous += 1,
                }
            }
            self.bins.trained += trained;
            self.bins.withheld_anomalous += anomalous;
            self.bins.withheld_budget += scores.len() as u64 - trained - anomalous;
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
                self.flow.measure_deviation()?;
                self.host.measure_deviation()?;
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
    pub fn explain(&mut self, row: &[f32], is_host: bool, most: usize) -> Result<Vec<Share>, ScoreError> {
        if is_host { self.host.explain(row, most) } else { self.flow.explain(row, most) }
    }
}
