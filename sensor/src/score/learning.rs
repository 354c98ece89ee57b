//! What a window teaches: which rows are taken, how many steps they are worth, and when tails and reference are renewed.

use super::ScoreError;
use super::drift::Drift;
use super::lessons::Hold;
use super::random::Random;
use super::scorer::{KINDS, Kind, Phase, Scorer, models};
use crate::features::rows::Rows;

impl Scorer {
    /// Takes the chosen rows into the training sets, and counts those that are withheld.
    pub(super) fn admit(
        &mut self,
        scores: [&[f32]; KINDS.len()],
        who: impl Fn(usize, Kind) -> Option<u64>,
    ) -> Result<(), ScoreError> {
        let (limit, threshold) = (self.config.source_rows, self.learn_below() as f32);
        let active = self.phase == Phase::Active;
        for (kind, scores) in KINDS.into_iter().zip(scores) {
            let (model, lessons) = (&mut self.models[kind as usize], &self.lessons[kind as usize]);
            model.set.next_window();
            let agreed = &mut self.reference_scores;
            agreed.clear();
            if let Some(reference) = &mut self.reference {
                reference[kind as usize].score(&lessons.rows, agreed);
            }
            let unusual = |score: f32| active && score > threshold;
            let (mut attack, mut disputed) = (0, 0);
            let taken = &mut self.taken;
            taken.clear();
            for (lesson, &row) in lessons.places.iter().enumerate() {
                if unusual(scores[row]) {
                    continue;
                }
                if agreed.get(lesson).is_some_and(|&score| unusual(score)) {
                    disputed += 1;
                    continue;
                }
                match who(row, kind) {
                    Some(source) => {
                        let values = lessons.rows.row(lesson);
                        if model.set.offer(values, source, limit, &mut self.random) {
                            taken.push(lesson);
                        }
                    }
                    None => attack += 1,
                }
            }
            let anomalous = scores.iter().filter(|&&score| unusual(score)).count() as u64;
            let trained = taken.len() as u64;
            self.bins.trained += trained;
            self.bins.withheld_anomalous += anomalous;
            self.bins.withheld_attack += attack;
            self.bins.withheld_reference += disputed;
            self.bins.withheld_budget += scores.len() as u64 - trained - anomalous - attack - disputed;
            self.drift[kind as usize].add(&lessons.rows, taken.drain(..));
        }
        Ok(())
    }

    /// Fits the tails anew from time to time, and, less often, takes a new reference: never while an attack goes on.
    pub(super) fn renew(&mut self, hold: Option<Hold>) -> Result<(), ScoreError> {
        let over = |since: u64, every: std::time::Duration| {
            u128::from(self.now.saturating_sub(since)) >= every.as_nanos()
        };
        if hold.is_none() && over(self.confirmed, self.config.reference_every) {
            return self.confirm();
        }
        if over(self.refitted, self.config.refit_every) {
            self.refitted = self.now;
            self.models.iter_mut().for_each(|model| model.refit(false));
        }
        Ok(())
    }

    /// The model as it is now is what learning must agree with from here on.
    pub fn confirm(&mut self) -> Result<(), ScoreError> {
        (self.refitted, self.confirmed) = (self.now, self.now);
        self.models.iter_mut().for_each(|model| model.refit(true));
        self.drift.iter_mut().for_each(Drift::confirm);
        for (kind, model) in KINDS.into_iter().zip(&self.models) {
            for member in &model.members {
                tracing::debug!(kind = kind.name(), member = member.group.name(), fit = ?member.tail.fit, "tail");
            }
        }
        let mut reference = models(&self.config, &mut Random::new(0), self.gpu.as_ref());
        for (copy, model) in reference.iter_mut().zip(&self.models) {
            copy.copy(model)?;
        }
        self.reference = Some(reference);
        Ok(())
    }

    /// Training steps that a window's rows are worth: a quiet network has little to teach, and a quiet day in a
    /// capture should take no longer than a busy one.
    pub(super) fn steps(&mut self, rows: &Rows, per_row: f64, most: usize) -> usize {
        let new = (rows.flows.len() + rows.hosts.len() + rows.links.len()) as f64;
        self.step_credit = (self.step_credit + new * per_row).min(most as f64);
        let steps = self.step_credit as usize;
        self.step_credit -= steps as f64;
        steps
    }

    pub(super) fn train(&mut self, steps: usize, rate: f64) {
        // After a restart the sets fill anew; a handful of rows would be learned by heart.
        let few = self.models.iter().map(|model| model.set.len()).max().unwrap_or(0) < self.config.batch_rows;
        if few && self.phase == Phase::Active {
            return;
        }
        self.generation += steps as u64;
        for model in &mut self.models {
            model.train(steps, &self.config, rate, &mut self.random);
        }
    }
}
