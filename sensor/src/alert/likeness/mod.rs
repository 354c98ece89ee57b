//! What an alert that no rule names looks like: a small supervised judgement of its rows.
//!
//! In: an unusual row's features, and a few plain facts beside them. Out: a probability for each type. Never here: whether
//! there is an alert (that is the score's affair), or a say against a rule.

pub mod context;
pub mod head;
pub mod train;

#[cfg(test)]
mod tests;

pub use head::{Head, HeadError};

use super::ThreatType;
use super::fingerprint::TYPES;

/// The opinion on a row, or on several of one attack: the mean of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likeness {
    sums: [f32; TYPES.len()],
    rows: f32,
}

impl Likeness {
    /// Of one row, in the order of [`TYPES`].
    pub fn of(probabilities: [f32; TYPES.len()]) -> Likeness {
        Likeness { sums: probabilities, rows: 1.0 }
    }

    /// Another row of the same.
    pub fn add(&mut self, other: &Likeness) {
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, one)| *sum += one);
        self.rows += other.rows;
    }

    /// The same as one row: what a window shows counts once, however many rows show it.
    pub fn mean(&self) -> Likeness {
        let rows = self.rows.max(1.0);
        Likeness { sums: self.sums.map(|sum| sum / rows), rows: self.rows.min(1.0) }
    }

    /// The likeliest type and its probability, if that is at least `least`, and it is a type.
    pub fn best(&self, least: f64) -> Option<(ThreatType, f64)> {
        let rows = f64::from(self.rows);
        let best = TYPES.into_iter().zip(self.sums).max_by(|one, other| one.1.total_cmp(&other.1))?;
        let chance = (f64::from(best.1) / rows.max(1.0) * 1000.0).round() / 1000.0;
        (rows > 0.0 && best.0 != ThreatType::Anomaly && chance >= least).then_some((best.0, chance))
    }
}
