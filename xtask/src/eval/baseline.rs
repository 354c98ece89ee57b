//! The rules that anybody could write, and two detectors of libraries, on the rows that the sensor scored.
//!
//! They fold nothing, so they are judged twice: by the bin, as the protocol has it, where any row above the threshold
//! is an alarm; and as if they folded what they say of one source, as the sensor does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::capture::nanoseconds;
use super::case::Case;
use super::outcome::{Alarm, BIN};
use crate::{program, setup};

const SCRIPT: &str = include_str!("baselines.py");

/// What a detector said at a budget.
pub struct Said {
    /// Its name.
    pub detector: String,
    /// Alarms an hour that were allowed.
    pub budget: f64,
    /// Its alarms.
    pub alarms: Vec<Alarm>,
    /// Bins in which it alarmed.
    pub marked: BTreeSet<u64>,
    /// How its threshold was found.
    pub how: String,
}

/// Runs all of them on the rows of this file.
pub fn run(case: &Case, rows: &Path, budgets: &[f64], seed: u64, folder: &Path) -> Result<Vec<Said>> {
    let script = folder.join("baselines.py");
    fs::write(&script, SCRIPT).with_context(|| format!("write {}", script.display()))?;
    let begin = case.begin as f64 / 1e9;
    let job = json!({
        "rows": rows, "learned": begin + case.learn, "ready": begin + case.learn + case.calibrate,
        "budgets": budgets, "seed": seed,
    });
    let mut python = Command::new(setup::eval_python());
    // One thread: others measure beside us.
    python.env("OMP_NUM_THREADS", "1").arg(&script).arg(job.to_string());
    let said: Value =
        serde_json::from_str(&program::output(&mut python)?).context("read what the baselines said")?;
    said.as_array().context("the baselines said no list")?.iter().map(read).collect()
}

fn read(said: &Value) -> Result<Said> {
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let alarms: Vec<Alarm> =
        said["alarms"].as_array().context("no alarms")?.iter().map(alarm).collect::<Result<_>>()?;
    Ok(Said {
        detector: text("detector"),
        budget: said["budget"].as_f64().context("no budget")?,
        how: text("how"),
        marked: alarms.iter().map(|alarm| alarm.time / BIN).collect(),
        alarms,
    })
}

fn alarm(said: &Value) -> Result<Alarm> {
    let time = nanoseconds(said["time"].as_f64().context("an alarm without time")?);
    let hosts = said["hosts"].as_array().into_iter().flatten();
    let hosts = hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect();
    Ok(Alarm { time, until: time, kind: String::new(), hosts, fresh: said["fresh"] == true })
}
