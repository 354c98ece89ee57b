//! What made a row's score.
//!
//! The score is that of one member, and the member's value is a sum over features: of squared errors, squared distances
//! from zero, or nats. So a feature's part of the sum is its share, exactly; nothing is estimated. A test holds the shares
//! against Shapley values (Shapley 1953, by sampled permutations as in Štrumbelj and Kononenko 2010).

use super::member::Method;
use super::model::Model;
use crate::alert::Share;

/// Halvings when the accepted value is looked for: to a thousandth of the way.
const HALVINGS: usize = 10;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The member that speaks.
    pub member: &'static str,
    /// What it says, decades of seconds.
    pub score: f64,
    /// Its features, the largest share first; the shares of all its features add up to 1.
    pub shares: Vec<Share>,
    /// How far each feature of the row is from what its member expects, signed, as `ln(1 + distance)` in usual deviations
    /// (or nats).
    pub deviations: Vec<f32>,
}

impl Model {
    /// Explains a row by its most surprising member. The first `most` features are told apart, and what would have been
    /// accepted of each; `threshold` is the score above which a row is unusual.
    pub fn explain(&mut self, row: &[f32], threshold: f32, most: usize) -> Explanation {
        let mut explanation = Explanation { deviations: vec![0.0; row.len()], ..Explanation::default() };
        let scores = self.member_scores(row);
        self.scratch.clear();
        self.scratch.push_encoded(row.iter().copied());
        let Some(block) = self.scratch.blocks().next() else { return explanation };
        let speaks = (0..scores.len()).max_by(|&one, &other| scores[one].total_cmp(&scores[other]));
        let mut found = Vec::new();
        for (number, member) in self.members.iter_mut().enumerate() {
            let parts = member.explain(block, &self.deviation);
            let nats = matches!(member.method, Method::Nats);
            for &(place, part, expected) in &parts {
                let distance = if nats { part } else { part.sqrt() };
                explanation.deviations[place] = distance.ln_1p().copysign(row[place] - expected);
            }
            if Some(number) == speaks {
                explanation.member = member.group.name();
                explanation.score = f64::from(scores[number]);
                found = parts;
            }
        }
        let total: f64 =
            found.iter().map(|(_, part, _)| f64::from(*part)).sum::<f64>().max(f64::MIN_POSITIVE);
        found.sort_by(|one, other| other.1.total_cmp(&one.1));
        for (rank, &(place, part, expected)) in found.iter().enumerate() {
            let accepted = if rank < most { self.accepted(row, place, expected, threshold) } else { None };
            let feature = &self.features[place];
            explanation.shares.push(Share {
                feature: feature.name.to_owned(),
                unit: feature.unit.to_owned(),
                value: feature.decode(row[place]),
                expected: feature.decode(expected),
                accepted: accepted.map(|value| feature.decode(value)),
                share: f64::from(part) / total,
            });
        }
        explanation
    }

    /// The value between what was expected and what was seen, nearest to the latter, with which the row's score is at most
    /// the threshold; `None` if there is none. Members are asked again: their expectation depends on the whole row.
    fn accepted(&mut self, row: &[f32], place: usize, expected: f32, threshold: f32) -> Option<f32> {
        let seen = row[place];
        let mut tried = row.to_vec();
        let mut fits = |value: f32| {
            tried[place] = value;
            self.score_row(tried.iter().copied()) <= threshold
        };
        let mut good = expected.clamp(0.0, 1.0);
        if !fits(good) {
            return None;
        }
        let mut bad = seen;
        for _ in 0..HALVINGS {
            let middle = f32::midpoint(good, bad);
            if fits(middle) { good = middle } else { bad = middle }
        }
        Some(good)
    }

    /// What a member's value is the logarithm of, for one row: the sum that shares are shares of.
    #[cfg(test)]
    pub fn sum_of(&mut self, member: &str, row: &[f32]) -> f32 {
        self.scratch.clear();
        self.scratch.push_encoded(row.iter().copied());
        let block = self.scratch.blocks().next().unwrap();
        let member = self.members.iter_mut().find(|one| one.group.name() == member).unwrap();
        member.explain(block, &self.deviation).iter().map(|(_, part, _)| part).sum()
    }
}
