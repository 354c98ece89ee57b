//! The captures that detectors are judged on, with their labels.

mod dnp3;

use std::path::Path;

use anyhow::Result;

use super::case::Case;
use super::lab;

/// Some captures that are judged alike.
pub struct Set {
    /// As `--only` names it.
    pub name: &'static str,
    /// Where its captures come from: below the folder of data, or from code where there is none.
    pub folder: Option<&'static str>,
    /// Each seed has traffic of its own; otherwise it seeds the detectors only.
    pub traffic_per_seed: bool,
    /// Alarms an hour that are allowed.
    pub budgets: &'static [f64],
    /// Makes the captures of a seed: from the folder of data, in the folder for what is made.
    pub cases: fn(&Path, &Path, u64) -> Result<Vec<Case>>,
}

/// One an hour, and one a day.
pub const BUDGETS: [f64; 2] = [1.0, DAILY];
const DAILY: f64 = 0.0417;

/// A set that code makes anew for each seed.
const fn made(name: &'static str, cases: fn(&Path, &Path, u64) -> Result<Vec<Case>>) -> Set {
    Set { name, folder: None, traffic_per_seed: true, budgets: &BUDGETS, cases }
}

/// All sets.
pub const SETS: [Set; 5] = [
    Set {
        name: "dnp3",
        folder: Some("dnp3"),
        traffic_per_seed: false,
        budgets: &[1.0, DAILY, 0.5, 2.0],
        cases: |data, _, _| dnp3::cases(data),
    },
    made("lab-clean", |_, folder, seed| Ok(vec![lab::case("lab-clean", 0, folder, seed)?])),
    made("lab-dirty-10", |_, folder, seed| Ok(vec![lab::case("lab-dirty-10", 10, folder, seed)?])),
    made("lab-dirty-30", |_, folder, seed| Ok(vec![lab::case("lab-dirty-30", 30, folder, seed)?])),
    made("lab-calm", |_, folder, seed| Ok(vec![lab::calm("lab-calm", folder, seed)?])),
];
