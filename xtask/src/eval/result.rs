//! What was measured: one outcome for each set, detector, budget, seed and capture, and what they come to together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::outcome::{Outcome, quantile};

/// One run.
pub struct Run {
    /// The set.
    pub set: String,
    /// Which of its captures.
    pub case: String,
    /// Who was judged.
    pub detector: String,
    /// Alarms an hour that were allowed.
    pub budget: f64,
    /// The seed.
    pub seed: u64,
    /// The capture is of this seed alone.
    pub own_traffic: bool,
    /// How the threshold was found, where that is not the sensor's own affair.
    pub how: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl Run {
    /// For the file.
    pub fn json(&self) -> Value {
        json!({
            "set": self.set, "case": self.case, "detector": self.detector, "budget_per_hour": self.budget,
            "seed": self.seed, "threshold_from": self.how, "outcome": self.outcome.json(),
        })
    }
}

/// The runs of a detector on a set at a budget: one outcome a seed, all captures of the set together.
pub struct Group {
    /// Who was judged.
    pub detector: String,
    /// Alarms an hour that were allowed.
    pub budget: f64,
    /// Seeds have traffic of their own: their benign hours add up.
    pub own_traffic: bool,
    /// By seed.
    pub seeds: Vec<Outcome>,
}

/// Groups of a set, in the order in which they were measured.
pub fn groups(runs: &[Run], set: &str) -> Vec<Group> {
    let mut groups: Vec<(Group, Vec<u64>)> = Vec::new();
    for run in runs.iter().filter(|run| run.set == set) {
        let same = |group: &Group| group.detector == run.detector && group.budget == run.budget;
        let at = groups.iter().position(|(group, _)| same(group)).unwrap_or_else(|| {
            let (detector, budget) = (run.detector.clone(), run.budget);
            let own_traffic = run.own_traffic;
            groups.push((Group { detector, budget, own_traffic, seeds: Vec::new() }, Vec::new()));
            groups.len() - 1
        });
        let (group, seeds) = &mut groups[at];
        let seed = seeds.iter().position(|seed| *seed == run.seed).unwrap_or_else(|| {
            seeds.push(run.seed);
            group.seeds.push(Outcome::default());
            seeds.len() - 1
        });
        group.seeds[seed].add(&run.outcome);
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

impl Group {
    /// The middle and the worst of the seeds: by events hit, then by false alarms.
    pub fn middle_and_worst(&self) -> Option<(&Outcome, &Outcome)> {
        let mut order: Vec<&Outcome> = self.seeds.iter().collect();
        order.sort_by(|one, other| {
            let key = |outcome: &Outcome| (outcome.recall().0, std::cmp::Reverse(outcome.false_bins));
            key(one).cmp(&key(other))
        });
        Some((*order.get(order.len() / 2)?, *order.first()?))
    }

    /// Most false alarms an hour of any seed.
    pub fn worst_rate(&self) -> f64 {
        let rate = |outcome: &Outcome| outcome.false_bins as f64 / outcome.benign_hours().max(1e-9);
        self.seeds.iter().map(rate).fold(0.0, f64::max)
    }

    /// Benign traffic that was judged: of all seeds where each has its own, else of the middle one.
    pub fn benign(&self) -> Outcome {
        let mut sum = Outcome::default();
        match self.middle_and_worst() {
            Some((middle, _)) if !self.own_traffic => sum.add(middle),
            _ => self.seeds.iter().for_each(|outcome| sum.add(outcome)),
        }
        sum
    }

    /// Events hit and their number over all seeds, of those that were there while it learned, or of the others.
    pub fn by_warmup(&self, in_warmup: bool) -> (usize, usize) {
        let each = self.seeds.iter().map(|outcome| outcome.by_warmup(in_warmup));
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Median and 90th percentile of the delays of all seeds, seconds.
    pub fn delays(&self) -> Option<(f64, f64)> {
        let mut delays: Vec<f64> = self.seeds.iter().flat_map(Outcome::delays).collect();
        delays.sort_by(f64::total_cmp);
        Some((quantile(&delays, 0.5)?, quantile(&delays, 0.9)?))
    }

    /// Events hit and their number by name, over all seeds.
    pub fn by_name(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut names: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for outcome in &self.seeds {
            for (name, (found, all)) in outcome.by_name() {
                let sum = names.entry(name).or_default();
                *sum = (sum.0 + found, sum.1 + all);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Hit;
    use super::*;

    fn run(case: &str, seed: u64, delay: Option<f64>, false_bins: u64) -> Run {
        let hit = Hit { delay, lax: delay, standing: false, types: Default::default(), right: Vec::new() };
        let hits = vec![("scan".to_owned(), false, hit)];
        let outcome = Outcome { hits, false_bins, benign_bins: 60, ..Outcome::default() };
        Run {
            set: "lab".to_owned(),
            case: case.to_owned(),
            detector: "x".to_owned(),
            budget: 1.0,
            seed,
            own_traffic: true,
            how: String::new(),
            outcome,
        }
    }

    #[test]
    fn captures_are_added_up_and_seeds_are_not() {
        let runs = [
            run("a", 1, Some(1.0), 1),
            run("b", 1, Some(3.0), 2),
            run("a", 2, None, 0),
            run("b", 2, Some(2.0), 0),
            run("a", 3, Some(9.0), 0),
            run("b", 3, Some(2.0), 0),
        ];
        let groups = groups(&runs, "lab");
        assert_eq!((groups.len(), groups[0].seeds.len()), (1, 3));
        let (middle, worst) = groups[0].middle_and_worst().unwrap();
        assert_eq!((middle.recall(), middle.false_bins), ((2, 2), 3));
        assert_eq!((worst.recall(), worst.benign_hours()), ((1, 2), 2.0));
        assert_eq!(groups[0].delays(), Some((2.0, 9.0)));
        assert_eq!(groups[0].by_name()["scan"], (5, 6));
        assert!((groups[0].worst_rate() - 1.5).abs() < 1e-9);
        assert_eq!((groups[0].benign().false_bins, groups[0].benign().benign_bins), (3, 360));
    }
}
